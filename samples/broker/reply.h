/* SPDX-License-Identifier: MIT */
/* What the broker answers. */
#ifndef BROKER_REPLY_H
#define BROKER_REPLY_H

#include <weir/broker.h>

/* Make @reply say no, and why. Returns @error (a negative errno). */
__attribute__((format(printf, 3, 4))) int reply_refuse(struct weir_broker_reply *reply, int error,
						       const char *format, ...);

/*
 * Send @reply with its num_nodes descriptors @fds, which stay the caller's. Never waits: a client that does
 * not read its answers gets -EAGAIN.
 */
int reply_send(int fd, const struct weir_broker_reply *reply, const int *fds);

#endif
