// SPDX-License-Identifier: MIT
/*
 * weir-keeper: keeps the descriptors and journals of drivers, so that one that was killed can be followed by another without a reset.
 * See docs/keeper.md.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/privileges.h"
#include "keeper/hosts.h"
#include "report.h"
#include "socket.h"

#define MAX_USERS 16

struct options {
	const char *socket;
	uint32_t num_users;
	uid_t users[MAX_USERS]; /* who is served; the keeper's own user always is */
};

static const char usage_text[] =
	"usage: weir-keeper --socket PATH [--allow UID...]\n"
	"\n"
	"Keeps what drivers have open, so that a driver that was killed can be followed without a reset.\n"
	"\n"
	"  --socket PATH  where to listen, mode 0600 (with --allow: 0666; the user of who connects decides)\n"
	"  --allow UID    a user, by number, that is served beside the keeper's own\n";

static int bad_usage(const char *what)
{
	fprintf(stderr, "weir-keeper: %s\n%s", what, usage_text);
	return -EINVAL;
}

static int read_user(const char *text, struct options *options)
{
	char *end;
	unsigned long uid = strtoul(text, &end, 10);

	if (!*text || *end || uid >= UINT32_MAX || options->num_users == MAX_USERS)
		return bad_usage("--allow takes a user's number, 16 times at most");
	options->users[options->num_users++] = (uid_t)uid;
	return 0;
}

static int read_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "allow", required_argument, NULL, 'a' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option, error;

	while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
		error = 0;
		if (option == 'h') {
			fputs(usage_text, stdout);
			exit(EXIT_SUCCESS);
		}
		if (option == 's')
			options->socket = optarg;
		else if (option == 'a')
			error = read_user(optarg, options);
		else
			return -EINVAL;
		if (error)
			return error;
	}
	return options->socket && optind == argc ? 0
						 : bad_usage("--socket is missing, or something is too many");
}

static bool is_served(const struct options *options, uid_t uid)
{
	for (uint32_t i = 0; i < options->num_users; i++)
		if (options->users[i] == uid)
			return true;
	return uid == geteuid();
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void accept_caller(struct hosts *hosts, const struct options *options, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (fd < 0) {
		/* Else the same connection would wake the loop at once, for ever. */
		if (errno == EMFILE || errno == ENFILE)
			nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || !is_served(options, peer.uid)) {
		report(LOG_WARNING, "somebody who is not served was turned away");
		close(fd);
	} else if (!hosts_add_caller(hosts, fd, peer.uid, now_ms())) {
		report(LOG_WARNING, "too many connections");
		close(fd);
	}
}

/* What to wait for: signals, listener, hosts, callers, in this order. Returns how many. */
static nfds_t prepare(const struct hosts *hosts, int signals, int listener, struct pollfd *fds)
{
	nfds_t num = 0;

	fds[num++] = (struct pollfd){ .fd = signals, .events = POLLIN };
	fds[num++] = (struct pollfd){ .fd = listener, .events = POLLIN };
	for (uint32_t i = 0; i < hosts->num; i++)
		fds[num++] = (struct pollfd){ .fd = hosts->all[i].fd, .events = POLLIN };
	for (uint32_t i = 0; i < hosts->num_callers; i++)
		fds[num++] = (struct pollfd){ .fd = hosts->callers[i].fd, .events = POLLIN };
	return num;
}

static struct kept_host *host_of(struct hosts *hosts, int fd)
{
	for (uint32_t i = 0; i < hosts->num; i++)
		if (hosts->all[i].fd == fd)
			return &hosts->all[i];
	return NULL;
}

static struct caller *caller_of(struct hosts *hosts, int fd)
{
	for (uint32_t i = 0; i < hosts->num_callers; i++)
		if (hosts->callers[i].fd == fd)
			return &hosts->callers[i];
	return NULL;
}

/* Hosts first: what they say may decide what a caller gets. By descriptor, for the tables change on the way. */
static void handle(struct hosts *hosts, const struct pollfd *fds, nfds_t num)
{
	for (nfds_t i = 2; i < num; i++) {
		struct kept_host *host = host_of(hosts, fds[i].fd);

		if (fds[i].fd >= 0 && fds[i].revents && host)
			hosts_take_in(hosts, host);
	}
	for (nfds_t i = 2; i < num; i++) {
		struct caller *caller = caller_of(hosts, fds[i].fd);

		if (!caller || fds[i].fd < 0)
			continue;
		if (fds[i].revents)
			hosts_hear(hosts, caller);
		else if (now_ms() >= caller->deadline_ms)
			hosts_drop_caller(hosts, caller);
	}
}

static void serve(const struct options *options, int listener, int signals)
{
	static struct hosts hosts;
	struct pollfd fds[2 + MAX_HOSTS + MAX_CALLERS];

	for (;;) {
		nfds_t num = prepare(&hosts, signals, listener, fds);

		if (poll(fds, num, hosts.num_callers ? CALLER_MS / 4 : -1) < 0)
			continue;
		if (fds[0].revents)
			break;
		handle(&hosts, fds, num);
		if (fds[1].revents)
			accept_caller(&hosts, options, listener);
	}
	hosts_drop_all(&hosts);
}

static int open_signals(void)
{
	sigset_t ending;

	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGHUP);
	sigprocmask(SIG_BLOCK, &ending, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argc, char **argv)
{
	struct options options = { 0 };
	struct listening listening;
	int signals, error;

	report_as("weir-keeper");
	if (getauxval(AT_SECURE)) {
		report(LOG_ERR, "it may not be setuid, setgid or have file capabilities");
		return 2;
	}
	if (read_options(argc, argv, &options))
		return 2;
	error = listening_open(options.socket, options.num_users ? 0666 : 0600, &listening);
	if (error)
		return EXIT_FAILURE;
	signals = open_signals();
	error = signals < 0 ? -errno : privileges_drop();
	if (error)
		report(LOG_ERR, "privileges could not be dropped: %s", strerror(-error));
	else
		serve(&options, listening.fd, signals);
	listening_close(&listening);
	return error ? EXIT_FAILURE : EXIT_SUCCESS;
}
