// SPDX-License-Identifier: MIT
/* What weir-rdma-serve and weir-rdma-fetch believe of each other. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rdma/wire.h"
#include "test.h"

static struct wire_hello a_hello(void)
{
	return (struct wire_hello){ .magic = WIRE_MAGIC,
				    .version = WIRE_VERSION,
				    .qpn = 17,
				    .psn = 0xffffff,
				    .gid = { 0xfe, 0x80 },
				    .mtu = 3,
				    .max_piece = WIRE_MAX_PIECE,
				    .bytes = 1 };
}

UNIT(rdma_wire, a_hello_that_makes_no_sense_is_refused)
{
	struct wire_hello hello = a_hello();

	EXPECT_TRUE(wire_check_hello(&hello, true) == NULL);
#define REFUSED(field, value)                                                                                \
	do {                                                                                                 \
		hello = a_hello();                                                                           \
		hello.field = (value);                                                                       \
		EXPECT_TRUE(wire_check_hello(&hello, true) != NULL);                                         \
	} while (0)
	REFUSED(magic, 0);
	REFUSED(version, 2);
	REFUSED(qpn, 0);
	REFUSED(qpn, 1);
	REFUSED(qpn, 0x1000000);
	REFUSED(psn, 0x1000000);
	REFUSED(gid[0], 0xff);
	REFUSED(mtu, 0);
	REFUSED(mtu, 6);
	REFUSED(max_piece, 0);
	REFUSED(max_piece, WIRE_MAX_PIECE + 1u);
	REFUSED(bytes, 0);
#undef REFUSED
	hello = a_hello();
	memset(hello.gid, 0, sizeof(hello.gid));
	EXPECT_TRUE(wire_check_hello(&hello, true) != NULL);
	/* A client has no disk. */
	hello = a_hello();
	hello.max_piece = 0;
	hello.bytes = 0;
	EXPECT_TRUE(wire_check_hello(&hello, false) == NULL);
}

UNIT(rdma_wire, a_piece_that_was_not_agreed_on_is_refused)
{
	struct wire_message piece = { .kind = WIRE_PIECE, .len = 4096, .addr = UINT64_MAX - 4096 };

	EXPECT_TRUE(wire_check_piece(&piece, 4096, 4096) == NULL);
	EXPECT_TRUE(wire_check_piece(&piece, 4096, 4095) != NULL);
	EXPECT_TRUE(wire_check_piece(&piece, 4095, 4096) != NULL);
	piece.addr++;
	EXPECT_TRUE(wire_check_piece(&piece, 4096, 4096) != NULL);
	piece = (struct wire_message){ .kind = WIRE_PIECE };
	EXPECT_TRUE(wire_check_piece(&piece, 4096, 4096) != NULL);
}

static void close_pair(void *pair)
{
	close(((int *)pair)[0]);
	close(((int *)pair)[1]);
}

UNIT(rdma_wire, half_a_message_is_none)
{
	struct wire_message message = { .kind = WIRE_END, .sha256 = { 1, 2 } }, got = { .kind = 0 };
	struct wire_hello hello = a_hello(), other;
	int pair[2];

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	t_defer(t, close_pair, pair);
	ASSERT_EQ(wire_send_message(pair[0], &message), 0);
	ASSERT_EQ(wire_receive_message(pair[1], &got), 0);
	EXPECT_MEMEQ(&message, &got, sizeof(got));
	ASSERT_EQ(wire_send_hello(pair[0], &hello), 0);
	ASSERT_EQ(wire_receive_hello(pair[1], true, &other), 0);
	EXPECT_MEMEQ(&hello, &other, sizeof(other));
	hello.version = 9;
	ASSERT_EQ(wire_send_hello(pair[0], &hello), 0);
	EXPECT_ERR(-EPROTO, wire_receive_hello(pair[1], true, &other));
	ASSERT_EQ(wire_send(pair[0], &message, sizeof(message) - 1), 0);
	ASSERT_EQ(shutdown(pair[0], SHUT_WR), 0);
	EXPECT_ERR(-EPIPE, wire_receive_message(pair[1], &got));
	EXPECT_ERR(-EPIPE, wire_receive_message(pair[1], &got));
}
