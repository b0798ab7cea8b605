// SPDX-License-Identifier: MIT
#include "kernel/userfaultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>

#include "error.h"

static const uint64_t wanted = UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMAP |
			       UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_PAGEFAULT_FLAG_WP;

static int open_node(const struct weir_sys *sys)
{
	int node = sys->open(sys->ctx, "/dev/userfaultfd", O_RDWR), fd;

	if (node < 0)
		return node;
	/* The argument is a number, not an address. */
	fd = sys->ioctl(sys->ctx, node, USERFAULTFD_IOC_NEW,
			(void *)(uintptr_t)(O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY));
	sys->close(sys->ctx, node);
	return fd;
}

static int open_fd(const struct weir_sys *sys)
{
	int fd = sys->userfaultfd(sys->ctx, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY), other;

	if (fd != -EPERM && fd != -ENOSYS)
		return fd;
	other = open_node(sys);
	return other >= 0 ? other : fd;
}

int weir_userfaultfd_open(const struct weir_sys *sys)
{
	struct uffdio_api api = { .api = UFFD_API, .features = wanted | UFFD_FEATURE_WP_HUGETLBFS_SHMEM };
	int fd = open_fd(sys), error;

	if (fd == -EPERM)
		return weir_fail(-EPERM, "userfaultfd is forbidden here (a seccomp filter?), and "
					 "/dev/userfaultfd cannot be opened: "
					 "allow the system call, or this user to open that file");
	if (fd == -ENOSYS || fd == -EINVAL)
		return weir_fail(
			-EOPNOTSUPP,
			"this kernel has no userfaultfd for user mode only (CONFIG_USERFAULTFD, Linux "
			"5.11): invalidate by hand");
	if (fd < 0)
		return weir_fail(fd, "userfaultfd: %s", strerror(-fd));
	error = sys->ioctl(sys->ctx, fd, UFFDIO_API, &api);
	if (error == -EINVAL) {
		/* Anonymous memory alone, then: other memory will not be registered. */
		api = (struct uffdio_api){ .api = UFFD_API, .features = wanted };
		error = sys->ioctl(sys->ctx, fd, UFFDIO_API, &api);
	}
	if (!error)
		return fd;
	sys->close(sys->ctx, fd);
	if (error == -EINVAL)
		return weir_fail(-EOPNOTSUPP,
				 "this kernel's userfaultfd does not tell of all that matters (Linux 5.11 on "
				 "x86-64, 6.10 on arm64): invalidate by hand");
	return weir_fail(error, "userfaultfd's handshake: %s", strerror(-error));
}

int weir_userfaultfd_register(const struct weir_sys *sys, int fd, uint64_t addr, uint64_t len)
{
	struct uffdio_register range = { .range = { .start = addr, .len = len },
					 .mode = UFFDIO_REGISTER_MODE_WP };

	return sys->ioctl(sys->ctx, fd, UFFDIO_REGISTER, &range);
}

int weir_userfaultfd_unregister(const struct weir_sys *sys, int fd, uint64_t addr, uint64_t len)
{
	struct uffdio_range range = { .start = addr, .len = len };

	return sys->ioctl(sys->ctx, fd, UFFDIO_UNREGISTER, &range);
}

/*
 * There is no call for this. But one that changes protection is refused with -EAGAIN while a change is under way, before its
 * range is looked at; and this range, of no bytes, is refused with -EINVAL after that.
 */
bool weir_userfaultfd_is_settled(const struct weir_sys *sys, int fd)
{
	struct uffdio_writeprotect nothing = { 0 };

	return sys->ioctl(sys->ctx, fd, UFFDIO_WRITEPROTECT, &nothing) == -EINVAL;
}

static int note(struct weir_memory_change *change, uint64_t start, uint64_t end)
{
	if (start >= end)
		return 0;
	*change = (struct weir_memory_change){ .first = start, .last = end - 1 };
	return 1;
}

int weir_userfaultfd_read(const struct weir_sys *sys, int fd, struct weir_memory_change *changes, int max)
{
	struct uffd_msg messages[WEIR_MEMORY_CHANGES / 2];
	size_t room = max < WEIR_MEMORY_CHANGES ? (size_t)max / 2 : WEIR_MEMORY_CHANGES / 2;
	ssize_t got = sys->read(sys->ctx, fd, messages, room * sizeof(messages[0]));
	int num = 0;

	if (got == -EAGAIN)
		return 0;
	if (got < 0)
		return (int)got;
	for (size_t i = 0; i < (size_t)got / sizeof(messages[0]); i++) {
		const struct uffd_msg *message = &messages[i];

		if (message->event == UFFD_EVENT_REMAP) {
			num += note(changes + num, message->arg.remap.from,
				    message->arg.remap.from + message->arg.remap.len);
			num += note(changes + num, message->arg.remap.to,
				    message->arg.remap.to + message->arg.remap.len);
		} else if (message->event == UFFD_EVENT_UNMAP || message->event == UFFD_EVENT_REMOVE) {
			num += note(changes + num, message->arg.remove.start, message->arg.remove.end);
		}
	}
	return num;
}
