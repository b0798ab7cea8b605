// SPDX-License-Identifier: MIT
/* Devices: opened into an address space, moved, asked, closed. */
#include "device/device.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/follow.h"
#include "error.h"
#include "faultq/queue.h"
#include "kernel/vfio_device.h"
#include "reach/diverted.h"

/* Memory that is known to be as the register says it is. */
static bool is_known(const struct weir_device *device, uint16_t command)
{
	uint32_t seen = command & PCI_COMMAND_MEMORY ? 0 : WEIR_AWAY_MEMORY;

	return (weir_device_away(device) & (WEIR_AWAY_MEMORY | WEIR_AWAY_GONE)) == seen;
}

/* The host's lock is held. */
static int set_command_locked(struct weir_device *device, uint16_t bit, bool enable)
{
	uint16_t old, command;
	int error = weir_config_read16(device, PCI_COMMAND, &old);

	if (error)
		return error;
	if (old == UINT16_MAX || !is_known(device, old))
		weir_away_end(&device, 1, 0, 0);
	/* What has gone does nothing any more. */
	if (weir_device_away(device) & WEIR_AWAY_GONE)
		return enable ? weir_away_refuse(device, "setting COMMAND") : 0;
	command = htole16((uint16_t)(enable ? old | bit : old & ~bit));
	if (command == htole16(old))
		return 0;
	error = weir_config_write(device, PCI_COMMAND, &command, sizeof(command));
	if (!error && enable && weir_device_away(device) & WEIR_AWAY_GONE)
		return weir_away_refuse(device, "setting COMMAND");
	return error;
}

static int set_command(struct weir_device *device, uint16_t bit, bool enable)
{
	int error;

	pthread_mutex_lock(&device->host->lock);
	error = set_command_locked(device, bit, enable);
	pthread_mutex_unlock(&device->host->lock);
	return error;
}

/* Of a device that nobody has anything of yet: there is no one to tell, and what was written is believed. */
static int enable_memory(struct weir_device *device)
{
	uint16_t command;
	int error;

	pthread_mutex_lock(&device->host->lock);
	error = weir_config_read16(device, PCI_COMMAND, &command);
	if (!error && !(command & PCI_COMMAND_MEMORY)) {
		command = htole16(command | PCI_COMMAND_MEMORY);
		error = weir_config_write(device, PCI_COMMAND, &command, sizeof(command));
	}
	pthread_mutex_unlock(&device->host->lock);
	return error;
}

int weir_device_set_bus_master(struct weir_device *device, bool enable)
{
	return set_command(device, PCI_COMMAND_MASTER, enable);
}

int weir_device_set_memory(struct weir_device *device, bool enable)
{
	return set_command(device, PCI_COMMAND_MEMORY, enable);
}

static int read_options(const struct weir_device_opts *opts, struct weir_device_opts *ret_opts)
{
	int error = weir_opts_read(opts, ret_opts, sizeof(*ret_opts));

	if (error)
		return error;
	if (!ret_opts->address_bits)
		ret_opts->address_bits = 64;
	if (ret_opts->reserved || ret_opts->address_bits < 12 || ret_opts->address_bits > 64)
		return weir_fail(-EINVAL, "address_bits is %u; it can be 12 to 64", ret_opts->address_bits);
	if (ret_opts->vf_token && strlen(ret_opts->vf_token) != 36)
		return weir_fail(-EINVAL, "the VF token is no UUID");
	return 0;
}

static int ask_kernel(struct weir_device *device)
{
	struct abi_vfio_device_info info;
	int error = weir_vfio_device_info(weir_device_sys(device), device->function->fd, &info);

	if (error)
		return weir_fail(error, "VFIO_DEVICE_GET_INFO of %s: %s", device->function->address,
				 strerror(-error));
	if (!(info.flags & ABI_VFIO_DEVICE_FLAGS_PCI) || info.num_regions <= WEIR_REGION_CONFIG ||
	    info.num_regions > 1024)
		return weir_fail(-EIO, "%s is not described as a PCI device (flags %#x, %u regions)",
				 device->function->address, info.flags, info.num_regions);
	device->flags = info.flags;
	device->num_regions = info.num_regions;
	device->regions = calloc(info.num_regions, sizeof(struct weir_region *));
	return device->regions ? 0 : weir_fail(-ENOMEM, "no memory for a device");
}

/* With the first of its group: which IOVAs are not memory to them. */
static int read_diverted(struct weir_device *device)
{
	struct weir_group *group = device->function->group;

	if (group->space)
		return 0;
	return weir_diverted_read(weir_device_sys(device), group->number, device->function->address,
				  group->diverted, WEIR_MOST_DIVERTED, &group->num_diverted);
}

/* The host's lock is held. */
static int open_function(struct weir_device *device, struct weir_ioas *ioas, const char *address,
			 const char *vf_token)
{
	int error =
		weir_function_open(&device->host->kernel, address, vf_token, &ioas->space, &device->function);

	if (error)
		return error;
	/* From the moment that it is attached somewhere, it may be asked whose it is. */
	device->function->device = device;
	device->function->ioas = ioas;
	error = read_diverted(device);
	if (!error)
		error = weir_ioas_attach(ioas, device->function, device->address_bits);
	if (error) {
		weir_function_close(device->function);
		return error;
	}
	error = ask_kernel(device);
	if (error) {
		weir_ioas_detach(ioas, device->function, device->address_bits);
		weir_function_close(device->function);
		free(device->regions);
	}
	return error;
}

/* Whoever comes after us can rely on it. */
static void note_open(const struct weir_device *device)
{
	struct weir_slot_device *slot =
		weir_journal_at(device->host->kernel.journal, WEIR_JOURNAL_DEVICES, device->function->number);

	slot->address_bits = device->address_bits;
	weir_slot_set(&slot->slot, WEIR_SLOT_IN_FORCE);
}

/*
 * The system calls of an open, on iommufd into an empty space, each once:
 *
 *   readlink iommu_group       who its siblings are: the group is what is attached
 *   list vfio-dev, open node   the character device's name, and the device
 *   BIND_IOMMUFD               opens and resets the device, and gives it an id on the iommufd
 *   list the group's devices   of which IOVAs to keep clear; if it has siblings, open, read and close resource of each
 *   HWPT_ALLOC                 the page table that mappings are checked against from now on
 *   ATTACH_IOMMUFD_PT          the device uses it
 *   IOAS_IOVA_RANGES           what it can address, now that its windows are known
 *   DEVICE_GET_INFO            how many regions, and whether it can be reset
 *   GET_REGION_INFO, pread     configuration space: is memory decoding on?
 *   (pwrite                    only if it is off)
 *
 * On the container: the same readlink; open /dev/vfio/GROUP, GROUP_GET_STATUS (is it viable), the same list, SET_CONTAINER
 * and SET_IOMMU (it has a page table), GET_DEVICE_FD (opens and resets the device), IOMMU_GET_INFO (what it
 * can address), and the last three lines alike.
 */
int weir_device_open(struct weir_ioas *ioas, const char *address, const struct weir_device_opts *opts,
		     struct weir_device **ret_device)
{
	char normal[WEIR_PCI_ADDRESS_SIZE];
	struct weir_device_opts o;
	struct weir_device *device;
	int error = read_options(opts, &o);

	if (!error)
		error = weir_pci_address(address, normal);
	if (error)
		return error;
	device = calloc(1, sizeof(*device));
	if (!device)
		return weir_fail(-ENOMEM, "no memory for a device");
	device->host = ioas->host;
	device->address_bits = o.address_bits;
	pthread_mutex_lock(&device->host->lock);
	error = open_function(device, ioas, normal, o.vf_token);
	if (!error)
		pthread_mutex_init(&device->lock, NULL);
	pthread_mutex_unlock(&device->host->lock);
	if (error) {
		free(device);
		return error;
	}
	error = enable_memory(device);
	if (error) {
		weir_device_close(device);
		return weir_fail_within(error, "enabling the memory of %s", normal);
	}
	if (device->function->number)
		note_open(device);
	*ret_device = device;
	return 0;
}

int weir_device_close(struct weir_device *device)
{
	struct weir_first first = { 0 };
	struct weir_host *host;
	int error;

	if (!device)
		return 0;
	host = device->host;
	pthread_mutex_lock(&host->lock);
	weir_faultq_wait(host, device->function, WEIR_FAULTQ_ANY);
	error = weir_faultq_check_leave(device->function);
	pthread_mutex_unlock(&host->lock);
	if (error)
		return error;
	if (device->function->number)
		weir_journal_mark(host->kernel.journal, WEIR_JOURNAL_DEVICES, device->function->number,
				  WEIR_SLOT_LEAVING);
	/* DMA stops first: what follows takes the memory away that it may still be using. */
	weir_first_note(&first, weir_device_set_bus_master(device, false));
	pthread_mutex_lock(&host->lock);
	weir_first_note(&first, weir_away_begin(&device, 1, WEIR_AWAY_CLOSING));
	weir_first_note(&first, weir_device_drop_irqs(device));
	weir_first_note(&first, weir_device_drop_regions(device));
	weir_first_note(&first,
			weir_ioas_detach(device->function->ioas, device->function, device->address_bits));
	weir_function_close(device->function);
	pthread_mutex_unlock(&host->lock);
	pthread_mutex_destroy(&device->lock);
	free(device->regions);
	free(device);
	return weir_first_error(&first);
}

/* What it is, without touching it: its registers are looked at, not written. The host's lock is held. */
int weir_device_adopt(struct weir_ioas *ioas, struct weir_function *function, uint32_t address_bits,
		      struct weir_device **ret_device)
{
	struct weir_group *group = function->group;
	struct weir_device *device = calloc(1, sizeof(*device));
	int error;

	if (!device)
		return weir_fail(-ENOMEM, "no memory for a device");
	device->host = ioas->host;
	device->function = function;
	device->address_bits = address_bits;
	error = ask_kernel(device);
	if (!error && group->functions == function && !function->next)
		error = weir_diverted_read(weir_device_sys(device), group->number, function->address,
					   group->diverted, WEIR_MOST_DIVERTED, &group->num_diverted);
	if (error) {
		free(device->regions);
		free(device);
		return error;
	}
	function->device = device;
	function->ioas = ioas;
	pthread_mutex_init(&device->lock, NULL);
	weir_ioas_adopt_function(ioas, address_bits);
	weir_away_end(&device, 1, 0, 0);
	*ret_device = device;
	return 0;
}

void weir_device_let_go(struct weir_device *device)
{
	weir_away_begin(&device, 1, WEIR_AWAY_CLOSING);
	weir_device_let_go_irqs(device);
	weir_device_drop_regions(device);
	weir_function_let_go(device->function);
	pthread_mutex_destroy(&device->lock);
	free(device->regions);
	free(device);
}

int weir_device_attach(struct weir_device *device, struct weir_ioas *ioas)
{
	enum { MOST_MEMBERS = 256 }; /* functions of one bus, all that can share a group behind a bridge */
	uint32_t bits[MOST_MEMBERS], num = 0;
	struct weir_function *member;
	int error;

	if (ioas->host != device->host)
		return weir_fail(-EXDEV, "the address space belongs to another host than %s",
				 device->function->address);
	pthread_mutex_lock(&device->host->lock);
	if (device->function->ioas != ioas)
		weir_faultq_wait(device->host, device->function, WEIR_NO_PASID);
	if (device->function->ioas == ioas) {
		pthread_mutex_unlock(&device->host->lock);
		return 0;
	}
	for (member = device->function->group->functions; member && num < MOST_MEMBERS; member = member->next)
		bits[num++] = member->device->address_bits;
	error = weir_ioas_move(device->function->ioas, ioas, device->function, bits, num);
	for (member = device->function->group->functions; member && !error; member = member->next)
		member->ioas = ioas;
	pthread_mutex_unlock(&device->host->lock);
	return error;
}

struct weir_ioas *weir_device_ioas(struct weir_device *device)
{
	struct weir_ioas *ioas;

	pthread_mutex_lock(&device->host->lock);
	ioas = device->function->ioas;
	pthread_mutex_unlock(&device->host->lock);
	return ioas;
}

struct weir_host *weir_device_host(struct weir_device *device)
{
	return device->host;
}

int weir_device_info(struct weir_device *device, struct weir_device_info *ret_info, size_t size)
{
	struct weir_device_info info = { 0 };
	uint32_t ids = 0, class_revision = 0;
	int error = weir_config_read32(device, PCI_VENDOR_ID, &ids);

	if (!error)
		error = weir_config_read32(device, PCI_REVISION, &class_revision);
	if (error)
		return error;
	memcpy(info.address, device->function->address, sizeof(info.address));
	info.vendor_id = (uint16_t)ids;
	info.device_id = (uint16_t)(ids >> 16);
	info.class_code = class_revision >> 8;
	info.num_regions = device->num_regions;
	info.iommu_group = device->function->group->number;
	info.address_bits = device->address_bits;
	info.resettable = device->flags & ABI_VFIO_DEVICE_FLAGS_RESET;
	weir_result_write(ret_info, size, &info, sizeof(info));
	return 0;
}
