// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/igb/ends.h"

#define TYPE    0x88b5 /* for local experiments (IEEE 802) */
#define LONGEST 2048u
#define WAIT_MS 1000

struct kernel_end {
	int fd;
	struct mmsghdr messages[ENDS_BURST];
	struct iovec pieces[ENDS_BURST];
	uint8_t frames[ENDS_BURST][LONGEST];
};

static void must(int r, const char *text)
{
	if (r >= 0)
		return;
	fprintf(stderr, "packet socket: %s: %s\n", text, strerror(errno));
	exit(1);
}

struct kernel_end *kernel_end_open(const char *card)
{
	static const uint8_t head[14] = { 255,  255, 255, 255, 255, 255,       0x52,
					  0x54, 0,   0,   0,   9,   TYPE >> 8, TYPE & 0xff };
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(TYPE) };
	struct kernel_end *end = calloc(1, sizeof *end);
	int one = 1, room = 16 << 20;

	must(end ? 0 : -1, "memory");
	end->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	must(end->fd, "socket");
	address.sll_ifindex = (int)if_nametoindex(card);
	must(bind(end->fd, (struct sockaddr *)&address, sizeof address), card);
	must(setsockopt(end->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room), "SO_RCVBUFFORCE");
	must(setsockopt(end->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room), "SO_SNDBUFFORCE");
	must(setsockopt(end->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one), "PACKET_QDISC_BYPASS");
	for (uint32_t i = 0; i < ENDS_BURST; i++) {
		memcpy(end->frames[i], head, sizeof head);
		end->pieces[i].iov_base = end->frames[i];
		end->messages[i].msg_hdr.msg_iov = &end->pieces[i];
		end->messages[i].msg_hdr.msg_iovlen = 1;
	}
	return end;
}

void kernel_end_close(struct kernel_end *end)
{
	close(end->fd);
	free(end);
}

static void set_len(struct kernel_end *end, uint32_t len)
{
	for (uint32_t i = 0; i < ENDS_BURST; i++)
		end->pieces[i].iov_len = len;
}

/* A queue that is full says so, and empties while others run. */
void kernel_end_send(struct kernel_end *end, uint32_t num, uint32_t len)
{
	uint32_t sent = 0, burst;
	int r, left = 1;

	set_len(end, len);
	while (sent < num) {
		burst = num - sent < ENDS_BURST ? num - sent : ENDS_BURST;
		r = sendmmsg(end->fd, end->messages, burst, 0);
		if (r < 0 && (errno == ENOBUFS || errno == EAGAIN))
			continue;
		must(r, "sendmmsg");
		sent += (uint32_t)r;
	}
	while (left > 0)
		must(ioctl(end->fd, SIOCOUTQ, &left), "SIOCOUTQ");
}

uint32_t kernel_end_receive(struct kernel_end *end, uint32_t num, uint32_t len)
{
	uint32_t got = 0;
	int r;

	set_len(end, LONGEST);
	while (got < num) {
		struct pollfd wanted = { .fd = end->fd, .events = POLLIN };

		r = recvmmsg(end->fd, end->messages, ENDS_BURST, MSG_DONTWAIT, NULL);
		if (r < 0 && errno == EAGAIN) {
			if (poll(&wanted, 1, WAIT_MS) == 0)
				break;
			continue;
		}
		must(r, "recvmmsg");
		for (int i = 0; i < r; i++)
			got += end->messages[i].msg_len == len;
	}
	return got;
}
