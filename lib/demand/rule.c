// SPDX-License-Identifier: MIT
/* Rules: what is behind a range of IOVAs, and which windows of it are mapped. */
#include "demand/demand.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "error.h"
#include "ioas/ioas.h"

enum { PER_PAGE = 256 }; /* windows whose state is kept together */

struct weir_demand_rule *weir_demand_rule_from(const struct weir_demand *demand, uint64_t iova)
{
	return (struct weir_demand_rule *)weir_tree_at_or_above(&demand->rules, iova); /* it comes first */
}

struct weir_demand_rule *weir_demand_rule_at(const struct weir_demand *demand, uint64_t iova)
{
	struct weir_demand_rule *rule =
		(struct weir_demand_rule *)weir_tree_at_or_below(&demand->rules, iova);

	return rule && rule->last >= iova ? rule : NULL;
}

/* NULL: no memory. */
static struct weir_demand_window *window_at(struct weir_demand_rule *rule, uint64_t number)
{
	struct weir_demand_window **page = &rule->pages[number / PER_PAGE];

	if (!*page)
		*page = calloc(PER_PAGE, sizeof(**page));
	return *page ? &(*page)[number % PER_PAGE] : NULL;
}

/* Mapping ---------------------------------------------------------------------------------------------------------- */

static int map_range(struct weir_demand *demand, const struct weir_demand_rule *rule, uint64_t iova,
		     uint64_t last, struct weir_map **ret_map)
{
	const struct weir_map_opts opts = { .size = sizeof(opts),
					    .flags = WEIR_MAP_FIXED | WEIR_MAP_TENDED | rule->prot,
					    .iova = iova };
	uint64_t inside = iova - rule->by_iova.key, len = last - iova + 1;

	if (rule->fd >= 0)
		return weir_ioas_map_own_file(demand->ioas, rule->fd, rule->offset + inside, len, &opts,
					      ret_map);
	return weir_ioas_map_own(demand->ioas, rule->addr + inside, len, &opts, ret_map);
}

/* The lock is held, but while the kernel maps. */
static int map_window(struct weir_demand *demand, struct weir_demand_rule *rule, uint64_t number,
		      struct weir_demand_window *window)
{
	const uint64_t size = demand->opts.ahead;
	uint64_t first = (rule->first_window + number) * size, last = first + (size - 1);
	int error;

	if (first < rule->by_iova.key)
		first = rule->by_iova.key;
	if (last > rule->last)
		last = rule->last;
	window->state = WEIR_DEMAND_MAPPING;
	pthread_mutex_unlock(&demand->lock);
	error = map_range(demand, rule, first, last, &window->map);
	pthread_mutex_lock(&demand->lock);
	window->state = error ? WEIR_DEMAND_ABSENT : WEIR_DEMAND_MAPPED;
	if (!error) {
		demand->info.num_maps++;
		demand->info.mapped_bytes += last - first + 1;
	}
	pthread_cond_broadcast(&demand->mapped);
	return error;
}

static bool same_file(const struct weir_sys *sys, int a, int b)
{
	struct stat first, second;

	return !sys->fstat(sys->ctx, a, &first) && !sys->fstat(sys->ctx, b, &second) &&
	       first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* What the rule would have there is there: a predecessor of this process had mapped it (weir/handover.h). */
static bool is_there(struct weir_demand *demand, const struct weir_demand_rule *rule, uint64_t iova)
{
	const uint64_t wanted = rule->offset + (iova - rule->by_iova.key);
	const struct weir_map *map;
	uint64_t offset = 0;
	int fd = -1;

	weir_gate_lock_calm(&demand->ioas->gate);
	map = weir_ioas_map_from(demand->ioas, iova);
	if (map && weir_map_start(map) <= iova && !(rule->prot & ~map->prot) &&
	    map->state == WEIR_MAP_READY) {
		fd = map->backing.fd;
		offset = map->backing.offset + (iova - weir_map_start(map));
	}
	weir_gate_unlock(&demand->ioas->gate);
	return fd >= 0 && rule->fd >= 0 && offset == wanted &&
	       same_file(demand->ioas->host->kernel.sys, fd, rule->fd);
}

int weir_demand_bring_in(struct weir_demand *demand, struct weir_demand_rule *rule, uint64_t iova)
{
	uint64_t number = iova / demand->opts.ahead - rule->first_window;
	struct weir_demand_window *window = window_at(rule, number);
	int error;

	if (!window)
		return weir_fail(-ENOMEM, "no memory for what is mapped on demand");
	while (window->state == WEIR_DEMAND_MAPPING)
		pthread_cond_wait(&demand->mapped, &demand->lock);
	error = window->state == WEIR_DEMAND_MAPPED ? 0 : map_window(demand, rule, number, window);
	return error == -EEXIST && is_there(demand, rule, iova) ? 0 : error;
}

/* Coming and going ------------------------------------------------------------------------------------------------- */

int weir_demand_rule_free(struct weir_demand *demand, struct weir_demand_rule *rule)
{
	const struct weir_sys *sys = demand->ioas->host->kernel.sys;
	struct weir_first first = { 0 };

	for (uint64_t i = 0; i < rule->num_windows; i++) {
		struct weir_demand_window *page = rule->pages[i / PER_PAGE];

		if (!page)
			i |= PER_PAGE - 1;
		else if (page[i % PER_PAGE].state == WEIR_DEMAND_MAPPED)
			weir_first_note(&first, weir_map_close(page[i % PER_PAGE].map));
	}
	for (uint64_t i = 0; i < rule->num_windows; i += PER_PAGE)
		free(rule->pages[i / PER_PAGE]);
	if (rule->fd >= 0)
		sys->close(sys->ctx, rule->fd);
	free(rule->pages);
	free(rule);
	return weir_first_error(&first);
}

/* The lock is held. */
static bool meets_other(const struct weir_demand *demand, const struct weir_demand_rule *rule)
{
	const struct weir_demand_rule *above = weir_demand_rule_from(demand, rule->by_iova.key);

	return weir_demand_rule_at(demand, rule->by_iova.key) || (above && above->by_iova.key <= rule->last);
}

static int enter_rule(struct weir_demand *demand, struct weir_demand_rule *rule)
{
	int error = 0;

	pthread_mutex_lock(&demand->lock);
	if (meets_other(demand, rule))
		error = weir_fail(-EEXIST, "part of %#" PRIx64 "-%#" PRIx64 " is another rule's",
				  rule->by_iova.key, rule->last);
	else
		weir_tree_insert(&demand->rules, &rule->by_iova);
	demand->info.num_rules += !error;
	pthread_mutex_unlock(&demand->lock);
	return error;
}

static int check(uint64_t iova, uint64_t len, uint64_t offset, uint32_t flags)
{
	uint64_t last, end;

	if (!len || (iova | len | offset) & 4095)
		return weir_fail(-EINVAL, "a rule begins at, and has, a multiple of 4096, and is not empty");
	if (flags & ~(WEIR_MAP_READ | WEIR_MAP_WRITE))
		return weir_fail(-EINVAL, "unknown flags %#x", flags);
	if (__builtin_add_overflow(iova, len - 1, &last) || __builtin_add_overflow(offset, len - 1, &end))
		return weir_fail(-EINVAL, "the rule reaches beyond the end of the addresses");
	return 0;
}

static int add(struct weir_demand *demand, uint64_t iova, uint64_t len, const struct weir_demand_rule *what)
{
	struct weir_demand_rule *rule = calloc(1, sizeof(*rule));
	int error;

	if (!rule)
		return weir_fail(-ENOMEM, "no memory for a rule");
	*rule = *what;
	rule->prot = rule->prot ? rule->prot : WEIR_MAP_READ | WEIR_MAP_WRITE;
	rule->by_iova.key = iova;
	rule->last = iova + (len - 1);
	rule->first_window = iova / demand->opts.ahead;
	rule->num_windows = rule->last / demand->opts.ahead - rule->first_window + 1;
	rule->pages = calloc(rule->num_windows / PER_PAGE + 1, sizeof(void *));
	error = rule->pages ? enter_rule(demand, rule)
			    : weir_fail(-ENOMEM, "no memory for a rule of %#" PRIx64 " bytes", len);
	if (!error)
		return 0;
	free((void *)rule->pages);
	free(rule);
	return error;
}

int weir_demand_add_memory(struct weir_demand *demand, uint64_t iova, uint64_t len, void *addr,
			   uint32_t flags)
{
	const struct weir_demand_rule rule = { .addr = addr, .fd = -1, .prot = flags };
	int error = check(iova, len, (uintptr_t)addr, flags);

	return error ? error : add(demand, iova, len, &rule);
}

int weir_demand_add_file(struct weir_demand *demand, uint64_t iova, uint64_t len, int fd, uint64_t offset,
			 uint32_t flags)
{
	const struct weir_sys *sys = demand->ioas->host->kernel.sys;
	struct weir_demand_rule rule = { .offset = offset, .prot = flags };
	int error = check(iova, len, offset, flags);

	if (error)
		return error;
	rule.fd = sys->dup(sys->ctx, fd);
	if (rule.fd < 0)
		return weir_fail(rule.fd, "keeping the file of a rule open failed");
	error = add(demand, iova, len, &rule);
	if (error)
		sys->close(sys->ctx, rule.fd);
	return error;
}
