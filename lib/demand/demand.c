// SPDX-License-Identifier: MIT
/* Mapping on demand: the handler, and what is asked of it. */
#include "demand/demand.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "error.h"
#include "ioas/ioas.h"

#define DEFAULT_AHEAD (64u << 10)
#define MOST_AHEAD    (1u << 30)

int weir_demand_open(struct weir_ioas *ioas, const struct weir_demand_opts *opts,
		     struct weir_demand **ret_demand)
{
	struct weir_demand_opts o;
	struct weir_demand *demand;
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (error)
		return error;
	if (!o.ahead)
		o.ahead = DEFAULT_AHEAD;
	if (o.reserved || o.ahead & (o.ahead - 1) || o.ahead < 4096 || o.ahead > MOST_AHEAD)
		return weir_fail(-EINVAL,
				 "ahead is %#" PRIx64
				 "; it is a power of two from 4096 to 1 GiB, and reserved 0",
				 o.ahead);
	demand = calloc(1, sizeof(*demand));
	if (!demand)
		return weir_fail(-ENOMEM, "no memory for mapping on demand");
	demand->ioas = ioas;
	demand->opts = o;
	pthread_mutex_init(&demand->lock, NULL);
	pthread_cond_init(&demand->mapped, NULL);
	*ret_demand = demand;
	return 0;
}

int weir_demand_close(struct weir_demand *demand)
{
	struct weir_first first = { 0 };
	struct weir_demand_rule *rule;

	if (!demand)
		return 0;
	while ((rule = weir_demand_rule_from(demand, 0))) {
		weir_tree_remove(&demand->rules, &rule->by_iova);
		weir_first_note(&first, weir_demand_rule_free(demand, rule));
	}
	pthread_cond_destroy(&demand->mapped);
	pthread_mutex_destroy(&demand->lock);
	free(demand);
	return weir_first_error(&first);
}

/* The lock is held. */
static int serve_page(struct weir_demand *demand, const struct weir_fault_page *page)
{
	struct weir_demand_rule *rule = weir_demand_rule_at(demand, page->iova);

	if (!rule)
		return weir_fail(-EFAULT, "IOVA %#" PRIx64 " is in no rule", page->iova);
	if ((page->perm & WEIR_FAULT_READ && !(rule->prot & WEIR_MAP_READ)) ||
	    (page->perm & WEIR_FAULT_WRITE && !(rule->prot & WEIR_MAP_WRITE)) || page->perm & WEIR_FAULT_EXEC)
		return weir_fail(-EACCES,
				 "the rule at IOVA %#" PRIx64 " does not allow what is asked for (%#x)",
				 page->iova, page->perm);
	return weir_demand_bring_in(demand, rule, page->iova);
}

static int serve(struct weir_demand *demand, const struct weir_fault *fault)
{
	int error = 0;

	if (fault->pasid != demand->opts.pasid)
		return weir_fail(-EINVAL, "a request with PASID %u; served are those with %u", fault->pasid,
				 demand->opts.pasid);
	if (fault->ioas != demand->ioas)
		return weir_fail(-EXDEV, "a request of a device that is in another address space");
	pthread_mutex_lock(&demand->lock);
	for (uint32_t i = 0; i < fault->num_pages && !error; i++)
		error = serve_page(demand, &fault->pages[i]);
	pthread_mutex_unlock(&demand->lock);
	return error;
}

int weir_demand_handle(void *ctx, const struct weir_fault *fault)
{
	struct weir_demand *demand = ctx;
	int error = serve(demand, fault);

	pthread_mutex_lock(&demand->lock);
	demand->info.num_served += !error;
	demand->info.num_refused += error != 0;
	pthread_mutex_unlock(&demand->lock);
	return error ? WEIR_FAULT_INVALID : WEIR_FAULT_SUCCESS;
}

int weir_demand_info(struct weir_demand *demand, struct weir_demand_info *ret_info, size_t size)
{
	struct weir_demand_info info;

	pthread_mutex_lock(&demand->lock);
	info = demand->info;
	pthread_mutex_unlock(&demand->lock);
	weir_result_write(ret_info, size, &info, sizeof(info));
	return 0;
}
