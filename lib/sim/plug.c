// SPDX-License-Identifier: MIT
/* Devices coming and going. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"
#include "kernel/sysfs.h"
#include "sim/sysfs/bind.h"

enum { NUM_BARS = 6, NUM_SLOTS = 32 };

/* Is the model one that could be built? --------------------------------------------------------------------------- */

static int check_bar(const struct weir_sim_model *model, unsigned int i)
{
	const unsigned int all =
		WEIR_SIM_BAR_64BIT | WEIR_SIM_BAR_PREFETCHABLE | WEIR_SIM_BAR_RAM | WEIR_SIM_BAR_IO;
	const struct weir_sim_bar *bar = &model->bars[i];
	bool io = bar->flags & WEIR_SIM_BAR_IO, wide = bar->flags & WEIR_SIM_BAR_64BIT;
	uint64_t least = io ? 4 : 16, most = io ? 256 : wide ? UINT64_C(1) << 39 : UINT64_C(1) << 31;

	if (!bar->len)
		return bar->flags ? weir_fail(-EINVAL, "%s: BAR %u has flags, but no length", model->name, i)
				  : 0;
	if (bar->flags & ~all)
		return weir_fail(-EINVAL, "%s: BAR %u has unknown flags 0x%x", model->name, i,
				 bar->flags & ~all);
	if (bar->len & (bar->len - 1))
		return weir_fail(-EINVAL, "%s: BAR %u is %" PRIu64 " bytes long, which is no power of two",
				 model->name, i, bar->len);
	if (bar->len < least || bar->len > most)
		return weir_fail(-EINVAL,
				 "%s: BAR %u is %" PRIu64 " bytes long: one of its kind has %" PRIu64
				 " to %" PRIu64,
				 model->name, i, bar->len, least, most);
	if (io && bar->flags != WEIR_SIM_BAR_IO)
		return weir_fail(-EINVAL, "%s: BAR %u is of I/O ports, and can be nothing else", model->name,
				 i);
	if (wide && (i == NUM_BARS - 1 || model->bars[i + 1].len))
		return weir_fail(-EINVAL, "%s: BAR %u is of 64 bits, so BAR %u must be empty and exist",
				 model->name, i, i + 1);
	if (!(bar->flags & WEIR_SIM_BAR_RAM) && (!model->read || !model->write))
		return weir_fail(-EINVAL, "%s: BAR %u is of registers, so the model needs read and write",
				 model->name, i);
	return 0;
}

static int check_interrupts(const struct weir_sim_model *model)
{
	uint32_t msi = model->msi_vectors, msix = model->msix_vectors;
	uint64_t table = msix * UINT64_C(16) + (msix + UINT64_C(63)) / 64 * 8;
	const struct weir_sim_bar *bar;

	if (msi > 32 || msi & (msi - 1))
		return weir_fail(-EINVAL, "%s: %u MSI vectors: 0, 1, 2, 4, 8, 16 or 32", model->name, msi);
	if (msix > 2048)
		return weir_fail(-EINVAL, "%s: %u MSI-X vectors: 2048 at most", model->name, msix);
	if (!msix)
		return 0;
	bar = model->msix_bar < NUM_BARS ? &model->bars[model->msix_bar] : NULL;
	if (!bar || !bar->len || bar->flags & WEIR_SIM_BAR_IO)
		return weir_fail(-EINVAL, "%s: there is no memory BAR %u for the MSI-X table", model->name,
				 model->msix_bar);
	if (model->msix_offset % 8)
		return weir_fail(-EINVAL, "%s: the MSI-X table begins at 0x%x, which is no multiple of 8",
				 model->name, model->msix_offset);
	if (model->msix_offset > bar->len || table > bar->len - model->msix_offset)
		return weir_fail(-EINVAL,
				 "%s: %u MSI-X vectors take %" PRIu64
				 " bytes from 0x%x on, and BAR %u has %" PRIu64,
				 model->name, msix, table, model->msix_offset, model->msix_bar, bar->len);
	return 0;
}

static int check_model(const struct weir_sim_model *model)
{
	const uint32_t all = WEIR_SIM_FLR | WEIR_SIM_PCIE | WEIR_SIM_INTX | WEIR_SIM_WAITS;
	int error = 0;

	if (!model->name || !model->create || !model->destroy)
		return weir_fail(-EINVAL, "a model needs name, create and destroy");
	if (model->flags & ~all)
		return weir_fail(-EINVAL, "%s: unknown flags 0x%x", model->name, model->flags & ~all);
	if (model->class_code > 0xffffff)
		return weir_fail(-EINVAL, "%s: class code 0x%x has more than 24 bits", model->name,
				 model->class_code);
	for (unsigned int i = 0; i < NUM_BARS && !error; i++)
		error = check_bar(model, i);
	return error ? error : check_interrupts(model);
}

/* The slot --------------------------------------------------------------------------------------------------------- */

/* Where in the list a device with that address is, or would be. */
static struct weir_sim_device **place(struct weir_sim *sim, const char *address)
{
	struct weir_sim_device **link = &sim->devices;

	/* Addresses with more digits in front are the larger ones. */
	while (*link &&
	       (strlen((*link)->address) < strlen(address) ||
		(strlen((*link)->address) == strlen(address) && strcmp((*link)->address, address) < 0)))
		link = &(*link)->next;
	return link;
}

static bool taken(struct weir_sim *sim, const char *address)
{
	struct weir_sim_device *device = *place(sim, address);

	return device && !strcmp(device->address, address);
}

static int choose_address(struct weir_sim *sim, const char *wanted, char ret_address[WEIR_PCI_ADDRESS_SIZE])
{
	int error = 0;

	if (wanted) {
		error = weir_pci_address(wanted, ret_address);
		if (!error && taken(sim, ret_address))
			error = weir_fail(-EEXIST, "there is a device at %s", ret_address);
		return error;
	}
	/* Slot 0 is the host bridge's. */
	for (unsigned int slot = 1; slot < NUM_SLOTS; slot++) {
		snprintf(ret_address, WEIR_PCI_ADDRESS_SIZE, "0000:00:%02x.0", slot);
		if (!taken(sim, ret_address))
			return 0;
	}
	return weir_fail(-ENOSPC, "bus 0 is full: give the device an address on another");
}

/* The numbers of groups begin at 1, since 0 in a slot means none in particular. */
static struct sim_group *choose_group(struct weir_sim *sim, uint32_t wanted)
{
	uint32_t number = 1;

	if (wanted)
		return sim_group_get(sim, wanted);
	for (const struct sim_group *group = sim->groups; group && group->number <= number;
	     group = group->next)
		number = group->number + 1;
	return sim_group_get(sim, number);
}

/* A group is what one IOMMU cannot tell apart. */
static int behind_unit(struct weir_sim_device *device, const struct weir_sim_slot *slot)
{
	enum { MOST_PASID_BITS = 20, ASKING = WEIR_SIM_PCIE | WEIR_SIM_WAITS };
	struct sim_group *group = device->group;

	if (sim_group_next(group, NULL) && group->unit != slot->iommu_unit)
		return weir_fail(-EINVAL, "group %u is behind IOMMU %u: not behind IOMMU %u", group->number,
				 group->unit, slot->iommu_unit);
	if (slot->pasid_bits > MOST_PASID_BITS)
		return weir_fail(-EINVAL, "PASIDs of %u bits: PCI Express knows %d at most", slot->pasid_bits,
				 MOST_PASID_BITS);
	if (slot->pasid_bits && device->sim->iommu == WEIR_SIM_IOMMU_PLAIN)
		return weir_fail(-EINVAL, "this machine's IOMMU knows no PASIDs (weir_sim_opts.iommu)");
	if (slot->page_requests && device->sim->iommu == WEIR_SIM_IOMMU_PLAIN)
		return weir_fail(-EINVAL,
				 "this machine's IOMMU takes no page requests (weir_sim_opts.iommu)");
	if (slot->page_requests && (device->model->flags & ASKING) != ASKING)
		return weir_fail(-EINVAL, "%s does not wait for pages", device->model->name);
	group->unit = slot->iommu_unit;
	device->pasid_bits = slot->pasid_bits;
	device->logs_dma = slot->logs_dma;
	device->page_requests = slot->page_requests;
	device->migration.can = slot->migrates && device->model->save && device->model->load;
	device->migration.state = ABI_VFIO_DEVICE_STATE_RUNNING;
	return 0;
}

static int fill_slot(struct weir_sim_device *device, const struct weir_sim_slot *slot)
{
	const char *driver = slot->driver ? slot->driver : "vfio-pci";
	struct weir_sim *sim = device->sim;
	int error = choose_address(sim, slot->address, device->address);

	if (error)
		return error;
	if (strlen(driver) >= sizeof(device->driver) || strchr(driver, '/'))
		return weir_fail(-EINVAL, "'%s' is not a driver's name", driver);
	device->group = choose_group(sim, slot->group);
	if (!device->group)
		return weir_fail(-ENOMEM, "no memory for an IOMMU group");
	error = behind_unit(device, slot);
	if (error)
		return error;
	device->bus_group = slot->bus_group;
	/* vfio-pci takes nothing that no IOMMU confines. */
	if (!(sim->flags & WEIR_SIM_NO_IOMMU) || strcmp(driver, "vfio-pci") != 0)
		sim_driver_attach(device, driver);
	return 0;
}

/* The device ------------------------------------------------------------------------------------------------------- */

static int make_ram(struct sim_bar *bar)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t len = ((size_t)bar->spec.len + page - 1) & ~(page - 1);
	void *ram;

	bar->ram_fd = memfd_create("weir-sim-bar", MFD_CLOEXEC);
	if (bar->ram_fd < 0)
		return weir_fail(-errno, "no memory file for a BAR: %m");
	if (ftruncate(bar->ram_fd, (off_t)len) < 0)
		return weir_fail(-errno, "no memory file of %zu bytes for a BAR: %m", len);
	ram = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, bar->ram_fd, 0);
	if (ram == MAP_FAILED)
		return weir_fail(-errno, "no %zu bytes for a BAR: %m", len);
	bar->ram = ram;
	return 0;
}

static int make_bars(struct weir_sim_device *device)
{
	int error = 0;

	for (unsigned int i = 0; i < NUM_BARS && !error; i++) {
		device->bars[i].spec = device->model->bars[i];
		if (device->bars[i].spec.flags & WEIR_SIM_BAR_RAM)
			error = make_ram(&device->bars[i]);
	}
	return error;
}

static void free_device(struct weir_sim_device *device)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (unsigned int i = 0; i < NUM_BARS; i++) {
		struct sim_bar *bar = &device->bars[i];

		if (bar->ram)
			munmap(bar->ram, ((size_t)bar->spec.len + page - 1) & ~(page - 1));
		if (bar->ram_fd >= 0)
			close(bar->ram_fd);
	}
	sim_dirty_set(&device->log, false);
	sim_device_forget_asks(device);
	sim_migration_reset(device);
	free((void *)(uintptr_t)device->model);
	free(device);
}

/* An empty one. The model is the caller's, and may be gone tomorrow: the device has its own copy. */
static struct weir_sim_device *new_device(struct weir_sim *sim, const struct weir_sim_model *model)
{
	struct weir_sim_device *device = calloc(1, sizeof(*device));
	struct weir_sim_model *own = malloc(sizeof(*own));

	if (!device || !own) {
		free(device);
		free(own);
		return NULL;
	}
	*own = *model;
	device->sim = sim;
	device->model = own;
	for (unsigned int i = 0; i < NUM_BARS; i++)
		device->bars[i].ram_fd = -1;
	return device;
}

static int plug(struct weir_sim_device *device, const struct weir_sim_slot *slot, const void *config)
{
	struct weir_sim_device **link;
	int error = fill_slot(device, slot);

	if (!error)
		error = make_bars(device);
	if (!error)
		error = sim_config_make(device);
	if (!error)
		error = device->model->create(device, config, &device->state);
	if (error)
		return error;
	link = place(device->sim, device->address);
	device->next = *link;
	*link = device;
	sim_wake(device->sim);
	return 0;
}

int weir_sim_add(struct weir_sim *sim, const struct weir_sim_model *model, const struct weir_sim_slot *slot,
		 const void *config, struct weir_sim_device **ret_device)
{
	struct weir_sim_model checked;
	struct weir_sim_slot where;
	struct weir_sim_device *device;
	int error = model ? weir_opts_read(model, &checked, sizeof(checked))
			  : weir_fail(-EINVAL, "no model was given");

	if (!error)
		error = weir_opts_read(slot, &where, sizeof(where));
	if (!error)
		error = check_model(&checked);
	if (error)
		return error;
	device = new_device(sim, &checked);
	if (!device)
		return weir_fail(-ENOMEM, "no memory for a device");
	error = sim_lock(sim);
	if (!error) {
		error = plug(device, &where, config);
		sim_unlock(sim);
	}
	if (error) {
		free_device(device);
		return error;
	}
	if (ret_device)
		*ret_device = device;
	return 0;
}

/* Going ------------------------------------------------------------------------------------------------------------ */

/* Mappings in page tables may still name the device, so it is kept until the end. */
static void unplug(struct weir_sim_device *device)
{
	struct weir_sim_device **link = place(device->sim, device->address);

	*link = device->next;
	device->next = device->sim->removed;
	device->sim->removed = device;
	device->gone = true;
	device->model->destroy(device->state);
}

void sim_devices_settle(struct weir_sim *sim)
{
	struct weir_sim_device *next;

	for (struct weir_sim_device *device = sim->devices; device; device = next) {
		next = device->next;
		if (sim_device_in_use(device))
			continue;
		if (device->unbinds)
			sim_driver_detach(device);
		if (device->leaves)
			unplug(device);
	}
}

void sim_free_devices(struct weir_sim *sim)
{
	struct weir_sim_device *device;
	struct sim_group *group;

	while (sim->devices)
		unplug(sim->devices);
	while ((device = sim->removed)) {
		sim->removed = device->next;
		free_device(device);
	}
	while ((group = sim->groups)) {
		sim->groups = group->next;
		free(group);
	}
}
