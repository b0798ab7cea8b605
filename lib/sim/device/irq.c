// SPDX-License-Identifier: MIT
/*
 * Interrupts as VFIO gives them: five indices, each a block of eventfds (kernel-interface B.6). The order of
 * the checks is vfio-pci's.
 *
 * INTx, MSI and MSI-X exclude each other. ERR and REQ are no interrupts of the device but messages of the
 * kernel's, and follow rules of their own.
 */
#include "sim/device/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/device/pci.h"
#include "sim/user.h"

enum {
	INTX = ABI_VFIO_PCI_INTX_IRQ_INDEX,
	MSI = ABI_VFIO_PCI_MSI_IRQ_INDEX,
	MSIX = ABI_VFIO_PCI_MSIX_IRQ_INDEX,
	ERR = ABI_VFIO_PCI_ERR_IRQ_INDEX,
	REQ = ABI_VFIO_PCI_REQ_IRQ_INDEX,
};

/* A SET_IRQS command whose frame has been checked. */
struct irq_cmd {
	uint32_t flags, index, start, count;
	union {
		const uint8_t *bools;
		const int32_t *fds;
	};
};

static uint32_t count_of(const struct weir_sim_device *device, uint32_t index)
{
	switch (index) {
	case INTX:
		return device->model->flags & WEIR_SIM_INTX ? 1 : 0;
	case MSI:
		return device->model->msi_vectors;
	case MSIX:
		return device->model->msix_vectors;
	case ERR:
		return device->model->flags & WEIR_SIM_PCIE ? 1 : 0;
	case REQ:
		return 1;
	default:
		return 0;
	}
}

/* MSI-X vectors, if there are any, can be added while others are in use: since 6.5. */
static bool can_grow(const struct weir_sim_device *device, uint32_t index)
{
	return index == MSIX && device->model->msix_vectors && device->sim->age != WEIR_SIM_6_1;
}

int sim_irq_info(struct weir_sim_device *device, void *arg)
{
	struct abi_vfio_irq_info info;
	int error = sim_argsz_in(arg, &info, sizeof(info), sizeof(info));

	if (error)
		return error;
	if (info.index >= ABI_VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	if (info.index == ERR && !(device->model->flags & WEIR_SIM_PCIE))
		return -EINVAL;
	info.flags = ABI_VFIO_IRQ_INFO_EVENTFD;
	info.count = count_of(device, info.index);
	if (info.index == INTX)
		info.flags |= ABI_VFIO_IRQ_INFO_MASKABLE | ABI_VFIO_IRQ_INFO_AUTOMASKED;
	else if (!can_grow(device, info.index))
		info.flags |= ABI_VFIO_IRQ_INFO_NORESIZE;
	return sim_copy_out(device->sim, (uintptr_t)arg, &info, sizeof(info));
}

/* ---- Signals ---- */

void sim_irq_signal(struct weir_sim_device *device, unsigned int index, unsigned int vector)
{
	const struct sim_irq_index *irq = &device->irqs[index];

	if (vector < irq->count)
		sim_eventfd_signal(irq->eventfds[vector]);
}

/*
 * The pin says that the device wants something; VFIO masks it with each signal until the program has seen to
 * that.
 */
void sim_irq_intx(struct weir_sim_device *device)
{
	struct sim_irq_index *irq = &device->irqs[INTX];

	if (!irq->count || irq->masked || !device->intx_asserted ||
	    sim_get16(device->config + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE)
		return;
	irq->masked = true;
	sim_eventfd_signal(irq->eventfds[0]);
}

static void drop_eventfd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- Switching on and off ---- */

static void irq_off(struct weir_sim_device *device, uint32_t index)
{
	struct sim_irq_index *irq = &device->irqs[index];

	for (uint32_t i = 0; i < irq->count; i++)
		drop_eventfd(&irq->eventfds[i]);
	if (index == INTX && irq->count)
		drop_eventfd(&irq->unmask_fd);
	if (index == MSIX && device->caps.msix)
		device->config[device->caps.msix + PCI_MSIX_CONTROL + 1] &=
			(unsigned char)~(PCI_MSIX_ENABLE >> 8);
	free(irq->eventfds);
	memset(irq, 0, sizeof(*irq));
}

static int irq_grow(struct weir_sim_device *device, uint32_t index, uint32_t count)
{
	struct sim_irq_index *irq = &device->irqs[index];
	int *eventfds;

	if (count <= irq->count)
		return 0;
	eventfds = realloc(irq->eventfds, count * sizeof(*eventfds));
	if (!eventfds)
		return -ENOMEM;
	irq->eventfds = eventfds;
	while (irq->count < count)
		eventfds[irq->count++] = -1;
	if (index == MSIX)
		device->config[device->caps.msix + PCI_MSIX_CONTROL + 1] |= PCI_MSIX_ENABLE >> 8;
	return 0;
}

void sim_irq_all_off(struct weir_sim_device *device)
{
	for (uint32_t index = 0; index < ABI_VFIO_PCI_NUM_IRQS; index++)
		irq_off(device, index);
}

/* Is one of the three on, other than @index? */
static bool another_is_on(const struct weir_sim_device *device, uint32_t index)
{
	for (uint32_t other = INTX; other <= MSIX; other++)
		if (other != index && device->irqs[other].count)
			return true;
	return false;
}

/* ---- INTx ---- */

void sim_irq_intx_mask(struct weir_sim_device *device, bool masked)
{
	struct sim_irq_index *irq = &device->irqs[INTX];

	/* With COMMAND's bit set the mask stays, whatever is asked for. */
	if (!masked && sim_get16(device->config + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE)
		return;
	irq->masked = masked;
	sim_irq_intx(device);
}

static int intx_unmask_by_eventfd(struct weir_sim_device *device, int fd)
{
	struct sim_irq_index *irq = &device->irqs[INTX];
	int copy;

	if (fd < 0) {
		drop_eventfd(&irq->unmask_fd);
		return 0;
	}
	copy = sim_eventfd_get(fd);
	if (copy < 0)
		return copy;
	if (irq->unmask_fd >= 0) {
		close(copy);
		return -EBUSY;
	}
	irq->unmask_fd = copy;
	return 0;
}

static int intx_mask(struct weir_sim_device *device, const struct irq_cmd *cmd, bool masked)
{
	if (!device->irqs[INTX].count || cmd->start || cmd->count != 1)
		return -EINVAL;
	if (cmd->flags & ABI_VFIO_IRQ_SET_DATA_EVENTFD)
		return masked ? -ENOTTY : intx_unmask_by_eventfd(device, cmd->fds[0]);
	if (cmd->flags & ABI_VFIO_IRQ_SET_DATA_NONE || cmd->bools[0])
		sim_irq_intx_mask(device, masked);
	return 0;
}

static int intx_set_eventfd(struct weir_sim_device *device, int fd)
{
	struct sim_irq_index *irq = &device->irqs[INTX];
	bool was_on = irq->count;
	int copy = fd < 0 ? -1 : sim_eventfd_get(fd), error;

	if (fd >= 0 && copy < 0)
		return copy;
	error = irq_grow(device, INTX, 1);
	if (error) {
		drop_eventfd(&copy);
		return error;
	}
	drop_eventfd(&irq->eventfds[0]);
	irq->eventfds[0] = copy;
	if (!was_on) {
		irq->unmask_fd = -1;
		irq->masked = sim_get16(device->config + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;
	}
	sim_irq_intx(device);
	return 0;
}

static int intx_trigger(struct weir_sim_device *device, const struct irq_cmd *cmd)
{
	const struct sim_irq_index *irq = &device->irqs[INTX];

	if (irq->count && !cmd->count && cmd->flags & ABI_VFIO_IRQ_SET_DATA_NONE) {
		irq_off(device, INTX);
		return 0;
	}
	if (another_is_on(device, INTX) || cmd->start || cmd->count != 1)
		return -EINVAL;
	if (cmd->flags & ABI_VFIO_IRQ_SET_DATA_EVENTFD)
		return intx_set_eventfd(device, cmd->fds[0]);
	if (!irq->count)
		return -EINVAL;
	/* Loopback. It masks nothing. */
	if (cmd->flags & ABI_VFIO_IRQ_SET_DATA_NONE || cmd->bools[0])
		sim_irq_signal(device, INTX, 0);
	return 0;
}

/* ---- MSI and MSI-X ---- */

static int msi_set_vector(struct weir_sim_device *device, uint32_t index, uint32_t vector, int fd)
{
	struct sim_irq_index *irq = &device->irqs[index];
	int copy, error;

	if (vector < irq->count)
		drop_eventfd(&irq->eventfds[vector]);
	if (fd < 0)
		return 0;
	if (vector >= irq->count) {
		error = can_grow(device, index) ? irq_grow(device, index, vector + 1) : -EINVAL;
		if (error)
			return error;
	}
	copy = sim_eventfd_get(fd);
	if (copy < 0)
		return copy;
	irq->eventfds[vector] = copy;
	return 0;
}

/* An error takes down the vectors of the block that were set before. */
static int msi_set_block(struct weir_sim_device *device, const struct irq_cmd *cmd)
{
	for (uint32_t i = 0; i < cmd->count; i++) {
		int error = msi_set_vector(device, cmd->index, cmd->start + i, cmd->fds[i]);

		for (uint32_t j = 0; error && j < i; j++)
			msi_set_vector(device, cmd->index, cmd->start + j, -1);
		if (error)
			return error;
	}
	return 0;
}

static int msi_set_eventfds(struct weir_sim_device *device, const struct irq_cmd *cmd)
{
	int error;

	if (device->irqs[cmd->index].count)
		return msi_set_block(device, cmd);
	if (!(cmd->start + cmd->count))
		return -ERANGE;
	error = irq_grow(device, cmd->index, cmd->start + cmd->count);
	if (error)
		return error;
	error = msi_set_block(device, cmd);
	if (error)
		irq_off(device, cmd->index);
	return error;
}

static int msi_trigger(struct weir_sim_device *device, const struct irq_cmd *cmd)
{
	bool is_on = device->irqs[cmd->index].count;

	if (is_on && !cmd->count && cmd->flags & ABI_VFIO_IRQ_SET_DATA_NONE) {
		irq_off(device, cmd->index);
		return 0;
	}
	if (another_is_on(device, cmd->index))
		return -EINVAL;
	if (cmd->flags & ABI_VFIO_IRQ_SET_DATA_EVENTFD)
		return msi_set_eventfds(device, cmd);
	if (!is_on)
		return -EINVAL;
	for (uint32_t i = 0; i < cmd->count; i++)
		if (cmd->flags & ABI_VFIO_IRQ_SET_DATA_NONE || cmd->bools[i])
			sim_irq_signal(device, cmd->index, cmd->start + i);
	return 0;
}

/* ---- ERR and REQ ---- */

static int message_set_eventfd(struct weir_sim_device *device, uint32_t index, int fd)
{
	int copy, error;

	if (fd == -1) {
		irq_off(device, index);
		return 0;
	}
	if (fd < 0)
		return -EINVAL;
	copy = sim_eventfd_get(fd);
	if (copy < 0)
		return copy;
	error = irq_grow(device, index, 1);
	if (error) {
		drop_eventfd(&copy);
		return error;
	}
	drop_eventfd(&device->irqs[index].eventfds[0]);
	device->irqs[index].eventfds[0] = copy;
	return 0;
}

static int message_trigger(struct weir_sim_device *device, const struct irq_cmd *cmd)
{
	bool is_on = device->irqs[cmd->index].count;

	if (cmd->start || cmd->count > 1)
		return -EINVAL;
	if (cmd->flags & ABI_VFIO_IRQ_SET_DATA_NONE) {
		if (!is_on)
			return -EINVAL;
		if (cmd->count)
			sim_irq_signal(device, cmd->index, 0);
		else
			irq_off(device, cmd->index);
		return 0;
	}
	if (!cmd->count)
		return -EINVAL;
	if (cmd->flags & ABI_VFIO_IRQ_SET_DATA_EVENTFD)
		return message_set_eventfd(device, cmd->index, cmd->fds[0]);
	if (cmd->bools[0])
		sim_irq_signal(device, cmd->index, 0);
	return 0;
}

/* ---- SET_IRQS ---- */

/* What an index cannot do, or a mixture of actions, is -ENOTTY. */
static int dispatch(struct weir_sim_device *device, const struct irq_cmd *cmd)
{
	uint32_t action = cmd->flags & ABI_VFIO_IRQ_SET_ACTION_TYPE_MASK;
	bool is_trigger = action == ABI_VFIO_IRQ_SET_ACTION_TRIGGER;

	switch (cmd->index) {
	case INTX:
		if (action == ABI_VFIO_IRQ_SET_ACTION_MASK || action == ABI_VFIO_IRQ_SET_ACTION_UNMASK)
			return intx_mask(device, cmd, action == ABI_VFIO_IRQ_SET_ACTION_MASK);
		return is_trigger ? intx_trigger(device, cmd) : -ENOTTY;
	case MSI:
	case MSIX:
		return is_trigger ? msi_trigger(device, cmd) : -ENOTTY;
	default:
		return is_trigger ? message_trigger(device, cmd) : -ENOTTY;
	}
}

static int check_set(const struct weir_sim_device *device, const struct abi_vfio_irq_set *set,
		     size_t *ret_data)
{
	uint32_t most = count_of(device, set->index), element;

	if (set->index >= ABI_VFIO_PCI_NUM_IRQS || set->count >= UINT32_MAX - set->start ||
	    set->flags & ~(ABI_VFIO_IRQ_SET_DATA_TYPE_MASK | ABI_VFIO_IRQ_SET_ACTION_TYPE_MASK))
		return -EINVAL;
	if (set->start >= most || set->start + set->count > most)
		return -EINVAL;
	switch (set->flags & ABI_VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case ABI_VFIO_IRQ_SET_DATA_NONE:
		element = 0;
		break;
	case ABI_VFIO_IRQ_SET_DATA_BOOL:
		element = sizeof(uint8_t);
		break;
	case ABI_VFIO_IRQ_SET_DATA_EVENTFD:
		element = sizeof(int32_t);
		break;
	default:
		return -EINVAL;
	}
	*ret_data = (size_t)set->count * element;
	return set->argsz - sizeof(*set) < *ret_data ? -EINVAL : 0;
}

int sim_irq_set(struct weir_sim_device *device, void *arg)
{
	struct abi_vfio_irq_set set;
	struct irq_cmd cmd;
	void *data = NULL;
	size_t len = 0;
	int error = sim_argsz_in(arg, &set, sizeof(set), sizeof(set));

	if (!error)
		error = check_set(device, &set, &len);
	if (error)
		return error;
	data = malloc(len ? len : 1);
	if (!data)
		return -ENOMEM;
	error = sim_copy_in(data, (uintptr_t)arg + sizeof(set), len);
	if (!error) {
		cmd = (struct irq_cmd){ set.flags, set.index, set.start, set.count, { .bools = data } };
		error = dispatch(device, &cmd);
	}
	free(data);
	return error;
}
