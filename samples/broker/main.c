// SPDX-License-Identifier: MIT
/* weir-broker: opens device nodes for programs that may not. See docs/broker.md. */
#include "privilege.h"
#include "report.h"
#include "server.h"
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct options {
	const char *socket;
	mode_t mode;
	uint32_t backend;
	struct policy policy;
	bool once;
	bool foreground;
};

static const char usage_text[] =
	"usage: weir-broker --socket PATH --allow UID:ADDRESS[,ADDRESS...] [--allow ...] [OPTION...]\n"
	"\n"
	"Opens PCI devices that are bound to vfio-pci for programs that may not, and hands them the "
	"descriptors.\n"
	"\n"
	"  --socket PATH        where to listen\n"
	"  --allow UID:ADDRESS  a user, by number, and the devices (0000:01:00.0) that are for it\n"
	"  --socket-mode MODE   permissions of the socket, octal (default 0666: --allow decides, not the "
	"file)\n"
	"  --backend NAME       give out auto, iommufd, type1 or compat (default auto: what the client asks "
	"for,\n"
	"                       else iommufd where the machine has it)\n"
	"  --once               end when the first client that was given a device has gone\n"
	"  --foreground         stay, and report on standard error; otherwise go to the background once the "
	"socket\n"
	"                       is there, and report to the system log\n";

static int bad_usage(const char *what, const char *value)
{
	fprintf(stderr, "weir-broker: %s%s%s\n(weir-broker --help says more)\n", what, *value ? ": " : "",
		value);
	return -EINVAL;
}

static int read_mode(const char *text, mode_t *ret_mode)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (!*text || *end || mode > 0777)
		return bad_usage("--socket-mode takes an octal number up to 0777", text);
	*ret_mode = (mode_t)mode;
	return 0;
}

static int read_backend(const char *text, uint32_t *ret_backend)
{
	static const char *const names[] = {
		[WEIR_BACKEND_AUTO] = "auto",
		[WEIR_BACKEND_IOMMUFD] = "iommufd",
		[WEIR_BACKEND_TYPE1] = "type1",
		[WEIR_BACKEND_COMPAT] = "compat",
	};

	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			*ret_backend = i;
			return 0;
		}
	}
	return bad_usage("--backend takes auto, iommufd, type1 or compat", text);
}

static int read_allow(const char *text, struct policy *policy)
{
	const char *wrong = policy_add(policy, text);
	char what[128];

	if (!wrong)
		return 0;
	snprintf(what, sizeof(what), "--allow takes UID:ADDRESS[,ADDRESS...], and %s", wrong);
	return bad_usage(what, text);
}

static int read_option(int option, const char *value, struct options *options)
{
	switch (option) {
	case 's':
		options->socket = value;
		return 0;
	case 'm':
		return read_mode(value, &options->mode);
	case 'b':
		return read_backend(value, &options->backend);
	case 'a':
		return read_allow(value, &options->policy);
	case 'o':
		options->once = true;
		return 0;
	case 'f':
		options->foreground = true;
		return 0;
	case 'h':
		fputs(usage_text, stdout);
		exit(EXIT_SUCCESS);
	default:
		return -EINVAL;
	}
}

static int read_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{ "socket", required_argument, NULL, 's' },  { "socket-mode", required_argument, NULL, 'm' },
		{ "backend", required_argument, NULL, 'b' }, { "allow", required_argument, NULL, 'a' },
		{ "once", no_argument, NULL, 'o' },          { "foreground", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },          { 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
		int error = read_option(option, optarg, options);

		if (error)
			return error;
	}
	if (optind < argc)
		return bad_usage("what is this", argv[optind]);
	if (!options->socket)
		return bad_usage("--socket is missing: where shall it listen?", "");
	if (!options->policy.num_rules)
		return bad_usage("--allow is missing: nobody could be given anything", "");
	return 0;
}

/* The ending signals as something to poll for. They stay blocked: none of them ends the broker at another
 * place. */
static int open_signals(void)
{
	sigset_t ending;

	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGHUP);
	sigprocmask(SIG_BLOCK, &ending, NULL);
	return signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The one who started the broker may go on when the socket is there, and it is there now. */
static int go_to_background(void)
{
	int null, error = 0;
	pid_t child = fork();

	if (child < 0)
		return -errno;
	if (child > 0)
		_exit(EXIT_SUCCESS);
	setsid();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return -errno;
	report_to_syslog();
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (dup2(null, fd) < 0)
			error = -errno;
	if (null > STDERR_FILENO)
		close(null);
	return error;
}

static int serve(const struct options *options, const struct listening *listening)
{
	static const struct machine machine = { .sysfs = "/sys", .dev = "/dev" };
	struct server_config config = {
		.listener = listening->fd,
		.signals = open_signals(),
		.machine = &machine,
		.policy = &options->policy,
		.backend = options->backend,
		.once = options->once,
	};
	int error = 0;

	if (config.signals < 0)
		return -errno;
	if (!options->foreground)
		error = go_to_background();
	if (!error)
		error = server_run(&config);
	close(config.signals);
	return error;
}

int main(int argc, char **argv)
{
	struct options options = { .mode = 0666 };
	struct listening listening;
	int error = read_options(argc, argv, &options);

	if (error) {
		policy_free(&options.policy);
		return 2;
	}
	error = listening_open(options.socket, options.mode, &listening);
	if (!error) {
		/* First of all: no client is heard before. */
		error = privilege_drop();
		if (!error) {
			error = serve(&options, &listening);
			if (error)
				report(LOG_ERR, "%s", strerror(-error));
		}
		listening_close(&listening);
	}
	policy_free(&options.policy);
	return error ? EXIT_FAILURE : EXIT_SUCCESS;
}
