// SPDX-License-Identifier: MIT
/* What clients of weir-broker get, and what they do not. */
#include "broker_bench.h"
#include "clients.h"
#include "socket.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

UNIT(broker_server, gives_out_the_nodes_of_the_backend)
{
	const struct {
		const char *address, *nodes;
		uint32_t wanted, given;
	} rows[] = {
		{ "01:00.0", "iommu vfio/devices/vfio1 ", WEIR_BACKEND_AUTO, WEIR_BACKEND_IOMMUFD },
		{ "01:00.0", "iommu vfio/devices/vfio1 ", WEIR_BACKEND_IOMMUFD, WEIR_BACKEND_IOMMUFD },
		{ "01:00.0", "vfio/vfio vfio/11 ", WEIR_BACKEND_TYPE1, WEIR_BACKEND_TYPE1 },
		{ "01:00.0", "iommu vfio/11 ", WEIR_BACKEND_COMPAT, WEIR_BACKEND_COMPAT },
		{ "02:00.0", "vfio/vfio vfio/12 ", WEIR_BACKEND_AUTO, WEIR_BACKEND_TYPE1 },
	};
	struct bench *bench = bench_new(t);

	bench_start(bench);
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int *client = client_connect(t, bench);
		struct got got = client_ask(*client, rows[i].address, rows[i].wanted);

		t_note(t, "row %u", i);
		EXPECT_EQ(rows[i].given, got.reply.backend);
		EXPECT_STREQ(rows[i].nodes, got.nodes);
		EXPECT_EQ(0, strncmp(got.reply.paths[0], "/dev/", 5));
		EXPECT_EQ(0, strncmp(got.nodes, got.reply.paths[0] + 5, strlen(got.reply.paths[0] + 5)));
		EXPECT_CONTAINS(got.nodes, got.reply.paths[1] + 5);
		client_disconnect(client);
	}
}

UNIT(broker_server, keeps_to_its_own_backend)
{
	struct bench *bench = bench_new(t);
	int *client;

	bench->backend = WEIR_BACKEND_TYPE1;
	bench_start(bench);
	client = client_connect(t, bench);
	EXPECT_ERR(-EOPNOTSUPP, client_ask(*client, "01:00.0", WEIR_BACKEND_IOMMUFD).reply.error);
	EXPECT_EQ(WEIR_BACKEND_TYPE1, client_ask(*client, "01:00.0", WEIR_BACKEND_AUTO).reply.backend);
}

UNIT(broker_server, says_why_a_device_cannot_be_had)
{
	const struct {
		const char *address, *text;
		int error;
	} rows[] = {
		{ "04:00.0", "is not for user", -EACCES },
		{ "05:00.0", "there is no PCI device 0000:05:00.0", -ENODEV },
		{ "06:00.0", "is bound to nvme", -ENXIO },
		{ "03:00.0", "0000:03:00.1", -EACCES },
		{ "02:00.0", "no VFIO character device", -ENOENT },
		{ "01:00.0", "cannot open /dev/vfio/devices/vfio1", -ENOENT },
	};
	struct bench *bench = bench_new(t);
	int *client;

	bench_add_device(bench, "0000:06:00.0", 16, "nvme", -1);
	bench_shell(bench, "rm dev/vfio/devices/vfio1");
	bench_start(bench);
	client = client_connect(t, bench);
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct got got = client_ask(*client, rows[i].address, WEIR_BACKEND_IOMMUFD);

		t_note(t, "row %u", i);
		EXPECT_EQ(rows[i].error, got.reply.error);
		EXPECT_CONTAINS(got.reply.text, rows[i].text);
	}
}

UNIT(broker_server, gives_nobody_a_device_without_an_iommu)
{
	struct bench *bench = bench_new(t);

	bench_shell(bench, "echo vfio-noiommu >sys/kernel/iommu_groups/12/name && "
			   "rm sys/bus/pci/devices/0000:01:00.0/iommu_group");
	bench_start(bench);
	EXPECT_ERR(-EOPNOTSUPP, client_ask_once(t, bench, "01:00.0"));
	EXPECT_ERR(-EOPNOTSUPP, client_ask_once(t, bench, "02:00.0"));
}

UNIT(broker_server, lends_a_device_to_one_client_at_a_time)
{
	struct bench *bench = bench_new(t);
	int *first, *second;

	bench_start(bench);
	first = client_connect(t, bench);
	second = client_connect(t, bench);
	EXPECT_OK(client_ask(*first, "01:00.0", WEIR_BACKEND_AUTO).reply.error);
	EXPECT_ERR(-EBUSY, client_ask(*first, "01:00.0", WEIR_BACKEND_AUTO).reply.error);
	EXPECT_ERR(-EBUSY, client_ask(*second, "01:00.0", WEIR_BACKEND_AUTO).reply.error);
	EXPECT_OK(client_ask(*second, "02:00.0", WEIR_BACKEND_AUTO).reply.error);
	client_disconnect(first);
	EXPECT_OK(client_ask(*second, "01:00.0", WEIR_BACKEND_AUTO).reply.error);
}

UNIT(broker_server, lends_a_group_to_one_client_at_a_time)
{
	struct bench *bench = bench_new(t);
	struct got got;
	int *first, *second;

	bench_allow(bench, "03:00.1");
	bench_start(bench);
	first = client_connect(t, bench);
	second = client_connect(t, bench);
	EXPECT_OK(client_ask(*first, "03:00.0", WEIR_BACKEND_AUTO).reply.error);
	got = client_ask(*second, "03:00.1", WEIR_BACKEND_AUTO);
	EXPECT_ERR(-EBUSY, got.reply.error);
	EXPECT_CONTAINS(got.reply.text, "0000:03:00.0");
	EXPECT_OK(client_ask(*first, "03:00.1", WEIR_BACKEND_AUTO).reply.error);
}

UNIT(broker_server, tells_strangers_and_ends)
{
	struct bench *bench = bench_new(t);
	struct got got;
	int *client;

	policy_free(&bench->policy);
	ASSERT_TRUE(!policy_add(&bench->policy, getuid() == 77 ? "78:01:00.0" : "77:01:00.0"));
	bench_start(bench);
	client = client_connect(t, bench);
	got = client_ask(*client, "01:00.0", WEIR_BACKEND_AUTO);
	EXPECT_ERR(-EACCES, got.reply.error);
	EXPECT_EQ(0, client_receive(*client, &got));
}

UNIT(broker_server, answers_nonsense_once)
{
	struct bench *bench = bench_new(t);
	char nonsense[sizeof(struct weir_broker_request) * 3];

	memset(nonsense, 0xff, sizeof(nonsense));
	bench_start(bench);
	for (size_t len = 1; len <= sizeof(nonsense); len++) {
		int *client = client_connect(t, bench);
		struct got got;

		t_note(t, "%zu bytes", len);
		ASSERT_EQ(len, send(*client, nonsense, len, 0));
		ASSERT_EQ(sizeof(got.reply), client_receive(*client, &got));
		EXPECT_ERR(-EPROTO, got.reply.error);
		EXPECT_EQ(0, client_receive(*client, &got));
		client_disconnect(client);
	}
	EXPECT_OK(client_ask_once(t, bench, "01:00.0"));
}

UNIT(broker_server, is_not_held_up_by_clients_that_do_not_read)
{
	struct weir_broker_request request = { .version = WEIR_BROKER_VERSION, .address = "0000:05:00.0" };
	struct bench *bench = bench_new(t);
	int *deaf;
	int sent = 0;

	bench_start(bench);
	deaf = client_connect(t, bench);
	/* More answers than its socket holds: then the broker hangs up, and sending fails. */
	while (sent < 100000 && send(*deaf, &request, sizeof(request), MSG_NOSIGNAL) > 0)
		sent++;
	EXPECT_LT(sent, 100000);
	EXPECT_OK(client_ask_once(t, bench, "01:00.0"));
}

UNIT(broker_server, bounds_the_connections_of_a_user)
{
	struct bench *bench = bench_new(t);
	int *clients[MAX_CLIENTS_PER_USER + 1];
	struct got got;

	bench_start(bench);
	for (unsigned int i = 0; i <= MAX_CLIENTS_PER_USER; i++)
		clients[i] = client_connect(t, bench);
	/* Nothing was sent: what comes is the end. */
	EXPECT_EQ(0, client_receive(*clients[MAX_CLIENTS_PER_USER], &got));
	EXPECT_OK(client_ask(*clients[0], "01:00.0", WEIR_BACKEND_AUTO).reply.error);
	client_disconnect(clients[0]);
	EXPECT_OK(client_ask(*clients[1], "01:00.0", WEIR_BACKEND_AUTO).reply.error);
}

UNIT(broker_server, ends_on_a_signal_and_takes_its_socket_along)
{
	struct bench *bench = bench_new(t);
	struct got got;
	int *client;

	bench_start(bench);
	client = client_connect(t, bench);
	EXPECT_OK(client_ask(*client, "01:00.0", WEIR_BACKEND_AUTO).reply.error);
	EXPECT_EQ(0, access(bench->socket, F_OK));
	kill(bench->server, SIGTERM);
	EXPECT_EQ(0, bench_wait(bench));
	EXPECT_NE(0, access(bench->socket, F_OK));
	EXPECT_EQ(0, client_receive(*client, &got));
}

UNIT(broker_server, ends_after_its_first_client_when_told_so)
{
	struct bench *bench = bench_new(t);

	bench->once = true;
	bench_start(bench);
	/* Who got nothing does not count. */
	EXPECT_ERR(-ENODEV, client_ask_once(t, bench, "05:00.0"));
	EXPECT_OK(client_ask_once(t, bench, "01:00.0"));
	EXPECT_EQ(0, bench_wait(bench));
}

UNIT(broker_server, replaces_the_socket_of_the_dead_and_no_other_file)
{
	struct bench *bench = bench_new(t);
	struct listening dead, living, third;

	ASSERT_OK(listening_open(bench->socket, 0600, &dead));
	close(dead.fd);
	ASSERT_OK(listening_open(bench->socket, 0640, &living));
	EXPECT_EQ(0640, living.file.st_mode & 0777);
	EXPECT_ERR(-EADDRINUSE, listening_open(bench->socket, 0600, &third));
	listening_close(&living);
	EXPECT_NE(0, access(bench->socket, F_OK));
	bench_shell(bench, "echo precious >socket");
	EXPECT_ERR(-EADDRINUSE, listening_open(bench->socket, 0600, &third));
	EXPECT_EQ(0, access(bench->socket, F_OK));
}
