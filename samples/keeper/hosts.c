// SPDX-License-Identifier: MIT
#include "keeper/hosts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "report.h"

/* How long a successor may take for each of its words; others are not heard meanwhile. */
#define GIVE_TIMEOUT_MS 5000

/* Connections ---------------------------------------------------------------------------------------------- */

bool hosts_add_caller(struct hosts *hosts, int fd, uid_t uid, uint64_t now_ms)
{
	if (hosts->num_callers == MAX_CALLERS)
		return false;
	hosts->callers[hosts->num_callers++] =
		(struct caller){ .fd = fd, .uid = uid, .deadline_ms = now_ms + CALLER_MS };
	return true;
}

/* The connection itself is somebody else's now, or closed. */
static void forget_caller(struct hosts *hosts, struct caller *caller)
{
	*caller = hosts->callers[--hosts->num_callers];
}

void hosts_drop_caller(struct hosts *hosts, struct caller *caller)
{
	close(caller->fd);
	forget_caller(hosts, caller);
}

/* Who does not read its answer does not get it. */
__attribute__((format(printf, 3, 4))) static int answer(int fd, int error, const char *format, ...)
{
	struct keeper_reply reply = { .error = error };
	va_list args;

	va_start(args, format);
	vsnprintf(reply.text, sizeof reply.text, format, args);
	va_end(args);
	if (error)
		report(LOG_WARNING, "refused: %s", reply.text);
	return send(fd, &reply, sizeof reply, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : error;
}

/* Hosts ---------------------------------------------------------------------------------------------------- */

void hosts_drop(struct hosts *hosts, struct kept_host *host)
{
	weir_kept_close(host->kept);
	if (host->fd >= 0)
		close(host->fd);
	*host = hosts->all[--hosts->num];
}

void hosts_drop_all(struct hosts *hosts)
{
	while (hosts->num)
		hosts_drop(hosts, &hosts->all[0]);
	while (hosts->num_callers)
		hosts_drop_caller(hosts, &hosts->callers[0]);
}

void hosts_take_in(struct hosts *hosts, struct kept_host *host)
{
	int r = weir_kept_take_in(host->kept, host->fd);

	if (r == 0)
		return;
	close(host->fd);
	host->fd = -1;
	if (r == -EPIPE) {
		report(LOG_INFO, "%s: its process has ended; what it had waits for a successor", host->name);
		return;
	}
	report(LOG_WARNING, "%s: what came is not to be understood (%s): kept no more", host->name,
	       weir_error());
	hosts_drop(hosts, host);
}

static struct kept_host *find(struct hosts *hosts, uid_t uid, const char *name)
{
	for (uint32_t i = 0; i < hosts->num; i++)
		if (hosts->all[i].uid == uid && !strcmp(hosts->all[i].name, name))
			return &hosts->all[i];
	return NULL;
}

/* The connection is the host's from here on. Returns 0, or with an answer given the error. */
static int keep(struct hosts *hosts, const struct caller *caller, const char *name)
{
	struct kept_host host = { .uid = caller->uid, .fd = caller->fd };
	int r;

	if (find(hosts, caller->uid, name))
		return answer(caller->fd, -EEXIST, "'%s' is kept already: take it, or have it dropped", name);
	if (hosts->num == MAX_HOSTS)
		return answer(caller->fd, -EMFILE, "the keeper has %d hosts, which is all it keeps",
			      MAX_HOSTS);
	memcpy(host.name, name, sizeof host.name);
	r = weir_kept_open(NULL, &host.kept);
	if (r < 0)
		return answer(caller->fd, r, "the keeper is short of memory");
	r = answer(caller->fd, 0, "go on");
	if (r < 0) {
		weir_kept_close(host.kept);
		return r;
	}
	hosts->all[hosts->num++] = host;
	report(LOG_INFO, "user %u: '%s' is kept", caller->uid, name);
	return 0;
}

/* Its messages may still be unread, and its end behind them. */
static bool lives(struct hosts *hosts, const char *name, uid_t uid)
{
	struct kept_host *host = find(hosts, uid, name);
	char byte;

	while (host && host->fd >= 0) {
		ssize_t got = recv(host->fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);

		if (got < 0 && errno == EAGAIN)
			return true;
		hosts_take_in(hosts, host);
		host = find(hosts, uid, name);
	}
	return false;
}

static void give(struct hosts *hosts, const struct caller *caller, const char *name)
{
	struct weir_handover_opts opts = WEIR_OPTS(weir_handover_opts, .timeout_ms = GIVE_TIMEOUT_MS);
	struct kept_host *host = find(hosts, caller->uid, name);
	int r;

	if (host && lives(hosts, name, caller->uid)) {
		answer(caller->fd, -EBUSY, "the process of '%s' lives", name);
		return;
	}
	host = find(hosts, caller->uid, name);
	if (!host) {
		answer(caller->fd, -ENOENT, "nothing is kept for user %u as '%s'", caller->uid, name);
		return;
	}
	if (answer(caller->fd, 0, "here it comes") < 0)
		return;
	r = weir_kept_give(host->kept, caller->fd, &opts);
	if (r < 0) {
		report(LOG_WARNING, "'%s' could not be given (%s): kept on", name, weir_error());
		return;
	}
	report(LOG_INFO, "'%s' has a successor", name);
	hosts_drop(hosts, host);
}

static void drop(struct hosts *hosts, const struct caller *caller, const char *name)
{
	struct kept_host *host = find(hosts, caller->uid, name);

	if (!host) {
		answer(caller->fd, -ENOENT, "nothing is kept for user %u as '%s'", caller->uid, name);
		return;
	}
	report(LOG_INFO, "user %u: '%s' is dropped", caller->uid, name);
	hosts_drop(hosts, host);
	answer(caller->fd, 0, "dropped");
}

static bool make_sense(const struct keeper_request *request, ssize_t len)
{
	return len == (ssize_t)sizeof *request &&
	       !memcmp(request->magic, KEEPER_MAGIC, sizeof request->magic) &&
	       request->version == KEEPER_VERSION && request->wish >= KEEPER_KEEP &&
	       request->wish <= KEEPER_DROP && request->name[0] &&
	       memchr(request->name, '\0', sizeof request->name);
}

/* Names are shown in the log: they are to be harmless there. */
static void make_plain(char *name)
{
	for (; *name; name++)
		if (*name <= ' ' || *name > '~')
			*name = '?';
}

void hosts_hear(struct hosts *hosts, struct caller *caller)
{
	struct keeper_request request = { 0 };
	ssize_t len = recv(caller->fd, &request, sizeof request, MSG_DONTWAIT | MSG_TRUNC);

	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (len > 0 && !make_sense(&request, len))
		answer(caller->fd, -EPROTO, "that is no request to weir-keeper, version %d", KEEPER_VERSION);
	else if (len > 0) {
		make_plain(request.name);
		if (request.wish == KEEPER_KEEP && keep(hosts, caller, request.name) == 0) {
			forget_caller(hosts, caller);
			return;
		}
		if (request.wish == KEEPER_TAKE)
			give(hosts, caller, request.name);
		if (request.wish == KEEPER_DROP)
			drop(hosts, caller, request.name);
	}
	hosts_drop_caller(hosts, caller);
}
