/* SPDX-License-Identifier: MIT */
/* The other end of the wire: a card that the kernel drives, by a packet socket. And QEMU's monitor, which pulls the plug. */
#ifndef TESTS_IGB_FAR_H
#define TESTS_IGB_FAR_H

#include <stdbool.h>
#include <stdint.h>

#define FAR_TYPE 0x88b5 /* for local experiments (IEEE 802); what the socket receives */

struct far {
	int fd;
	uint8_t mac[6];
};

/* Open the card named @card. Returns 0 or a negative errno. */
int far_open(const char *card, struct far *ret_far);
void far_close(struct far *far);

/* Send a frame; waits while the card's queue is full. Returns 0 or a negative errno. */
int far_send(struct far *far, const void *frame, uint32_t len);

/* Take a frame of FAR_TYPE. Returns its length; -ETIMEDOUT; or another negative errno. */
int far_receive(struct far *far, void *frame, uint32_t room, int timeout_ms);

/* Have QEMU's monitor, at the node @path, take the plug out at the network @name, or put it in. Returns 0 or a negative errno. */
int far_set_link(const char *path, const char *name, bool up);

#endif
