// SPDX-License-Identifier: MIT
/*
 * weir_host_open_broker() against brokers that lie. The fake broker's answer waits in the socket before the
 * client asks, so that nothing here needs a second thread. That no descriptor stays open is checked by the
 * framework after every case.
 */
#include <weir/broker.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "test.h"

#define MORE_NODES (WEIR_BROKER_MAX_NODES + 3)

/* The client's end of the world: the real system calls but for connect(), which gives @client_end, and
 * poll(). */
struct fake {
	struct weir_sys sys;
	int broker_end;
	int client_end;
	int poll_timeout;   /* what the client was ready to wait */
	int interruptions;  /* how often poll() is interrupted first */
	bool never_answers; /* poll() reports that the time is over */
};

static int fake_connect(void *ctx, const char *path)
{
	struct fake *fake = ctx;
	int fd = fake->client_end;

	(void)path;
	fake->client_end = -1;
	return fd;
}

static int fake_poll(void *ctx, struct pollfd *fds, size_t num, int timeout_ms)
{
	struct fake *fake = ctx;

	fake->poll_timeout = timeout_ms;
	if (fake->interruptions > 0) {
		fake->interruptions--;
		return -EINTR;
	}
	return fake->never_answers ? 0 : weir_sys_real()->poll(NULL, fds, num, 0);
}

/* A container that looks usable, for the cases in which the broker is honest. */
static int fake_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	const unsigned long get_api_version = 0x3b64, check_extension = 0x3b65;

	(void)ctx;
	(void)fd;
	(void)arg;
	if (request == get_api_version)
		return 0;
	return request == check_extension ? 1 : -ENOTTY;
}

static void close_fake(void *arg)
{
	struct fake *fake = arg;

	if (fake->broker_end >= 0)
		close(fake->broker_end);
	if (fake->client_end >= 0)
		close(fake->client_end);
	free(fake);
}

static struct fake *new_fake(struct t *t)
{
	struct fake *fake = calloc(1, sizeof(*fake));
	int ends[2];

	ASSERT_TRUE(fake);
	fake->broker_end = fake->client_end = -1;
	t_defer(t, close_fake, fake);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	fake->broker_end = ends[0];
	fake->client_end = ends[1];
	fake->sys = *weir_sys_real();
	fake->sys.ctx = fake;
	fake->sys.connect = fake_connect;
	fake->sys.poll = fake_poll;
	fake->sys.ioctl = fake_ioctl;
	return fake;
}

/* What an honest broker would say. */
static struct weir_broker_reply good_reply(void)
{
	return (struct weir_broker_reply){
		.version = WEIR_BROKER_VERSION,
		.backend = WEIR_BACKEND_TYPE1,
		.num_nodes = 2,
		.paths = { "/dev/vfio/vfio", "/dev/vfio/12" },
	};
}

static void say(struct fake *fake, const void *body, size_t len, unsigned int num_fds)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * MORE_NODES)];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)body, .iov_len = len };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[MORE_NODES];

	ASSERT_LE(num_fds, MORE_NODES);
	for (unsigned int i = 0; i < num_fds; i++)
		fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (num_fds) {
		control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int) * num_fds),
						   .cmsg_level = SOL_SOCKET,
						   .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * num_fds);
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * num_fds);
	}
	EXPECT_EQ(len, sendmsg(fake->broker_end, &message, 0));
	for (unsigned int i = 0; i < num_fds; i++)
		close(fds[i]);
}

static int ask(struct fake *fake, uint32_t backend)
{
	struct weir_host *untouched = (struct weir_host *)fake, *host = untouched;
	int error = weir_host_open_broker("/run/fake", "0000:01:00.0",
					  &WEIR_OPTS(weir_host_opts, .sys = &fake->sys, .backend = backend),
					  &host);

	if (error)
		EXPECT_EQ(untouched, host);
	else
		weir_host_close(host);
	return error;
}

/* Whether the client has closed its end. */
static bool is_over(struct fake *fake)
{
	struct pollfd pollfd = { .fd = fake->broker_end };

	return poll(&pollfd, 1, 0) == 1 && pollfd.revents & POLLHUP;
}

UNIT(broker_client, hosts_keep_the_connection_until_they_are_closed)
{
	struct fake *fake = new_fake(t);
	struct weir_broker_reply reply = good_reply();
	struct weir_broker_request request;
	struct weir_host *host;

	say(fake, &reply, sizeof(reply), 2);
	ASSERT_OK(weir_host_open_broker(
		"/run/fake", "01:00.0",
		&WEIR_OPTS(weir_host_opts, .sys = &fake->sys, .backend = WEIR_BACKEND_TYPE1), &host));
	EXPECT_EQ(WEIR_BACKEND_TYPE1, weir_host_backend(host));
	EXPECT_FALSE(is_over(fake));
	ASSERT_EQ(sizeof(request), recv(fake->broker_end, &request, sizeof(request), MSG_TRUNC));
	EXPECT_EQ(WEIR_BROKER_VERSION, request.version);
	EXPECT_EQ(WEIR_BACKEND_TYPE1, request.backend);
	EXPECT_STREQ("0000:01:00.0", request.address);
	EXPECT_OK(weir_host_close(host));
	EXPECT_TRUE(is_over(fake));
}

UNIT(broker_client, other_protocol_versions_are_refused)
{
	struct fake *fake = new_fake(t);
	struct weir_broker_reply reply = good_reply();

	reply.version = WEIR_BROKER_VERSION + 1;
	say(fake, &reply, sizeof(reply), 2);
	EXPECT_ERR(-EPROTO, ask(fake, WEIR_BACKEND_AUTO));
	EXPECT_CONTAINS(weir_error(), "version 2");
	EXPECT_TRUE(is_over(fake));
}

UNIT(broker_client, short_and_long_replies_are_refused)
{
	char bytes[sizeof(struct weir_broker_reply) + 1] = { 0 };
	const size_t lengths[] = { 1, 4, sizeof(bytes) - 2, sizeof(bytes) };
	struct weir_broker_reply reply = good_reply();

	memcpy(bytes, &reply, sizeof(reply));
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct fake *fake = new_fake(t);

		t_note(t, "%zu bytes", lengths[i]);
		say(fake, bytes, lengths[i], 2);
		EXPECT_ERR(-EPROTO, ask(fake, WEIR_BACKEND_AUTO));
		EXPECT_TRUE(is_over(fake));
	}
}

UNIT(broker_client, descriptors_must_be_as_many_as_announced)
{
	const struct {
		uint32_t announced, sent;
	} rows[] = { { 2, 0 }, { 2, 1 },          { 2, 3 },          { 0, 0 },
		     { 0, 2 }, { MORE_NODES, 4 }, { 4, MORE_NODES }, { MORE_NODES, MORE_NODES },
		     { 5, 5 }, { UINT32_MAX, 1 }, { 0x40000002u, 2 } };

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fake *fake = new_fake(t);
		struct weir_broker_reply reply = good_reply();

		t_note(t, "%u announced, %u sent", rows[i].announced, rows[i].sent);
		reply.num_nodes = rows[i].announced;
		say(fake, &reply, sizeof(reply), rows[i].sent);
		EXPECT_ERR(-EPROTO, ask(fake, WEIR_BACKEND_AUTO));
		EXPECT_TRUE(is_over(fake));
	}
}

UNIT(broker_client, paths_without_an_end_are_refused)
{
	struct fake *fake = new_fake(t);
	struct weir_broker_reply reply = good_reply();

	memset(reply.paths[1], 'x', sizeof(reply.paths[1]));
	say(fake, &reply, sizeof(reply), 2);
	EXPECT_ERR(-EPROTO, ask(fake, WEIR_BACKEND_AUTO));
}

UNIT(broker_client, backends_must_be_real_and_the_one_asked_for)
{
	const struct {
		uint32_t wanted, given;
	} rows[] = { { WEIR_BACKEND_AUTO, WEIR_BACKEND_AUTO },
		     { WEIR_BACKEND_AUTO, WEIR_BACKEND_COMPAT + 1 },
		     { WEIR_BACKEND_AUTO, UINT32_MAX },
		     { WEIR_BACKEND_IOMMUFD, WEIR_BACKEND_TYPE1 } };

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fake *fake = new_fake(t);
		struct weir_broker_reply reply = good_reply();

		t_note(t, "wanted %u, given %u", rows[i].wanted, rows[i].given);
		reply.backend = rows[i].given;
		say(fake, &reply, sizeof(reply), 2);
		EXPECT_ERR(-EPROTO, ask(fake, rows[i].wanted));
	}
}

UNIT(broker_client, nodes_that_are_not_of_the_backend_are_closed)
{
	struct fake *fake = new_fake(t);
	struct weir_broker_reply reply = good_reply();

	snprintf(reply.paths[0], sizeof(reply.paths[0]), "/etc/shadow");
	snprintf(reply.paths[1], sizeof(reply.paths[1]), "%s", "");
	say(fake, &reply, sizeof(reply), 2);
	EXPECT_TRUE(ask(fake, WEIR_BACKEND_AUTO) < 0);
	EXPECT_CONTAINS(weir_error(), "with the broker's descriptors");
	EXPECT_TRUE(is_over(fake));
}

UNIT(broker_client, refusals_come_with_the_brokers_words)
{
	struct fake *fake = new_fake(t);
	struct weir_broker_reply reply = { .version = WEIR_BROKER_VERSION,
					   .error = -EACCES,
					   .text = "not for\033[2Jyou" };

	say(fake, &reply, sizeof(reply), 0);
	EXPECT_ERR(-EACCES, ask(fake, WEIR_BACKEND_AUTO));
	EXPECT_STREQ("the broker says: not for?[2Jyou", weir_error());
}

UNIT(broker_client, refusals_may_lack_words_and_ends)
{
	struct fake *fake = new_fake(t);
	struct weir_broker_reply reply = { .version = WEIR_BROKER_VERSION, .error = -EBUSY };

	/* With descriptors, which nobody asked for. */
	say(fake, &reply, sizeof(reply), 2);
	EXPECT_ERR(-EBUSY, ask(fake, WEIR_BACKEND_AUTO));
	EXPECT_CONTAINS(weir_error(), strerror(EBUSY));

	fake = new_fake(t);
	memset(reply.text, 'x', sizeof(reply.text));
	say(fake, &reply, sizeof(reply), 0);
	EXPECT_ERR(-EBUSY, ask(fake, WEIR_BACKEND_AUTO));
	EXPECT_EQ(strlen("the broker says: ") + sizeof(reply.text), strlen(weir_error()));
}

UNIT(broker_client, error_numbers_must_be_some)
{
	const int32_t errors[] = { 1, EACCES, -4096, INT32_MIN, INT32_MAX };

	for (unsigned int i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct fake *fake = new_fake(t);
		struct weir_broker_reply reply = { .version = WEIR_BROKER_VERSION, .error = errors[i] };

		t_note(t, "error %d", errors[i]);
		say(fake, &reply, sizeof(reply), 0);
		EXPECT_ERR(-EPROTO, ask(fake, WEIR_BACKEND_AUTO));
	}
}

UNIT(broker_client, silent_brokers_are_left_after_ten_seconds)
{
	struct fake *fake = new_fake(t);

	fake->never_answers = true;
	fake->interruptions = 3;
	EXPECT_ERR(-ETIMEDOUT, ask(fake, WEIR_BACKEND_AUTO));
	EXPECT_TRUE(fake->poll_timeout > 0 && fake->poll_timeout <= 10000);
	EXPECT_TRUE(is_over(fake));
}

UNIT(broker_client, brokers_that_hang_up_are_noticed)
{
	struct fake *fake = new_fake(t);

	shutdown(fake->broker_end, SHUT_WR);
	EXPECT_ERR(-ECONNRESET, ask(fake, WEIR_BACKEND_AUTO));

	fake = new_fake(t);
	close(fake->broker_end);
	fake->broker_end = -1;
	EXPECT_ERR(-ECONNRESET, ask(fake, WEIR_BACKEND_AUTO));
}

static void unlink_path(void *arg)
{
	unlink(arg);
}

/* A socket of its own at ret_address, bound but not listening. */
static int bound_socket(struct t *t, int type, struct sockaddr_un *ret_address)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "/tmp/weir-broker-test.%d", getpid());
	ASSERT_TRUE(fd >= 0);
	unlink(ret_address->sun_path);
	if (bind(fd, (struct sockaddr *)ret_address, sizeof(*ret_address)))
		close(fd);
	t_defer(t, unlink_path, ret_address->sun_path);
	return fd;
}

UNIT(broker_client, what_is_no_broker_is_told_apart)
{
	static struct sockaddr_un address;
	struct weir_host *host;
	int fd = bound_socket(t, SOCK_SEQPACKET, &address);

	EXPECT_ERR(-ECONNREFUSED, weir_host_open_broker(address.sun_path, "0000:01:00.0", NULL, &host));
	EXPECT_CONTAINS(weir_error(), address.sun_path);
	close(fd);
	EXPECT_ERR(-ECONNREFUSED, weir_host_open_broker(address.sun_path, "0000:01:00.0", NULL, &host));
	unlink(address.sun_path);
	EXPECT_ERR(-ENOENT, weir_host_open_broker(address.sun_path, "0000:01:00.0", NULL, &host));

	fd = bound_socket(t, SOCK_STREAM, &address);
	EXPECT_EQ(0, listen(fd, 1));
	EXPECT_ERR(-EPROTO, weir_host_open_broker(address.sun_path, "0000:01:00.0", NULL, &host));
	close(fd);
}

UNIT(broker_client, wrong_calls_are_refused_before_anything_is_asked)
{
	struct fake *fake = new_fake(t);
	struct weir_node node = { .path = "/dev/iommu", .fd = 0 };
	struct weir_host_opts opts = WEIR_OPTS(weir_host_opts, .sys = &fake->sys);
	struct weir_host *host;

	EXPECT_ERR(-EINVAL, weir_host_open_broker("/run/fake", "nonsense", &opts, &host));
	opts.nodes = &node;
	opts.num_nodes = 1;
	EXPECT_ERR(-EINVAL, weir_host_open_broker("/run/fake", "0000:01:00.0", &opts, &host));
	EXPECT_ERR(-EINVAL, ask(fake, WEIR_BACKEND_COMPAT + 1));
	setenv("WEIR_BACKEND", "tape1", 1);
	EXPECT_ERR(-EINVAL, ask(fake, WEIR_BACKEND_AUTO));
	EXPECT_CONTAINS(weir_error(), "tape1");
	unsetenv("WEIR_BACKEND");
	EXPECT_NE(-1, fake->client_end);
}

UNIT(broker_client, the_environment_chooses_where_the_program_does_not)
{
	struct fake *fake = new_fake(t);
	struct weir_broker_reply reply = { .version = WEIR_BROKER_VERSION, .error = -EBUSY };
	struct weir_broker_request request;

	setenv("WEIR_BACKEND", "compat", 1);
	say(fake, &reply, sizeof(reply), 0);
	EXPECT_ERR(-EBUSY, ask(fake, WEIR_BACKEND_AUTO));
	unsetenv("WEIR_BACKEND");
	ASSERT_EQ(sizeof(request), recv(fake->broker_end, &request, sizeof(request), MSG_DONTWAIT));
	EXPECT_EQ(WEIR_BACKEND_COMPAT, request.backend);
}
