// SPDX-License-Identifier: MIT
/* As much of a batch as the tables need: it counts. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "error.h"
#include "inval/later.h"

struct weir_inval {
	uint32_t count;
	struct weir_later *waiting;
};

int weir_inval_open(const struct weir_inval_opts *opts, struct weir_inval **ret_inval)
{
	struct weir_inval_opts o;
	struct weir_inval *inval;
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (error)
		return error;
	inval = calloc(1, sizeof(*inval));
	if (!inval)
		return weir_fail(-ENOMEM, "no memory for a batch of invalidations");
	*ret_inval = inval;
	return 0;
}

int weir_inval_close(struct weir_inval *inval)
{
	if (inval && inval->count)
		return weir_fail(-EBUSY, "the batch has %" PRIu32 " entries that are not done",
				 inval->count);
	free(inval);
	return 0;
}

int weir_inval_range(struct weir_inval *inval, uint64_t iova, uint64_t len, uint32_t asid, uint32_t flags)
{
	(void)iova;
	(void)len;
	(void)asid;
	(void)flags;
	return (int)inval->count++;
}

int weir_inval_all(struct weir_inval *inval)
{
	return (int)inval->count++;
}

void weir_inval_later(struct weir_inval *inval, struct weir_later *later)
{
	later->next = inval->waiting;
	inval->waiting = later;
}

void weir_inval_drop(struct weir_inval *inval)
{
	struct weir_later *later = inval->waiting;

	inval->waiting = NULL;
	inval->count = 0;
	while (later) {
		struct weir_later *next = later->next;

		later->done(later);
		later = next;
	}
}

uint32_t weir_inval_count(const struct weir_inval *inval)
{
	return inval->count;
}
