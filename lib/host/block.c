// SPDX-License-Identifier: MIT
/* Blocks: in the journal, or, in a host without one, plain memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weir/handover.h>

#include "error.h"
#include "host/host.h"

enum { ALIGN = 64, NAME_SIZE = 64 };

struct weir_plain_block {
	struct weir_plain_block *next;
	void *bytes;
	char name[NAME_SIZE];
};

static int open_plain(struct weir_host *host, const char *name, size_t len, void **ret_block)
{
	struct weir_plain_block *block = host->blocks;

	while (block && strcmp(block->name, name) != 0)
		block = block->next;
	if (block)
		return weir_fail(-EBUSY, "the block '%s' is open already", name);
	block = calloc(1, sizeof(*block));
	if (block && len <= SIZE_MAX - ALIGN)
		block->bytes = aligned_alloc(ALIGN, (len + ALIGN - 1) & ~(size_t)(ALIGN - 1));
	if (!block || !block->bytes) {
		free(block);
		return weir_fail(-ENOMEM, "no memory for a block of %zu bytes", len);
	}
	memset(block->bytes, 0, len);
	memcpy(block->name, name, strlen(name));
	block->next = host->blocks;
	host->blocks = block;
	*ret_block = block->bytes;
	return 0;
}

int weir_block_open(struct weir_host *host, const char *name, size_t len, void **ret_block)
{
	int error;

	if (!len)
		return weir_fail(-EINVAL, "the length is 0");
	if (!*name || strlen(name) >= NAME_SIZE)
		return weir_fail(-EINVAL, "a block's name has 1 to %d characters", NAME_SIZE - 1);
	if (host->kernel.journal)
		return weir_journal_open_block(host->kernel.journal, name, len, ret_block);
	pthread_mutex_lock(&host->lock);
	error = open_plain(host, name, len, ret_block);
	pthread_mutex_unlock(&host->lock);
	return error;
}

static void close_plain(struct weir_host *host, const void *bytes)
{
	struct weir_plain_block **link = &host->blocks, *block;

	while (*link && (*link)->bytes != bytes)
		link = &(*link)->next;
	block = *link;
	if (!block)
		return;
	*link = block->next;
	free(block->bytes);
	free(block);
}

void weir_block_close(struct weir_host *host, void *block)
{
	if (!block)
		return;
	if (host->kernel.journal) {
		/* Until the host is all this process's, what is in the journal is there for whoever gave it. */
		weir_journal_close_block(host->kernel.journal, block, !host->taken);
		return;
	}
	pthread_mutex_lock(&host->lock);
	close_plain(host, block);
	pthread_mutex_unlock(&host->lock);
}

void weir_host_drop_blocks(struct weir_host *host)
{
	while (host->blocks)
		close_plain(host, host->blocks->bytes);
}
