// SPDX-License-Identifier: MIT
/* Hosts: a kernel interface, chosen and opened. */
#include "host/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/* Those of this process, the newest first; taken before any host's own lock. */
static pthread_mutex_t hosts_lock = PTHREAD_MUTEX_INITIALIZER;
static struct weir_host *hosts;

/* Always in the order of the list, which two hosts never change between them. */
struct weir_host *weir_hosts_lock(void)
{
	pthread_mutex_lock(&hosts_lock);
	for (struct weir_host *host = hosts; host; host = host->next)
		pthread_mutex_lock(&host->lock);
	return hosts;
}

void weir_hosts_unlock(void)
{
	for (struct weir_host *host = hosts; host; host = host->next)
		pthread_mutex_unlock(&host->lock);
	pthread_mutex_unlock(&hosts_lock);
}

static void join(struct weir_host *host)
{
	pthread_mutex_lock(&hosts_lock);
	host->next = hosts;
	hosts = host;
	pthread_mutex_unlock(&hosts_lock);
}

static void leave(const struct weir_host *host)
{
	struct weir_host **link = &hosts;

	pthread_mutex_lock(&hosts_lock);
	while (*link != host)
		link = &(*link)->next;
	*link = host->next;
	pthread_mutex_unlock(&hosts_lock);
}

int weir_host_open(const struct weir_host_opts *opts, struct weir_host **ret_host)
{
	struct weir_host_opts o;
	struct weir_host *host;
	enum weir_backend kind = WEIR_BACKEND_AUTO;
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (!error)
		error = weir_backend_choose(o.backend, &kind);
	if (error)
		return error;
	if (o.num_nodes && !o.nodes)
		return weir_fail(-EINVAL, "num_nodes is %u, but nodes is NULL", o.num_nodes);
	if (o.sys && o.sys->size < sizeof(*o.sys))
		return weir_fail(-EINVAL, "the table of system calls is %zu bytes, %zu are needed",
				 o.sys->size, sizeof(*o.sys));
	host = calloc(1, sizeof(*host));
	if (!host)
		return weir_fail(-ENOMEM, "no memory for a host");
	error = weir_kernel_open(&host->kernel, kind, o.sys ? o.sys : weir_sys_real(), o.nodes, o.num_nodes);
	if (error) {
		free(host);
		return error;
	}
	pthread_mutex_init(&host->lock, NULL);
	join(host);
	*ret_host = host;
	return 0;
}

int weir_host_keep(struct weir_host *host, int fd)
{
	int *more = realloc(host->kept, (host->num_kept + 1) * sizeof(*more));

	if (!more)
		return weir_fail(-ENOMEM, "no memory for a descriptor");
	more[host->num_kept++] = fd;
	host->kept = more;
	return 0;
}

int weir_host_close(struct weir_host *host)
{
	uint32_t num_spaces;

	if (!host)
		return 0;
	pthread_mutex_lock(&host->lock);
	num_spaces = host->num_spaces;
	pthread_mutex_unlock(&host->lock);
	if (num_spaces)
		return weir_fail(-EBUSY, "%u address spaces of this host are open", num_spaces);
	leave(host);
	weir_kernel_close(&host->kernel);
	for (uint32_t i = 0; i < host->num_kept; i++)
		host->kernel.sys->close(host->kernel.sys->ctx, host->kept[i]);
	free(host->kept);
	pthread_mutex_destroy(&host->lock);
	free(host);
	return 0;
}

enum weir_backend weir_host_backend(const struct weir_host *host)
{
	return host->kernel.ops->kind;
}
