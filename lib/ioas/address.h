/* SPDX-License-Identifier: MIT */
/* From memory to IOVAs and back, for spaces that were opened with WEIR_IOAS_LOOKUP. The space's lock is held. */
#ifndef WEIR_IOAS_ADDRESS_H
#define WEIR_IOAS_ADDRESS_H

#include "ioas/ioas.h"
#include "ioas/lookup.h"

struct weir_addresses {
	struct weir_lookup by_memory; /* of several mappings of the very same memory, the table has one */
	struct weir_lookup by_iova;
};

/* -ENOMEM */
int weir_addresses_open(struct weir_ioas *ioas);
void weir_addresses_close(struct weir_ioas *ioas);

/* Make room for a mapping of @len bytes, so that adding it cannot fail; or give that up. -ENOMEM */
int weir_addresses_reserve(struct weir_ioas *ioas, uint64_t len);
void weir_addresses_unreserve(struct weir_ioas *ioas, uint64_t len);

/* @map can be found from now on; or cannot any more. */
void weir_addresses_add(struct weir_ioas *ioas, struct weir_map *map);
void weir_addresses_remove(struct weir_ioas *ioas, struct weir_map *map);

#endif
