// SPDX-License-Identifier: MIT
/* What is where: PCI devices and their drivers, IOMMU groups, device nodes, and what /proc says of the process. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/sysfs.h"
#include "sim/process.h"
#include "sim/container/container.h"
#include "sim/iommu/domain.h"
#include "sim/iommufd/iommufd.h"
#include "sim/sysfs/paths.h"
#include "sim/device/pci.h"

enum { VFIO_MAJOR = 511, NUM_BARS = 6 };

#define DEVICE "/sys/devices/<bus>/<device>"
#define GROUP  "/sys/kernel/iommu_groups/<group>"
#define DRIVER "/sys/bus/pci/drivers/<driver>"

/* What is there ---------------------------------------------------------------------------------------------------- */

/* Buses behind a bridge have no directory of their own. */
static bool is_root_bus(const struct sim_name *name)
{
	const struct weir_sim_device *device = name->sim->devices;
	size_t len = strlen(name->bus) - 3;

	while (device && (strncmp(device->address, name->bus + 3, len) != 0 || device->address[len] != ':'))
		device = device->next;
	return device && !sim_bridge_above(device);
}

static bool has_driver(const struct sim_name *name)
{
	return *name->device->driver;
}

static bool has_iommu(const struct sim_name *name)
{
	return !(name->sim->flags & WEIR_SIM_NO_IOMMU);
}

static bool is_vfio(const struct sim_name *name)
{
	return !strcmp(name->device->driver, "vfio-pci");
}

static bool has_iommufd(const struct sim_name *name)
{
	return sim_has_iommufd(name->sim);
}

static bool has_container(const struct sim_name *name)
{
	return sim_has_container(name->sim);
}

static bool has_vfio_group(const struct sim_name *name)
{
	const struct weir_sim_device *device = sim_group_next(name->group, NULL);

	while (device && strcmp(device->driver, "vfio-pci") != 0)
		device = sim_group_next(name->group, device);
	return device && sim_has_container(name->sim);
}

/* Links ------------------------------------------------------------------------------------------------------------ */

static int print_device(const struct weir_sim_device *device, FILE *out)
{
	char path[SIM_PATH_SIZE];

	sim_device_path(device, path, sizeof(path));
	fputs(path, out);
	return 0;
}

static int show_device(const struct sim_name *name, FILE *out)
{
	return print_device(name->device, out);
}

static int show_vfio_dev(const struct sim_name *name, FILE *out)
{
	print_device(name->device, out);
	fprintf(out, "/vfio-dev/vfio%" PRIu32, name->device->vfio_number);
	return 0;
}

static int show_driver(const struct sim_name *name, FILE *out)
{
	fprintf(out, "/sys/bus/pci/drivers/%s", name->device->driver);
	return 0;
}

static int show_group(const struct sim_name *name, FILE *out)
{
	fprintf(out, "/sys/kernel/iommu_groups/%" PRIu32, name->device->group->number);
	return 0;
}

static int show_subsystem(const struct sim_name *name, FILE *out)
{
	(void)name;
	fputs("/sys/bus/pci", out);
	return 0;
}

/* A device's files ------------------------------------------------------------------------------------------------- */

static int show_vendor(const struct sim_name *name, FILE *out)
{
	fprintf(out, "0x%04x\n", name->device->model->vendor_id);
	return 0;
}

static int show_device_id(const struct sim_name *name, FILE *out)
{
	fprintf(out, "0x%04x\n", name->device->model->device_id);
	return 0;
}

static int show_subsystem_vendor(const struct sim_name *name, FILE *out)
{
	fprintf(out, "0x%04x\n", sim_get16(name->device->config + PCI_SUBSYSTEM_VENDOR));
	return 0;
}

static int show_subsystem_device(const struct sim_name *name, FILE *out)
{
	fprintf(out, "0x%04x\n", sim_get16(name->device->config + PCI_SUBSYSTEM));
	return 0;
}

static int show_revision(const struct sim_name *name, FILE *out)
{
	fprintf(out, "0x%02x\n", name->device->config[PCI_CLASS]);
	return 0;
}

static int show_class(const struct sim_name *name, FILE *out)
{
	fprintf(out, "0x%06" PRIx32 "\n", name->device->model->class_code);
	return 0;
}

static int show_numa_node(const struct sim_name *name, FILE *out)
{
	(void)name;
	fputs("-1\n", out);
	return 0;
}

/* Pins lead nowhere here; VFIO's interrupts are eventfds. */
static int show_irq(const struct sim_name *name, FILE *out)
{
	(void)name;
	fputs("0\n", out);
	return 0;
}

/* The kernel's flags of a resource: what it is, and the low bits of the register. */
static uint64_t resource_flags(const struct weir_sim_bar *bar)
{
	const uint64_t io = 0x100, memory = 0x200, prefetchable = 0x2000, size_aligned = 0x40000,
		       wide = 0x100000;
	uint64_t flags = size_aligned;

	if (bar->flags & WEIR_SIM_BAR_IO)
		return flags | io | PCI_BAR_IO;
	flags |= memory;
	if (bar->flags & WEIR_SIM_BAR_PREFETCHABLE)
		flags |= prefetchable | PCI_BAR_PREFETCHABLE;
	if (bar->flags & WEIR_SIM_BAR_64BIT)
		flags |= wide | PCI_BAR_64BIT;
	return flags;
}

/* What a BAR of a device lies at. */
static uint64_t bar_start(const struct weir_sim_device *device, unsigned int bar)
{
	const struct weir_sim_bar *spec = &device->bars[bar].spec;
	uint64_t start = sim_get32(device->config + PCI_BAR0 + bar * 4);

	start &= spec->flags & WEIR_SIM_BAR_IO ? ~UINT64_C(3) : ~UINT64_C(15);
	if (spec->flags & WEIR_SIM_BAR_64BIT)
		start |= (uint64_t)sim_get32(device->config + PCI_BAR0 + (bar + 1) * 4) << 32;
	return start;
}

/* What a bridge passes down: from the first to the last of the BARs behind it, of 32 bits or of 64. */
static void show_window(const struct weir_sim_device *bridge, bool wide, FILE *out)
{
	const uint64_t mib = 1 << 20;
	uint64_t start = UINT64_MAX, end = 0;

	for (const struct weir_sim_device *device = bridge->sim->devices; device; device = device->next) {
		uint8_t bus = sim_device_bdf(device).bus;

		for (unsigned int i = 0; i < NUM_BARS && bus >= bridge->bus && bus <= bridge->last_bus; i++) {
			const struct weir_sim_bar *bar = &device->bars[i].spec;
			uint64_t at = bar_start(device, i);

			if (!bar->len || bar->flags & WEIR_SIM_BAR_IO ||
			    wide != (bool)(bar->flags & WEIR_SIM_BAR_64BIT))
				continue;
			start = at < start ? at : start;
			end = at + bar->len > end ? at + bar->len : end;
		}
	}
	if (!end) {
		fprintf(out, "0x%016x 0x%016x 0x%016x\n", 0, 0, 0);
		return;
	}
	fprintf(out, "0x%016" PRIx64 " 0x%016" PRIx64 " 0x%016x\n", start & ~(mib - 1),
		((end + mib - 1) & ~(mib - 1)) - 1, wide ? 0x102201 : 0x200);
}

/* After BARs and ROM: those of virtual functions, of which there are none; I/O, memory, prefetchable memory, and nothing more. */
static void show_windows(const struct weir_sim_device *bridge, FILE *out)
{
	enum { NUM_VIRTUAL = 6 };

	for (int i = 0; i <= NUM_VIRTUAL; i++)
		fprintf(out, "0x%016x 0x%016x 0x%016x\n", 0, 0, 0);
	show_window(bridge, false, out);
	show_window(bridge, true, out);
	fprintf(out, "0x%016x 0x%016x 0x%016x\n", 0, 0, 0);
}

static int show_resource(const struct sim_name *name, FILE *out)
{
	const struct weir_sim_device *device = name->device;

	/* The expansion ROM comes last; there is none. */
	for (unsigned int i = 0; i <= NUM_BARS; i++) {
		const struct weir_sim_bar *bar = &device->bars[i % NUM_BARS].spec;
		uint64_t start = bar_start(device, i % NUM_BARS);

		if (i == NUM_BARS || !bar->len) {
			fprintf(out, "0x%016x 0x%016x 0x%016x\n", 0, 0, 0);
			continue;
		}
		fprintf(out, "0x%016" PRIx64 " 0x%016" PRIx64 " 0x%016" PRIx64 "\n", start,
			start + bar->len - 1, resource_flags(bar));
	}
	if (device->kind == SIM_BRIDGE)
		show_windows(device, out);
	return 0;
}

/* Others than the owner see the header alone: the kernel does not trust chips to be read everywhere. */
static int show_config(const struct sim_name *name, FILE *out)
{
	bool express = name->device->model->flags & WEIR_SIM_PCIE;
	size_t size = express ? SIM_CONFIG_SIZE : SIM_CONFIG_SIZE_PCI;

	fwrite(name->device->config, sim_is_owner(name->sim) ? size : SIM_CONFIG_SIZE_HEADER, 1, out);
	return 0;
}

static int store_config(const struct sim_name *name, const char *text, size_t len, uint64_t offset)
{
	ssize_t done = sim_config_write(name->device, text, len, offset);

	return done < 0 ? (int)done : 0;
}

static int show_vfio_number(const struct sim_name *name, FILE *out)
{
	fprintf(out, "%d:%" PRIu32 "\n", VFIO_MAJOR, name->device->vfio_number);
	return 0;
}

/* What was written, without the newline that it may end in. */
static size_t line_len(const char *text, size_t len)
{
	return len && text[len - 1] == '\n' ? len - 1 : len;
}

/* Drivers ---------------------------------------------------------------------------------------------------------- */

static int show_override(const struct sim_name *name, FILE *out)
{
	const char *driver = name->device->driver_override;

	fprintf(out, "%s\n", *driver ? driver : "(null)");
	return 0;
}

static int store_override(const struct sim_name *name, const char *text, size_t len, uint64_t offset)
{
	(void)offset;
	len = line_len(text, len);
	if (len >= sizeof(name->device->driver_override))
		return -EINVAL;
	memcpy(name->device->driver_override, text, len);
	name->device->driver_override[len] = '\0';
	return 0;
}

/* The device whose address was written, in just that form. */
static struct weir_sim_device *written_device(const struct sim_name *name, const char *text, size_t len)
{
	struct weir_sim_device *device = name->sim->devices;

	len = line_len(text, len);
	while (device && (strlen(device->address) != len || memcmp(device->address, text, len) != 0))
		device = device->next;
	return device;
}

static int store_bind(const struct sim_name *name, const char *text, size_t len, uint64_t offset)
{
	struct weir_sim_device *device = written_device(name, text, len);

	(void)offset;
	return device ? sim_driver_bind(device, name->driver) : -ENODEV;
}

static int store_unbind(const struct sim_name *name, const char *text, size_t len, uint64_t offset)
{
	struct weir_sim_device *device = written_device(name, text, len);

	(void)offset;
	return device ? sim_driver_unbind(device, name->driver) : -ENODEV;
}

static int store_probe(const struct sim_name *name, const char *text, size_t len, uint64_t offset)
{
	struct weir_sim_device *device = written_device(name, text, len);

	(void)offset;
	if (!device)
		return -EINVAL;
	sim_driver_probe(device);
	return 0;
}

/* IOMMU groups ----------------------------------------------------------------------------------------------------- */

static int show_reserved(const struct sim_name *name, FILE *out)
{
	const struct sim_window *windows = sim_windows(name->sim);

	for (size_t i = 0; i < SIM_NUM_WINDOWS; i++)
		fprintf(out, "0x%016" PRIx64 " 0x%016" PRIx64 " %s\n", windows[i].start, windows[i].last,
			windows[i].kind);
	return 0;
}

static int show_type(const struct sim_name *name, FILE *out)
{
	(void)name;
	fputs("DMA\n", out);
	return 0;
}

/* Nodes ------------------------------------------------------------------------------------------------------------ */

static int open_iommufd(const struct sim_name *name)
{
	return sim_iommufd_open(name->sim);
}

static int open_container(const struct sim_name *name)
{
	return sim_container_open(name->sim);
}

static int open_group(const struct sim_name *name)
{
	return sim_group_open(name->group);
}

static int open_cdev(const struct sim_name *name)
{
	return sim_cdev_open(name->device);
}

/* The process ------------------------------------------------------------------------------------------------------ */

/* As the real kernel says it, with what the machine has pinned for this process added. */
static int show_status(const struct sim_name *name, FILE *out)
{
	FILE *real = fopen("/proc/self/status", "re");
	char line[1024];
	uint64_t kilobytes;

	if (!real)
		return -errno;
	while (fgets(line, sizeof(line), real)) {
		bool pinned = !strncmp(line, "VmPin:", 6);
		const struct sim_process *process = &name->sim->processes[sim_process_now()];
		uint64_t more = (pinned ? process->pinned_bytes : process->locked_bytes) / 1024;

		if ((pinned || !strncmp(line, "VmLck:", 6)) && sscanf(line + 6, "%" SCNu64, &kilobytes) == 1)
			fprintf(out, "%.6s\t%8" PRIu64 " kB\n", line, kilobytes + more);
		else
			fputs(line, out);
	}
	fclose(real);
	return 0;
}

/* What weir looks at, of a processor that is no reason to trust its root complex; the real one may be. */
static int show_cpuinfo(const struct sim_name *name, FILE *out)
{
	(void)name;
	fputs("processor\t: 0\nvendor_id\t: weir-sim\ncpu family\t: 6\n", out);
	return 0;
}

/* The table -------------------------------------------------------------------------------------------------------- */

#define DIR_(pattern, exists)                                                                                \
	{                                                                                                    \
		pattern, SIM_PATH_DIR, 0555, exists, NULL, NULL, NULL                                        \
	}
#define LINK_(pattern, exists, show)                                                                         \
	{                                                                                                    \
		pattern, SIM_PATH_LINK, 0777, exists, show, NULL, NULL                                       \
	}
#define FILE_(pattern, exists, show)                                                                         \
	{                                                                                                    \
		pattern, SIM_PATH_FILE, 0444, exists, show, NULL, NULL                                       \
	}
#define BOTH_(pattern, exists, show, store)                                                                  \
	{                                                                                                    \
		pattern, SIM_PATH_FILE, 0644, exists, show, store, NULL                                      \
	}
#define SINK_(pattern, exists, store)                                                                        \
	{                                                                                                    \
		pattern, SIM_PATH_FILE, 0200, exists, NULL, store, NULL                                      \
	}
#define NODE_(pattern, mode, exists, open)                                                                   \
	{                                                                                                    \
		pattern, SIM_PATH_NODE, mode, exists, NULL, NULL, open                                       \
	}

/* clang-format off */
const struct sim_row sim_rows[] = {
	DIR_("/sys/bus/pci", NULL),
	DIR_("/sys/bus/pci/devices", NULL),
	LINK_("/sys/bus/pci/devices/<device>", NULL, show_device),
	DIR_("/sys/bus/pci/drivers", NULL),
	DIR_(DRIVER, NULL),
	LINK_(DRIVER "/<device>", NULL, show_device),
	SINK_(DRIVER "/bind", NULL, store_bind),
	SINK_(DRIVER "/unbind", NULL, store_unbind),
	SINK_("/sys/bus/pci/drivers_probe", NULL, store_probe),

	DIR_("/sys/devices/<bus>", is_root_bus),
	DIR_(DEVICE, NULL),
	FILE_(DEVICE "/class", NULL, show_class),
	BOTH_(DEVICE "/config", NULL, show_config, store_config),
	FILE_(DEVICE "/device", NULL, show_device_id),
	LINK_(DEVICE "/driver", has_driver, show_driver),
	BOTH_(DEVICE "/driver_override", NULL, show_override, store_override),
	LINK_(DEVICE "/iommu_group", has_iommu, show_group),
	FILE_(DEVICE "/irq", NULL, show_irq),
	FILE_(DEVICE "/numa_node", NULL, show_numa_node),
	FILE_(DEVICE "/resource", NULL, show_resource),
	FILE_(DEVICE "/revision", NULL, show_revision),
	LINK_(DEVICE "/subsystem", NULL, show_subsystem),
	FILE_(DEVICE "/subsystem_device", NULL, show_subsystem_device),
	FILE_(DEVICE "/subsystem_vendor", NULL, show_subsystem_vendor),
	FILE_(DEVICE "/vendor", NULL, show_vendor),
	DIR_(DEVICE "/vfio-dev", is_vfio),
	DIR_(DEVICE "/vfio-dev/<vfio>", NULL),
	FILE_(DEVICE "/vfio-dev/<vfio>/dev", has_iommufd, show_vfio_number),
	LINK_(DEVICE "/vfio-dev/<vfio>/device", NULL, show_device),

	/* The class is older than character devices: 6.1 has it. */
	DIR_("/sys/class/vfio-dev", NULL),
	LINK_("/sys/class/vfio-dev/<vfio>", NULL, show_vfio_dev),

	DIR_("/sys/kernel/iommu_groups", NULL),
	DIR_(GROUP, has_iommu),
	DIR_(GROUP "/devices", has_iommu),
	LINK_(GROUP "/devices/<device>", has_iommu, show_device),
	FILE_(GROUP "/reserved_regions", has_iommu, show_reserved),
	FILE_(GROUP "/type", has_iommu, show_type),

	NODE_("/dev/iommu", 0660, has_iommufd, open_iommufd),
	DIR_("/dev/vfio", NULL),
	NODE_("/dev/vfio/vfio", 0666, has_container, open_container),
	NODE_("/dev/vfio/<group>", 0600, has_vfio_group, open_group),
	DIR_("/dev/vfio/devices", has_iommufd),
	NODE_("/dev/vfio/devices/<vfio>", 0600, has_iommufd, open_cdev),

	FILE_("/proc/cpuinfo", NULL, show_cpuinfo),
	FILE_("/proc/self/status", NULL, show_status),
	FILE_("/proc/<pid>/status", NULL, show_status),
	FILE_("/proc/self/smaps", NULL, sim_show_smaps),
	FILE_("/proc/<pid>/smaps", NULL, sim_show_smaps),
};
/* clang-format on */

const size_t sim_num_rows = sizeof(sim_rows) / sizeof(sim_rows[0]);
