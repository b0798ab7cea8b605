// SPDX-License-Identifier: MIT
#include "igb/far.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FULL_MS 10

static int bind_to(int fd, unsigned int index)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(FAR_TYPE),
		.sll_ifindex = (int)index,
	};

	return bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

int far_open(const char *card, struct far *ret_far)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), room = 16 << 20, r;

	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", card);
	r = ioctl(fd, SIOCGIFHWADDR, &request) < 0 ? -errno : bind_to(fd, if_nametoindex(card));
	if (r == 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	ret_far->fd = fd;
	memcpy(ret_far->mac, request.ifr_hwaddr.sa_data, 6);
	return 0;
}

void far_close(struct far *far)
{
	close(far->fd);
}

int far_send(struct far *far, const void *frame, uint32_t len)
{
	while (send(far->fd, frame, len, 0) < 0) {
		if (errno != ENOBUFS && errno != EAGAIN)
			return -errno;
		poll(NULL, 0, FULL_MS);
	}
	return 0;
}

int far_receive(struct far *far, void *frame, uint32_t room, int timeout_ms)
{
	struct sockaddr_ll from = { 0 };
	socklen_t from_len = sizeof(from);
	ssize_t len;

	for (;;) {
		struct pollfd wanted = { .fd = far->fd, .events = POLLIN };

		if (poll(&wanted, 1, timeout_ms) == 0)
			return -ETIMEDOUT;
		len = recvfrom(far->fd, frame, room, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
		if (len < 0 && errno != EAGAIN)
			return -errno;
		if (len >= 0 && from.sll_pkttype != PACKET_OUTGOING)
			return (int)len;
	}
}

int far_set_link(const char *path, const char *name, bool up)
{
	char line[64];
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC), len, r = 0;

	if (fd < 0)
		return -errno;
	len = snprintf(line, sizeof(line), "set_link %s %s\n", name, up ? "on" : "off");
	if (write(fd, line, (size_t)len) != len)
		r = errno ? -errno : -EIO;
	poll(NULL, 0, 100); /* the monitor hangs up with who talks to it */
	close(fd);
	return r;
}
