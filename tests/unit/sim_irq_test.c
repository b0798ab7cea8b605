// SPDX-License-Identifier: MIT
/* Interrupts of the simulated machine's VFIO devices: kernel-interface B.6, row by row. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sim/device/pci.h"
#include "sim_probe.h"

enum {
	INTX = ABI_VFIO_PCI_INTX_IRQ_INDEX,
	MSI = ABI_VFIO_PCI_MSI_IRQ_INDEX,
	MSIX = ABI_VFIO_PCI_MSIX_IRQ_INDEX,
	ERR = ABI_VFIO_PCI_ERR_IRQ_INDEX,
	REQ = ABI_VFIO_PCI_REQ_IRQ_INDEX,

	NONE = ABI_VFIO_IRQ_SET_DATA_NONE,
	BOOL = ABI_VFIO_IRQ_SET_DATA_BOOL,
	EVENTFD = ABI_VFIO_IRQ_SET_DATA_EVENTFD,
	MASK = ABI_VFIO_IRQ_SET_ACTION_MASK,
	UNMASK = ABI_VFIO_IRQ_SET_ACTION_UNMASK,
	TRIGGER = ABI_VFIO_IRQ_SET_ACTION_TRIGGER,
};

struct set {
	struct abi_vfio_irq_set set;
	union {
		int32_t fds[16];
		uint8_t bools[16];
	};
};

static int64_t set_raw(struct rig *rig, struct set *cmd)
{
	return call(rig->sim, rig->fd, ABI_VFIO_DEVICE_SET_IRQS, cmd);
}

static int64_t set_none(struct rig *rig, uint32_t action, uint32_t index, uint32_t start, uint32_t count)
{
	struct set cmd = { .set = { sizeof(cmd.set), NONE | action, index, start, count } };

	return set_raw(rig, &cmd);
}

static int64_t set_fds(struct rig *rig, uint32_t index, uint32_t start, uint32_t count, const int *fds)
{
	struct set cmd = { .set = { sizeof(cmd), EVENTFD | TRIGGER, index, start, count } };

	memcpy(cmd.fds, fds, count * sizeof(*fds));
	return set_raw(rig, &cmd);
}

static int64_t enable(struct rig *rig, uint32_t index, int fd)
{
	return set_fds(rig, index, 0, 1, &fd);
}

static int64_t disable(struct rig *rig, uint32_t index)
{
	return set_none(rig, TRIGGER, index, 0, 0);
}

/* What is there ------------------------------------------------------------------------------------------ */

struct info_row {
	uint32_t index;
	int result;
	uint32_t flags, count;
};

static void check_infos(struct t *t, struct rig *rig, const struct info_row *rows, size_t num)
{
	for (size_t i = 0; i < num; i++) {
		struct abi_vfio_irq_info info = { .argsz = sizeof(info), .index = rows[i].index };

		t_note(t, "index %u", rows[i].index);
		EXPECT_EQ(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_GET_IRQ_INFO, &info), rows[i].result);
		EXPECT_EQ(info.flags, rows[i].flags);
		EXPECT_EQ(info.count, rows[i].count);
	}
	t_note(t, "%s", "");
}

UNIT(sim_irq, express_function_has_all_five)
{
	static const struct info_row rows[] = {
		{ INTX, 0, 0x7, 1 }, { MSI, 0, 0x9, 4 }, { MSIX, 0, 0x1, 8 },
		{ ERR, 0, 0x9, 1 },  { REQ, 0, 0x9, 1 }, { 5, -EINVAL, 0, 0 },
	};

	check_infos(t, rig_new(t, &probe_model, BY_CDEV), rows, sizeof(rows) / sizeof(rows[0]));
}

UNIT(sim_irq, conventional_function_has_no_err)
{
	/* [VM] edu: one MSI with flags 0x9. */
	static const struct info_row rows[] = {
		{ INTX, 0, 0x7, 1 },    { MSI, 0, 0x9, 1 }, { MSIX, 0, 0x9, 0 },
		{ ERR, -EINVAL, 0, 0 }, { REQ, 0, 0x9, 1 },
	};

	check_infos(t, rig_new(t, &plain_model, BY_CONTAINER), rows, sizeof(rows) / sizeof(rows[0]));
}

UNIT(sim_irq, info_wants_its_whole_struct)
{
	struct rig *rig = rig_new(t, &plain_model, BY_CDEV);
	struct abi_vfio_irq_info info = { .argsz = sizeof(info) - 1 };

	EXPECT_ERR(-EINVAL, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_GET_IRQ_INFO, &info));
	EXPECT_ERR(-EFAULT, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_GET_IRQ_INFO, before_hole(t) - 4));
}

/* The frame of SET_IRQS ---------------------------------------------------------------------------------- */

UNIT(sim_irq, frames_that_are_refused)
{
	static const struct {
		const char *what;
		struct abi_vfio_irq_set set;
		int result;
	} rows[] = {
		{ "argsz too small", { 19, NONE | TRIGGER, MSI, 0, 0 }, -EINVAL },
		{ "no such index", { 20, NONE | TRIGGER, 5, 0, 0 }, -EINVAL },
		{ "unknown flag", { 20, NONE | TRIGGER | 1 << 6, MSI, 0, 0 }, -EINVAL },
		{ "start behind the last", { 20, NONE | TRIGGER, MSI, 4, 0 }, -EINVAL },
		{ "too many", { 84, EVENTFD | TRIGGER, MSI, 0, 5 }, -EINVAL },
		{ "too many from there", { 84, EVENTFD | TRIGGER, MSI, 3, 2 }, -EINVAL },
		{ "start + count wraps", { 84, EVENTFD | TRIGGER, MSI, 2, UINT32_MAX }, -EINVAL },
		{ "no data kind", { 20, TRIGGER, MSI, 0, 1 }, -EINVAL },
		{ "two data kinds", { 84, NONE | EVENTFD | TRIGGER, MSI, 0, 1 }, -EINVAL },
		{ "no action", { 20, NONE, MSI, 0, 1 }, -ENOTTY },
		{ "two actions", { 20, NONE | MASK | TRIGGER, INTX, 0, 1 }, -ENOTTY },
		{ "no room for eventfds", { 20 + 7, EVENTFD | TRIGGER, MSI, 0, 2 }, -EINVAL },
		{ "no room for bools", { 20 + 1, BOOL | TRIGGER, MSI, 0, 2 }, -EINVAL },
		{ "mask of MSI", { 20, NONE | MASK, MSI, 0, 1 }, -ENOTTY },
		{ "unmask of MSI-X", { 20, NONE | UNMASK, MSIX, 0, 1 }, -ENOTTY },
		{ "mask of ERR", { 20, NONE | MASK, ERR, 0, 1 }, -ENOTTY },
		{ "mask of INTx that is off", { 20, NONE | MASK, INTX, 0, 1 }, -EINVAL },
		{ "disable what is off", { 20, NONE | TRIGGER, MSI, 0, 0 }, -EINVAL },
		{ "loopback of what is off", { 20, NONE | TRIGGER, MSIX, 0, 1 }, -EINVAL },
		{ "INTx loopback when off", { 20, NONE | TRIGGER, INTX, 0, 1 }, -EINVAL },
		{ "no vectors", { 84, EVENTFD | TRIGGER, MSI, 0, 0 }, -ERANGE },
		{ "REQ with none to signal", { 20, NONE | TRIGGER, REQ, 0, 1 }, -EINVAL },
		{ "REQ, eventfd but no count", { 84, EVENTFD | TRIGGER, REQ, 0, 0 }, -EINVAL },
	};
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct set cmd = { .set = rows[i].set };

		t_note(t, "%s", rows[i].what);
		EXPECT_EQ(set_raw(rig, &cmd), rows[i].result);
	}
}

UNIT(sim_irq, an_index_without_vectors_cannot_be_disabled)
{
	struct rig *rig = rig_new(t, &plain_model, BY_CDEV);

	EXPECT_ERR(-EINVAL, disable(rig, MSIX));
	EXPECT_ERR(-EINVAL, disable(rig, ERR)); /* no PCIe, so none of those either */
}

UNIT(sim_irq, data_is_read_from_the_caller)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	struct abi_vfio_irq_set *set = (void *)(before_hole(t) - sizeof(*set));

	*set = (struct abi_vfio_irq_set){ sizeof(*set) + 4, EVENTFD | TRIGGER, MSI, 0, 1 };
	EXPECT_ERR(-EFAULT, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_SET_IRQS, set));
	EXPECT_ERR(-EFAULT, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_SET_IRQS, (char *)set + 4));
}

UNIT(sim_irq, only_eventfds_will_do)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	int ends[2];

	ASSERT_EQ(pipe(ends), 0);
	for (uint32_t index = INTX; index <= REQ; index++) {
		t_note(t, "index %u", index);
		EXPECT_ERR(-EINVAL, enable(rig, index, ends[0]));
		EXPECT_ERR(-EINVAL, enable(rig, index, rig->fd));
		EXPECT_ERR(-EBADF, enable(rig, index, 9999));
	}
	EXPECT_ERR(-EINVAL, enable(rig, REQ, -2));
	close(ends[0]);
	close(ends[1]);
}

/* MSI and MSI-X ------------------------------------------------------------------------------------------ */

static void raise_msi(struct rig *rig, unsigned int vector)
{
	weir_sim_device_msi(rig->device, vector);
}

static void master_bus(struct rig *rig)
{
	put16(rig->sim, rig->fd, CONFIG + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

UNIT(sim_irq, messages_reach_their_eventfds)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	int fds[2] = { event(t), event(t) };

	raise_msi(rig, 0); /* nobody listens */
	ASSERT_OK(set_fds(rig, MSI, 0, 2, fds));
	raise_msi(rig, 0);
	EXPECT_EQ(signals(fds[0]), 0); /* a message is a write on the bus */
	master_bus(rig);
	raise_msi(rig, 0);
	raise_msi(rig, 1);
	raise_msi(rig, 1);
	raise_msi(rig, 2);
	EXPECT_EQ(signals(fds[0]), 1);
	EXPECT_EQ(signals(fds[1]), 2);
	ASSERT_OK(disable(rig, MSI));
	raise_msi(rig, 0);
	EXPECT_EQ(signals(fds[0]), 0);
	EXPECT_ERR(-EINVAL, disable(rig, MSI));
}

UNIT(sim_irq, eventfds_are_kept_when_the_program_closes_its_own)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	int fd = event(t), copy = dup(fd);

	ASSERT_OK(enable(rig, MSIX, copy));
	close(copy);
	master_bus(rig);
	raise_msi(rig, 0);
	EXPECT_EQ(signals(fd), 1);
}

UNIT(sim_irq, interrupts_get_lost_on_request)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	int fd = event(t);

	ASSERT_OK(enable(rig, MSIX, fd));
	master_bus(rig);
	weir_sim_lose_irqs(rig->device, 2);
	for (int i = 0; i < 5; i++)
		raise_msi(rig, 0);
	EXPECT_EQ(signals(fd), 3);
}

UNIT(sim_irq, one_kind_at_a_time)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	int fd = event(t);

	for (uint32_t on = INTX; on <= MSIX; on++) {
		ASSERT_OK(enable(rig, on, fd));
		for (uint32_t other = INTX; other <= MSIX; other++) {
			t_note(t, "%u while %u is on", other, on);
			if (other != on) {
				EXPECT_ERR(-EINVAL, enable(rig, other, fd));
				EXPECT_ERR(-EINVAL, disable(rig, other));
			}
		}
		EXPECT_OK(enable(rig, ERR, fd));
		EXPECT_OK(enable(rig, REQ, fd));
		ASSERT_OK(disable(rig, on));
		EXPECT_OK(disable(rig, ERR));
		EXPECT_OK(disable(rig, REQ));
	}
}

UNIT(sim_irq, only_msix_grows)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	int fd = event(t);

	ASSERT_OK(enable(rig, MSI, fd));
	EXPECT_ERR(-EINVAL, set_fds(rig, MSI, 1, 1, &fd));
	ASSERT_OK(disable(rig, MSI));
	ASSERT_OK(enable(rig, MSIX, fd));
	EXPECT_OK(set_fds(rig, MSIX, 7, 1, &fd));
	master_bus(rig);
	raise_msi(rig, 7);
	raise_msi(rig, 3); /* there, without an eventfd */
	EXPECT_EQ(signals(fd), 1);
}

UNIT(sim_irq, an_error_takes_the_block_down)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	int fds[3] = { event(t), event(t), 9999 }, other = event(t);

	/* The first block: all of it off again. */
	EXPECT_ERR(-EBADF, set_fds(rig, MSIX, 0, 3, fds));
	EXPECT_OK(enable(rig, INTX, other));
	EXPECT_OK(disable(rig, INTX));
	/* A later one: the vectors before the bad one, and no others. */
	ASSERT_OK(set_fds(rig, MSIX, 0, 2, fds));
	ASSERT_OK(set_fds(rig, MSIX, 4, 1, &other));
	EXPECT_ERR(-EBADF, set_fds(rig, MSIX, 0, 3, fds));
	master_bus(rig);
	raise_msi(rig, 0);
	raise_msi(rig, 1);
	raise_msi(rig, 4);
	EXPECT_EQ(signals(fds[0]) + signals(fds[1]), 0);
	EXPECT_EQ(signals(other), 1);
}

UNIT(sim_irq, minus_one_removes_one)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	int fds[2] = { event(t), event(t) }, none = -1;

	ASSERT_OK(set_fds(rig, MSIX, 0, 2, fds));
	ASSERT_OK(set_fds(rig, MSIX, 0, 1, &none));
	master_bus(rig);
	raise_msi(rig, 0);
	raise_msi(rig, 1);
	EXPECT_EQ(signals(fds[0]), 0);
	EXPECT_EQ(signals(fds[1]), 1);
}

UNIT(sim_irq, loopback)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	struct set bools = { .set = { sizeof(bools), BOOL | TRIGGER, MSIX, 0, 3 }, .bools = { 1, 0, 1 } };
	int fds[3] = { event(t), event(t), event(t) };

	ASSERT_OK(set_fds(rig, MSIX, 0, 3, fds));
	EXPECT_OK(set_none(rig, TRIGGER, MSIX, 1, 2));
	EXPECT_EQ(signals(fds[0]), 0);
	EXPECT_EQ(signals(fds[1]), 1);
	EXPECT_EQ(signals(fds[2]), 1);
	EXPECT_OK(set_raw(rig, &bools));
	EXPECT_EQ(signals(fds[0]), 1);
	EXPECT_EQ(signals(fds[1]), 0);
	EXPECT_EQ(signals(fds[2]), 1);
}

UNIT(sim_irq, a_full_eventfd_stops_nobody)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	int fd = eventfd(0, EFD_CLOEXEC); /* a write that does not fit would wait */
	uint64_t most = UINT64_MAX - 1;

	ASSERT_EQ(write(fd, &most, sizeof(most)), 8);
	EXPECT_OK(enable(rig, MSIX, fd));
	EXPECT_OK(set_none(rig, TRIGGER, MSIX, 0, 1));
	EXPECT_OK(disable(rig, MSIX));
	close(fd);
}

/* The kernel owns the enable bit of MSI-X; that of MSI can be set once MSI is on. */
UNIT(sim_irq, enable_bits_in_configuration_space)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	uint64_t msi = CONFIG + rig->device->caps.msi + PCI_MSI_CONTROL;
	uint64_t msix = CONFIG + rig->device->caps.msix + PCI_MSIX_CONTROL;
	int fds[2] = { event(t), event(t) };

	put16(rig->sim, rig->fd, msix, 0xffff);
	EXPECT_EQ(get16(rig->sim, rig->fd, msix), 7);
	put16(rig->sim, rig->fd, msi, 0x84 | PCI_MSI_ENABLE | 2 << PCI_MSI_ENABLED_SHIFT);
	EXPECT_EQ(get16(rig->sim, rig->fd, msi), 0x84);
	ASSERT_OK(enable(rig, MSIX, fds[0]));
	EXPECT_EQ(get16(rig->sim, rig->fd, msix), 7 | PCI_MSIX_ENABLE);
	ASSERT_OK(disable(rig, MSIX));
	EXPECT_EQ(get16(rig->sim, rig->fd, msix), 7);
	ASSERT_OK(set_fds(rig, MSI, 0, 2, fds));
	put16(rig->sim, rig->fd, msi, 0x84 | PCI_MSI_ENABLE | 2 << PCI_MSI_ENABLED_SHIFT);
	EXPECT_EQ(get16(rig->sim, rig->fd, msi), 0x84 | PCI_MSI_ENABLE | 1 << PCI_MSI_ENABLED_SHIFT);
}

/* INTx --------------------------------------------------------------------------------------------------- */

UNIT(sim_irq, intx_is_masked_with_each_signal)
{
	struct rig *rig = rig_new(t, &plain_model, BY_CONTAINER);
	int fd = event(t);

	ASSERT_OK(enable(rig, INTX, fd));
	weir_sim_device_intx(rig->device, true);
	EXPECT_EQ(signals(fd), 1);
	EXPECT_EQ(get16(rig->sim, rig->fd, CONFIG + PCI_STATUS), 0x18);
	weir_sim_device_intx(rig->device, false);
	weir_sim_device_intx(rig->device, true);
	EXPECT_EQ(signals(fd), 0);
	EXPECT_OK(set_none(rig, UNMASK, INTX, 0, 1)); /* still asserted: at once again */
	EXPECT_EQ(signals(fd), 1);
	weir_sim_device_intx(rig->device, false);
	EXPECT_OK(set_none(rig, UNMASK, INTX, 0, 1));
	EXPECT_EQ(signals(fd), 0);
	EXPECT_OK(set_none(rig, MASK, INTX, 0, 1));
	weir_sim_device_intx(rig->device, true);
	EXPECT_EQ(signals(fd), 0);
	EXPECT_OK(set_none(rig, TRIGGER, INTX, 0, 1)); /* loopback does not care */
	EXPECT_EQ(signals(fd), 1);
}

UNIT(sim_irq, intx_rows)
{
	struct rig *rig = rig_new(t, &plain_model, BY_CONTAINER);
	struct set cmd = { .set = { sizeof(cmd), BOOL | MASK, INTX, 0, 1 } };
	int fd = event(t);

	ASSERT_OK(enable(rig, INTX, fd));
	EXPECT_ERR(-EINVAL, set_none(rig, MASK, INTX, 0, 0));
	EXPECT_OK(set_raw(rig, &cmd)); /* a mask that is not asked for */
	weir_sim_device_intx(rig->device, true);
	EXPECT_EQ(signals(fd), 1);
	weir_sim_device_intx(rig->device, false);
	cmd.set.flags = BOOL | UNMASK;
	cmd.bools[0] = 1;
	EXPECT_OK(set_raw(rig, &cmd));
	cmd.set.flags = BOOL | MASK;
	EXPECT_OK(set_raw(rig, &cmd));
	weir_sim_device_intx(rig->device, true);
	EXPECT_EQ(signals(fd), 0);
	cmd.set.flags = EVENTFD | MASK;
	EXPECT_ERR(-ENOTTY, set_raw(rig, &cmd));
	EXPECT_OK(disable(rig, INTX));
	EXPECT_ERR(-EINVAL, disable(rig, INTX));
	EXPECT_OK(enable(rig, INTX, fd)); /* the pin is asserted, and a new start is unmasked */
	EXPECT_EQ(signals(fd), 1);
}

UNIT(sim_irq, intx_unmasked_by_eventfd)
{
	struct rig *rig = rig_new(t, &plain_model, BY_CONTAINER);
	struct set cmd = { .set = { sizeof(cmd), EVENTFD | UNMASK, INTX, 0, 1 } };
	int fd = event(t), unmask = event(t);

	ASSERT_OK(enable(rig, INTX, fd));
	cmd.fds[0] = unmask;
	EXPECT_OK(set_raw(rig, &cmd));
	EXPECT_ERR(-EBUSY, set_raw(rig, &cmd));
	weir_sim_device_intx(rig->device, true);
	EXPECT_EQ(signals(fd), 1);
	ASSERT_EQ(eventfd_write(unmask, 1), 0);
	EXPECT_EQ(weir_sim_step(rig->sim), 1);
	EXPECT_EQ(signals(fd), 1);
	cmd.fds[0] = -1;
	EXPECT_OK(set_raw(rig, &cmd));
	ASSERT_EQ(eventfd_write(unmask, 1), 0);
	EXPECT_EQ(weir_sim_step(rig->sim), 0);
	EXPECT_EQ(signals(fd), 0);
}

UNIT(sim_irq, intx_follows_the_command_register)
{
	struct rig *rig = rig_new(t, &plain_model, BY_CONTAINER);
	uint64_t command = CONFIG + PCI_COMMAND;
	int fd = event(t);

	put16(rig->sim, rig->fd, command, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	ASSERT_OK(enable(rig, INTX, fd));
	weir_sim_device_intx(rig->device, true);
	EXPECT_OK(set_none(rig, UNMASK, INTX, 0, 1));
	EXPECT_EQ(signals(fd), 0);
	put16(rig->sim, rig->fd, command, PCI_COMMAND_MEMORY);
	EXPECT_EQ(signals(fd), 1);
	put16(rig->sim, rig->fd, command, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	put16(rig->sim, rig->fd, command, PCI_COMMAND_MEMORY);
	EXPECT_EQ(signals(fd), 1);
}

/* ERR and REQ -------------------------------------------------------------------------------------------- */

UNIT(sim_irq, messages_of_the_kernel)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	struct set cmd = { .set = { sizeof(cmd), BOOL | TRIGGER, ERR, 0, 1 }, .bools = { 1 } };
	int error = event(t), request = event(t);

	weir_sim_report_error(rig->device);
	ASSERT_OK(enable(rig, ERR, error));
	ASSERT_OK(enable(rig, REQ, request));
	weir_sim_report_error(rig->device);
	EXPECT_EQ(signals(error), 1);
	weir_sim_unplug(rig->device, false);
	EXPECT_EQ(signals(request), 1);
	EXPECT_OK(set_raw(rig, &cmd));
	EXPECT_OK(set_none(rig, TRIGGER, REQ, 0, 1));
	EXPECT_EQ(signals(error), 1);
	EXPECT_EQ(signals(request), 1);
	EXPECT_OK(enable(rig, ERR, -1));
	weir_sim_report_error(rig->device);
	EXPECT_EQ(signals(error), 0);
	EXPECT_ERR(-EINVAL, disable(rig, ERR));
	EXPECT_OK(disable(rig, REQ));
}

UNIT(sim_irq, closing_switches_all_off)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	int fd = event(t);

	ASSERT_OK(enable(rig, MSI, fd));
	ASSERT_OK(enable(rig, ERR, fd));
	done(rig->sim, rig->fd);
	rig->fd = -1;
	weir_sim_report_error(rig->device);
	raise_msi(rig, 0);
	EXPECT_EQ(signals(fd), 0);
	rig->fd = rig_bind(rig, rig->device, &rig->dev_id);
	EXPECT_ERR(-EINVAL, disable(rig, MSI));
	EXPECT_OK(enable(rig, INTX, fd));
}
