/* SPDX-License-Identifier: MIT */
/*
 * Looking up without a call: what weir_ioas_iova() and weir_ioas_memory() of weir/ioas.h do first, compiled into the caller, because
 * on some processors the call into a shared library alone takes longer. What is not found at first sight is searched for by the library.
 *
 * Nothing here is for use by itself. The layout is part of the library's binary interface and stays. It is only read here; the
 * library writes it meanwhile, in such an order that what is read in this order belongs together (lib/ioas/lookup.h says how).
 */
#ifndef WEIR_LOOKUP_H
#define WEIR_LOOKUP_H

#include <weir/common.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_ioas;

/*
 * A hash table of pages. Slots are two words: a tag, twice the number of the page and 1 (even: nothing); and how far it is from an address to
 * where it leads | 3 bits for the library | 3 bits: pages left. Both change; they belong together if the version is the same before and after.
 */
struct weir_lookup_table {
	uint64_t version;
	const uint64_t *slots; /* before them, at -1: in how many places of 32 bytes something can belong */
};

enum {
	WEIR_LOOKUP_PARTS = 512, /* of 512 GiB each */
	WEIR_LOOKUP_FRAMES = 1 << 18,
	WEIR_LOOKUP_FRAMES_LEFT = 2047,
	WEIR_LOOKUP_PAGES = 512,
	WEIR_LOOKUP_PAGES_LEFT = 7,
};

/* One direction: from memory to IOVAs, or back. */
struct weir_lookup_view {
	/*
	 * For each part, or NULL, a word for each frame of 2 MiB: how far it is to where it leads | 11 bits: frames left. If none are left, it
	 * is where there is a word for each page of the frame, or 0.
	 *
	 * Such a word: the page it leads to, of one of four bases | 3 bits: pages left | 2 bits: which base; 0: see pages.
	 */
	const uint64_t *parts[WEIR_LOOKUP_PARTS];
	struct weir_lookup_table pages;
	uint64_t bases[4]; /* each stays as it is as soon as a word names it */
	uint64_t reserved[2];
} __attribute__((aligned(64)));

/* What an address space begins with. */
struct weir_ioas_view {
	const struct weir_lookup_view *memory, *iova;
};

__extension__ typedef unsigned __int128 weir_lookup_product;

static inline uint64_t weir_lookup_read(const uint64_t *value)
{
	return __atomic_load_n(value, __ATOMIC_ACQUIRE);
}

/* What is known of the frame that @address is in; 0: nothing. */
static inline __attribute__((always_inline)) uint64_t weir_lookup_frame(const struct weir_lookup_view *view,
									uint64_t address)
{
	uint64_t part = address >> 39;
	const uint64_t *frames;

	if (__builtin_expect(part >= WEIR_LOOKUP_PARTS, 0))
		return 0;
	frames = __atomic_load_n(&view->parts[part], __ATOMIC_ACQUIRE);
	return frames ? weir_lookup_read(&frames[address >> 21 & (WEIR_LOOKUP_FRAMES - 1)]) : 0;
}

/* What is known of the page that @address is in, by what is known of its frame: that no frames are left; 0: nothing. */
static inline uint32_t weir_lookup_dense(uint64_t frame, uint64_t address)
{
	const uint32_t *words = (const uint32_t *)(uintptr_t)frame;

	return words ? __atomic_load_n(&words[address >> 12 & (WEIR_LOOKUP_PAGES - 1)], __ATOMIC_ACQUIRE) : 0;
}

/* Where @address leads, of whose page this is known. */
static inline uint64_t weir_lookup_dense_to(const struct weir_lookup_view *view, uint32_t word,
					    uint64_t address)
{
	return __atomic_load_n(&view->bases[word & 3], __ATOMIC_RELAXED) + ((uint64_t)(word >> 5) << 12) +
	       (address & 4095);
}

/* Where something belongs: its key is multiplied by a number far from any pattern, and the place is as far along as the product. */
static inline uint64_t *weir_lookup_home(const uint64_t *slots, uint64_t key)
{
	weir_lookup_product places = weir_lookup_read(slots - 1);

	return (uint64_t *)slots + (uint64_t)(key * 0x9e3779b97f4a7c15 * places >> 64) * 4;
}

/* What is known of the page that @address is in; 0: have a closer look. Two slots without a branch, which would be hard to guess. */
static inline __attribute__((always_inline)) uint64_t weir_lookup_page(const struct weir_lookup_view *view,
								       uint64_t address)
{
	uint64_t version = weir_lookup_read(&view->pages.version), tag = address >> 12 << 1 | 1, word;
	const uint64_t *slot = weir_lookup_home(__atomic_load_n(&view->pages.slots, __ATOMIC_ACQUIRE), tag);

	slot += 2 * (weir_lookup_read(slot) != tag);
	if (__builtin_expect(weir_lookup_read(slot) != tag, 0))
		return 0;
	word = weir_lookup_read(slot + 1);
	return __builtin_expect(__atomic_load_n(&view->pages.version, __ATOMIC_RELAXED) == version, 1) ? word
												       : 0;
}

/* Of a word for 2^@shift bytes of which @address is in: how many bytes are left, and where it leads. */
static inline uint64_t weir_lookup_left(uint64_t word, uint64_t most, unsigned int shift, uint64_t address)
{
	return ((word & most) << shift) - (address & (((uint64_t)1 << shift) - 1));
}

static inline uint64_t weir_lookup_to(uint64_t word, uint64_t address)
{
	return address + (word & ~(uint64_t)4095);
}

/* 1, and where @address leads and how many bytes are left; or 0: it has to be searched for. */
static inline __attribute__((always_inline)) int weir_lookup_find(const struct weir_lookup_view *view,
								  uint64_t address, uint64_t len,
								  uint64_t *ret_to, uint64_t *ret_left)
{
	uint64_t word = weir_lookup_frame(view, address), left, to;
	uint32_t dense;

	if (word & WEIR_LOOKUP_FRAMES_LEFT) {
		left = weir_lookup_left(word, WEIR_LOOKUP_FRAMES_LEFT, 21, address);
		to = weir_lookup_to(word, address);
	} else if ((dense = weir_lookup_dense(word, address))) {
		left = weir_lookup_left(dense >> 2, WEIR_LOOKUP_PAGES_LEFT, 12, address);
		to = weir_lookup_dense_to(view, dense, address);
	} else {
		word = weir_lookup_page(view, address);
		if (__builtin_expect(!word, 0))
			return 0;
		left = weir_lookup_left(word, WEIR_LOOKUP_PAGES_LEFT, 12, address);
		to = weir_lookup_to(word, address);
	}
	if (__builtin_expect(left < len, 0))
		return 0;
	*ret_to = to;
	if (ret_left)
		*ret_left = left;
	return 1;
}

/* As weir_ioas_iova(), whatever it takes. Since 0.1. */
WEIR_API int weir_ioas_search_iova(const struct weir_ioas *ioas, const void *addr, uint64_t len,
				   uint64_t *ret_iova, uint64_t *ret_left);

/* As weir_ioas_memory(). Since 0.1. */
WEIR_API int weir_ioas_search_memory(const struct weir_ioas *ioas, uint64_t iova, uint64_t len,
				     void **ret_addr, uint64_t *ret_left);

static inline __attribute__((always_inline)) int weir_ioas_iova(const struct weir_ioas *ioas,
								const void *addr, uint64_t len,
								uint64_t *ret_iova, uint64_t *ret_left)
{
	const struct weir_lookup_view *view = ((const struct weir_ioas_view *)ioas)->memory;

	if (__builtin_expect(weir_lookup_find(view, (uintptr_t)addr, len, ret_iova, ret_left), 1))
		return 0;
	return weir_ioas_search_iova(ioas, addr, len, ret_iova, ret_left);
}

static inline __attribute__((always_inline)) int weir_ioas_memory(const struct weir_ioas *ioas, uint64_t iova,
								  uint64_t len, void **ret_addr,
								  uint64_t *ret_left)
{
	const struct weir_lookup_view *view = ((const struct weir_ioas_view *)ioas)->iova;
	uint64_t address;

	if (__builtin_expect(!weir_lookup_find(view, iova, len, &address, ret_left), 0))
		return weir_ioas_search_memory(ioas, iova, len, ret_addr, ret_left);
	*ret_addr = (void *)(uintptr_t)address;
	return 0;
}

#ifdef __cplusplus
}
#endif

#endif
