/* SPDX-License-Identifier: MIT */
/* What cases about address spaces have in common. */
#ifndef TESTS_CONFORMANCE_SPACE_H
#define TESTS_CONFORMANCE_SPACE_H

#include "conformance/fixture.h"

#define PAGE ((uint64_t)4096)
#define MIB  ((uint64_t)1 << 20)
#define GIB  ((uint64_t)1 << 30)

/* Options of a mapping at one place, and of one for devices with few address bits. */
#define AT(iova_)    (&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = (iova_)))
#define BELOW(bits_) (&WEIR_OPTS(weir_map_opts, .address_bits = (bits_)))

/*
 * Call @check with a new space that has no device and with one that has EDU0, which must not matter. In it, at() says where the
 * case is: "row, without a device".
 */
void in_both_states(struct t *t, void (*check)(struct t *t, struct weir_ioas *ioas));
void at(struct t *t, struct weir_ioas *ioas, const char *row);

struct weir_ioas_info info_of(struct weir_ioas *ioas);
bool same_info(struct weir_ioas_info a, struct weir_ioas_info b);

/* A failed call left the space as it was, and a page can be mapped in it. */
void expect_unchanged(struct t *t, struct weir_ioas *ioas, struct weir_ioas_info before);

/* @ioas lets devices use all of these addresses. */
bool within_ranges(struct t *t, struct weir_ioas *ioas, uint64_t start, uint64_t len);

/* @num pages, filled, of which single ones may be taken away; and what is left is given back at the end. */
unsigned char *new_pages(struct t *t, size_t num);
void take_away(struct t *t, void *addr, size_t len);

/* "0x1000..0x1fff", as texts of errors name ranges. Two of them are good at a time. */
const char *range_text(uint64_t start, uint64_t len);

#endif
