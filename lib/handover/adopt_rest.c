// SPDX-License-Identifier: MIT
/*
 * What a predecessor that was killed had begun and not ended, and what nobody can take over: it is taken out of the kernel. Each of these steps does no
 * harm when it has been done before, so that a successor of a successor that was killed here does it again. Of a predecessor that lives nothing is found.
 */
#include "error.h"
#include "handover/adopt.h"
#include "kernel/iommufd.h"

/* Slots of @table that may be in the kernel, though nobody relies on it. */
#define FOR_EACH_HALF(slot, number, description, table)                                                      \
	for (uint32_t number = 1; number <= (description)->used[table]; number++)                            \
		if (weir_described_half((slot) = weir_described(description, table, number)))

static void clear_maps(struct adoption *adoption)
{
	const struct weir_slot_map *slot;

	FOR_EACH_HALF(slot, number, adoption->description, WEIR_JOURNAL_MAPS)
	{
		struct weir_ioas *ioas = weir_adoption_space(adoption, slot->space);

		if (ioas && ioas->space.live)
			ioas->space.ops->remove(&ioas->space, slot->iova, slot->len);
	}
}

/* It may be attached still, and its descriptor with a keeper for a while. */
static void clear_devices(struct adoption *adoption)
{
	const struct weir_kernel *kernel = &adoption->host->kernel;
	const struct weir_slot_device *slot;

	FOR_EACH_HALF(slot, number, adoption->description, WEIR_JOURNAL_DEVICES)
	{
		const int *fd = weir_described_fd(adoption->description, WEIR_FD_DEVICE, number, 0);

		if (fd && kernel->ops->kind == WEIR_BACKEND_IOMMUFD)
			weir_vfio_device_detach(kernel->sys, *fd);
	}
}

static void clear_irqs(struct adoption *adoption)
{
	const struct weir_slot_irq *slot;

	FOR_EACH_HALF(slot, number, adoption->description, WEIR_JOURNAL_IRQS)
	{
		struct weir_device *device =
			slot->device && slot->device <= adoption->description->used[WEIR_JOURNAL_DEVICES]
				? adoption->devices[slot->device]
				: NULL;

		if (device && slot->kind < WEIR_NUM_IRQ_KINDS && !device->irqs[slot->kind])
			weir_vfio_device_set_irqs(weir_device_sys(device), device->function->fd,
						  ABI_VFIO_IRQ_SET_DATA_NONE |
							  ABI_VFIO_IRQ_SET_ACTION_TRIGGER,
						  slot->kind, 0, 0, NULL);
	}
}

/* A page table of a space without devices is of no use. */
static void clear_hwpts(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	const struct weir_kernel *kernel = &adoption->host->kernel;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_HWPTS]; number++) {
		struct weir_slot_hwpt *slot = weir_described(description, WEIR_JOURNAL_HWPTS, number);
		const struct weir_ioas *ioas = weir_adoption_space(adoption, slot->space);

		if (weir_slot_state(&slot->slot) == WEIR_SLOT_FREE || !slot->id || (ioas && ioas->space.live))
			continue;
		weir_iommufd_destroy(kernel->sys, kernel->fd, slot->id);
		weir_slot_set(&slot->slot, WEIR_SLOT_LEAVING);
	}
}

/* Parts of a nested space that there is not; nothing is in them any more. */
static void clear_spaces(struct adoption *adoption)
{
	const struct weir_kernel *kernel = &adoption->host->kernel;
	const struct weir_slot_space *slot;

	FOR_EACH_HALF(slot, number, adoption->description, WEIR_JOURNAL_SPACES)
	{
		if (kernel->ops->kind == WEIR_BACKEND_IOMMUFD && slot->ioas)
			weir_iommufd_destroy(kernel->sys, kernel->fd, slot->ioas);
	}
}

static bool had_hwpt(const struct adoption *adoption, uint32_t space)
{
	const struct weir_description *description = adoption->description;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_HWPTS]; number++) {
		const struct weir_slot_hwpt *slot = weir_described(description, WEIR_JOURNAL_HWPTS, number);

		if (weir_slot_state(&slot->slot) != WEIR_SLOT_FREE && slot->space == space)
			return true;
	}
	return false;
}

void weir_adoption_clear_rest(struct adoption *adoption)
{
	clear_devices(adoption);
	weir_adoption_clear_domains(adoption);
	weir_adoption_clear_faults(adoption);
	clear_irqs(adoption);
	clear_maps(adoption);
	for (struct weir_ioas *ioas = adoption->host->spaces; ioas; ioas = ioas->next)
		if (!ioas->space.live && !ioas->space.layer && had_hwpt(adoption, ioas->space.number))
			adoption->host->kernel.ops->follow->clear(&ioas->space);
	clear_hwpts(adoption);
	clear_spaces(adoption);
}
