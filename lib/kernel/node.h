/* SPDX-License-Identifier: MIT */
/* Device nodes: opened by path, or taken from those that somebody with more rights handed over. */
#ifndef WEIR_KERNEL_NODE_H
#define WEIR_KERNEL_NODE_H

#include <pthread.h>
#include <stdbool.h>

#include <weir/host.h>

struct weir_nodes {
	const struct weir_sys *sys;
	pthread_mutex_t lock;
	bool given;             /* only what was handed over */
	uint32_t num;           /* of those, how many are left */
	struct weir_node *left; /* with paths of our own */
};

/* Copies the list. The descriptors are the nodes' from then on, unless weir_nodes_finish() is to close none. */
int weir_nodes_init(struct weir_nodes *nodes, const struct weir_sys *sys, const struct weir_node *given,
		    uint32_t num);

/* Forget what was handed over, and with @close, close what is left of it. */
void weir_nodes_finish(struct weir_nodes *nodes, bool close);

/* Are there character devices of VFIO (/dev/vfio/devices/vfioN)? */
bool weir_nodes_have_cdevs(struct weir_nodes *nodes);

/*
 * A descriptor of the node at @path, read-write and close-on-exec, now the caller's; or a negative errno
 * with a text: -ENOENT there is no such node (or none was handed over), -EACCES this user may not open it,
 * -EBUSY somebody else has it open.
 */
int weir_node_open(struct weir_nodes *nodes, const char *path);

#endif
