// SPDX-License-Identifier: MIT
#include "socket.h"

#include "report.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* Remove a socket on which nobody listens any more. Anything else stays, and bind() says so. */
static void remove_stale(const struct sockaddr_un *address)
{
	struct stat file;
	int fd;

	if (lstat(address->sun_path, &file) < 0 || !S_ISSOCK(file.st_mode))
		return;
	fd = new_socket();
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 && errno == ECONNREFUSED)
		unlink(address->sun_path);
	close(fd);
}

/* The file has its mode from the beginning: no moment in which anybody could connect who should not. */
static int bind_with_mode(int fd, const struct sockaddr_un *address, mode_t mode)
{
	mode_t before = umask(0777 & ~mode);
	int error = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

	umask(before);
	return error;
}

int listening_open(const char *path, mode_t mode, struct listening *ret_listening)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct listening listening = { .path = path };
	int error;

	if (!*path || strlen(path) >= sizeof(address.sun_path)) {
		report(LOG_ERR, "--socket: a path of 1 to %zu bytes, please", sizeof(address.sun_path) - 1);
		return -EINVAL;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	remove_stale(&address);

	listening.fd = new_socket();
	if (listening.fd < 0)
		return listening.fd;
	error = bind_with_mode(listening.fd, &address, mode);
	if (!error && (listen(listening.fd, BACKLOG) < 0 || lstat(path, &listening.file) < 0)) {
		error = -errno;
		unlink(path);
	}
	if (error) {
		report(LOG_ERR, "cannot listen at %s: %s", path, strerror(-error));
		close(listening.fd);
		return error;
	}
	*ret_listening = listening;
	return 0;
}

void listening_close(struct listening *listening)
{
	struct stat file;

	close(listening->fd);
	if (lstat(listening->path, &file) < 0 || file.st_dev != listening->file.st_dev ||
	    file.st_ino != listening->file.st_ino)
		return;
	if (unlink(listening->path) < 0)
		report(LOG_WARNING, "cannot remove %s: %s", listening->path, strerror(errno));
}
