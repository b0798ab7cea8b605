/* SPDX-License-Identifier: MIT */
/* DMA memory, as its own parts see it: chunks of memfds, mapped into spaces, and buffers cut from them. */
#ifndef WEIR_LIB_MEMORY_H
#define WEIR_LIB_MEMORY_H

#include <pthread.h>

#include <weir/memory.h>

#include "memory/index.h"
#include "ioas/ioas.h"

/*
 * Buffers lie in a space of keys, in which every chunk has a range: congruent with its IOVA modulo 1 GiB, so that what is aligned by its
 * key is aligned for devices, and with a gap before the next, so that no buffer lies in two.
 */
struct weir_chunk {
	struct weir_backing backing;
	uint64_t len, page_size;
	uint64_t key;           /* of its first byte */
	struct weir_map **maps; /* one for each space of the memory, in their order */
};

/* Whole pages that are a buffer, or that are divided into small ones. */
struct weir_run {
	struct weir_segment segment;   /* first */
	struct weir_run *next, **link; /* slabs: with room, of one class */
	uint64_t used;                 /* slabs: which of the parts are buffers */
	uint64_t pages;                /* 0: no run, but the gap between two chunks */
	uint32_t shift;                /* slabs: of the parts' length; 0: it is one buffer */
};

/* The most that a chunk can be asked to have: what it is rounded up to is a length, too. */
#define WEIR_MEMORY_MOST ((uint64_t)1 << 62)

enum { WEIR_MEMORY_TEXT = sizeof(((struct weir_memory_info *)0)->fell_back) };

enum { WEIR_SLAB_SHIFT = 12, WEIR_LEAST_SHIFT = 6, WEIR_SLAB_CLASSES = WEIR_SLAB_SHIFT - WEIR_LEAST_SHIFT };

struct weir_memory {
	struct weir_memory *next;     /* of the host; its lock guards this */
	uint32_t number;              /* in the journal */
	struct weir_memory_opts opts; /* page_size: of the next chunk, at most */
	const struct weir_sys *sys;
	pthread_mutex_t lock;      /* guards all of it; held while it grows */
	struct weir_ioas **spaces; /* the first is its own */
	uint32_t num_spaces;
	struct weir_chunk *chunks;
	uint32_t num_chunks;
	uint64_t bytes, used, num_buffers;
	uint64_t end;                              /* of the keys that are in use */
	struct weir_run *slabs[WEIR_SLAB_CLASSES]; /* with room */
	struct weir_index runs;                    /* by their first key, while there is memory for it */
	char fell_back[WEIR_MEMORY_TEXT];
	bool parked; /* its host was given away, and nothing is left of it but this: for threads that do not know yet */
	struct weir_iova keys; /* large */
};

/*
 * A memory that was handed over: its options; a further space that it is in; a chunk of it, mapped into this process; the same, with its mappings, in their
 * order. -EPROTO, -ENOMEM and others, with texts.
 */
int weir_memory_adopt(struct weir_ioas *ioas, const struct weir_slot_memory *slot, uint32_t number,
		      struct weir_memory **ret_memory);
int weir_memory_adopt_space(struct weir_memory *memory, struct weir_ioas *ioas);
int weir_chunk_adopt(struct weir_memory *memory, const struct weir_slot_file *slot, int fd,
		     struct weir_chunk *chunk);
int weir_chunk_adopted(struct weir_memory *memory, const struct weir_chunk *chunk);

/* buffer.c: weir_memory_claim() by its IOVA in the memory's own space. */
int weir_memory_claim_at(struct weir_memory *memory, uint64_t iova, uint64_t len,
			 struct weir_buffer *ret_buffer);

/* It is somebody else's: forget it without a kernel call but for this process's own mapping. The host's lock is held. */
void weir_memory_let_go(struct weir_memory *memory);

/* memory.c: -ESTALE, with a text, if it is parked. Its lock is held. */
int weir_memory_check(const struct weir_memory *memory);

/* chunk.c: one more chunk of at least @len bytes, in all spaces. The lock is held. */
int weir_memory_grow(struct weir_memory *memory, uint64_t len);

/* note.c: what the journal says of a memory: opened (-ENOSPC), as @error says; closed; put into a space; taken out. Nothing without a journal. */
int weir_memory_note(struct weir_memory *memory);
void weir_memory_forget(struct weir_memory *memory);
int weir_memory_note_share(struct weir_memory *memory, const struct weir_ioas *ioas, uint32_t *ret_number);
void weir_memory_forget_share(struct weir_memory *memory, const struct weir_ioas *ioas);

/* note.c: the chunk's file and its descriptor, as intended; they are in force; they are about to be closed. */
int weir_chunk_note(struct weir_memory *memory, struct weir_chunk *chunk);
void weir_chunk_noted(struct weir_memory *memory, const struct weir_chunk *chunk);
void weir_chunk_forget(struct weir_memory *memory, const struct weir_chunk *chunk);

static inline struct weir_journal *weir_memory_journal(const struct weir_memory *memory)
{
	return memory->spaces[0]->host->kernel.journal;
}

/* Take a chunk out of all spaces, and free it if nothing failed. */
int weir_chunk_close(struct weir_memory *memory, struct weir_chunk *chunk);

/* Map a chunk into one more space: the mapping, or NULL with the error in *@error. */
struct weir_map *weir_chunk_map(struct weir_memory *memory, const struct weir_chunk *chunk,
				struct weir_ioas *ioas, int *error);

/* The chunk that a key lies in. */
struct weir_chunk *weir_chunk_at(struct weir_memory *memory, uint64_t key);

#endif
