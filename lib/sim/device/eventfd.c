// SPDX-License-Identifier: MIT
/*
 * Eventfds that the program gives: signalled for interrupts, and watched to unmask INTx and to write
 * registers.
 */
#include "sim/device/device.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/user.h"

enum { INDEX_SHIFT = 40, MOST_DOORBELLS = 1000 };

static bool is_eventfd(int fd)
{
	static const char prefix[] = "anon_inode:[eventfd";
	char path[32], target[64];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, target, sizeof(target));
	/* Without /proc there is no telling. */
	return len < 0 || (len >= (ssize_t)strlen(prefix) && !memcmp(target, prefix, strlen(prefix)));
}

int sim_eventfd_get(int fd)
{
	int copy;

	if (fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	if (!is_eventfd(fd))
		return -EINVAL;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return copy < 0 ? -errno : copy;
}

/* The kernel's signal stops at the counter's end; a write would wait there. */
void sim_eventfd_signal(int fd)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };
	const uint64_t one = 1;

	if (fd >= 0 && poll(&room, 1, 0) == 1 && room.revents & POLLOUT)
		(void)!write(fd, &one, sizeof(one));
}

bool sim_eventfd_take(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	uint64_t count;

	return fd >= 0 && poll(&ready, 1, 0) == 1 && ready.revents & POLLIN &&
	       read(fd, &count, sizeof(count)) == sizeof(count);
}

bool sim_device_watch(struct weir_sim_device *device)
{
	struct sim_irq_index *intx = &device->irqs[ABI_VFIO_PCI_INTX_IRQ_INDEX];
	bool signalled = false;

	if (intx->count && sim_eventfd_take(intx->unmask_fd)) {
		signalled = true;
		sim_irq_intx_mask(device, false);
	}
	for (struct sim_doorbell *doorbell = device->doorbells; doorbell; doorbell = doorbell->next) {
		uint64_t data = htole64(doorbell->data);

		if (!sim_eventfd_take(doorbell->fd))
			continue;
		signalled = true;
		sim_bar_write(device, doorbell->bar, doorbell->offset, &data, doorbell->width);
	}
	return signalled;
}

/* ---- VFIO_DEVICE_IOEVENTFD ---- */

static int check_place(const struct weir_sim_device *device, const struct sim_doorbell *doorbell)
{
	uint64_t end, len;

	if (doorbell->bar > ABI_VFIO_PCI_BAR5_REGION_INDEX)
		return -EINVAL;
	len = device->bars[doorbell->bar].spec.len;
	if (doorbell->width > len || doorbell->offset > len - doorbell->width)
		return -EINVAL;
	if (sim_msix_table(device, doorbell->bar, doorbell->offset, &end) ||
	    sim_msix_table(device, doorbell->bar, doorbell->offset + doorbell->width - 1, &end))
		return -EINVAL;
	return doorbell->width == 8 ? -EINVAL : 0;
}

static struct sim_doorbell **find_doorbell(struct weir_sim_device *device, const struct sim_doorbell *like)
{
	struct sim_doorbell **link = &device->doorbells;

	while (*link && ((*link)->bar != like->bar || (*link)->offset != like->offset ||
			 (*link)->data != like->data || (*link)->width != like->width))
		link = &(*link)->next;
	return link;
}

static void drop_doorbell(struct sim_doorbell **link)
{
	struct sim_doorbell *doorbell = *link;

	*link = doorbell->next;
	close(doorbell->fd);
	free(doorbell);
}

static int add_doorbell(struct weir_sim_device *device, const struct sim_doorbell *like, int fd)
{
	struct sim_doorbell *doorbell;
	unsigned int num = 0;

	for (doorbell = device->doorbells; doorbell; doorbell = doorbell->next)
		num++;
	if (num >= MOST_DOORBELLS)
		return -ENOSPC;
	doorbell = malloc(sizeof(*doorbell));
	if (!doorbell)
		return -ENOMEM;
	*doorbell = *like;
	doorbell->fd = sim_eventfd_get(fd);
	if (doorbell->fd < 0) {
		int error = doorbell->fd;

		free(doorbell);
		return error;
	}
	doorbell->next = device->doorbells;
	device->doorbells = doorbell;
	return 0;
}

/* Flags: the width in bytes, one bit. 8 is defined, and refused. */
int sim_doorbell_set(struct weir_sim_device *device, void *arg)
{
	struct abi_vfio_device_ioeventfd cmd;
	struct sim_doorbell like = { 0 }, **found;
	int error =
		sim_argsz_in(arg, &cmd, sizeof(cmd), offsetof(struct abi_vfio_device_ioeventfd, reserved));

	if (error)
		return error;
	if (cmd.flags & ~ABI_VFIO_DEVICE_IOEVENTFD_SIZE_MASK || !cmd.flags || cmd.flags & (cmd.flags - 1) ||
	    cmd.fd < -1)
		return -EINVAL;
	like.bar = (unsigned int)(cmd.offset >> INDEX_SHIFT);
	like.width = cmd.flags;
	like.offset = cmd.offset & ((UINT64_C(1) << INDEX_SHIFT) - 1);
	like.data = cmd.data;
	error = check_place(device, &like);
	if (error)
		return error;
	found = find_doorbell(device, &like);
	if (*found && cmd.fd >= 0)
		return -EEXIST;
	if (!*found)
		return cmd.fd < 0 ? -ENODEV : add_doorbell(device, &like, cmd.fd);
	drop_doorbell(found);
	return 0;
}

void sim_doorbells_drop(struct weir_sim_device *device)
{
	while (device->doorbells)
		drop_doorbell(&device->doorbells);
}
