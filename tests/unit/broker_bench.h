/* SPDX-License-Identifier: MIT */
/*
 * weir-broker's loop, run in a child process on a made-up machine: directories with the shape of /sys and
 * /dev, whose device nodes are plain files that contain their own names.
 */
#ifndef TESTS_BROKER_BENCH_H
#define TESTS_BROKER_BENCH_H

#include <sys/types.h>

#include "server.h"
#include "test.h"

struct bench {
	char root[64];
	char sysfs[80], dev[80], socket[80];
	struct machine machine;
	struct policy policy;
	uint32_t backend;
	bool once;
	pid_t server;
};

/*
 * A machine with two devices in groups of their own, and two that share one. This user may have three of the
 * four, and two that are not there. All ends with the case.
 */
struct bench *bench_new(struct t *t);

/* Change the machine: a shell command in its root, which holds sys, dev and socket. */
__attribute__((format(printf, 2, 3))) void bench_shell(struct bench *bench, const char *format, ...);

/* A device in @group, with the character device vfio@cdev, or none if that is negative. */
void bench_add_device(struct bench *bench, const char *address, int group, const char *driver, int cdev);

/* One more device for this user. */
void bench_allow(struct bench *bench, const char *address);

/* Run the server; its exit status, once it has ended by itself. */
void bench_start(struct bench *bench);
int bench_wait(struct bench *bench);

/* A connection to the broker, closed after the case unless client_disconnect() was faster. */
int *client_connect(struct t *t, struct bench *bench);
void client_disconnect(int *fd);

/* What came back, with the contents of the nodes: "iommu vfio/devices/vfio1 ". */
struct got {
	struct weir_broker_reply reply;
	char nodes[128];
};

/* Returns what recvmsg() returned: 0 when the broker hung up. */
ssize_t client_receive(int fd, struct got *ret_got);

/* Ask, and check what every answer has in common. */
struct got client_ask(int fd, const char *address, uint32_t backend);

/* Ask on a connection of its own, which ends afterwards. Returns the broker's error. */
int client_ask_once(struct t *t, struct bench *bench, const char *address);

#endif
