// SPDX-License-Identifier: MIT
/*
 * Programs that a preloaded library does not get into: the dynamic linker is not there, or ignores it
 * because the program has more privileges than who starts it (ld.so(8), secure-execution mode).
 */
#include "sim/preload/target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "error.h"

enum { MOST_SCRIPTS = 5, LINE_SIZE = 256, PATH_SIZE = 4096 };

#if defined(__x86_64__)
enum { OUR_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { OUR_MACHINE = EM_AARCH64 };
#else
enum { OUR_MACHINE = EM_NONE };
#endif

/* Finding ------------------------------------------------------------------------------------------------ */

static bool is_program(const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return false;
	if (S_ISDIR(status.st_mode)) {
		errno = EACCES;
		return false;
	}
	return access(path, X_OK) == 0;
}

char *sim_target_find(const char *program)
{
	const char *directories = getenv("PATH");
	char path[PATH_SIZE];
	int error = ENOENT;

	if (strchr(program, '/'))
		return is_program(program) ? strdup(program) : NULL;
	for (const char *at = directories ? directories : "/usr/local/bin:/usr/bin:/bin"; at;) {
		size_t len = strcspn(at, ":");

		snprintf(path, sizeof(path), "%.*s/%s", len ? (int)len : 1, len ? at : ".", program);
		if (is_program(path))
			return strdup(path);
		error = errno == EACCES ? EACCES : error;
		at = at[len] ? at + len + 1 : NULL;
	}
	errno = error;
	return NULL;
}

/* Privileges --------------------------------------------------------------------------------------------- */

static int check_privileges(const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return weir_fail(-errno, "%s: %m", path);
	if ((status.st_mode & S_ISUID && status.st_uid != geteuid()) ||
	    (status.st_mode & S_ISGID && status.st_gid != getegid()))
		return weir_fail(
			-EPERM,
			"%s is set-user-ID or set-group-ID: the dynamic linker preloads nothing into "
			"such programs. Use a copy without that bit: the simulated host needs no privileges",
			path);
	if (geteuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0)
		return weir_fail(-EPERM,
				 "%s has file capabilities: the dynamic linker preloads nothing into such "
				 "programs. Use a copy without them: the simulated host needs no privileges",
				 path);
	return 0;
}

/* ELF ---------------------------------------------------------------------------------------------------- */

static int check_kind(const char *path, const Elf64_Ehdr *head)
{
	if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_machine != OUR_MACHINE)
		return weir_fail(-ENOEXEC,
				 "%s is for another kind of processor than the simulated host was built for",
				 path);
	if (head->e_type != ET_EXEC && head->e_type != ET_DYN)
		return weir_fail(-ENOEXEC, "%s is an ELF file, but not a program", path);
	return 0;
}

static int check_elf(const char *path, int fd, const Elf64_Ehdr *head)
{
	int error = check_kind(path, head);

	for (unsigned int i = 0; i < head->e_phnum && !error; i++) {
		Elf64_Phdr segment;
		off_t at = (off_t)(head->e_phoff + (uint64_t)i * head->e_phentsize);

		if (pread(fd, &segment, sizeof(segment), at) != sizeof(segment))
			return weir_fail(-ENOEXEC, "%s is cut off in its program headers", path);
		if (segment.p_type == PT_INTERP)
			return 0;
	}
	if (error)
		return error;
	return weir_fail(
		-ENOEXEC,
		"%s is linked statically: a library cannot be preloaded into it, and its system calls cannot "
		"be seen. Link it dynamically, or give it a struct weir_sys (weir/sim.h)",
		path);
}

/* Scripts ------------------------------------------------------------------------------------------------ */

/* The interpreter's name in a first line "#! /bin/sh -e". */
static char *interpreter(const char *line)
{
	const char *start = line + 2 + strspn(line + 2, " \t");

	return strndup(start, strcspn(start, " \t\n"));
}

static int check_file(const char *path, unsigned int depth);

static int check_script(const char *line, unsigned int depth)
{
	char *name = interpreter(line);
	int error = name ? check_file(name, depth + 1) : weir_fail(-ENOMEM, "no memory");

	free(name);
	return error;
}

static int check_content(const char *path, int fd, unsigned int depth)
{
	union {
		Elf64_Ehdr elf;
		char line[LINE_SIZE];
	} head;
	ssize_t len;

	memset(&head, 0, sizeof(head));
	len = pread(fd, &head, sizeof(head) - 1, 0);
	if (len < 0)
		return weir_fail(-errno, "%s: %m", path);
	if (len >= (ssize_t)sizeof(head.elf) && !memcmp(head.elf.e_ident, ELFMAG, SELFMAG))
		return check_elf(path, fd, &head.elf);
	if (!strncmp(head.line, "#!", 2) && depth < MOST_SCRIPTS)
		return check_script(head.line, depth);
	return weir_fail(-ENOEXEC, "%s is neither a program nor a script that names its interpreter", path);
}

static int check_file(const char *path, unsigned int depth)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error = 0;

	/* What may be executed but not read is not for us to judge. */
	if (fd < 0 && errno != EACCES)
		return weir_fail(-errno, "%s: %m", path);
	if (fd >= 0) {
		error = check_content(path, fd, depth);
		close(fd);
	}
	return error ? error : check_privileges(path);
}

int sim_target_check(const char *path)
{
	return check_file(path, 0);
}
