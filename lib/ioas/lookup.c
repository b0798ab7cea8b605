// SPDX-License-Identifier: MIT
/* Where an address leads: what the one who adds and removes does. */
#include "ioas/lookup.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { FEWEST_SLOTS = 128 };

static uint64_t frame_of(uint64_t address, uint32_t class)
{
	return address >> (WEIR_LOOKUP_PAGE_SHIFT + 3 * class);
}

static uint32_t class_of(uint64_t len)
{
	return (63 - (uint32_t)__builtin_clzll(len >> WEIR_LOOKUP_PAGE_SHIFT)) / 3;
}

/* How many frames a range touches. */
static uint32_t frames_of(uint64_t first, uint64_t last)
{
	uint32_t class = class_of(last - first + 1);

	return (uint32_t)(frame_of(last, class) - frame_of(first, class)) + 1;
}

/* The most that a range can touch, wherever it lies. */
static uint64_t most_frames(uint64_t len)
{
	uint32_t class = class_of(len);

	return class ? frame_of(len - 1, class) + 2 : frames_of(0, len - 1);
}

static uint64_t bytes_of(uint64_t table)
{
	return weir_lookup_num(table) * sizeof(struct weir_lookup_slot);
}

void weir_lookup_init(struct weir_lookup *lookup)
{
	memset(lookup, 0, sizeof(*lookup));
}

void weir_lookup_finish(struct weir_lookup *lookup)
{
	for (uint32_t i = 0; i < lookup->num_tables; i++)
		munmap(weir_lookup_slots(lookup->tables[i]), bytes_of(lookup->tables[i]));
	weir_lookup_init(lookup);
}

/* The one who writes reads what it has written itself. */
static uint64_t get(const _Atomic uint64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

static bool in_use(const struct weir_lookup_slot *slot)
{
	return get(&slot->sequence) & WEIR_SLOT_USED;
}

static bool is_given_up(const struct weir_lookup_slot *slot)
{
	return get(&slot->sequence) & WEIR_SLOT_GIVEN_UP;
}

static bool is_empty(const struct weir_lookup_slot *slot)
{
	return !in_use(slot) && !is_given_up(slot);
}

static uint32_t frame_in(const struct weir_lookup_slot *slot)
{
	return get(&slot->sequence) >> WEIR_SLOT_FRAME_SHIFT & 15;
}

/* Each store is a release, so that who sees it also sees that the slot changes. */
static void write_slot(struct weir_lookup *lookup, struct weir_lookup_slot *slot, uint64_t first,
		       uint64_t last, uint64_t to, uint32_t frame)
{
	uint64_t sequence = lookup->sequence += WEIR_SLOT_ONE;

	atomic_store_explicit(&slot->sequence, sequence | WEIR_SLOT_CHANGES, memory_order_relaxed);
	atomic_store_explicit(&slot->first, first, memory_order_release);
	atomic_store_explicit(&slot->span, last - first, memory_order_release);
	atomic_store_explicit(&slot->to, to, memory_order_release);
	sequence |= WEIR_SLOT_USED | (uint64_t)frame << WEIR_SLOT_FRAME_SHIFT;
	atomic_store_explicit(&slot->sequence, sequence, memory_order_release);
}

/* @kind: WEIR_SLOT_GIVEN_UP, or 0. */
static void write_unused(struct weir_lookup *lookup, struct weir_lookup_slot *slot, uint64_t kind)
{
	lookup->sequence += WEIR_SLOT_ONE;
	atomic_store_explicit(&slot->sequence, lookup->sequence | kind, memory_order_release);
}

/* A place in a table. */
struct place {
	struct weir_lookup_slot *slots;
	uint64_t num, at;
};

static struct place place_of(uint64_t table, uint64_t frame)
{
	return (struct place){ .slots = weir_lookup_slots(table),
			       .num = weir_lookup_num(table),
			       .at = weir_lookup_home(table, frame) };
}

static struct place home_of(uint64_t table, uint64_t first, uint64_t last, uint32_t frame)
{
	return place_of(table, frame_of(first, class_of(last - first + 1)) + frame);
}

static struct weir_lookup_slot *slot_at(const struct place *place)
{
	return &place->slots[place->at];
}

static void go_on(struct place *place)
{
	place->at = place->at + 1 == place->num ? 0 : place->at + 1;
}

static void go_back(struct place *place)
{
	place->at = place->at ? place->at - 1 : place->num - 1;
}

/* Put a range in at one of its frames. There is room. */
static void put(struct weir_lookup *lookup, uint64_t table, uint64_t first, uint64_t last, uint64_t to,
		uint32_t frame)
{
	struct place place = home_of(table, first, last, frame);

	while (in_use(slot_at(&place)))
		go_on(&place);
	lookup->given_up -= is_given_up(slot_at(&place));
	lookup->used++;
	write_slot(lookup, slot_at(&place), first, last, to, frame);
}

/* A table of that size, empty, other than the one in use. 0: no memory. */
static uint64_t empty_table(struct weir_lookup *lookup, uint64_t num)
{
	void *slots;

	for (uint32_t i = 0; i < lookup->num_tables; i++)
		if (weir_lookup_num(lookup->tables[i]) == num && lookup->tables[i] != get(&lookup->table))
			return lookup->tables[i];
	if (lookup->num_tables == WEIR_LOOKUP_TABLES)
		return 0;
	slots = mmap(NULL, num * sizeof(struct weir_lookup_slot), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (slots == MAP_FAILED)
		return 0;
	madvise(slots, num * sizeof(struct weir_lookup_slot), MADV_HUGEPAGE); /* faster where there are any */
	lookup->tables[lookup->num_tables] = (uintptr_t)slots | (uint64_t)(1 + __builtin_clzll(num));
	return lookup->tables[lookup->num_tables++];
}

static uint64_t last_of(const struct weir_lookup_slot *slot)
{
	return get(&slot->first) + get(&slot->span);
}

/* Replace the table by one in which @used slots are at most five of eight. */
static int replace(struct weir_lookup *lookup, uint64_t used)
{
	uint64_t num = FEWEST_SLOTS, old = get(&lookup->table), table;
	const struct weir_lookup_slot *slots = weir_lookup_slots(old);

	while (used > num / 8 * 5)
		num *= 2;
	table = empty_table(lookup, num);
	if (!table)
		return -ENOMEM;
	lookup->used = lookup->given_up = 0;
	for (uint64_t i = 0; old && i < weir_lookup_num(old); i++)
		if (in_use(&slots[i]))
			put(lookup, table, get(&slots[i].first), last_of(&slots[i]), get(&slots[i].to),
			    frame_in(&slots[i]));
	atomic_store_explicit(&lookup->table, table, memory_order_release);
	atomic_store_explicit(&lookup->version, get(&lookup->version) + 1, memory_order_release);
	if (old)
		madvise(weir_lookup_slots(old), bytes_of(old), MADV_DONTNEED);
	return 0;
}

int weir_lookup_reserve(struct weir_lookup *lookup, uint64_t len)
{
	uint64_t needed = lookup->used + lookup->reserved + most_frames(len), table = get(&lookup->table);
	int error = 0;

	/* At most three slots of four are not empty. */
	if (!table || (needed + lookup->given_up) > weir_lookup_num(table) / 4 * 3)
		error = replace(lookup, needed);
	if (!error)
		lookup->reserved += most_frames(len);
	return error;
}

void weir_lookup_unreserve(struct weir_lookup *lookup, uint64_t len)
{
	lookup->reserved -= most_frames(len);
}

/* Readers begin with the class that has most ranges, as far as is known from the last ones added. */
static void prefer(struct weir_lookup *lookup, uint32_t class)
{
	uint32_t shift = atomic_load_explicit(&lookup->likely_shift, memory_order_relaxed);
	uint32_t likely = shift ? (shift - WEIR_LOOKUP_PAGE_SHIFT) / 3 : class;

	if (!shift || lookup->ranges[class] > lookup->ranges[likely])
		atomic_store_explicit(&lookup->likely_shift, WEIR_LOOKUP_PAGE_SHIFT + 3 * class,
				      memory_order_relaxed);
}

void weir_lookup_add(struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t to)
{
	uint32_t class = class_of(last - first + 1), frames = frames_of(first, last);
	uint32_t classes = atomic_load_explicit(&lookup->classes, memory_order_relaxed);

	weir_lookup_unreserve(lookup, last - first + 1);
	for (uint32_t frame = 0; frame < frames; frame++)
		put(lookup, get(&lookup->table), first, last, to, frame);
	if (!lookup->ranges[class]++)
		atomic_store_explicit(&lookup->classes, classes | 1u << class, memory_order_release);
	prefer(lookup, class);
}

/* The slot with this range at one of its frames, or NULL. @to: where it leads; NULL: wherever. */
static struct place find(const struct weir_lookup *lookup, uint64_t first, uint64_t last, const uint64_t *to,
			 uint32_t frame)
{
	struct place place = home_of(get(&lookup->table), first, last, frame);

	for (; !is_empty(slot_at(&place)); go_on(&place)) {
		const struct weir_lookup_slot *slot = slot_at(&place);

		if (in_use(slot) && get(&slot->first) == first && last_of(slot) == last &&
		    (!to || get(&slot->to) == *to) && frame_in(slot) == frame)
			return place;
	}
	return (struct place){ 0 };
}

bool weir_lookup_exact(const struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t *ret_to)
{
	struct place place = find(lookup, first, last, NULL, 0);

	if (!place.slots)
		return false;
	*ret_to = get(&slot_at(&place)->to);
	return true;
}

void weir_lookup_redirect(struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t to,
			  uint64_t now_to)
{
	for (uint32_t frame = frames_of(first, last); frame-- > 0;) {
		struct place place = find(lookup, first, last, &to, frame);

		write_slot(lookup, slot_at(&place), first, last, now_to, frame);
	}
}

/* A slot that is given up becomes empty when nobody has to look past it, and so do those before it. */
static void clear(struct weir_lookup *lookup, struct place place)
{
	struct place next = place;

	lookup->used--;
	lookup->given_up++;
	write_unused(lookup, slot_at(&place), WEIR_SLOT_GIVEN_UP);
	go_on(&next);
	if (!is_empty(slot_at(&next)))
		return;
	for (; is_given_up(slot_at(&place)); go_back(&place)) {
		lookup->given_up--;
		write_unused(lookup, slot_at(&place), 0);
	}
}

void weir_lookup_remove(struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t to)
{
	uint32_t class = class_of(last - first + 1);
	uint32_t classes = atomic_load_explicit(&lookup->classes, memory_order_relaxed);

	for (uint32_t frame = frames_of(first, last); frame-- > 0;)
		clear(lookup, find(lookup, first, last, &to, frame));
	if (!--lookup->ranges[class])
		atomic_store_explicit(&lookup->classes, classes & ~(1u << class), memory_order_release);
}

static bool find_class(uint64_t table, uint64_t address, uint32_t class,
		       struct weir_lookup_answer *ret_answer)
{
	struct place place = place_of(table, frame_of(address, class));

	for (;;) {
		uint64_t offset, span, to,
			sequence = weir_lookup_read(slot_at(&place), address, &offset, &span, &to);

		if (sequence & WEIR_SLOT_CHANGES)
			continue;
		if (!(sequence & (WEIR_SLOT_USED | WEIR_SLOT_GIVEN_UP)))
			return false;
		if ((sequence & WEIR_SLOT_USED) && offset <= span) {
			*ret_answer =
				(struct weir_lookup_answer){ .to = to + offset, .left = span - offset + 1 };
			return true;
		}
		go_on(&place);
	}
}

bool weir_lookup_search(const struct weir_lookup *lookup, uint64_t address,
			struct weir_lookup_answer *ret_answer)
{
	uint64_t version;

	do {
		uint32_t classes;
		uint64_t table;

		version = atomic_load_explicit(&lookup->version, memory_order_acquire);
		classes = atomic_load_explicit(&lookup->classes, memory_order_acquire);
		table = atomic_load_explicit(&lookup->table, memory_order_acquire);
		for (; classes; classes &= classes - 1)
			if (find_class(table, address, (uint32_t)__builtin_ctz(classes), ret_answer))
				return true;
	} while (version != atomic_load_explicit(&lookup->version, memory_order_acquire));
	return false;
}
