// SPDX-License-Identifier: MIT
/* Memory brought in, by several threads if the caller wants that. */
#include "memory/fill.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

/* Pieces are taken from one end by whoever is free. */
struct filling {
	struct weir_memory *memory;
	char *addr;
	uint64_t len, piece;
	_Atomic uint64_t next, done;
	_Atomic int error;
};

static int fill_piece(const struct filling *filling, char *addr, uint64_t len)
{
	const struct weir_sys *sys = filling->memory->sys;
	int error = sys->madvise(sys->ctx, addr, len, MADV_POPULATE_WRITE);

	/* Before Linux 5.14 there is no such advice, and pages come when they are mapped for devices, or touched. */
	if (error == -EINVAL)
		return 0;
	/* Of large pages that are missing it says what a touch would end in. */
	return error == -EFAULT ? -ENOMEM : error;
}

static bool take_piece(struct filling *filling)
{
	uint64_t at = atomic_fetch_add(&filling->next, filling->piece), len;
	int none = 0, error;

	if (at >= filling->len || atomic_load(&filling->error))
		return false;
	len = filling->len - at < filling->piece ? filling->len - at : filling->piece;
	error = fill_piece(filling, filling->addr + at, len);
	if (error)
		atomic_compare_exchange_strong(&filling->error, &none, error);
	atomic_fetch_add(&filling->done, len);
	return true;
}

static void *help(void *arg)
{
	while (take_piece(arg))
		;
	return NULL;
}

/* The caller's own part, which also tells how far it is. */
static void work(struct filling *filling)
{
	const struct weir_memory_opts *opts = &filling->memory->opts;

	while (take_piece(filling))
		if (opts->progress)
			opts->progress(opts->progress_ctx, atomic_load(&filling->done), filling->len);
}

/* Threads of the library's take no signals: those are for the program's own. Returns how many there are. */
static uint32_t start_helpers(struct filling *filling, pthread_t *threads, uint32_t num)
{
	uint32_t started = 0;
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (started < num && !pthread_create(&threads[started], NULL, help, filling))
		started++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

int weir_fill(struct weir_memory *memory, void *addr, uint64_t len)
{
	enum { LEAST_PIECE = 16 << 20 };
	uint64_t page_size = memory->opts.page_size;
	struct filling filling = { .memory = memory,
				   .addr = addr,
				   .len = len,
				   .piece = page_size > LEAST_PIECE ? page_size : LEAST_PIECE };
	uint64_t pieces = (len - 1) / filling.piece + 1;
	uint64_t workers = memory->opts.threads < pieces ? memory->opts.threads : pieces;
	pthread_t *threads = workers > 1 ? calloc(workers - 1, sizeof(*threads)) : NULL;
	/* With fewer helpers than wanted it takes longer, and that is all. */
	uint32_t started = threads ? start_helpers(&filling, threads, (uint32_t)workers - 1) : 0;

	work(&filling);
	while (started)
		pthread_join(threads[--started], NULL);
	free(threads);
	if (!filling.error && memory->opts.progress)
		memory->opts.progress(memory->opts.progress_ctx, len, len);
	return filling.error;
}
