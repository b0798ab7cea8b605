// SPDX-License-Identifier: MIT
#include "kernel/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

int weir_memfd_sealed(const struct weir_sys *sys, const char *name, unsigned int flags, uint64_t len)
{
	int fd = sys->memfd_create(sys->ctx, name, flags | MFD_CLOEXEC | MFD_ALLOW_SEALING), error;

	if (fd < 0)
		return fd;
	error = sys->ftruncate(sys->ctx, fd, len);
	if (!error)
		error = sys->fcntl(sys->ctx, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	if (error) {
		sys->close(sys->ctx, fd);
		return error;
	}
	return fd;
}

int weir_memfd_read(const struct weir_sys *sys, int fd, void *to, uint64_t len, uint64_t from)
{
	for (uint64_t done = 0; done < len;) {
		ssize_t got = sys->pread(sys->ctx, fd, (char *)to + done, len - done, from + done);

		if (got == -EINTR)
			continue;
		if (got <= 0)
			return got ? (int)got : -ENODATA;
		done += (uint64_t)got;
	}
	return 0;
}
