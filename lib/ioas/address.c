// SPDX-License-Identifier: MIT
/* From memory to IOVAs and back. */
#include "ioas/address.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "error.h"

int weir_addresses_open(struct weir_ioas *ioas)
{
	ioas->addresses = aligned_alloc(_Alignof(struct weir_addresses), sizeof(*ioas->addresses));
	if (!ioas->addresses)
		return -ENOMEM;
	weir_lookup_init(&ioas->addresses->by_memory);
	weir_lookup_init(&ioas->addresses->by_iova);
	ioas->view.memory = &ioas->addresses->by_memory.view;
	ioas->view.iova = &ioas->addresses->by_iova.view;
	return 0;
}

void weir_addresses_close(struct weir_ioas *ioas)
{
	if (!ioas->addresses)
		return;
	weir_lookup_finish(&ioas->addresses->by_memory);
	weir_lookup_finish(&ioas->addresses->by_iova);
	free(ioas->addresses);
}

int weir_addresses_reserve(struct weir_ioas *ioas, uint64_t len)
{
	int error = weir_lookup_reserve(&ioas->addresses->by_memory, len);

	if (error)
		return error;
	error = weir_lookup_reserve(&ioas->addresses->by_iova, len);
	if (error)
		weir_lookup_unreserve(&ioas->addresses->by_memory, len);
	return error;
}

void weir_addresses_unreserve(struct weir_ioas *ioas, uint64_t len)
{
	weir_lookup_unreserve(&ioas->addresses->by_memory, len);
	weir_lookup_unreserve(&ioas->addresses->by_iova, len);
}

static uint64_t memory_first(const struct weir_map *map)
{
	return (uintptr_t)map->backing.addr;
}

static uint64_t memory_last(const struct weir_map *map)
{
	return (uintptr_t)map->backing.addr + (weir_map_size(map) - 1);
}

void weir_addresses_add(struct weir_ioas *ioas, struct weir_map *map)
{
	struct weir_lookup *by_memory = &ioas->addresses->by_memory;
	uint64_t other;

	weir_lookup_add(&ioas->addresses->by_iova, weir_map_start(map), weir_map_last(map),
			memory_first(map));
	map->twin = map->twin_before = map;
	if (weir_lookup_exact(by_memory, memory_first(map), memory_last(map), &other)) {
		struct weir_map *twin = weir_ioas_map_at(ioas, other);

		weir_lookup_add_twin(by_memory, memory_first(map), memory_last(map), other,
				     weir_map_start(map));
		map->twin = twin->twin;
		map->twin_before = twin;
		map->twin->twin_before = map;
		twin->twin = map;
	} else {
		weir_lookup_add(by_memory, memory_first(map), memory_last(map), weir_map_start(map));
	}
}

void weir_addresses_remove(struct weir_ioas *ioas, struct weir_map *map)
{
	struct weir_lookup *by_memory = &ioas->addresses->by_memory;
	uint64_t first = memory_first(map), last = memory_last(map), start = weir_map_start(map), known;

	weir_lookup_remove(&ioas->addresses->by_iova, start, weir_map_last(map), first);
	if (map->twin == map) {
		weir_lookup_remove(by_memory, first, last, start);
		return;
	}
	/* Of twins, one is in the table. */
	if (weir_lookup_exact(by_memory, first, last, &known) && known == start)
		weir_lookup_redirect(by_memory, first, last, start, weir_map_start(map->twin));
	map->twin->twin_before = map->twin_before;
	map->twin_before->twin = map->twin;
}

static int cannot_look(void)
{
	return weir_fail(-EOPNOTSUPP, "this address space was opened without WEIR_IOAS_LOOKUP");
}

/* Nothing is there, or not all. @what: "memory" or "IOVA". */
static __attribute__((cold, noinline)) int not_found(const char *what, uint64_t address, uint64_t len,
						     uint64_t left)
{
	if (left)
		return weir_fail(-ERANGE,
				 "the mapping that %s %#" PRIx64 " is in ends after %#" PRIx64
				 " bytes; %#" PRIx64 " were asked for",
				 what, address, left, len);
	return weir_fail(-ENOENT, "%s %#" PRIx64 " is not mapped in this address space", what, address);
}

int weir_ioas_search_iova(const struct weir_ioas *ioas, const void *addr, uint64_t len, uint64_t *ret_iova,
			  uint64_t *ret_left)
{
	struct weir_lookup_answer answer;

	if (!ioas->addresses)
		return cannot_look();
	weir_lookup_search(&ioas->addresses->by_memory, (uintptr_t)addr, len, &answer);
	if (!answer.left || answer.left < len)
		return not_found("memory", (uintptr_t)addr, len, answer.left);
	*ret_iova = answer.to;
	if (ret_left)
		*ret_left = answer.left;
	return 0;
}

int weir_ioas_search_memory(const struct weir_ioas *ioas, uint64_t iova, uint64_t len, void **ret_addr,
			    uint64_t *ret_left)
{
	struct weir_lookup_answer answer;

	if (!ioas->addresses)
		return cannot_look();
	weir_lookup_search(&ioas->addresses->by_iova, iova, len, &answer);
	if (!answer.left || answer.left < len)
		return not_found("IOVA", iova, len, answer.left);
	*ret_addr = (void *)(uintptr_t)answer.to;
	if (ret_left)
		*ret_left = answer.left;
	return 0;
}
