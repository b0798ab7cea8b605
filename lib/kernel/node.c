// SPDX-License-Identifier: MIT
/* Device nodes, opened or handed over. */
#include "kernel/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

int weir_nodes_init(struct weir_nodes *nodes, const struct weir_sys *sys, const struct weir_node *given,
		    uint32_t num)
{
	*nodes = (struct weir_nodes){ .sys = sys, .given = num > 0 };
	pthread_mutex_init(&nodes->lock, NULL);
	if (!num)
		return 0;
	nodes->left = calloc(num, sizeof(*nodes->left));
	if (!nodes->left)
		return weir_fail(-ENOMEM, "no memory for %u handed-over descriptors", num);
	for (; nodes->num < num; nodes->num++) {
		if (!given[nodes->num].path || given[nodes->num].fd < 0) {
			weir_nodes_finish(nodes, false);
			return weir_fail(-EINVAL, "node %u has no path, or no descriptor", nodes->num);
		}
		nodes->left[nodes->num].fd = given[nodes->num].fd;
		nodes->left[nodes->num].path = strdup(given[nodes->num].path);
		if (!nodes->left[nodes->num].path) {
			weir_nodes_finish(nodes, false);
			return weir_fail(-ENOMEM, "no memory for %u handed-over descriptors", num);
		}
	}
	return 0;
}

void weir_nodes_finish(struct weir_nodes *nodes, bool close)
{
	for (uint32_t i = 0; i < nodes->num; i++) {
		if (close)
			nodes->sys->close(nodes->sys->ctx, nodes->left[i].fd);
		free((char *)nodes->left[i].path);
	}
	free(nodes->left);
	pthread_mutex_destroy(&nodes->lock);
}

bool weir_nodes_have_cdevs(struct weir_nodes *nodes)
{
	static const char directory[] = "/dev/vfio/devices";
	bool found = false;
	char name[1];

	if (!nodes->given) {
		ssize_t used = nodes->sys->list_dir(nodes->sys->ctx, directory, name, sizeof(name));

		return used > 0 || used == -ENOSPC;
	}
	pthread_mutex_lock(&nodes->lock);
	for (uint32_t i = 0; i < nodes->num && !found; i++)
		found = !strncmp(nodes->left[i].path, directory, strlen(directory));
	pthread_mutex_unlock(&nodes->lock);
	return found;
}

static int take_given(struct weir_nodes *nodes, const char *path)
{
	int fd = -ENOENT;

	pthread_mutex_lock(&nodes->lock);
	for (uint32_t i = 0; i < nodes->num; i++) {
		if (strcmp(nodes->left[i].path, path) != 0)
			continue;
		fd = nodes->left[i].fd;
		free((char *)nodes->left[i].path);
		nodes->left[i] = nodes->left[--nodes->num];
		break;
	}
	pthread_mutex_unlock(&nodes->lock);
	if (fd < 0)
		return weir_fail(fd, "no descriptor of %s was handed over, or it is used up", path);
	return fd;
}

int weir_node_open(struct weir_nodes *nodes, const char *path)
{
	const struct weir_sys *sys = nodes->sys;
	int fd;

	if (nodes->given)
		return take_given(nodes, path);
	fd = sys->open(sys->ctx, path, O_RDWR | O_CLOEXEC);
	switch (fd) {
	case -ENOENT:
		return weir_fail(fd, "there is no %s", path);
	case -EACCES:
	case -EPERM:
		return weir_fail(
			-EACCES,
			"this user may not open %s: run as root, give the user that node, or use weir-broker",
			path);
	case -EBUSY:
		return weir_fail(fd, "%s is open elsewhere", path);
	default:
		return fd >= 0 ? fd : weir_fail(fd, "opening %s: %s", path, strerror(-fd));
	}
}
