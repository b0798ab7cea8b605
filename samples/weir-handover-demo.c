/* SPDX-License-Identifier: MIT */
/*
 * weir-handover-demo: read a whole NVMe namespace, and be replaced by another process in the middle of it, with requests in flight: by a
 * program in the place of this one (exec), by another process over a socket, or, when it was killed, by one that a weir-keeper gives
 * everything to. The device is not reset, and the SHA-256 at the end is that of the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/progress.h"
#include "common/sha256.h"
#include "common/units.h"
#include "handover/keeper.h"
#include "handover/options.h"
#include "handover/reading.h"

extern char **environ;

/* Many mappings on the container take their time. */
static const struct weir_handover_opts patience = { .size = sizeof patience, .timeout_ms = 60000 };

static int complain(int error, const char *what, const char *why)
{
	fprintf(stderr, "weir-handover-demo: %s: %s\n", what, why);
	return error;
}

/* Kept ----------------------------------------------------------------------------------------------------- */

/* From here on the keeper has a copy of all that is open. One that it may have of a predecessor's is of no use any more. */
static int be_kept(const struct options *options, struct weir_host *host)
{
	char text[256];
	int fd, r;

	if (!options->keeper)
		return 0;
	fd = keeper_connect(options->keeper, KEEPER_DROP, options->name, text, sizeof text);
	if (fd >= 0)
		close(fd);
	fd = keeper_connect(options->keeper, KEEPER_KEEP, options->name, text, sizeof text);
	if (fd < 0)
		return complain(fd, "the keeper", text);
	r = weir_handover_keep(host, fd);
	return r < 0 ? complain(r, "the keeper", weir_error()) : 0;
}

/* Beginning ------------------------------------------------------------------------------------------------ */

static int open_host(const struct options *options, struct weir_host **ret_host)
{
	struct weir_host_opts opts =
		WEIR_OPTS(weir_host_opts, .backend = options->backend, .flags = WEIR_HOST_JOURNAL);

	if (options->broker)
		return weir_host_open_broker(options->broker, options->address, &opts, ret_host);
	return weir_host_open(&opts, ret_host);
}

/* What else a driver may have mapped: so many pages of a file, each by itself. They live as long as the space. */
static int map_more(struct weir_ioas *ioas, uint32_t num)
{
	uint64_t started = nanoseconds_now();
	struct weir_map *map;
	int fd, r = 0;

	if (num == 0)
		return 0;
	fd = memfd_create("more", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)num * 4096) < 0)
		return complain(-errno, "more mappings", strerror(errno));
	for (uint32_t i = 0; i < num && r == 0; i++)
		r = weir_ioas_map_file(ioas, fd, (uint64_t)i * 4096, 4096, NULL, &map);
	close(fd);
	if (r < 0)
		return complain(r, "more mappings", weir_error());
	printf("Mapped    %u pages in %.3f ms\n", num, (double)(nanoseconds_now() - started) / 1e6);
	fflush(stdout);
	return 0;
}

static int begin(const struct options *options, struct reading *reading)
{
	struct weir_ioas *ioas;
	int r = open_host(options, &reading->host);

	if (r < 0)
		return complain(r, options->address, weir_error());
	r = be_kept(options, reading->host);
	if (r < 0)
		return r;
	r = weir_ioas_open(reading->host, NULL, &ioas);
	if (r == 0)
		r = weir_device_open(ioas, options->address, NULL, &reading->device);
	if (r < 0)
		return complain(r, options->address, weir_error());
	r = map_more(ioas, options->mappings);
	if (r < 0)
		return r;
	r = nvme_controller_open(reading->device, NULL, &reading->controller);
	if (r < 0)
		return complain(r, options->address, nvme_error());
	return reading_begin(reading, options->depth, options->request_size, options->namespace_id,
			     options->length);
}

/* Following ------------------------------------------------------------------------------------------------ */

/* @socket is the predecessor's, or the keeper's. */
static int follow(const struct options *options, int socket, bool killed, struct reading *reading)
{
	uint64_t gap;
	int r = weir_handover_receive(socket, &patience, &reading->host);

	if (r < 0)
		return complain(r, "taking over", weir_error());
	r = reading_restore(reading, options->address);
	if (r < 0) {
		weir_handover_refuse(reading->host, "what was read cannot be gone on with");
		return r;
	}
	r = weir_handover_finish(reading->host);
	if (r < 0)
		return complain(r, "taking over", weir_error());
	gap = nanoseconds_now() - reading->state->history.left_ns;
	if (killed)
		reading->state->history.killed++;
	else if (gap > reading->state->history.gap_ns)
		reading->state->history.gap_ns = gap;
	if (!killed)
		reading->state->history.done++;
	r = be_kept(options, reading->host);
	return r < 0 ? r : reading_take_up(reading);
}

static int resume(const struct options *options, struct reading *reading)
{
	char text[256];
	int fd = keeper_connect(options->keeper, KEEPER_TAKE, options->name, text, sizeof text);

	return fd < 0 ? complain(fd, "the keeper", text) : follow(options, fd, true, reading);
}

static int set_up(const struct options *options, struct reading *reading)
{
	const char *handed = getenv("WEIR_HANDOVER");
	int fd = handed ? atoi(handed) : -1;

	reading->output =
		open(options->output,
		     O_RDWR | O_CREAT | O_CLOEXEC | (handed || options->resume ? 0 : O_TRUNC), 0666);
	if (reading->output < 0) {
		complain(-errno, options->output, strerror(errno));
		return -EIO;
	}
	if (!handed)
		return options->resume ? resume(options, reading) : begin(options, reading);
	unsetenv("WEIR_HANDOVER");
	return follow(options, fd, false, reading);
}

/* Being followed ------------------------------------------------------------------------------------------- */

static int stop_answering(struct reading *reading)
{
	int r = nvme_controller_pause(reading->controller);

	reading->state->history.left_ns = nanoseconds_now();
	return r < 0 ? complain(r, "pausing", nvme_error()) : 0;
}

/* It did not work: this process goes on. */
static void go_on(struct reading *reading)
{
	complain(0, "the upgrade", weir_error());
	reading->state->history.failed++;
	nvme_controller_resume(reading->controller);
}

static int start_successor(const char *program, char **argv, int socket, pid_t *ret_child)
{
	char text[16];

	*ret_child = fork();
	if (*ret_child < 0)
		return -errno;
	if (*ret_child > 0)
		return 0;
	fcntl(socket, F_SETFD, 0);
	snprintf(text, sizeof text, "%d", socket);
	setenv("WEIR_HANDOVER", text, 1);
	execv(program, argv);
	_exit(127);
}

/* The terminal waits for this process: so it stays, with nothing to do, until its successor has ended. */
static void wait_for(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void hand_to_process(struct reading *reading, const struct options *options, char **argv)
{
	pid_t child;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ||
	    start_successor(options->successor, argv, pair[1], &child) < 0) {
		complain(0, "the upgrade", strerror(errno));
		reading->state->history.failed++;
		return;
	}
	close(pair[1]);
	if (stop_answering(reading) < 0 || weir_handover_give(reading->host, pair[0], &patience) < 0) {
		go_on(reading);
		close(pair[0]);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		return;
	}
	nvme_controller_forget(reading->controller);
	close(pair[0]);
	wait_for(child);
}

static void upgrade(struct reading *reading, const struct options *options, char **argv)
{
	if (options->way == WAY_SOCKET) {
		hand_to_process(reading, options, argv);
		return;
	}
	if (stop_answering(reading) == 0)
		weir_handover_exec(reading->host, options->successor, argv, environ, &patience);
	go_on(reading);
}

/*
 * With as many commands under way as there can be. Were there others that the queue had no room for, the successor could not tell them from commands
 * that got lost: then another time.
 */
static int upgrade_busy(struct reading *reading, const struct options *options, char **argv)
{
	int r = reading_fill(reading);

	if (r == 0 && reading->num_to_submit == 0)
		upgrade(reading, options, argv);
	return r;
}

static int read_all(struct reading *reading, const struct options *options, char **argv)
{
	uint64_t total = reading->state->ns.num_blocks;
	struct progress progress;
	int r = 0;

	progress_start(&progress, options->progress, total << reading->state->ns.block_shift);
	progress.start -= (double)(nanoseconds_now() - reading->state->history.started_ns) / 1e9;
	while (r == 0 && !reading_is_over(reading)) {
		uint64_t done = reading_blocks_done(reading);
		uint32_t upgrades = reading->state->history.done + reading->state->history.failed;

		progress_at(&progress, done << reading->state->ns.block_shift);
		if (upgrades < options->upgrades && done >= total / (options->upgrades + 1) * (upgrades + 1))
			r = upgrade_busy(reading, options, argv);
		if (r == 0)
			r = reading_step(reading);
		if (options->pause_us)
			usleep(options->pause_us);
	}
	progress_end(&progress);
	return r;
}

/* The end -------------------------------------------------------------------------------------------------- */

static int hash_output(int fd, uint64_t len, char text[SHA256_TEXT])
{
	static unsigned char buffer[1 << 16];
	EVP_MD_CTX *sha256 = sha256_new();
	uint64_t at = 0;

	if (!sha256)
		return -EOPNOTSUPP;
	while (at < len) {
		size_t wanted = len - at < sizeof buffer ? (size_t)(len - at) : sizeof buffer;
		ssize_t got = pread(fd, buffer, wanted, (off_t)at);

		if (got <= 0)
			break;
		sha256_add(sha256, buffer, (size_t)got);
		at += (uint64_t)got;
	}
	sha256_text(sha256, text);
	EVP_MD_CTX_free(sha256);
	return at == len ? 0 : complain(-EIO, "the output", "it is shorter than what was read");
}

/* A line of /proc/self/status, in KiB. */
static long kib(const char *name)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	long value = -1;

	while (file && fgets(line, sizeof line, file))
		if (!strncmp(line, name, strlen(name)))
			value = strtol(line + strlen(name), NULL, 10);
	if (file)
		fclose(file);
	return value;
}

/* What the kernel has this process pay for: pinned (iommufd) or locked (the container). */
static void report_charged(const struct reading *reading)
{
	struct weir_ioas_info info;

	if (weir_ioas_info(weir_device_ioas(reading->device), &info, sizeof info) == 0)
		printf("Charged   pinned %ld KiB, locked %ld KiB, of %" PRIu64 " KiB mapped\n", kib("VmPin:"),
		       kib("VmLck:"), info.mapped_bytes / 1024);
}

static void report_history(const struct reading_state *state)
{
	printf("Upgrades  %u, failed %u, killed and followed %u, delivered again %" PRIu64
	       ", submitted again %u\n",
	       state->history.done, state->history.failed, state->history.killed, state->history.again,
	       state->history.resubmitted);
	if (state->history.done || state->history.killed)
		printf("In flight %u commands in all, %u of them still when a successor looked\n",
		       state->history.in_flight, state->history.outlasted);
}

/* Out at once: who kills this process from here on does not interrupt a reading. */
static int report(const struct reading *reading)
{
	const struct reading_state *state = reading->state;
	uint64_t len = state->ns.num_blocks << state->ns.block_shift;
	char sum[SHA256_TEXT];
	int r = hash_output(reading->output, len, sum);

	if (r < 0)
		return r;
	printf("Read      %s in %s\n", unit_size((double)len).text,
	       unit_time((double)(nanoseconds_now() - state->history.started_ns) / 1e9).text);
	printf("SHA-256   %s\n", sum);
	report_history(state);
	report_charged(reading);
	if (state->clock)
		printf("Reset     %s\n", reading_clock_runs(reading)
						 ? "none: the controller's clock runs as it was set"
						 : "the controller was reset");
	if (state->history.gap_ns)
		printf("Nobody    could have answered for %.3f ms at most\n",
		       (double)state->history.gap_ns / 1e6);
	fflush(stdout);
	return 0;
}

static int close_all(struct reading *reading)
{
	struct weir_ioas *ioas = reading->device ? weir_device_ioas(reading->device) : NULL;
	int r = nvme_controller_close(reading->controller);

	if (r < 0)
		complain(r, "closing", nvme_error());
	weir_memory_close(reading->memory);
	weir_device_close(reading->device);
	weir_ioas_close(ioas);
	weir_host_close(reading->host);
	return r;
}

int main(int argc, char **argv)
{
	struct options options;
	struct reading reading = { 0 };
	int r;

	setlocale(LC_CTYPE, "");
	options_read(argc, argv, &options);
	if (set_up(&options, &reading) < 0)
		return 1;
	r = read_all(&reading, &options, argv);
	if (r == 0)
		r = report(&reading);
	if (r == 0)
		r = close_all(&reading);
	return r < 0 ? 3 : 0;
}
