/* SPDX-License-Identifier: MIT */
/*
 * A queue pair at work: a submission queue, its completion queue, the commands in flight. Internal.
 *
 * It is driven on nothing but memory and two doorbells, so that tests and benchmarks run it against plain
 * memory. The controller learns of it through admin commands (admin.h), not from here.
 *
 * Command identifiers. The low bits of a command identifier are the index of the command's slot; the bits
 * above count how often the slot was used. A completion that comes twice, or long after its slot was given
 * up, so meets a slot that expects another identifier, and is recognised instead of ending somebody else's
 * command.
 *
 * What makes it fast. Per command there is nothing but straight loads and stores: no search, no division, no clock, no lock. All
 * checks of a request come down to few comparisons with numbers that are worked out once for a batch; what fails one of them
 * takes the long way (odd.c), which finds out whether it is right after all, or why not. Words of a submission entry
 * that are zero in every command are written once. A completion is one load, and one comparison tells that queue and command
 * are those that its slot expects.
 */
#ifndef NVME_QUEUE_H
#define NVME_QUEUE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <weir/guard.h>
#include <weir/irq.h>
#include <weir/memory.h>
#include <weir/region.h>

#include "common/io.h"
#include "common/block.h"
#include "nvme/nvme.h"
#include "nvme/prp.h"
#include "nvme/spec.h"

#define NVME_MAX_DEPTH 4095u /* 12 bits of index, of which the highest is never used, leave 4 that count */

/*
 * A doorbell. The short way is a store to a register that is mapped. Else addr is NULL, and nvme_queue_ring_slowly() does what there is to do:
 * copies commands to the controller's memory, writes a shadow and asks whether to ring, goes through the region.
 */
struct nvme_doorbell {
	volatile uint32_t *addr; /* NULL: not mapped, or there is more to do */
	struct weir_region *region;
	uint64_t offset;
	volatile uint32_t *mapped; /* the register, if it is mapped */
	uint32_t *shadow;          /* in memory, what the register should hold; NULL: rung each time */
	uint32_t *event;           /* the controller's: ring when the value passes this */
};

/* Where a submission queue is that lies in the controller's memory: what is in host memory is copied there before it rings. */
struct nvme_sq_cmb {
	struct weir_region *region; /* NULL: it does not */
	uint64_t offset;
	volatile unsigned char *mapped; /* NULL: by accessor */
	uint32_t copied;                /* the entries before this one have been */
};

/*
 * A command's place. What it expects looks like bits 63:16 of qword 1 of the entry that completes it without an error, the phase taken as
 * zero: the queue in bits 15:0, the identifier in 31:16. The flags are beyond what an entry can have, so that no entry ever matches.
 */
struct nvme_slot {
	uint64_t tag; /* the caller's */
	union {
		uint64_t expected;
		uint32_t halves[2]; /* of that */
	};
};

#define NVME_SLOT_UPPER_HALF (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

#define NVME_SLOT_IDLE                                                                                       \
	(1ull                                                                                                \
	 << 48) /* not in flight; in bits 31:0 is what its next command will expect, perhaps with noise above */
#define NVME_SLOT_DROPPED                                                                                    \
	(1ull << 49) /* in flight, but nobody waits for it any more; below, what it expects */

/*
 * Where a queue is, in one word, so that one store writes it down for a successor. Its parts are read; it is written as a whole, for a load that
 * follows stores to parts of it has to wait for them.
 */
union nvme_place {
	uint64_t word;
	struct {
		uint16_t cq_head;  /* where the next completion comes */
		uint16_t phase;    /* of a new completion: 1 in the first round */
		uint16_t sq_tail;  /* where the next command goes */
		uint16_t num_free; /* slots */
	};
};

/* One more in a part. */
#define NVME_PLACE(part)                                                                                     \
	(1ull << (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 16 * (part) : 48 - 16 * (part)))
#define NVME_PLACE_HEAD  NVME_PLACE(0)
#define NVME_PLACE_PHASE NVME_PLACE(1)
#define NVME_PLACE_TAIL  NVME_PLACE(2)
#define NVME_PLACE_FREE  NVME_PLACE(3)

/* What else there is to it. */
struct nvme_queue_state {
	uint32_t entries;     /* of either ring */
	uint32_t depth;       /* slots: one less than entries, so that neither ring can overflow */
	uint32_t num_dropped; /* slots in flight, and nobody waits for them */
	uint32_t
		index_mask; /* of a command identifier: more than any index, so that identifier 0xffff does not occur */
	uint32_t id;    /* of both queues; 0: admin */
	int32_t failed; /* 0, or the error that ended its use */
};

/* What a read or a write of a namespace is compared with. Kept in memory: registers are few. */
struct nvme_limits {
	uint64_t max_blocks; /* in one request */
	uint64_t blocks;     /* a request that begins below cannot reach beyond the end */
	uint64_t first[2];   /* what qword 0 begins with, by operation; the identifier is added */
};

/* A buffer, by its place in a weir_memory. */
struct nvme_kept_buffer {
	uint64_t offset, len, iova;
	uint32_t chunk, reserved;
};

struct nvme_queue {
	/* Used with every command. What is in it twice, in other forms, saves working it out. */
	union nvme_place place;
	struct nvme_queue_kept *kept; /* kept.h */
	struct nvme_queue_state state;
	struct nvme_sqe *sq;
	const struct nvme_cqe *cq;
	struct nvme_slot *slots; /* behind kept: one for each index that there could be, index_mask too */
	struct nvme_slot **free_slots; /* a stack */
	struct nvme_doorbell sq_doorbell;
	struct nvme_doorbell cq_doorbell;
	uint64_t phase;       /* place.phase, where an entry has it */
	uint64_t offset_mask; /* of an identifier that has been shifted: offset of its slot */
	uint64_t
		step; /* added to what a slot expected when its command has completed: the next identifier, and idle */
	uint64_t flags; /* of every command that has data */
	uint64_t
		read; /* qword 0 of a read, but for namespace and identifier, and less the queue's number, which comes with that */
	uint64_t iovas; /* data that begins below does not wrap; in units of 4 */
	uint32_t
		one_page; /* data that ends below, from the start of its first page, needs no second pointer */
	uint32_t max_transfer; /* bytes in one request */
	uint32_t one_list;     /* data that is no longer has its list in one page; 0: there are no lists */
	struct nvme_limits limits; /* of the batch that is being put */
	unsigned char *lists;      /* one for each slot, see nvme_lists_len() */
	uint64_t lists_iova;       /* where the controller sees them */

	/* Used when something goes wrong or is set up. */
	uint32_t ops; /* 1 << each operation that the controller has */
	bool busy;    /* in use at this moment; kept up without NDEBUG only */
	struct nvme_sq_cmb sq_cmb;
	bool ended;                         /* with a reset that failed */
	uint32_t list_len;                  /* bytes of each list */
	uint64_t bad_entry;                 /* with -EPROTO: the completion that broke the rules */
	struct nvme_controller *controller; /* NULL in tests on plain memory */
	struct weir_irq *irq;               /* NULL: polled */
	uint32_t vector;
	struct weir_buffer memory; /* all of the above that the controller sees */
	uint64_t sq_iova, cq_iova; /* where it sees the rings */
	void *kept_alone;          /* what is kept, if it lies in no journal */
	struct nvme_queue *next;   /* of the same controller */
	bool lost;                 /* closed, but the controller may still use its memory */
	bool ring_first; /* adopted, and the doorbells may not have been rung with what was published */
	bool is_paused;
	int32_t failed_before; /* while it is paused: what state.failed was */
	struct nvme_completion *
		left; /* adopted, or of before a reset: num_left of depth, to be delivered from next_left on */
	uint32_t num_left, next_left;
	uint32_t list_offsets[]; /* where in lists, by slot */
};

/*
 * Of one queue pair: the block "nvme ADDRESS queue ID", admin queue included. Slots, and what a reset left, follow. Values
 * only, and nothing in it says where this process reads or writes: where somebody else can write into it (before Linux 5.1), commands may be lost, or end one
 * for the other, and no more.
 */
struct nvme_queue_kept {
	uint32_t quiet; /* both doorbells are known to have been rung */
	uint32_t depth, id, max_transfer;
	uint64_t
		place; /* union nvme_place, as it was after the last submission: so cq_head is where the caller had come to */
	struct nvme_kept_buffer memory; /* I/O queues: rings and lists */
	uint32_t num_left;   /* completions that a reset left, and that the caller has not taken note of: */
	uint32_t first_left; /* from this one on */
};

_Static_assert(sizeof(struct nvme_queue_kept) % 64 == 0, "slots are aligned");

/* In state.failed, of a queue that is in order: what its first call, or every call, has to do first. */
#define NVME_QUEUE_ADOPTED (-EAGAIN)
#define NVME_QUEUE_PAUSED  (-EBUSY)
#define NVME_QUEUE_RESET                                                                                     \
	1 /* there was a reset; what it ended is reported first, and stays in the block until the next submission */

/* What a queue works on. Rings and lists are zeroed, and belong to the caller. */
struct nvme_queue_setup {
	struct nvme_sqe *sq; /* depth + 1 entries, page aligned */
	struct nvme_cqe *cq; /* depth + 1 entries, page aligned */
	void *lists;         /* nvme_lists_len() bytes, page aligned */
	uint64_t lists_iova;
	uint32_t depth;        /* 1 to NVME_MAX_DEPTH */
	uint32_t max_transfer; /* at most NVME_PRP_MAX_TRANSFER */
	uint16_t id;
	uint64_t flags; /* 0, or NVME_SQE_SGL */
	uint32_t ops;   /* 1 << each operation beside read, write and flush */
	struct nvme_doorbell sq_doorbell;
	struct nvme_doorbell cq_doorbell;
	struct nvme_queue_kept *kept; /* nvme_queue_kept_len() bytes; NULL: for this process alone */
	bool adopt; /* what is kept there is to be gone on with; rings and lists are as they were left */
};

/* More than any index: the highest of the identifiers it leaves is never used. */
uint32_t nvme_index_mask(uint32_t depth);

/*
 * How many bytes the lists of a queue take. Each slot has a list of its own, as long as its largest transfer needs; none crosses a page, but for those
 * of several pages, which begin with one. Short ones lie an odd number of cache lines apart, for at a distance of a power of two they would all want
 * the same few places in the cache.
 */
size_t nvme_lists_len(uint32_t depth, uint32_t max_transfer);

/* Make a queue. Returns 0; -EINVAL for a depth or size out of bounds; -ENOMEM. */
int nvme_queue_create(const struct nvme_queue_setup *setup, struct nvme_queue **ret_queue);

/* End a queue made by nvme_queue_create(): forget it, without telling anybody. NULL is allowed. */
void nvme_queue_destroy(struct nvme_queue *queue);

/*
 * Submit one command as it stands, except for its identifier, and ring: the admin queue's way. Errors as for
 * nvme_queue_submit().
 */
int nvme_queue_submit_raw(struct nvme_queue *queue, const struct nvme_sqe *command, uint64_t tag);

/*
 * Take one completion, with dword 0 of its entry in @ret_result: the admin queue's way. Returns 1, 0 or an
 * error as nvme_queue_reap().
 */
int nvme_queue_reap_raw(struct nvme_queue *queue, struct nvme_completion *ret_completion,
			uint32_t *ret_result);

/* From now on nobody waits for what is in flight: its completions are taken and not reported. */
void nvme_queue_drop(struct nvme_queue *queue);

/*
 * The controller has been disabled, so that nothing changes any more, and will begin anew. What had completed is taken, the rest of what was
 * in flight is in doubt; both are left for nvme_queue_reap(). Rings and slots are as they were at first.
 */
void nvme_queue_reset(struct nvme_queue *queue);

/* The controller could not be started again: nothing more than the error, and what was left. */
void nvme_queue_end(struct nvme_queue *queue, int error);

/* Say why the queue can be used no more, and return the error. */
int nvme_queue_explain(const struct nvme_queue *queue);

/* Between the parts of a queue ---------------------------------------------------------------------------- */

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/*
 * A doorbell that is not mapped, or could not be stored to: the region says why. Returns @num.
 */
int nvme_queue_ring_slowly(struct nvme_queue *queue, const struct nvme_doorbell *doorbell, uint32_t value,
			   int num);

/* Before the first slot is taken: what was delivered before has been taken note of, for its caller is here again. */
static inline void nvme_queue_acknowledge(struct nvme_queue *q)
{
	block_set(q->kept->place, q->place.word);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* @num entries have been filled, and belong to the last slots of the stack: one store tells a successor. Returns the new tail. */
static inline uint32_t nvme_queue_advance(struct nvme_queue *q, uint32_t num)
{
	uint64_t word = q->place.word + num * (NVME_PLACE_TAIL - NVME_PLACE_FREE);
	uint32_t tail = q->place.sq_tail + num;

	if (unlikely(tail == q->state.entries)) {
		word -= tail * NVME_PLACE_TAIL;
		tail = 0;
	}
	q->place.word = word;
	block_set(q->kept->place, word);
	return tail;
}

/*
 * A slot is of a command whose identifier is in its entry by now; never before, for a successor finds unfinished commands by their entries. (The order
 * of instructions is enough: whoever looks finds what a killed process has done.)
 */
static inline void nvme_queue_mark(struct nvme_slot *slot)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	slot->halves[NVME_SLOT_UPPER_HALF] = 0;
}

#ifdef __SANITIZE_THREAD__
void __tsan_release(void *addr);
#endif

/*
 * Ring: what was written to memory is seen before, and entries that are given back have been read (load64() is done before what follows
 * it). Returns @num: what is in the ring is the queue's, and what was taken out the caller's, also if it could not be rung. Then the queue has failed, and the next call says so. A guarded store says that it could not be done (weir/guard.h); it is no atomic one, which ThreadSanitizer has to be told.
 */
static inline int nvme_queue_ring(struct nvme_queue *q, const struct nvme_doorbell *doorbell, uint32_t value,
				  int num)
{
	dma_wmb();
#ifdef __SANITIZE_THREAD__
	__tsan_release((void *)(uintptr_t)doorbell->addr);
#endif
	if (likely(doorbell->addr) && likely(!weir_mmio_write32(doorbell->addr, value)))
		return num;
	return nvme_queue_ring_slowly(q, doorbell, value, num);
}

/*
 * The long way. Put one request into the next entry, whatever it is, or say what is wrong with it: errors as for nvme_queue_submit(), and
 * nothing is changed.
 */
int nvme_queue_put(struct nvme_queue *queue, const struct nvme_namespace *ns,
		   const struct nvme_request *request);

/* The second pointer of data that goes beyond its first page, with all that it leads to. */
uint64_t nvme_queue_second_pointer(const struct nvme_queue *queue, const struct nvme_slot *slot,
				   uint64_t iova, uint32_t len);

/* Rings at their beginning, all slots free, each with its first identifier. */
void nvme_queue_begin(struct nvme_queue *queue);

/*
 * Take the entry at the head, if it is new, without ringing. Returns 1 with a completion to report, 0 without, or -EPROTO; @ret_new tells whether there
 * was something.
 */
int nvme_queue_take_odd(struct nvme_queue *queue, struct nvme_completion *ret, bool *ret_new);

/* Whether a request with data could be submitted, but for where its data is. Returns 0 or an error of nvme_queue_submit(). */
int nvme_queue_check_blocks(const struct nvme_namespace *ns, const struct nvme_request *request);

/* The last free slot, of which there is one, is for a command; it is taken when the next entry is filled for it: words 3 to 6, and 0. */
struct nvme_slot *nvme_queue_take_slot(struct nvme_queue *queue, uint64_t tag);
void nvme_queue_put_words(struct nvme_queue *queue, struct nvme_slot *slot, uint64_t opcode_and_flags,
			  uint32_t nsid, const uint64_t qwords3to6[4]);

/* Two threads at once are an error of the program's, looked for where that costs nothing that counts. */
static inline bool nvme_queue_enter(struct nvme_queue *q)
{
#ifdef NDEBUG
	(void)q;
	return true;
#else
	return !__atomic_exchange_n(&q->busy, true, __ATOMIC_ACQUIRE);
#endif
}

static inline void nvme_queue_leave(struct nvme_queue *q)
{
#ifdef NDEBUG
	(void)q;
#else
	__atomic_store_n(&q->busy, false, __ATOMIC_RELEASE);
#endif
}

/* -EBUSY, in words. */
int nvme_queue_intruder(const struct nvme_queue *queue);

/* An entry that says @qword1 is a new completion. */
static inline bool nvme_queue_is_new(const struct nvme_queue *q, uint64_t qword1)
{
	return nvme_cqe_phase(qword1) == q->place.phase;
}

/* The end of the completion ring: @word is where the queue would be beyond it. */
static inline uint64_t nvme_queue_turn(struct nvme_queue *q, uint64_t word)
{
	q->phase ^= 1ull << 48;
	return (word & ~(UINT16_MAX * NVME_PLACE_HEAD)) ^ NVME_PLACE_PHASE;
}

/* The index that an identifier leads to; @what as a slot expects it. */
static inline uint32_t nvme_slot_index(const struct nvme_queue *q, uint64_t what)
{
	return (uint32_t)what >> 16 & q->state.index_mask;
}

static inline bool nvme_slot_in_flight(const struct nvme_slot *slot)
{
	return !(slot->expected & (NVME_SLOT_IDLE | NVME_SLOT_DROPPED));
}

/* The list of a slot: where it is, and where the controller sees it. */
static inline void *nvme_slot_list(const struct nvme_queue *q, const struct nvme_slot *slot,
				   uint64_t *ret_iova)
{
	uint32_t offset = q->list_offsets[slot - q->slots];

	*ret_iova = q->lists_iova + offset;
	return q->lists + offset;
}

#endif
