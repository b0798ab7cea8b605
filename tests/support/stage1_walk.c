// SPDX-License-Identifier: MIT
#include "support/stage1_walk.h"

#include <stdatomic.h>
#include <stddef.h>

enum { ENTRIES = 512 };

/* Where a walk begins, and what it has collected on the way. */
struct place {
	uint64_t table;
	unsigned int shift; /* bits that entries of this table leave to be translated */
	uint64_t input;     /* IOVAs below this */
	uint64_t output;    /* IPAs below this */
	bool writes;
};

/* What an entry is. */
struct entry {
	enum { NOTHING, TABLE, PAGE } kind;
	uint64_t address;
	bool writes;
};

static bool complain(struct walker *walker, const char *complaint)
{
	if (!walker->complaint)
		walker->complaint = complaint;
	return false;
}

static uint64_t bits(uint64_t value, unsigned int high, unsigned int low)
{
	return value >> low & (((uint64_t)2 << (high - low)) - 1);
}

/* The IOMMU reads 8 bytes at once, whatever others do meanwhile. */
static uint64_t read_word(const uint64_t *words, unsigned int index)
{
	return atomic_load_explicit((_Atomic uint64_t *)&words[index], memory_order_acquire);
}

/* x86 ------------------------------------------------------------------------------------------------------------- */

static struct entry read_x86(struct walker *walker, uint64_t word, unsigned int shift)
{
	struct entry entry = { .writes = bits(word, 1, 1) };

	if (!bits(word, 0, 0))
		return entry;
	if (!bits(word, 2, 2))
		complain(walker, "an entry is the supervisor's");
	if (!bits(word, 5, 5))
		complain(walker, "an entry has not been accessed");
	entry.kind = shift == 12 || bits(word, 7, 7) ? PAGE : TABLE;
	entry.address = word & 0x000ffffffffff000;
	if (word >> 52 || bits(word, 4, 3) || bits(word, 11, 8))
		complain(walker, "bits of an entry are set that say something else");
	if (shift == 12 && bits(word, 7, 7))
		complain(walker, "bit 7 of a small page's entry is an attribute");
	if (entry.kind == PAGE && entry.writes && !bits(word, 6, 6))
		complain(walker, "a page that may be written is not dirty");
	if (entry.kind == PAGE && shift > walker->largest)
		complain(walker, "this hardware has no pages that large");
	if (entry.kind == PAGE && entry.address & (((uint64_t)1 << shift) - 1))
		complain(walker, "reserved bits of a large page's entry are set");
	return entry;
}

static struct place begin_x86(struct walker *walker)
{
	unsigned int width = 12 + 9 * walker->levels;

	return (struct place){ walker->root, width - 9, (uint64_t)1 << width, (uint64_t)1 << 52, true };
}

/* ARM ------------------------------------------------------------------------------------------------------------- */

static struct entry read_arm(struct walker *walker, uint64_t word, unsigned int shift)
{
	struct entry entry = { .writes = true };

	if (!bits(word, 0, 0))
		return entry;
	entry.address = word & 0x0000fffffffff000;
	if (bits(word, 1, 1) && shift > 12) {
		entry.kind = TABLE;
		if (word & ~(entry.address | 3))
			complain(walker, "bits of a table's entry are set that say something else");
		return entry;
	}
	entry.kind = PAGE;
	entry.writes = !bits(word, 7, 7);
	if (shift == 12 && !bits(word, 1, 1))
		complain(walker, "01 is reserved on the last level");
	if (shift > 30)
		complain(walker, "there are no blocks on level 0");
	if (bits(word, 4, 2) || bits(word, 5, 5))
		complain(walker, "attributes are not number 0");
	if (!bits(word, 6, 6))
		complain(walker, "a page is not for unprivileged accesses");
	if (bits(word, 9, 8) != 3)
		complain(walker, "a page is not inner shareable");
	if (!bits(word, 10, 10))
		complain(walker, "the access flag is not set");
	if (!bits(word, 11, 11))
		complain(walker, "a page is global: its ASID does not matter");
	if (word >> 48)
		complain(walker, "upper attributes, or bits beyond 48, are set");
	if (entry.address & (((uint64_t)1 << shift) - 1))
		complain(walker, "reserved bits of a block's entry are set");
	return entry;
}

static struct place begin_arm(struct walker *walker)
{
	static const unsigned int sizes[8] = { 32, 36, 40, 42, 44, 48 };
	const uint64_t *cd = walker->at(walker->ctx, walker->root);
	struct place place = { .writes = true };
	uint64_t word = cd ? read_word(cd, 0) : 0;
	unsigned int width = 64 - (unsigned int)bits(word, 5, 0);

	if (!bits(word, 31, 31))
		complain(walker, "the context descriptor is not valid");
	if (!bits(word, 41, 41) || bits(word, 7, 6) || width < 25 || width > 48)
		complain(walker, "the context is not AArch64 with 4 KiB pages");
	if (bits(word, 14, 14) || !bits(word, 30, 30))
		complain(walker, "TTB0 is off, or TTB1 is on");
	if (bits(word, 9, 8) != 1 || bits(word, 11, 10) != 1 || bits(word, 13, 12) != 3)
		complain(walker, "the walk does not read cached, shareable memory");
	if (bits(word, 15, 15) || bits(word, 38, 38) || bits(word, 43, 42) || bits(word, 44, 44))
		complain(walker, "big endian, tags, hardware updates or stalls are on");
	if (!bits(word, 45, 45) || !bits(word, 46, 46))
		complain(walker, "faults are not recorded, or not aborted");
	if (cd && (cd[2] || bits(cd[3], 7, 0) != 0xff || cd[1] & ~0x0000fffffffff000))
		complain(walker, "TTB0, TTB1 or the attributes are wrong");
	if (!cd || walker->complaint)
		return place;
	place.table = cd[1];
	place.shift = 12 + (width - 13) / 9 * 9;
	place.input = (uint64_t)1 << width;
	place.output = (uint64_t)1 << sizes[bits(word, 34, 32)];
	return place;
}

uint16_t walk_asid(struct walker *walker)
{
	return (uint16_t)bits(read_word(walker->at(walker->ctx, walker->root), 0), 63, 48);
}

/* Both ------------------------------------------------------------------------------------------------------------ */

static struct place begin(struct walker *walker)
{
	return walker->arm ? begin_arm(walker) : begin_x86(walker);
}

static const uint64_t *read_table(struct walker *walker, const struct place *place)
{
	const uint64_t *words = walker->words;

	if (!words || walker->table != place->table)
		words = walker->at(walker->ctx, place->table);
	walker->table = place->table;
	walker->words = words;
	if (!words)
		complain(walker, "a table is where nothing is mapped");
	return words;
}

static struct entry read_entry(struct walker *walker, const struct place *place, uint64_t word)
{
	struct entry entry = { .kind = NOTHING };

	if (!word)
		return entry;
	entry = walker->arm ? read_arm(walker, word, place->shift) : read_x86(walker, word, place->shift);
	if (entry.address >= place->output) {
		complain(walker, "an address is beyond what tables may lead to");
		entry.kind = NOTHING;
	}
	return entry;
}

static bool is_canonical(const struct walker *walker, const struct place *place, uint64_t iova)
{
	if (iova < (walker->arm ? place->input : place->input / 2))
		return true;
	return !walker->arm && iova >= -(place->input / 2);
}

bool walk_one(struct walker *walker, uint64_t iova, struct walk_page *ret_page)
{
	struct place place = begin(walker);

	if (walker->complaint || !is_canonical(walker, &place, iova))
		return false;
	for (;; place.shift -= 9) {
		const uint64_t *words = read_table(walker, &place);
		struct entry entry = { .kind = NOTHING };
		uint64_t inside = iova & (((uint64_t)1 << place.shift) - 1);

		if (words)
			entry = read_entry(walker, &place,
					   read_word(words, iova >> place.shift & (ENTRIES - 1)));
		place.writes = place.writes && entry.writes;
		if (entry.kind == NOTHING)
			return false;
		if (entry.kind == PAGE) {
			*ret_page = (struct walk_page){ iova, entry.address + inside,
							(uint64_t)1 << place.shift, place.writes };
			return true;
		}
		place.table = entry.address;
	}
}

/* The upper half of what x86 has is at the upper end of 64 bits. */
static uint64_t extended(const struct walker *walker, const struct place *place, uint64_t iova)
{
	return !walker->arm && iova & place->input / 2 ? iova | -place->input : iova;
}

static void visit_table(struct walker *walker, const struct place *place, uint64_t iova,
			void (*visit)(void *ctx, const struct walk_page *page), void *ctx)
{
	const uint64_t *words = read_table(walker, place);
	uint64_t size = (uint64_t)1 << place->shift;

	for (unsigned int i = 0; words && i < ENTRIES; i++, iova += size) {
		struct entry entry = read_entry(walker, place, read_word(words, i));
		struct place below = { entry.address, place->shift - 9, place->input, place->output,
				       place->writes && entry.writes };
		struct walk_page page = { extended(walker, place, iova), entry.address, size, below.writes };

		if (entry.kind != NOTHING && iova >= place->input)
			complain(walker, "an entry is beyond the address bits");
		else if (entry.kind == PAGE)
			visit(ctx, &page);
		else if (entry.kind == TABLE)
			visit_table(walker, &below, iova, visit, ctx);
	}
}

void walk_all(struct walker *walker, void (*visit)(void *ctx, const struct walk_page *page), void *ctx)
{
	struct place place = begin(walker);

	if (!walker->complaint)
		visit_table(walker, &place, 0, visit, ctx);
}
