// SPDX-License-Identifier: MIT
#include "broker_bench.h"

#include "socket.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

void bench_shell(struct bench *bench, const char *format, ...)
{
	char command[512];
	int used = snprintf(command, sizeof(command), "cd %s && ", bench->root);
	va_list args;

	va_start(args, format);
	vsnprintf(command + used, sizeof(command) - (size_t)used, format, args);
	va_end(args);
	ASSERT_EQ(0, system(command));
}

void bench_add_device(struct bench *bench, const char *address, int group, const char *driver, int cdev)
{
	bench_shell(bench,
		    "d=sys/bus/pci/devices/%s g=sys/kernel/iommu_groups/%d; mkdir -p $d $g/devices && "
		    "ln -s ../../../../kernel/iommu_groups/%d $d/iommu_group && "
		    "ln -s ../../../../bus/pci/devices/%s $g/devices/%s && "
		    "ln -s ../../drivers/%s $d/driver && echo vfio/%d >dev/vfio/%d",
		    address, group, group, address, address, driver, group, group);
	if (cdev >= 0)
		bench_shell(bench,
			    "d=sys/bus/pci/devices/%s/vfio-dev/vfio%d; mkdir -p $d && echo 1:2 >$d/dev && "
			    "echo vfio/devices/vfio%d >dev/vfio/devices/vfio%d",
			    address, cdev, cdev, cdev);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
	(void)info;
	(void)type;
	(void)where;
	return remove(path);
}

static void end_bench(void *arg)
{
	struct bench *bench = arg;

	if (bench->server > 0) {
		kill(bench->server, SIGKILL);
		waitpid(bench->server, NULL, 0);
	}
	nftw(bench->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	policy_free(&bench->policy);
	free(bench);
}

struct bench *bench_new(struct t *t)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	char list[128];

	ASSERT_TRUE(bench);
	snprintf(bench->root, sizeof(bench->root), "/tmp/weir-broker-test.XXXXXX");
	ASSERT_TRUE(mkdtemp(bench->root));
	t_defer(t, end_bench, bench);
	snprintf(bench->sysfs, sizeof(bench->sysfs), "%s/sys", bench->root);
	snprintf(bench->dev, sizeof(bench->dev), "%s/dev", bench->root);
	snprintf(bench->socket, sizeof(bench->socket), "%s/socket", bench->root);
	bench->machine = (struct machine){ .sysfs = bench->sysfs, .dev = bench->dev };

	bench_shell(
		bench,
		"mkdir -p sys dev/vfio/devices && echo iommu >dev/iommu && echo vfio/vfio >dev/vfio/vfio");
	bench_add_device(bench, "0000:01:00.0", 11, "vfio-pci", 1);
	bench_add_device(bench, "0000:02:00.0", 12, "vfio-pci", -1);
	bench_add_device(bench, "0000:03:00.0", 13, "vfio-pci", 3);
	bench_add_device(bench, "0000:03:00.1", 13, "vfio-pci", 4);
	snprintf(list, sizeof(list), "%u:01:00.0,02:00.0,03:00.0,05:00.0,06:00.0", getuid());
	ASSERT_TRUE(!policy_add(&bench->policy, list));
	return bench;
}

void bench_allow(struct bench *bench, const char *address)
{
	char list[64];

	snprintf(list, sizeof(list), "%u:%s", getuid(), address);
	ASSERT_TRUE(!policy_add(&bench->policy, list));
}

static int serve(struct bench *bench, struct listening *listening)
{
	struct server_config config = { .listener = listening->fd,
					.machine = &bench->machine,
					.policy = &bench->policy,
					.backend = bench->backend,
					.once = bench->once };
	sigset_t ending;
	int error;

	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigprocmask(SIG_BLOCK, &ending, NULL);
	config.signals = signalfd(-1, &ending, SFD_CLOEXEC);
	if (!freopen("/dev/null", "w", stderr))
		return 1;
	error = server_run(&config);
	close(config.signals);
	listening_close(listening);
	return error ? 1 : 0;
}

void bench_start(struct bench *bench)
{
	struct listening listening;

	ASSERT_OK(listening_open(bench->socket, 0600, &listening));
	bench->server = fork();
	if (!bench->server)
		_exit(serve(bench, &listening));
	close(listening.fd);
	ASSERT_TRUE(bench->server > 0);
}

int bench_wait(struct bench *bench)
{
	int status = -1;

	ASSERT_EQ(bench->server, waitpid(bench->server, &status, 0));
	bench->server = 0;
	return status;
}

static void close_later(void *arg)
{
	int *fd = arg;

	if (*fd >= 0)
		close(*fd);
	free(fd);
}

int *client_connect(struct t *t, struct bench *bench)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int *fd = malloc(sizeof(*fd));

	ASSERT_TRUE(fd);
	*fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	t_defer(t, close_later, fd);
	memcpy(address.sun_path, bench->socket, strlen(bench->socket) + 1);
	ASSERT_EQ(0, connect(*fd, (struct sockaddr *)&address, sizeof(address)));
	return fd;
}

void client_disconnect(int *fd)
{
	close(*fd);
	*fd = -1;
}

static void read_nodes(struct msghdr *message, struct got *got)
{
	struct cmsghdr *part = CMSG_FIRSTHDR(message);
	size_t used = 0;

	for (size_t i = 0; part && i < (part->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
		ssize_t len;
		int fd;

		memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(fd));
		len = read(fd, got->nodes + used, sizeof(got->nodes) - used - 1);
		close(fd);
		ASSERT_TRUE(len > 0);
		used += (size_t)len;
		got->nodes[used - 1] = ' ';
	}
}

ssize_t client_receive(int fd, struct got *ret_got)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * WEIR_BROKER_MAX_NODES)];
	} control;
	struct iovec body = { .iov_base = &ret_got->reply, .iov_len = sizeof(ret_got->reply) };
	struct msghdr message = {
		.msg_iov = &body, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t len;

	memset(ret_got, 0, sizeof(*ret_got));
	len = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	if (len > 0)
		read_nodes(&message, ret_got);
	return len;
}

struct got client_ask(int fd, const char *address, uint32_t backend)
{
	struct weir_broker_request request = { .version = WEIR_BROKER_VERSION, .backend = backend };
	struct got got;

	snprintf(request.address, sizeof(request.address), "%s", address);
	ASSERT_EQ(sizeof(request), send(fd, &request, sizeof(request), MSG_NOSIGNAL));
	ASSERT_EQ(sizeof(got.reply), client_receive(fd, &got));
	EXPECT_EQ(WEIR_BROKER_VERSION, got.reply.version);
	EXPECT_EQ(!got.reply.error, got.reply.num_nodes == 2);
	EXPECT_EQ(!got.reply.error, !!*got.nodes);
	return got;
}

int client_ask_once(struct t *t, struct bench *bench, const char *address)
{
	int *client = client_connect(t, bench);
	struct got got = client_ask(*client, address, WEIR_BACKEND_AUTO);

	client_disconnect(client);
	return got.reply.error;
}
