// SPDX-License-Identifier: MIT
/* Hosts: a kernel interface, chosen and opened. */
#include "host/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/follow.h"
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

/* The journal comes first: then nothing is left to undo that was the caller's. */
static int open_kernel(struct weir_host *host, enum weir_backend kind, const struct weir_host_opts *o)
{
	const struct weir_sys *sys = o->sys ? o->sys : weir_sys_real();
	struct weir_journal *journal = NULL;
	int error = 0;

	if (o->flags & WEIR_HOST_JOURNAL)
		error = weir_journal_open(sys, o->journal_maps, o->journal_blocks, &journal);
	if (!error)
		error = weir_kernel_open(&host->kernel, kind, sys, o->nodes, o->num_nodes);
	if (error) {
		weir_journal_close(journal);
		return error;
	}
	host->kernel.journal = journal;
	if (journal)
		weir_kernel_enter(&host->kernel);
	return 0;
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
	if (o.flags & ~WEIR_HOST_JOURNAL)
		return weir_fail(-EINVAL, "unknown flags %#x", o.flags & ~WEIR_HOST_JOURNAL);
	host = calloc(1, sizeof(*host));
	if (!host)
		return weir_fail(-ENOMEM, "no memory for a host");
	error = open_kernel(host, kind, &o);
	if (error) {
		free(host);
		return error;
	}
	pthread_mutex_init(&host->lock, NULL);
	join(host);
	*ret_host = host;
	return 0;
}

struct weir_host *weir_host_adopt(enum weir_backend kind, const struct weir_sys *sys, uint32_t iommu_type,
				  int fd, struct weir_journal *journal)
{
	struct weir_host *host = calloc(1, sizeof(*host));

	if (!host)
		return NULL;
	weir_kernel_adopt(&host->kernel, kind, sys, iommu_type, fd);
	host->kernel.journal = journal;
	pthread_mutex_init(&host->lock, NULL);
	join(host);
	return host;
}

/* The last of what is closed of it. */
static void close_own_fds(struct weir_host *host)
{
	for (uint32_t i = 0; i < host->num_own_fds; i++)
		host->kernel.sys->close(host->kernel.sys->ctx, host->own_fds[i]);
	free(host->own_fds);
	host->own_fds = NULL;
	host->num_own_fds = 0;
}

static void free_host(struct weir_host *host)
{
	close_own_fds(host);
	pthread_mutex_destroy(&host->lock);
	free(host);
}

/* Given away: for threads that do not know yet, the host stays, with its spaces, memories and journal, as long as the process. */
static struct weir_host *given;

static void park(struct weir_host *host)
{
	struct weir_journal *journal = host->kernel.journal;

	close_own_fds(host);
	weir_journal_part(journal);
	journal->sys->close(journal->sys->ctx, journal->fd);
	journal->fd = -1;
	pthread_mutex_lock(&hosts_lock);
	host->next = given;
	given = host;
	pthread_mutex_unlock(&hosts_lock);
}

void weir_host_let_go(struct weir_host *host)
{
	leave(host);
	weir_kernel_let_go(&host->kernel);
	if (host->kernel.journal && host->kernel.journal->stale) {
		park(host);
		return;
	}
	weir_journal_close(host->kernel.journal);
	free_host(host);
}

int weir_host_own_fd(struct weir_host *host, int fd)
{
	int *more = realloc(host->own_fds, (host->num_own_fds + 1) * sizeof(*more));

	if (!more)
		return weir_fail(-ENOMEM, "no memory for a descriptor");
	more[host->num_own_fds++] = fd;
	host->own_fds = more;
	return 0;
}

int weir_host_close(struct weir_host *host)
{
	uint32_t num_spaces, num_faultqs;
	int error;

	if (!host)
		return 0;
	pthread_mutex_lock(&host->lock);
	num_spaces = host->num_spaces;
	num_faultqs = host->num_faultqs;
	pthread_mutex_unlock(&host->lock);
	if (num_spaces)
		return weir_fail(-EBUSY, "%u address spaces of this host are open", num_spaces);
	if (num_faultqs)
		return weir_fail(-EBUSY, "%u queues of page requests of this host are open", num_faultqs);
	leave(host);
	weir_kernel_close(&host->kernel);
	weir_host_drop_blocks(host);
	error = weir_journal_close(host->kernel.journal);
	free_host(host);
	return error;
}

enum weir_backend weir_host_backend(const struct weir_host *host)
{
	return host->kernel.ops->kind;
}
