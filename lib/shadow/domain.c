// SPDX-License-Identifier: MIT
/* A shadow as a domain: opened, run and closed. What it does is in shadow.c. */
#include <errno.h>
#include <stdlib.h>

#include "error.h"
#include "inval/run.h"
#include "shadow/shadow.h"

static struct weir_shadow *of(struct weir_domain *domain)
{
	return (struct weir_shadow *)domain;
}

int weir_shadow_follow_domain(struct weir_domain *domain, uint64_t iova, uint64_t last, bool *ret_stale)
{
	return weir_shadow_follow(of(domain), &iova, &last, ret_stale);
}

/* What an entry of a batch names, as far as there are tables. */
static bool range_of(const struct weir_inval_item *item, uint64_t *ret_iova, uint64_t *ret_last)
{
	*ret_iova = item->kind == WEIR_INVAL_ALL ? 0 : item->iova;
	*ret_last = item->kind == WEIR_INVAL_ALL ? UINT64_MAX : item->last;
	return item->kind == WEIR_INVAL_ALL || item->kind == WEIR_INVAL_RANGE;
}

static int follow_item(struct weir_shadow *shadow, const struct weir_inval_item *item, uint32_t tries,
		       struct weir_inval_outcome *outcome, bool *ret_stale)
{
	uint64_t iova, last;
	int error = 0;

	*ret_stale = false;
	if (item->kind == WEIR_INVAL_RAW)
		error = weir_fail(-EOPNOTSUPP, "a shadow has no hardware that takes commands");
	if (!range_of(item, &iova, &last)) {
		*outcome = (struct weir_inval_outcome){ .kind = error ? WEIR_INVAL_OUT_REFUSED
								      : WEIR_INVAL_OUT_DONE,
							.error = error };
		return error;
	}
	do {
		error = weir_shadow_follow(shadow, &iova, &last, ret_stale);
		outcome->tries++;
	} while (error && !*ret_stale && outcome->tries < tries);
	/* Also what another run failed to unmap, of which there is no record any more. */
	if (!*ret_stale && weir_ioas_has_lost(shadow->ioas, iova, last)) {
		*ret_stale = true;
		error = weir_fail(-EIO, "the kernel failed to unmap some of it before");
	}
	outcome->kind = error ? WEIR_INVAL_OUT_REFUSED : WEIR_INVAL_OUT_DONE;
	outcome->error = error;
	return error;
}

/* What could not be mapped leads nowhere, so nothing stale is left; what could not be unmapped is the kernel's failure, which no second try mends. */
static void run(struct weir_domain *domain, struct weir_inval *inval, struct weir_inval_task *task)
{
	struct weir_first first = { 0 };
	struct weir_inval_item item;
	uint32_t from = 0, to = 0;

	task->state = WEIR_INVAL_DONE;
	for (; weir_inval_item(inval, &to, &item); from = to) {
		struct weir_inval_outcome outcome = { 0 };
		bool stale;
		int error = follow_item(of(domain), &item, task->tries, &outcome, &stale);

		weir_first_note(&first, error);
		for (uint32_t i = from; i < to; i++)
			task->outcomes[inval->order[i]] = outcome;
		if (error && task->state != WEIR_INVAL_STALE)
			task->state = stale ? WEIR_INVAL_STALE : WEIR_INVAL_ESCALATED;
	}
	weir_first_error(&first);
}

/* Nothing of it is left in the ordinary space; that may fail, of which that space knows. */
static int end(struct weir_domain *domain)
{
	struct weir_shadow *shadow = of(domain);
	int error;

	/* Until there is nothing left, it hears of what leaves the second stage. */
	error = weir_shadow_clear(shadow);
	weir_ioas_unfollow(shadow->stage2, &shadow->follower);
	shadow->ioas->shadowing = false;
	pthread_mutex_destroy(&shadow->lock);
	free(shadow);
	return error;
}

static void fill_info(struct weir_domain *domain, struct weir_domain_info *ret_info)
{
	struct weir_ioas_info info;

	weir_ioas_info(of(domain)->ioas, &info, sizeof(info));
	ret_info->kind = WEIR_DOMAIN_KIND_SHADOW;
	ret_info->num_devices = info.num_devices;
}

static const struct weir_domain_type shadow_type = {
	.name = "a shadow", .run = run, .close = end, .info = fill_info
};

int weir_shadow_open(struct weir_stage1 *tables, struct weir_ioas *stage2, struct weir_ioas *ioas,
		     struct weir_domain **ret_domain)
{
	struct weir_shadow *shadow = calloc(1, sizeof(*shadow));
	uint64_t iova = 0, last = UINT64_MAX;
	bool stale;
	int error;

	if (!shadow)
		return weir_fail(-ENOMEM, "no memory for a shadow");
	shadow->domain = (struct weir_domain){ &shadow_type, ioas->host };
	shadow->tables = tables;
	shadow->stage2 = stage2;
	shadow->ioas = ioas;
	shadow->follower.leave = weir_shadow_leave;
	shadow->follower.back = weir_shadow_back;
	pthread_mutex_init(&shadow->lock, NULL);
	ioas->shadowing = true;
	weir_ioas_follow(stage2, &shadow->follower);
	error = weir_shadow_follow(shadow, &iova, &last, &stale);
	if (error) {
		struct weir_first first = { 0 };

		weir_first_note(&first, error);
		end(&shadow->domain);
		return weir_first_error(&first);
	}
	*ret_domain = &shadow->domain;
	return 0;
}

int weir_domain_open_shadow(struct weir_stage1 *tables, struct weir_ioas *stage2, struct weir_ioas *ioas,
			    struct weir_domain **ret_domain)
{
	struct weir_ioas_info info;
	int error;

	if (ioas == stage2)
		return weir_fail(-EINVAL, "a space is no shadow over itself");
	if (ioas->host != stage2->host)
		return weir_fail(-EXDEV, "the two address spaces belong to different hosts");
	if (ioas->space.layer || stage2->space.layer)
		return weir_fail(-EINVAL, "a nested space has its own shadow");
	weir_ioas_info(ioas, &info, sizeof(info));
	if (info.num_mappings)
		return weir_fail(-EBUSY, "the address space has %llu mappings, and a shadow has it to itself",
				 (unsigned long long)info.num_mappings);
	pthread_mutex_lock(&ioas->host->lock);
	error = ioas->shadowing ? weir_fail(-EBUSY, "the address space is a shadow already")
				: weir_shadow_open(tables, stage2, ioas, ret_domain);
	pthread_mutex_unlock(&ioas->host->lock);
	return error;
}
