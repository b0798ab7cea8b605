// SPDX-License-Identifier: MIT
/* Running a batch for several domains, of which none is skipped because another failed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "domain/domain.h"
#include "error.h"
#include "inval/run.h"

enum { USUAL_TRIES = 3, MOST_TRIES = 1000 };

static int check(struct weir_domain *const *domains, size_t num, const struct weir_inval_run_opts *o)
{
	if (o->policy > WEIR_INVAL_ONCE || o->tries > MOST_TRIES || (o->flags & ~WEIR_INVAL_KEEP) ||
	    o->reserved)
		return weir_fail(-EINVAL, "policy %u, %u tries, flags %#x: one of these there is not",
				 o->policy, o->tries, o->flags);
	for (size_t i = 0; i < num; i++)
		if (!domains[i]->type->run)
			return weir_fail(
				-EINVAL,
				"domain %zu is %s: its tables are the kernel's, which invalidates by itself",
				i, domains[i]->type->name);
	return 0;
}

/* Room for the outcomes of all domains but the first, which has its own. */
static int make_room(struct weir_inval *inval, size_t num_domains)
{
	size_t size = sizeof(*inval->more_outcomes);

	free(inval->more_outcomes);
	inval->more_outcomes = NULL;
	inval->num_domains = 0;
	inval->judged = 0;
	if (num_domains < 2 || !inval->num)
		return 0;
	if (num_domains - 1 > SIZE_MAX / size / inval->num)
		return weir_fail(-ENOMEM, "no memory for the outcomes of %zu domains", num_domains);
	inval->more_outcomes = calloc((num_domains - 1) * inval->num, size);
	return inval->more_outcomes
		       ? 0
		       : weir_fail(-ENOMEM, "no memory for the outcomes of %zu domains", num_domains);
}

static struct weir_inval_outcome *outcomes_of(struct weir_inval *inval, size_t domain)
{
	return domain ? inval->more_outcomes + (domain - 1) * inval->num : inval->outcomes;
}

static const char *state_name(uint32_t state)
{
	static const char *const names[] = {
		[WEIR_INVAL_DONE] = "done",
		[WEIR_INVAL_ESCALATED] = "everything was invalidated instead",
		[WEIR_INVAL_QUARANTINED] = "its devices' DMA is blocked",
		[WEIR_INVAL_STALE] = "devices may use what was there before",
	};

	return names[state];
}

/* The worst of all states, and a text about the domain that it is of. */
static uint32_t run_all(struct weir_inval *inval, struct weir_domain *const *domains, size_t num,
			const struct weir_inval_run_opts *o, struct weir_first *ret_text)
{
	uint32_t worst = WEIR_INVAL_DONE;

	weir_inval_sort(inval);
	for (size_t i = 0; i < num; i++) {
		struct weir_inval_task task = { .policy = o->policy,
						.tries = o->tries,
						.outcomes = outcomes_of(inval, i) };

		if (o->policy == WEIR_INVAL_ONCE)
			task.tries = 1;
		memset(task.outcomes, 0, inval->num * sizeof(*task.outcomes));
		domains[i]->type->run(domains[i], inval, &task);
		if (o->ret_states)
			o->ret_states[i] = task.state;
		if (task.state > worst) {
			worst = task.state;
			weir_error_prefix("invalidation for domain %zu failed (%s)", i, state_name(worst));
			*ret_text = (struct weir_first){ 0 };
			weir_first_note(ret_text, -EIO);
		}
	}
	return worst;
}

int weir_inval_run(struct weir_inval *inval, struct weir_domain *const *domains, size_t num,
		   const struct weir_inval_run_opts *opts)
{
	struct weir_inval_run_opts o;
	uint32_t worst = WEIR_INVAL_DONE;
	struct weir_first text = { 0 };
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (!error)
		error = check(domains, num, &o);
	if (!error)
		error = make_room(inval, num);
	if (error)
		return error;
	if (!o.tries)
		o.tries = USUAL_TRIES;
	worst = run_all(inval, domains, num, &o, &text);
	if (worst != WEIR_INVAL_DONE || (o.flags & WEIR_INVAL_KEEP)) {
		inval->num_domains = num;
		inval->judged = inval->num;
	}
	if (worst != WEIR_INVAL_STALE) {
		inval->settled = true;
		if (!(o.flags & WEIR_INVAL_KEEP))
			inval->num = inval->num_raw = 0;
		weir_inval_release(inval);
	}
	/* Whatever they had to say that waited. */
	return weir_first_error(&text);
}
