// SPDX-License-Identifier: MIT
/*
 * Devices of a nested space. The first decides what it is made of: it is put into the second stage, and a nested domain over that if its IOMMU can;
 * else into the ordinary space that follows the tables. With the last one, tables and domains end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "domain/domain.h"
#include "error.h"
#include "nested/nested.h"
#include "shadow/shadow.h"
#include "stage1/stage1.h"

static struct weir_nested_space *of(struct weir_space *space)
{
	return space->layer;
}

/* What devices are in, as the kernel knows it. */
static struct weir_ioas *home(const struct weir_nested_space *nested)
{
	return nested->mode == WEIR_NESTED_SHADOW ? nested->ordinary : nested->stage2;
}

/* What devices may say: what the kernel's part can translate, as far as the tables have addresses. Of two halves, the lower. */
int weir_nested_space_follow_geometry(struct weir_nested_space *nested)
{
	const struct weir_geometry *from = &home(nested)->space.geometry;
	struct weir_geometry *to = &nested->ioas->space.geometry;
	const uint64_t highest = nested->tables->low;
	struct weir_iova_range *ranges = malloc((from->num_ranges + 1) * sizeof(*ranges));
	uint32_t num = 0;

	if (!ranges)
		return weir_fail(-ENOMEM, "no memory for the IOVA ranges");
	for (uint32_t i = 0; i < from->num_ranges && from->ranges[i].start <= highest; i++) {
		ranges[num] = from->ranges[i];
		if (ranges[num].last > highest)
			ranges[num].last = highest;
		num++;
	}
	weir_geometry_free(to);
	*to = (struct weir_geometry){ .ranges = ranges,
				      .num_ranges = num,
				      .alignment = from->alignment,
				      .max_mappings = nested->mode == WEIR_NESTED_SHADOW ? from->max_mappings
											 : UINT64_MAX };
	return 0;
}

/*
 * Behind an SMMUv3 interrupts go through both stages, like any write: to where the kernel has put the interrupt controller in the second, which it keeps
 * out of what can be mapped. So what is kept out between the ranges leads to itself; there is nothing else.
 */
static int map_windows(struct weir_nested_space *nested)
{
	const struct weir_geometry *geometry = &home(nested)->space.geometry;
	int error = 0;

	if (nested->format != WEIR_STAGE1_ARM64_4K)
		return 0;
	for (uint32_t i = 1; i < geometry->num_ranges && !error; i++) {
		uint64_t start = geometry->ranges[i - 1].last + 1, len = geometry->ranges[i].start - start;

		error = len ? weir_stage1_map(nested->tables, start, start, len, 0, NULL) : 0;
		/* From an earlier device. */
		if (error == -EEXIST)
			error = 0;
	}
	return error;
}

/* @largest_page: that hardware has, in bits; 0: what the format has. */
static int open_tables(struct weir_nested_space *nested, uint32_t format, uint32_t largest_page)
{
	const struct weir_stage1_opts opts = {
		.size = sizeof(opts),
		.format = format,
		.largest_page = nested->opts.largest_page ? nested->opts.largest_page : largest_page,
	};
	int error = weir_stage1_open(nested->memory, &opts, &nested->tables);

	if (error)
		return error;
	nested->format = format;
	nested->largest_page = opts.largest_page;
	return 0;
}

static void close_tables(struct weir_nested_space *nested)
{
	weir_stage1_close(nested->tables);
	nested->tables = NULL;
	nested->format = 0;
}

/* Hardware ------------------------------------------------------------------------------------------------------ */

/* The tables may have pages that another IOMMU has not. */
static int check_pages(const struct weir_nested_space *nested, struct weir_function *function)
{
	uint32_t largest_page;
	int error = weir_domain_largest_page(function, &largest_page);

	if (error || !largest_page || nested->largest_page <= largest_page)
		return error;
	return weir_fail(-EOPNOTSUPP,
			 "the tables of the space may have pages of %u bits, and the IOMMU of %s has those "
			 "of up to %u: "
			 "open the space with that for largest_page",
			 nested->largest_page, function->address, largest_page);
}

/* A domain more, for what is behind @function's IOMMU. */
static int open_domain(struct weir_nested_space *nested, struct weir_function *function)
{
	struct weir_nested_opts stage1 = { .size = sizeof(stage1),
					   .format = nested->format,
					   .faultq = nested->opts.faultq };
	struct weir_stage1_info info;
	uint32_t at = nested->num_domains;
	int error;

	if (at == WEIR_NESTED_MOST_DOMAINS)
		return weir_fail(-ENOSPC, "the space has devices behind %u IOMMUs already", at);
	error = check_pages(nested, function);
	if (error)
		return error;
	weir_stage1_info(nested->tables, &info, sizeof(info));
	stage1.root = info.descriptor ? info.descriptor : info.root;
	error = weir_domain_make(nested->stage2, function, WEIR_DOMAIN_NEST_PARENT, NULL,
				 &nested->parents[at]);
	if (error)
		return error;
	error = weir_domain_make_nested(nested->parents[at], function, &stage1, &nested->domains[at]);
	if (error) {
		struct weir_first first = { 0 };

		weir_first_note(&first, error);
		weir_domain_end(nested->parents[at]);
		return weir_first_error(&first);
	}
	nested->num_domains++;
	return 0;
}

static int close_domains(struct weir_nested_space *nested)
{
	struct weir_first first = { 0 };

	while (nested->num_domains) {
		uint32_t at = --nested->num_domains;

		weir_first_note(&first, weir_domain_end(nested->domains[at]));
		if (nested->parents[at])
			weir_first_note(&first, weir_domain_end(nested->parents[at]));
	}
	return weir_first_error(&first);
}

static int pick_format(const struct weir_nested_space *nested, struct weir_function *function,
		       uint32_t *ret_format)
{
	if (nested->opts.format) {
		*ret_format = nested->opts.format;
		return 0;
	}
	return weir_domain_format(function, ret_format);
}

static int start_hardware(struct weir_nested_space *nested, struct weir_function *function)
{
	struct weir_first first = { 0 };
	uint32_t format, largest_page;
	int error = pick_format(nested, function, &format);

	if (!error)
		error = weir_domain_largest_page(function, &largest_page);
	if (error)
		return error;
	nested->mode = WEIR_NESTED_HARDWARE;
	error = weir_ioas_attach(nested->stage2, function, 64);
	if (error)
		return error;
	error = open_tables(nested, format, largest_page);
	if (!error) {
		error = open_domain(nested, function);
		if (error) {
			weir_first_note(&first, error);
			close_tables(nested);
		}
	}
	if (!error)
		return 0;
	weir_first_note(&first, error);
	weir_ioas_detach(nested->stage2, function, 64);
	return weir_first_error(&first);
}

/* Shadow -------------------------------------------------------------------------------------------------------- */

static int start_shadow(struct weir_nested_space *nested, struct weir_function *function)
{
	struct weir_first first = { 0 };
	int error;

	nested->mode = WEIR_NESTED_SHADOW;
	error = weir_ioas_attach(nested->ordinary, function, 64);
	if (error)
		return error;
	error = open_tables(nested, nested->opts.format ? nested->opts.format : WEIR_STAGE1_X86_4, 0);
	if (!error) {
		error = weir_shadow_open(nested->tables, nested->stage2, nested->ordinary,
					 &nested->domains[0]);
		if (error) {
			weir_first_note(&first, error);
			close_tables(nested);
		}
	}
	if (!error) {
		nested->parents[0] = NULL;
		nested->num_domains = 1;
		return 0;
	}
	weir_first_note(&first, error);
	weir_ioas_detach(nested->ordinary, function, 64);
	return weir_first_error(&first);
}

/* Coming and going ---------------------------------------------------------------------------------------------- */

static void stop(struct weir_nested_space *nested, struct weir_first *first)
{
	struct weir_space *space = &nested->ioas->space;

	weir_first_note(first, close_domains(nested));
	/* No device uses the tables any more, so nobody remembers anything of them. */
	weir_inval_drop(nested->filled);
	weir_inval_drop(nested->spare);
	weir_pieces_forget(&nested->pieces);
	close_tables(nested);
	weir_geometry_free(&space->geometry);
	space->live = false;
	space->real = space;
	nested->mode = WEIR_NESTED_AUTO;
}

static int start(struct weir_nested_space *nested, struct weir_function *function)
{
	struct weir_space *space = &nested->ioas->space;
	struct weir_first first = { 0 };
	int error = nested->opts.mode == WEIR_NESTED_SHADOW ? -EOPNOTSUPP : start_hardware(nested, function);

	if (error == -EOPNOTSUPP && nested->opts.mode != WEIR_NESTED_HARDWARE)
		error = start_shadow(nested, function);
	if (error) {
		nested->mode = WEIR_NESTED_AUTO;
		return error;
	}
	error = weir_nested_space_follow_geometry(nested);
	if (!error) {
		weir_nested_space_note_tables(nested);
		space->live = true;
		space->real = &home(nested)->space;
		return 0;
	}
	weir_first_note(&first, error);
	weir_ioas_detach(home(nested), function, 64);
	stop(nested, &first);
	return weir_first_error(&first);
}

int weir_nested_space_enter(struct weir_space *space, struct weir_function *function)
{
	struct weir_nested_space *nested = of(space);

	return space->live ? weir_ioas_attach(home(nested), function, 64) : start(nested, function);
}

static int join(struct weir_nested_space *nested, struct weir_function *function)
{
	int error = -EXDEV;

	for (uint32_t i = 0; i < nested->num_domains && error == -EXDEV; i++)
		error = weir_domain_join(nested->domains[i], function, WEIR_NO_PASID);
	if (error != -EXDEV)
		return error;
	error = open_domain(nested, function);
	return error ? error
		     : weir_domain_join(nested->domains[nested->num_domains - 1], function, WEIR_NO_PASID);
}

int weir_nested_space_commit(struct weir_space *space, struct weir_function *function)
{
	struct weir_nested_space *nested = of(space);
	int error = nested->mode == WEIR_NESTED_HARDWARE ? join(nested, function) : 0;

	if (!error)
		error = weir_nested_space_follow_geometry(nested);
	if (!error && nested->mode == WEIR_NESTED_HARDWARE)
		error = map_windows(nested);
	for (struct weir_map *map = NULL; !error && (map = weir_ioas_next_map(nested->ioas, map));)
		error = weir_nested_space_fits(nested, map) ? 0 : -EADDRINUSE;
	if (!error)
		space->num_functions++;
	return error;
}

void weir_nested_space_abandon(struct weir_space *space, struct weir_function *function)
{
	struct weir_nested_space *nested = of(space);
	struct weir_first reason = { 0 };

	/* There is a text already, of why this has to be. */
	weir_first_note(&reason, -ECANCELED);
	if (nested->mode == WEIR_NESTED_HARDWARE)
		weir_domain_part(function, WEIR_NO_PASID);
	weir_ioas_detach(home(nested), function, 64);
	if (!space->num_functions)
		stop(nested, &(struct weir_first){ 0 });
	weir_first_error(&reason);
}

int weir_nested_space_leave(struct weir_space *space, struct weir_function *function)
{
	struct weir_nested_space *nested = of(space);
	struct weir_first first = { 0 };

	if (nested->mode == WEIR_NESTED_HARDWARE)
		weir_first_note(&first, weir_domain_part(function, WEIR_NO_PASID));
	weir_first_note(&first, weir_ioas_detach(home(nested), function, 64));
	space->num_functions--;
	if (!space->num_functions)
		stop(nested, &first);
	return weir_first_error(&first);
}
