// SPDX-License-Identifier: MIT
/*
 * Files that devices may reach. The kernel's IOMMU_IOAS_MAP_FILE looks neither at how a file was opened nor at its seals, so that is
 * done here; and a file that shrinks would leave devices with pages that are no longer in it.
 */
#include "ioas/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <weir/ioas.h>

#include "error.h"

#ifndef F_SEAL_FUTURE_WRITE /* Linux 5.1 */
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static int check_mode(const struct weir_sys *sys, int fd, uint32_t prot)
{
	int flags = sys->fcntl(sys->ctx, fd, F_GETFL, 0);

	if (flags < 0)
		return weir_fail(flags, "descriptor %d: %s", fd, strerror(-flags));
	if ((flags & O_ACCMODE) == O_WRONLY)
		return weir_fail(-EACCES, "the file is open for writing only");
	if ((prot & WEIR_MAP_WRITE) && (flags & O_ACCMODE) != O_RDWR)
		return weir_fail(-EACCES, "the file is open for reading only: devices may write it if it is "
					  "opened for writing, or "
					  "read it with WEIR_MAP_READ");
	return 0;
}

/* How large the file is, and its pages. */
static int check_size(const struct weir_sys *sys, int fd, uint64_t offset, uint64_t len,
		      uint64_t *ret_page_size)
{
	struct stat stat;
	int error = sys->fstat(sys->ctx, fd, &stat);

	if (error)
		return weir_fail(error, "looking at descriptor %d: %s", fd, strerror(-error));
	if (!S_ISREG(stat.st_mode))
		return weir_fail(-EINVAL, "descriptor %d is not a file", fd);
	if ((uint64_t)stat.st_size < offset || (uint64_t)stat.st_size - offset < len)
		return weir_fail(-EINVAL,
				 "the file has %#" PRIx64 " bytes; %#" PRIx64 " from %#" PRIx64
				 " on were asked for: make it longer first",
				 (uint64_t)stat.st_size, len, offset);
	*ret_page_size = (uint64_t)stat.st_blksize;
	return 0;
}

static int check_seals(const struct weir_sys *sys, int fd, uint32_t prot, bool may_shrink)
{
	int seals = sys->fcntl(sys->ctx, fd, F_GET_SEALS, 0), error;

	if (seals < 0)
		return weir_fail(-EINVAL, "the file is neither a memfd nor on tmpfs or hugetlbfs: devices "
					  "can be given none other");
	if ((prot & WEIR_MAP_WRITE) && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
		return weir_fail(
			-EPERM,
			"the file is sealed against writing: devices may only read it, with WEIR_MAP_READ");
	if ((seals & F_SEAL_SHRINK) || may_shrink)
		return 0;
	error = sys->fcntl(sys->ctx, fd, F_ADD_SEALS, F_SEAL_SHRINK);
	if (error)
		return weir_fail(-EPERM,
				 "the file can shrink, which would leave devices with pages that are not in "
				 "it any more, and "
				 "cannot be sealed against that (%s): accept it with WEIR_MAP_MAY_SHRINK",
				 strerror(-error));
	return 0;
}

static int map_part(const struct weir_sys *sys, struct weir_held *held, uint64_t offset, uint64_t len,
		    uint32_t prot, uint64_t page_size, struct weir_backing *ret_backing)
{
	uint64_t before = offset & (page_size - 1);
	int error;

	held->len = (before + len + page_size - 1) & ~(page_size - 1);
	error = sys->mmap(sys->ctx, NULL, held->len,
			  prot & WEIR_MAP_WRITE ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, held->fd,
			  offset - before, &held->base);
	if (error)
		return weir_fail(error == -EPERM ? -EACCES : error,
				 "mapping %#" PRIx64 " bytes of the file: %s", len, strerror(-error));
	*ret_backing = (struct weir_backing){ .addr = (char *)held->base + before,
					      .offset = offset,
					      .fd = held->fd };
	return 0;
}

/* For a file that is in order. */
static int take_part(const struct weir_sys *sys, int fd, uint64_t offset, uint64_t len, uint32_t prot,
		     uint64_t page_size, struct weir_held **ret_held, struct weir_backing *ret_backing)
{
	struct weir_held *held = calloc(1, sizeof(*held));
	int error;

	if (!held)
		return weir_fail(-ENOMEM, "no memory for a file's mapping");
	held->fd = sys->fcntl(sys->ctx, fd, F_DUPFD_CLOEXEC, 0);
	if (held->fd < 0) {
		error = weir_fail(held->fd, "duplicating the file's descriptor: %s", strerror(-held->fd));
	} else {
		error = map_part(sys, held, offset, len, prot, page_size, ret_backing);
		if (error)
			sys->close(sys->ctx, held->fd);
	}
	if (error) {
		free(held);
		return error;
	}
	held->users = 1;
	*ret_held = held;
	return 0;
}

int weir_file_open(const struct weir_sys *sys, int fd, uint64_t offset, uint64_t len, uint32_t prot,
		   bool may_shrink, struct weir_held **ret_held, struct weir_backing *ret_backing)
{
	uint64_t page_size = 0;
	int error = check_mode(sys, fd, prot);

	if (!error)
		error = check_size(sys, fd, offset, len, &page_size);
	if (!error)
		error = check_seals(sys, fd, prot, may_shrink);
	if (error)
		return error;
	return take_part(sys, fd, offset, len, prot, page_size, ret_held, ret_backing);
}

/* Seals are as they were: whoever mapped it has seen to them. */
int weir_file_adopt(struct weir_journal *journal, uint32_t number, const struct weir_slot_file *slot, int fd,
		    struct weir_held **ret_held)
{
	const struct weir_sys *sys = journal->sys;
	struct weir_held *held;
	uint64_t page_size = 0;
	int error = check_mode(sys, fd, slot->prot);

	if (!error)
		error = check_size(sys, fd, slot->offset, slot->len, &page_size);
	if (!error)
		error = check_seals(sys, fd, slot->prot, true);
	if (!error && (!slot->len || !page_size || ((slot->offset | slot->len) & (page_size - 1))))
		error = weir_fail(-EPROTO,
				  "%#" PRIx64 " bytes from %#" PRIx64 " on are no whole pages of a file",
				  slot->len, slot->offset);
	if (error)
		return error;
	held = calloc(1, sizeof(*held));
	if (!held)
		return weir_fail(-ENOMEM, "no memory for a file's mapping");
	held->len = slot->len;
	error = sys->mmap(sys->ctx, NULL, held->len,
			  slot->prot & WEIR_MAP_WRITE ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd,
			  slot->offset, &held->base);
	if (error) {
		free(held);
		return weir_fail(error, "mapping %#" PRIx64 " bytes of a file: %s", slot->len,
				 strerror(-error));
	}
	held->fd = fd;
	held->journal = journal;
	held->number = number;
	*ret_held = held;
	return 0;
}
