/* SPDX-License-Identifier: MIT */
/*
 * Read a namespace from one end to the other with many requests in flight, and hand the data on in order
 * while the next reads are under way.
 */
#ifndef SAMPLES_READER_H
#define SAMPLES_READER_H

#include <signal.h>

#include <nvme/nvme.h>

/* Takes @len bytes, in order; returns 0, or a negative errno to stop. */
typedef int (*reader_sink)(void *ctx, const void *data, size_t len);

struct reader {
	struct nvme_queue *queue;
	const struct nvme_namespace *ns;
	struct weir_buffer buffers; /* depth * request_size bytes */
	uint32_t depth;             /* requests in flight */
	uint32_t request_size;      /* bytes of each but the last: a multiple of the block size */
	int timeout_ms;             /* for a request */
	reader_sink sink;
	void *ctx;
	struct weir_ioas
		*map_in;     /* each request's buffer is mapped there for its time; NULL: they stay mapped */
	double *map_seconds; /* with map_in: what that took is added here */
	volatile sig_atomic_t *stop; /* set by a signal handler: give up */
};

/* A request whose status was an error. */
struct reader_failure {
	uint64_t block;
	uint16_t status; /* 0: it was no request's status that failed */
};

/*
 * Read @num_blocks from @first_block on. Returns 0; -EINTR when told to stop; an error of nvme's or of the
 * sink; or that of a request, which @ret_failure then describes. Requests may be left in flight unless it
 * returns 0.
 */
int reader_run(const struct reader *reader, uint64_t first_block, uint64_t num_blocks,
	       struct reader_failure *ret_failure);

#endif
