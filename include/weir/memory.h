/* SPDX-License-Identifier: MIT */
/*
 * DMA memory: made for the job, mapped once, and cut into buffers that know their addresses.
 *
 *     struct weir_memory *memory;
 *     struct weir_buffer ring;
 *     weir_memory_open(ioas, NULL, &memory);
 *     weir_memory_alloc(memory, 4096, NULL, &ring);
 *     tell_the_device(ring.iova);
 *     fill(ring.addr);
 *
 * The memory is of memfds: chunks, each mapped in one go into this process and into the address space, through its file where the
 * kernel can (weir_ioas_map_file()). It grows by chunks, and does not shrink before it is closed. It can be put into further
 * address spaces, and handed to other processes: by descriptor, or to a child by fork(), which sees the same memory, as devices do.
 * A buffer is plain values: its address, IOVA and place in the file are one addition apart from any other buffer's of the
 * same chunk, so nothing is looked up when it is used.
 *
 * The mappings are the memory's: weir_ioas_unmap() does not end them (-EBUSY).
 *
 * Threads: any number may allocate and free in one memory; while it grows, the others wait. A buffer is freed by one thread, once.
 * The child of a fork() uses what it finds in buffers, and calls nothing of this.
 */
#ifndef WEIR_MEMORY_H
#define WEIR_MEMORY_H

#include <errno.h>

#include <weir/ioas.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_memory;

#define WEIR_MEMORY_EXACT_PAGES (1u << 0) /* pages of page_size or none; without it, smaller ones will do */
#define WEIR_MEMORY_NODE        (1u << 1) /* bound to NUMA node opts.node */

/*
 * @done of @total bytes of a chunk have been filled; the last call for a chunk has @done == @total. Called in the thread that makes
 * the memory grow, which others wait for: it uses nothing of that memory.
 */
typedef void weir_memory_progress(void *ctx, uint64_t done, uint64_t total);

struct weir_memory_opts {
	size_t size;        /* sizeof(struct weir_memory_opts); set by WEIR_OPTS() */
	uint64_t page_size; /* 4 KiB, 2 MiB or 1 GiB; 0: 2 MiB if the machine has them to give, else 4 KiB */
	uint64_t chunk;     /* by how many bytes it grows, at least; 0: 2 MiB */
	uint64_t initial;   /* bytes to begin with; 0: none before they are needed */
	uint64_t limit;     /* bytes at most, all chunks together; 0: as many as there are */
	uint32_t flags;     /* WEIR_MEMORY_... */
	uint32_t node;      /* with WEIR_MEMORY_NODE */
	uint32_t map_flags; /* WEIR_MAP_READ, WEIR_MAP_WRITE; neither: both */
	uint32_t address_bits;          /* every IOVA below 2^this; 0: what attached devices allow */
	uint32_t threads;               /* how many fill a chunk, 16 MiB at a time; 0: the caller's alone */
	uint32_t reserved;              /* 0 */
	weir_memory_progress *progress; /* may be NULL */
	void *progress_ctx;
};

/*
 * Make DMA memory for the devices of @ioas.
 *
 * Every page is brought in when a chunk is made, so that a shortage shows then and not when it is touched (from Linux 5.14 on; before,
 * the pages come when a device is there, or when they are touched). The files are sealed: nobody can shrink or grow them. While a
 * device is attached, all of it is pinned, and counts against RLIMIT_MEMLOCK; large pages count as well. Threads that help to fill it
 * have ended when a call returns, and take no signals.
 *
 * Returns 0 and the memory in @ret_memory, which the caller closes with weir_memory_close() before the space; or
 *   -EINVAL     unknown flag, page_size, or map_flags; address_bits is not 12 to 64; no such NUMA node, or none that this process
 *               may use; initial is more than limit
 *   -ENOMEM     no memory, or over RLIMIT_MEMLOCK; or with WEIR_MEMORY_EXACT_PAGES, not enough such pages (weir_error() says how to
 *               reserve them)
 *   -EOPNOTSUPP with WEIR_MEMORY_EXACT_PAGES, this machine has no such pages
 *   -ENOSPC     whole pages of initial bytes are beyond limit; or no free range of IOVAs
 *   -EMFILE, -E2BIG, and those of weir_ioas_map()
 *
 * Kernel: memfd_create, mbind, MADV_POPULATE_WRITE; IOMMU_IOAS_MAP_FILE or as weir_ioas_map(). Since 0.1.
 */
WEIR_API int weir_memory_open(struct weir_ioas *ioas, const struct weir_memory_opts *opts,
			      struct weir_memory **ret_memory);

/*
 * Take the memory out of all address spaces, and close it with all its buffers. NULL is allowed.
 *
 * Runs to its end. Returns 0, or the kernel's failure to unmap: then devices may still reach the pages, which stay pinned and so are
 * nobody else's. Who else has the files (a child, or whoever was given a descriptor) keeps the memory, out of devices' reach.
 * Since 0.1.
 */
WEIR_API int weir_memory_close(struct weir_memory *memory);

/* A buffer. Plain values, to be copied as one likes; one of the copies is freed. */
struct weir_buffer {
	void *addr;      /* where this process sees it */
	uint64_t iova;   /* where devices of the memory's own space see it */
	uint64_t len;    /* as it was asked for */
	uint64_t offset; /* in the chunk's file */
	uint64_t key;    /* the library's */
	uint32_t chunk;  /* number, for weir_memory_chunk() */
	uint32_t reserved;
};

struct weir_buffer_opts {
	size_t size;    /* sizeof(struct weir_buffer_opts); set by WEIR_OPTS() */
	uint64_t align; /* its IOVA is a multiple of this power of two; 0: of 64, or from a page on of 4096 */
	uint64_t boundary; /* its IOVAs do not cross a multiple of this power of two; 0: they may */
};

/*
 * Cut a buffer of @len bytes. Its content is what was there before; new memory is zero.
 *
 * Buffers of up to half a page take a power of two from 64 bytes on, larger ones whole pages of 4 KiB. The memory grows when it has to;
 * for an alignment above 2 MiB perhaps by as much as that more. In the memory's own space (see weir_memory_share()) alignment and
 * boundary hold for any device.
 *
 * Returns 0 and the buffer in @ret_buffer, which the caller gives back with weir_memory_free(); or
 *   -EINVAL   @len is 0; align or boundary is no power of two, or align is above 1 GiB
 *   -EMSGSIZE @len is more than the boundary; or there is one, and @len is more than 1 GiB
 *   -ENOSPC   the limit is reached; weir_error() says by how much
 *   -ESTALE   the host has been handed over to another process meanwhile (weir/handover.h)
 *   and those of weir_memory_open() when it has to grow
 * Since 0.1.
 */
WEIR_API int weir_memory_alloc(struct weir_memory *memory, uint64_t len, const struct weir_buffer_opts *opts,
			       struct weir_buffer *ret_buffer);

/*
 * Give a buffer back. Devices can still reach the memory, so they have to be done with it.
 *
 * Returns 0; or -EINVAL, with nothing changed, for what is no buffer of this memory, or was freed. Since 0.1.
 */
WEIR_API int weir_memory_free(struct weir_memory *memory, const struct weir_buffer *buffer);

/*
 * Take a buffer at a given place again: @len bytes at @offset of chunk @chunk, as they were asked for from weir_memory_alloc() by a predecessor of this
 * process (weir/handover.h), in a memory that was handed over and that nothing has been allocated from yet.
 *
 * Returns 0 and the buffer in @ret_buffer; or
 *   -EINVAL  there is no such chunk, or no buffer of that length can be there
 *   -EBUSY   part of it is a buffer
 *   -ENOMEM
 * Since 0.1.
 */
WEIR_API int weir_memory_claim(struct weir_memory *memory, uint32_t chunk, uint64_t offset, uint64_t len,
			       struct weir_buffer *ret_buffer);

/*
 * Where devices see @len bytes from @offset on of a buffer. Returns 0 or -ERANGE, when it has not that many. One addition.
 */
static inline int weir_buffer_iova(const struct weir_buffer *buffer, uint64_t offset, uint64_t len,
				   uint64_t *ret_iova)
{
	if (offset > buffer->len || len > buffer->len - offset)
		return -ERANGE;
	*ret_iova = buffer->iova + offset;
	return 0;
}

struct weir_memory_info {
	uint64_t
		page_size; /* of the smallest pages it has; before it has any, of those that it will try first */
	uint64_t bytes;    /* that it has */
	uint64_t used;     /* of these, in buffers, with what rounding adds */
	uint64_t num_buffers;
	uint32_t num_chunks;
	uint32_t num_spaces; /* that it is mapped in */
	char fell_back[160]; /* why its pages are smaller than what was asked for; "" if they are not */
};

/* Fill in @ret_info (@size: sizeof *@ret_info). Returns 0. Since 0.1. */
WEIR_API int weir_memory_info(struct weir_memory *memory, struct weir_memory_info *ret_info, size_t size);

/* A chunk: one file, mapped in one piece. */
struct weir_memory_chunk {
	int fd; /* stays the memory's */
	uint32_t reserved;
	void *addr;
	uint64_t iova;
	uint64_t len;
	uint64_t page_size; /* of its pages; large ones may be as many smaller ones to the IOMMU */
};

/* Fill in @ret_chunk for chunk number @chunk, from 0 on. Returns 0 or -ENOENT. Since 0.1. */
WEIR_API int weir_memory_chunk(struct weir_memory *memory, uint32_t chunk,
			       struct weir_memory_chunk *ret_chunk);

/*
 * Put the memory into a further address space, now and as it grows: at the same IOVAs where they are free there, elsewhere otherwise
 * (weir_memory_iova_in()). The pages stay pinned and charged once where the kernel can share a mapping. That space is closed after
 * weir_memory_unshare() or weir_memory_close().
 *
 * Returns 0; or -EEXIST, it is in that space already; or those of weir_ioas_map_file(), with nothing changed. Kernel: IOMMU_IOAS_COPY on iommufd,
 * if both spaces have a device, and none is just coming or going; a second mapping elsewhere. Since 0.1.
 */
WEIR_API int weir_memory_share(struct weir_memory *memory, struct weir_ioas *ioas);

/* Take it out of a further space again. Returns 0; -ENOENT, it is not in that space; or as weir_map_close(). Since 0.1. */
WEIR_API int weir_memory_unshare(struct weir_memory *memory, struct weir_ioas *ioas);

/* Where the devices of @ioas see a buffer. Returns 0, or -ENOENT, the memory is not in that space. Since 0.1. */
WEIR_API int weir_memory_iova_in(struct weir_memory *memory, const struct weir_ioas *ioas,
				 const struct weir_buffer *buffer, uint64_t *ret_iova);

#ifdef __cplusplus
}
#endif

#endif
