// SPDX-License-Identifier: MIT
/* Reading the description of a machine. */
#include "sim/preload/describe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"

const char sim_describe_usage[] =
	"  --device nvme[=IMAGE][,OPTION...]  an NVMe controller; IMAGE, a file, is its disk (without: "
	"memory)\n"
	"      capacity=SIZE (without IMAGE) block_size=512|4096 max_queues=N mdts=N cmb_mib=N read_only "
	"serial=TEXT\n"
	"  --device edu[,OPTION...]           QEMU's teaching device\n"
	"      address_bits=N\n"
	"  every device: addr=0000:00:01.0 driver=NAME (default vfio-pci) group=N bus_group=N\n"
	"      iommu_unit=N pasid_bits=N page_requests=1\n"
	"  --kernel 7.2|6.19|6.12|6.6|6.1     which kernel it behaves like (default 7.2)\n"
	"  --no-container                     no /dev/vfio/vfio: iommufd alone\n"
	"  --no-iommufd                       no /dev/iommu and no character devices\n"
	"  --type1-v1                         type1 has no version 2\n"
	"  --unsafe-irqs                      interrupts are not isolated\n"
	"  --no-iommu                         the machine has no IOMMU\n"
	"  --iommu plain|vtd|smmuv3|amd       which IOMMU it has (default plain: no nesting)\n"
	"  --no-5-level                       first-stage tables of vtd have four levels only\n"
	"  --no-1-gib                         and no pages of 1 GiB\n"
	"  --address-bits N                   that the IOMMU translates (default 48)\n"
	"  --max-mappings N                   of a container (default 65535)\n"
	"  --seed N                           for what is left to chance\n";

enum { MOST_PARTS = 24 };

/* Values ------------------------------------------------------------------------------------------------- */

static int number(const char *name, const char *value, uint64_t most, uint64_t *ret_number)
{
	char *end;

	errno = 0;
	*ret_number = strtoull(value, &end, 0);
	if (!*value || *value == '-' || *end || errno || *ret_number > most)
		return weir_fail(-EINVAL, "%s=%s: a number up to %" PRIu64 " is wanted", name, value, most);
	return 0;
}

static int number32(const char *name, const char *value, uint32_t *ret_number)
{
	uint64_t wide;
	int error = number(name, value, UINT32_MAX, &wide);

	if (!error)
		*ret_number = (uint32_t)wide;
	return error;
}

/* Bytes, or with K, M or G so many KiB, MiB, GiB. */
static int byte_size(const char *name, const char *value, uint64_t *ret_size)
{
	static const char units[] = "KMG";
	size_t len = strlen(value);
	const char *unit = len ? strchr(units, value[len - 1]) : NULL;
	unsigned int shift = unit && *unit ? 10 * (unsigned int)(unit - units + 1) : 0;
	char digits[24];
	int error;

	if (len >= sizeof(digits))
		return weir_fail(-EINVAL, "%s=%s is too long for a size", name, value);
	memcpy(digits, value, len + 1);
	if (shift)
		digits[len - 1] = '\0';
	error = number(name, digits, UINT64_MAX >> shift, ret_size);
	*ret_size <<= shift;
	return error;
}

/* Devices ------------------------------------------------------------------------------------------------ */

struct device_text {
	const char *kind, *value; /* "nvme", its image */
	struct weir_sim_slot slot;
	struct weir_sim_nvme_opts nvme;
	struct weir_sim_edu_opts edu;
};

/* 1: it was one of these; 0: not. */
static int slot_option(struct device_text *device, const char *name, const char *value)
{
	int error = 0;

	if (!strcmp(name, "addr"))
		device->slot.address = value;
	else if (!strcmp(name, "driver"))
		device->slot.driver = value;
	else if (!strcmp(name, "group"))
		error = number32(name, value, &device->slot.group);
	else if (!strcmp(name, "bus_group"))
		error = number32(name, value, &device->slot.bus_group);
	else if (!strcmp(name, "iommu_unit"))
		error = number32(name, value, &device->slot.iommu_unit);
	else if (!strcmp(name, "pasid_bits"))
		error = number32(name, value, &device->slot.pasid_bits);
	else if (!strcmp(name, "page_requests"))
		error = number32(name, value, &device->slot.page_requests);
	else
		return 0;
	return error ? error : 1;
}

static int edu_option(struct device_text *device, const char *name, const char *value)
{
	int error;

	if (strcmp(name, "address_bits") != 0)
		return 0;
	error = number32(name, value, &device->edu.address_bits);
	return error ? error : 1;
}

static int nvme_option(struct device_text *device, const char *name, const char *value)
{
	struct weir_sim_nvme_opts *opts = &device->nvme;
	int error = 0;

	if (!strcmp(name, "capacity"))
		error = byte_size(name, value, &opts->capacity);
	else if (!strcmp(name, "block_size"))
		error = number32(name, value, &opts->block_size);
	else if (!strcmp(name, "max_queues"))
		error = number32(name, value, &opts->max_queues);
	else if (!strcmp(name, "mdts"))
		error = number32(name, value, &opts->mdts);
	else if (!strcmp(name, "cmb_mib"))
		error = number32(name, value, &opts->cmb_mib);
	else if (!strcmp(name, "serial"))
		opts->serial = value;
	else if (!strcmp(name, "read_only") && !*value)
		opts->read_only = true;
	else
		return 0;
	return error ? error : 1;
}

static int device_option(struct device_text *device, const char *name, const char *value)
{
	int found = slot_option(device, name, value);

	if (!found)
		found = !strcmp(device->kind, "edu") ? edu_option(device, name, value)
						     : nvme_option(device, name, value);
	if (!found)
		return weir_fail(-EINVAL, "a device %s has no option '%s'", device->kind, name);
	return found < 0 ? found : 0;
}

/*
 * Cut at single commas, in place; two become one. Returns how many parts there are; more than fit are an
 * error.
 */
static int split(char *text, char *parts[MOST_PARTS])
{
	char *to = text;
	int num = 0;

	parts[num++] = text;
	for (; *text; text++) {
		if (*text != ',') {
			*to++ = *text;
		} else if (text[1] == ',') {
			*to++ = ',';
			text++;
		} else {
			*to++ = '\0';
			if (num == MOST_PARTS)
				return weir_fail(-EINVAL, "a device with more than %d options",
						 MOST_PARTS - 1);
			parts[num++] = to;
		}
	}
	*to = '\0';
	return num;
}

/* Cut at the first '='; without one the value is empty. */
static const char *cut_value(char *text)
{
	char *equals = strchr(text, '=');

	if (!equals)
		return text + strlen(text);
	*equals = '\0';
	return equals + 1;
}

static int read_device(char *text, struct device_text *device)
{
	char *parts[MOST_PARTS];
	int num = split(text, parts), error = 0;

	if (num < 0)
		return num;
	device->value = cut_value(parts[0]);
	device->kind = parts[0];
	if (strcmp(device->kind, "nvme") != 0 && strcmp(device->kind, "edu") != 0)
		return weir_fail(-EINVAL, "there is no device '%s': nvme and edu can be simulated",
				 device->kind);
	if (*device->value && strcmp(device->kind, "nvme") != 0)
		return weir_fail(-EINVAL, "a device %s has no disk image", device->kind);
	for (int i = 1; i < num && !error; i++) {
		const char *value = cut_value(parts[i]);

		error = device_option(device, parts[i], value);
	}
	if (*device->value)
		device->nvme.image = device->value;
	return error;
}

static int add_device(struct weir_sim *sim, const char *value)
{
	struct device_text device = { .slot = { .size = sizeof(device.slot) },
				      .nvme = { .size = sizeof(device.nvme) },
				      .edu = { .size = sizeof(device.edu) } };
	char *text = strdup(value);
	int error = text ? read_device(text, &device) : -ENOMEM;

	if (!error)
		error = !strcmp(device.kind, "edu")
				? weir_sim_add_edu(sim, &device.edu, &device.slot, NULL)
				: weir_sim_add_nvme(sim, &device.nvme, &device.slot, NULL);
	free(text);
	return error ? weir_fail_within(error, "device %s: ", value) : 0;
}

/* The machine -------------------------------------------------------------------------------------------- */

static int set_kernel(struct weir_sim_opts *opts, const char *value)
{
	static const char *const ages[] = { "7.2", "6.19", "6.12", "6.6", "6.1" };

	for (uint32_t age = 0; age < sizeof(ages) / sizeof(ages[0]); age++)
		if (!strcmp(value, ages[age])) {
			opts->age = age;
			return 0;
		}
	return weir_fail(-EINVAL, "kernel %s cannot be simulated: 7.2, 6.19, 6.12, 6.6 and 6.1 can", value);
}

static int set_iommu(struct weir_sim_opts *opts, const char *value)
{
	static const char *const iommus[] = { "plain", "vtd", "smmuv3", "amd" };

	for (uint32_t iommu = 0; iommu < sizeof(iommus) / sizeof(iommus[0]); iommu++)
		if (!strcmp(value, iommus[iommu])) {
			opts->iommu = iommu;
			return 0;
		}
	return weir_fail(-EINVAL, "an IOMMU '%s' cannot be simulated: plain, vtd, smmuv3 and amd can", value);
}

static int set_flag(struct weir_sim_opts *opts, const char *name, const char *value)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} flags[] = {
		{ "no-container", WEIR_SIM_NO_CONTAINER }, { "no-iommufd", WEIR_SIM_NO_IOMMUFD },
		{ "type1-v1", WEIR_SIM_TYPE1_V1 },         { "unsafe-irqs", WEIR_SIM_UNSAFE_IRQS },
		{ "no-iommu", WEIR_SIM_NO_IOMMU },         { "no-5-level", WEIR_SIM_NO_5_LEVEL },
		{ "no-1-gib", WEIR_SIM_NO_1_GIB },
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (!strcmp(name, flags[i].name) && !*value) {
			opts->flags |= flags[i].flag;
			return 0;
		}
	return weir_fail(-EINVAL, "there is no option '%s%s%s'", name, *value ? "=" : "", value);
}

static const char device_prefix[] = "device=";

static bool is_device(const char *line)
{
	return !strncmp(line, device_prefix, strlen(device_prefix));
}

static int machine_line(void *ctx, char *line)
{
	struct weir_sim_opts *opts = ctx;
	const char *value;

	if (!*line || is_device(line))
		return 0;
	value = cut_value(line);
	if (!strcmp(line, "kernel"))
		return set_kernel(opts, value);
	if (!strcmp(line, "iommu"))
		return set_iommu(opts, value);
	if (!strcmp(line, "address-bits"))
		return number32(line, value, &opts->address_bits);
	if (!strcmp(line, "max-mappings"))
		return number32(line, value, &opts->max_mappings);
	if (!strcmp(line, "seed"))
		return number(line, value, UINT64_MAX, &opts->seed);
	return set_flag(opts, line, value);
}

static int device_line(void *ctx, char *line)
{
	return is_device(line) ? add_device(ctx, line + strlen(device_prefix)) : 0;
}

static int each_line(const char *text, int (*read)(void *ctx, char *line), void *ctx)
{
	char *copy = strdup(text), *rest = copy, *line;
	int error = copy ? 0 : weir_fail(-ENOMEM, "no memory for the machine's description");

	while (!error && (line = strsep(&rest, "\n")))
		error = read(ctx, line);
	free(copy);
	return error;
}

int sim_describe_build(const char *text, struct weir_sim **ret_sim)
{
	struct weir_sim_opts opts = { .size = sizeof(opts) };
	struct weir_sim *sim;
	int error = each_line(text, machine_line, &opts);

	if (!error)
		error = weir_sim_open(&opts, &sim);
	if (error)
		return error;
	error = each_line(text, device_line, sim);
	if (error) {
		weir_sim_close(sim);
		return error;
	}
	*ret_sim = sim;
	return 0;
}

/* Names of files ----------------------------------------------------------------------------------------- */

static void write_escaped(FILE *out, const char *text)
{
	for (; *text; text++)
		fputs(*text == ',' ? ",," : (char[]){ *text, '\0' }, out);
}

char *sim_describe_line(const char *option)
{
	static const char image_prefix[] = "device=nvme=";
	const size_t len = strlen(image_prefix);
	char *directory, *line = NULL;
	size_t size;
	FILE *out;

	if (strncmp(option, image_prefix, len) != 0 || option[len] == '/' || !option[len] ||
	    option[len] == ',')
		return strdup(option);
	directory = getcwd(NULL, 0);
	out = open_memstream(&line, &size);
	if (directory && out) {
		fputs(image_prefix, out);
		write_escaped(out, directory);
		fprintf(out, "/%s", option + len);
	}
	free(directory);
	if (!out || fclose(out) || !directory)
		return NULL;
	return line;
}
