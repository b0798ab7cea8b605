// SPDX-License-Identifier: MIT
/* What cases ask of the operating system, real or simulated. Nothing here is a check: records are alike on both. */
#include "conformance/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/sim.h>
#include <weir/weir.h>

#include "shim/test.h"
#include "sim/iommu/pages.h"

enum { MAX_MODES = 4, LIST_SIZE = 16384 };

static struct weir_sim *machine;
static struct weir_sys guarded; /* the machine's calls, with the permissions below */

/* The machine knows one owner of all its nodes; what single ones allow to others is kept here. */
static struct {
	char path[64];
	unsigned int mode;
} modes[MAX_MODES];

static bool allows_others(const char *path, bool *ret_known)
{
	for (int i = 0; i < MAX_MODES; i++)
		if (!strcmp(modes[i].path, path)) {
			*ret_known = true;
			return (modes[i].mode & 06) == 06;
		}
	*ret_known = false;
	return false;
}

static int guarded_open(void *ctx, const char *path, int flags)
{
	bool known, allowed = allows_others(path, &known);

	if (known && geteuid() != 0) {
		if (!allowed)
			return -EACCES;
		weir_sim_set_owner(machine, geteuid());
	}
	return weir_sim_sys(machine)->open(ctx, path, flags);
}

void os_begin(struct weir_sim *sim)
{
	machine = sim;
	memset(modes, 0, sizeof(modes));
	if (sim) {
		guarded = *weir_sim_sys(sim);
		guarded.open = guarded_open;
	}
}

void os_end(void)
{
	machine = NULL;
}

struct weir_sim *os_sim(void)
{
	return machine;
}

const struct weir_sys *os_sys(void)
{
	return machine ? &guarded : weir_sys_real();
}

/* Files ----------------------------------------------------------------------------------------------------------- */

int os_open(const char *path, int flags)
{
	return os_sys()->open(os_sys()->ctx, path, flags);
}

static void os_close(int fd)
{
	os_sys()->close(os_sys()->ctx, fd);
}

/* Some may be written only. */
bool os_exists(const char *path)
{
	int fd = os_open(path, O_RDONLY);

	if (fd >= 0)
		os_close(fd);
	return fd != -ENOENT && fd != -ENOTDIR;
}

int os_write_file(const char *path, const char *text)
{
	int fd = os_open(path, O_WRONLY);
	ssize_t done;

	if (fd < 0)
		return fd;
	done = os_sys()->write(os_sys()->ctx, fd, text, strlen(text));
	os_close(fd);
	return done < 0 ? (int)done : 0;
}

char *os_read_file(const char *path)
{
	int fd = os_open(path, O_RDONLY);
	char *text = NULL, part[4096];
	size_t size;
	ssize_t got;
	FILE *out;

	if (fd < 0)
		return NULL;
	out = open_memstream(&text, &size);
	while (out && (got = os_sys()->read(os_sys()->ctx, fd, part, sizeof(part))) > 0)
		fwrite(part, 1, (size_t)got, out);
	if (out)
		fclose(out);
	os_close(fd);
	return text;
}

/* A simulated machine has no hold on pages, and has to be told before they go. */
static int tell_machine(int fd, uint64_t start, uint64_t end)
{
	int error = machine ? sim_lock(machine) : 0;

	if (!machine || error)
		return error;
	error = sim_pages_leave(machine, fd, start, end);
	sim_unlock(machine);
	return error;
}

int os_truncate(int fd, uint64_t len)
{
	int error = tell_machine(fd, len, UINT64_MAX);

	return error || ftruncate(fd, (off_t)len) == 0 ? error : -errno;
}

int os_punch_hole(int fd, uint64_t offset, uint64_t len)
{
	int error = tell_machine(fd, offset, offset + len);

	return error || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
				  (off_t)len) == 0
		       ? error
		       : -errno;
}

void os_link_name(const char *path, char *ret_name, size_t size)
{
	char target[512];
	ssize_t len = os_sys()->readlink(os_sys()->ctx, path, target, sizeof(target) - 1);
	const char *name;

	target[len < 0 ? 0 : len] = '\0';
	name = strrchr(target, '/');
	snprintf(ret_name, size, "%s", name ? name + 1 : "");
}

void os_find_entry(const char *path, const char *prefix, char *ret_name, size_t size)
{
	static char names[LIST_SIZE];
	ssize_t len = os_sys()->list_dir(os_sys()->ctx, path, names, sizeof(names));

	*ret_name = '\0';
	for (const char *name = names; name < names + len && !*ret_name; name += strlen(name) + 1)
		if (!strncmp(name, prefix, strlen(prefix)))
			snprintf(ret_name, size, "%s", name);
}

/* Permissions ----------------------------------------------------------------------------------------------------- */

static unsigned int sim_chmod(const char *path, unsigned int mode)
{
	unsigned int old = 0600;
	int i = 0;

	while (i < MAX_MODES && *modes[i].path && strcmp(modes[i].path, path) != 0)
		i++;
	if (i == MAX_MODES)
		FAIL("modes of more than %d nodes", MAX_MODES);
	if (*modes[i].path)
		old = modes[i].mode;
	snprintf(modes[i].path, sizeof(modes[i].path), "%s", path);
	modes[i].mode = mode;
	return old;
}

unsigned int os_chmod(const char *path, unsigned int mode)
{
	struct stat status = { 0 };

	if (machine)
		return sim_chmod(path, mode);
	if (stat(path, &status) < 0 || chmod(path, mode) < 0)
		FAIL("%s: %m", path);
	return status.st_mode & 07777;
}

void os_hold_edu(const char *address, bool hold)
{
	if (machine)
		weir_sim_hang(weir_sim_find(machine, address), hold);
}

/* Processes ------------------------------------------------------------------------------------------------------- */

/* Nothing of the machine may be half done when it is copied. Its devices go on in both. */
pid_t os_fork(void)
{
	pid_t child;

	fflush(NULL);
	if (machine && weir_sim_stop(machine))
		FAIL("weir_sim_stop: %s", weir_error());
	child = fork();
	if (machine && weir_sim_start(machine))
		FAIL("weir_sim_start: %s", weir_error());
	return child;
}

/* The real kernel lets the writer wait. The simulated one does not, and what a child did to its copy would be lost. */
pid_t os_write_begin(const char *path, const char *text)
{
	pid_t child;

	if (machine)
		return os_write_file(path, text);
	child = os_fork();
	if (child < 0)
		FAIL("fork: %m");
	if (child)
		return child;
	/* The descriptors that it inherited would keep the device open, too. */
	closefrom(STDERR_FILENO + 1);
	_exit(os_write_file(path, text) ? T_CHILD_FAILED : 0);
}

int os_write_end(pid_t writer)
{
	int status = 0;

	if (machine)
		return writer;
	if (waitpid(writer, &status, 0) != writer)
		return -errno;
	return status;
}
