// SPDX-License-Identifier: MIT
/* Nested spaces: made, asked and closed. Mappings are in space.c, devices in device.c, what lies in the second stage in piece.c. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "domain/nested.h"
#include "error.h"
#include "faultq/queue.h"
#include "inval/inval.h"
#include "ioas/map.h"
#include "nested/nested.h"

static int read_options(const struct weir_nested_space_opts *opts, struct weir_nested_space_opts *o)
{
	int error = weir_opts_read(opts, o, sizeof(*o));

	if (error)
		return error;
	if (o->mode > WEIR_NESTED_SHADOW)
		return weir_fail(-EINVAL, "there is no mode %u", o->mode);
	if (o->format > WEIR_STAGE1_MOCK)
		return weir_fail(-EINVAL, "there is no format %u", o->format);
	if (o->policy > WEIR_INVAL_ONCE)
		return weir_fail(-EINVAL, "there is no policy %u", o->policy);
	if (o->defer > WEIR_INVAL_MOST)
		return weir_fail(-EINVAL, "%llu closed mappings cannot wait together; %u can",
				 (unsigned long long)o->defer, WEIR_INVAL_MOST);
	if (o->largest_page && o->largest_page != 12 && o->largest_page != 21 && o->largest_page != 30)
		return weir_fail(-EINVAL, "pages have 12, 21 or 30 bits, not %u", o->largest_page);
	if (o->ioas_flags & ~WEIR_IOAS_LOOKUP)
		return weir_fail(-EINVAL, "unknown flags %#x", o->ioas_flags & ~WEIR_IOAS_LOOKUP);
	if (o->faultq && o->mode != WEIR_NESTED_HARDWARE)
		return weir_fail(
			-EINVAL,
			"a shadow has no page requests: with a queue of them, mode is WEIR_NESTED_HARDWARE");
	return 0;
}

static int open_parts(struct weir_nested_space *nested)
{
	const struct weir_memory_opts small = { .size = sizeof(small), .page_size = 4096, .chunk = 64 << 10 };
	int error = weir_ioas_open_inner(nested->host, &nested->stage2);

	if (!error && nested->opts.mode != WEIR_NESTED_HARDWARE)
		error = weir_ioas_open_inner(nested->host, &nested->ordinary);
	if (!error)
		error = weir_memory_open(nested->stage2, &small, &nested->memory);
	if (!error)
		error = weir_nested_space_open_batches(nested);
	weir_pieces_init(&nested->pieces, nested->stage2);
	return error;
}

int weir_nested_space_open_batches(struct weir_nested_space *nested)
{
	int error = weir_inval_open(NULL, &nested->filled);

	return error ? error : weir_inval_open(NULL, &nested->spare);
}

void weir_nested_space_free(struct weir_nested_space *nested)
{
	if (nested->opts.faultq)
		atomic_fetch_sub(&nested->opts.faultq->num_spaces, 1);
	pthread_mutex_destroy(&nested->running);
	pthread_mutex_destroy(&nested->lock);
	free(nested);
}

/* Of a space that no device is in, with those parts that it has. Runs to its end. */
static int close_parts(struct weir_nested_space *nested)
{
	struct weir_first first = { 0 };

	weir_pieces_finish(&nested->pieces);
	weir_inval_close(nested->filled);
	weir_inval_close(nested->spare);
	weir_first_note(&first, weir_memory_close(nested->memory));
	weir_first_note(&first, weir_ioas_close(nested->ordinary));
	weir_first_note(&first, weir_ioas_close(nested->stage2));
	weir_nested_space_free(nested);
	return weir_first_error(&first);
}

int weir_nested_space_end(struct weir_space *space)
{
	return close_parts(space->layer);
}

void weir_nested_space_set_leaving(struct weir_nested_space *nested)
{
	const struct weir_nested_space_opts *o = &nested->opts;
	struct weir_leaving *leaving = &nested->ioas->leaving;

	leaving->most_bytes = o->defer_bytes;
	leaving->most = o->defer > 1 ? o->defer : 0;
	if (o->defer_bytes && !o->defer)
		leaving->most = UINT64_MAX;
}

struct weir_nested_space *weir_nested_space_new(struct weir_host *host,
						const struct weir_nested_space_opts *o)
{
	struct weir_nested_space *nested = calloc(1, sizeof(*nested));

	if (!nested)
		return NULL;
	nested->host = host;
	nested->opts = *o;
	if (o->faultq)
		atomic_fetch_add(&o->faultq->num_spaces, 1);
	pthread_mutex_init(&nested->running, NULL);
	pthread_mutex_init(&nested->lock, NULL);
	return nested;
}

int weir_nested_space_open(struct weir_host *host, const struct weir_nested_space_opts *opts,
			   struct weir_ioas **ret_ioas)
{
	struct weir_ioas_opts ioas_opts = { .size = sizeof(ioas_opts) };
	struct weir_nested_space_opts o;
	struct weir_nested_space *nested;
	struct weir_first first = { 0 };
	int error = read_options(opts, &o);

	if (!error)
		error = weir_check_faultq(o.faultq, host);
	if (error)
		return error;
	nested = weir_nested_space_new(host, &o);
	if (!nested)
		return weir_fail(-ENOMEM, "no memory for a nested space");
	ioas_opts.flags = o.ioas_flags;
	ioas_opts.address_bits = o.address_bits;
	error = open_parts(nested);
	if (!error)
		error = weir_ioas_open_with(host, &ioas_opts, &weir_nested_ops, nested, &nested->ioas);
	if (!error) {
		weir_nested_space_set_leaving(nested);
		*ret_ioas = nested->ioas;
		return 0;
	}
	weir_first_note(&first, error);
	close_parts(nested);
	return weir_first_error(&first);
}

/* NULL, with a text: it is an ordinary one. */
static struct weir_nested_space *nested_of(struct weir_ioas *ioas)
{
	if (ioas->space.ops == &weir_nested_ops)
		return ioas->space.layer;
	weir_error_set("the address space is no nested one");
	return NULL;
}

int weir_nested_space_keep(struct weir_ioas *ioas, void *addr, size_t len)
{
	struct weir_nested_space *nested = nested_of(ioas);
	int error = nested ? weir_map_check_memory(nested->stage2, addr, len) : -EINVAL;

	return error ? error : weir_pieces_keep(&nested->pieces, addr, len);
}

int weir_nested_space_unkeep(struct weir_ioas *ioas, void *addr)
{
	struct weir_nested_space *nested = nested_of(ioas);

	return nested ? weir_pieces_unkeep(&nested->pieces, addr) : -EINVAL;
}

int weir_nested_space_info(struct weir_ioas *ioas, struct weir_nested_space_info *ret_info, size_t size)
{
	struct weir_nested_space_info info = { 0 };
	struct weir_stage1_info tables = { 0 };
	struct weir_nested_space *nested = nested_of(ioas);

	if (!nested)
		return -EINVAL;
	/* Devices neither come nor go meanwhile, and the tables stay. */
	pthread_mutex_lock(&nested->host->lock);
	info.mode = nested->mode;
	info.format = nested->format;
	if (nested->tables)
		weir_stage1_info(nested->tables, &tables, sizeof(tables));
	info.table_pages = tables.num_pages;
	pthread_mutex_unlock(&nested->host->lock);
	pthread_mutex_lock(&nested->running);
	info.num_syncs = nested->num_syncs;
	pthread_mutex_unlock(&nested->running);
	pthread_mutex_lock(&nested->pieces.lock);
	info.num_pieces = nested->pieces.num;
	info.piece_bytes = nested->pieces.bytes;
	info.num_lost = nested->pieces.num_lost;
	pthread_mutex_unlock(&nested->pieces.lock);
	weir_result_write(ret_info, size, &info, sizeof(info));
	return 0;
}
