// SPDX-License-Identifier: MIT
/* Copying from and to the caller's pointers: the kernel does it for us and says when they are bad. */
#include "sim/user.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CHUNK = 4096 };

/* As far as a pipe holds at once. */
static bool through_pipe(void *to, const void *from, size_t len)
{
	int ends[2];
	bool done = true;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	for (size_t at = 0; done && at < len; at += CHUNK) {
		size_t part = len - at < CHUNK ? len - at : CHUNK;

		done = write(ends[1], (const char *)from + at, part) == (ssize_t)part &&
		       read(ends[0], (char *)to + at, part) == (ssize_t)part;
	}
	close(ends[0]);
	close(ends[1]);
	return done;
}

/* One of the two is ours, and there. Where our own memory may not be reached like another process's (seccomp), a pipe serves. */
static int copy(void *to, void *from, size_t len, bool out)
{
	struct iovec ours = { out ? from : to, len }, theirs = { out ? to : from, len };
	ssize_t done;

	if (!len)
		return 0;
	done = out ? process_vm_writev(getpid(), &ours, 1, &theirs, 1, 0)
		   : process_vm_readv(getpid(), &ours, 1, &theirs, 1, 0);
	if (done == (ssize_t)len)
		return 0;
	if (done < 0 && (errno == EPERM || errno == ENOSYS))
		return through_pipe(to, from, len) ? 0 : -EFAULT;
	return -EFAULT;
}

static void *pointer(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

int sim_copy_in(void *to, uint64_t from, size_t len)
{
	return copy(to, pointer(from), len, false);
}

int sim_copy_out(struct weir_sim *sim, uint64_t to, const void *from, size_t len)
{
	if (len && sim->trouble.copy_back_fails)
		return -EFAULT;
	return copy(pointer(to), (void *)(uintptr_t)from, len, true);
}

int sim_copy_string(char *to, const char *from, size_t size)
{
	size_t used = 0;

	/* Never past the page that the string ends in. */
	while (used < size) {
		uintptr_t at = (uintptr_t)from + used;
		size_t part = CHUNK - at % CHUNK;

		if (part > size - used)
			part = size - used;
		if (sim_copy_in(to + used, at, part))
			return -EFAULT;
		if (memchr(to + used, '\0', part))
			return 0;
		used += part;
	}
	return -ENAMETOOLONG;
}

/* iommufd's structs, and VFIO's --------------------------------------------------------------------------------- */

/* What the caller knows and we do not must be zero, however long it is. */
static int check_tail(uint64_t at, uint64_t last)
{
	static const char zeros[CHUNK];
	char bytes[CHUNK];

	while (at < last) {
		size_t part = last - at < CHUNK ? (size_t)(last - at) : CHUNK;

		if (sim_copy_in(bytes, at, part))
			return -EFAULT;
		if (memcmp(bytes, zeros, part) != 0)
			return -E2BIG;
		at += part;
	}
	return 0;
}

int sim_cmd_in(void *arg, void *ret_cmd, size_t size, size_t min, uint32_t *ret_user_size)
{
	uint64_t from = (uintptr_t)arg;
	uint32_t user_size;
	int error;

	if (sim_copy_in(&user_size, from, sizeof(user_size)))
		return -EFAULT;
	if (user_size < min)
		return -EINVAL;
	error = check_tail(from + size, from + user_size);
	if (error)
		return error;
	memset(ret_cmd, 0, size);
	*ret_user_size = user_size;
	return sim_copy_in(ret_cmd, from, user_size < size ? user_size : size);
}

int sim_cmd_out(struct weir_sim *sim, void *arg, const void *cmd, size_t size, uint32_t user_size)
{
	return sim_copy_out(sim, (uintptr_t)arg, cmd, user_size < size ? user_size : size);
}

int sim_argsz_in(void *arg, void *ret_cmd, size_t size, size_t min)
{
	uint32_t argsz;

	memset(ret_cmd, 0, size);
	if (sim_copy_in(ret_cmd, (uintptr_t)arg, min))
		return -EFAULT;
	memcpy(&argsz, ret_cmd, sizeof(argsz));
	if (argsz < min)
		return -EINVAL;
	if (argsz > size)
		argsz = (uint32_t)size;
	return sim_copy_in((char *)ret_cmd + min, (uintptr_t)arg + min, argsz - min);
}
