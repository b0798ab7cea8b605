// SPDX-License-Identifier: MIT
/* Tables: opened, closed, told about; and what a range has to be. */
#include "stage1/stage1.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

static uint64_t up_to(uint32_t bits)
{
	return ((uint64_t)1 << bits) - 1;
}

static int read_opts(const struct weir_stage1_opts *opts, struct weir_stage1_opts *o,
		     const struct weir_stage1_format_bits **ret_bits)
{
	const struct weir_stage1_format_bits *bits;
	int error = weir_opts_read(opts, o, sizeof(*o));

	if (error)
		return error;
	bits = weir_stage1_format_bits(o->format);
	if (!bits)
		return weir_fail(-EINVAL, "%" PRIu32 " is no format of stage 1", o->format);
	o->address_bits = o->address_bits ? o->address_bits : bits->address_bits;
	o->output_bits = o->output_bits ? o->output_bits : bits->output_bits;
	o->largest_page = o->largest_page ? o->largest_page : bits->largest_page;
	if (o->address_bits < bits->least_address_bits || o->address_bits > bits->address_bits)
		return weir_fail(-EINVAL, "%s has addresses of %" PRIu32 " to %" PRIu32 " bits, not %" PRIu32,
				 bits->name, bits->least_address_bits, bits->address_bits, o->address_bits);
	if (o->output_bits <= WEIR_STAGE1_PAGE_SHIFT || o->output_bits > bits->output_bits)
		return weir_fail(-EINVAL, "%s leads to addresses of 13 to %" PRIu32 " bits, not %" PRIu32,
				 bits->name, bits->output_bits, o->output_bits);
	if (o->largest_page != 12 && o->largest_page != 21 && o->largest_page != 30)
		return weir_fail(-EINVAL, "pages have 12, 21 or 30 bits, not %" PRIu32, o->largest_page);
	if (o->reserved)
		return weir_fail(-EINVAL, "a reserved field is not 0");
	if (o->asid > UINT16_MAX || (o->asid && !bits->has_asid))
		return weir_fail(-EINVAL, "the address space id is %" PRIu32 ", and %s has %s", o->asid,
				 bits->name, bits->has_asid ? "16 bits for it" : "none");
	*ret_bits = bits;
	return 0;
}

static void init(struct weir_stage1 *tables, struct weir_memory *memory, const struct weir_stage1_opts *o,
		 const struct weir_stage1_format_bits *bits)
{
	uint32_t levels = bits->levels;

	/* Each level translates 9 bits, the first one what is left. */
	if (!levels)
		levels = (o->address_bits - WEIR_STAGE1_PAGE_SHIFT + WEIR_STAGE1_LEVEL_SHIFT - 1) /
			 WEIR_STAGE1_LEVEL_SHIFT;
	tables->bits = *bits;
	tables->memory = memory;
	tables->top = levels - 1;
	tables->largest = (o->largest_page - WEIR_STAGE1_PAGE_SHIFT) / WEIR_STAGE1_LEVEL_SHIFT;
	if (tables->largest > tables->top)
		tables->largest = tables->top;
	tables->low = up_to(o->address_bits);
	tables->high = UINT64_MAX;
	if (bits->canonical && o->address_bits == bits->address_bits) {
		tables->low = up_to(o->address_bits - 1);
		tables->high = ~tables->low;
	}
	tables->output = up_to(o->output_bits);
	tables->info = (struct weir_stage1_info){ .format = o->format,
						  .address_bits = o->address_bits,
						  .output_bits = o->output_bits,
						  .asid = o->asid };
	pthread_mutex_init(&tables->lock, NULL);
}

/* A page of its own: who checks that tables begin with a page need not ask what kind this is. */
static int make_context(struct weir_stage1 *tables)
{
	struct weir_stage1_info *info = &tables->info;
	uint64_t words[WEIR_CONTEXT_WORDS];
	int error = weir_memory_alloc(tables->memory, WEIR_STAGE1_PAGE, NULL, &tables->context);

	if (error)
		return weir_fail_within(error, "a page for the context descriptor");
	weir_stage1_context(words, info->root, info->address_bits, info->output_bits, info->asid);
	memset(tables->context.addr, 0, WEIR_STAGE1_PAGE);
	memcpy(tables->context.addr, words, sizeof(words));
	info->descriptor = tables->context.iova;
	info->num_pages++;
	return 0;
}

int weir_stage1_new(struct weir_memory *memory, const struct weir_stage1_opts *opts,
		    struct weir_stage1 **ret_tables)
{
	const struct weir_stage1_format_bits *bits;
	struct weir_stage1_opts o;
	struct weir_stage1 *tables;
	int error = read_opts(opts, &o, &bits);

	if (error)
		return error;
	tables = calloc(1, sizeof(*tables));
	if (!tables)
		return weir_fail(-ENOMEM, "no memory for tables of stage 1");
	init(tables, memory, &o, bits);
	*ret_tables = tables;
	return 0;
}

int weir_stage1_open(struct weir_memory *memory, const struct weir_stage1_opts *opts,
		     struct weir_stage1 **ret_tables)
{
	struct weir_stage1_reserve reserve = { .upper = 1 };
	struct weir_stage1 *tables;
	int error = weir_stage1_new(memory, opts, &tables);

	if (error)
		return error;
	error = weir_stage1_reserve(tables, &reserve);
	if (error) {
		weir_stage1_close(tables);
		return error;
	}
	tables->root = reserve.uppers;
	tables->root->level = tables->top;
	tables->info.root = tables->root->buffer.iova;
	tables->info.num_pages = 1;
	error = tables->bits.has_asid ? make_context(tables) : 0;
	if (error) {
		weir_stage1_close(tables);
		return error;
	}
	*ret_tables = tables;
	return 0;
}

void weir_stage1_close(struct weir_stage1 *tables)
{
	if (!tables)
		return;
	if (tables->root)
		weir_table_free(tables->root);
	if (tables->info.descriptor)
		weir_memory_free(tables->memory, &tables->context);
	pthread_mutex_destroy(&tables->lock);
	free(tables);
}

int weir_stage1_info(const struct weir_stage1 *tables, struct weir_stage1_info *ret_info, size_t size)
{
	struct weir_stage1 *locked = (struct weir_stage1 *)tables;
	struct weir_stage1_info info;

	pthread_mutex_lock(&locked->lock);
	info = tables->info;
	pthread_mutex_unlock(&locked->lock);
	weir_result_write(ret_info, size, &info, sizeof(info));
	return 0;
}

static int say_outside(const struct weir_stage1 *tables, uint64_t iova, uint64_t last)
{
	if (tables->high == UINT64_MAX)
		return weir_fail(-ERANGE,
				 "IOVAs %#" PRIx64 " to %#" PRIx64 " are beyond the %" PRIu32
				 " address bits of these tables",
				 iova, last, tables->info.address_bits);
	return weir_fail(-ERANGE,
			 "IOVAs %#" PRIx64 " to %#" PRIx64 " are not canonical: those of %" PRIu32
			 " bits go up to %#" PRIx64 ", and on from %#" PRIx64,
			 iova, last, tables->info.address_bits, tables->low, tables->high);
}

int weir_stage1_check(const struct weir_stage1 *tables, uint64_t iova, uint64_t len)
{
	uint64_t last = iova + len - 1;

	if (!len || (iova | len) & (WEIR_STAGE1_PAGE - 1))
		return weir_fail(-EINVAL,
				 "IOVA %#" PRIx64 " and length %#" PRIx64
				 " are not whole pages of 4096 bytes, at least one",
				 iova, len);
	if (last < iova)
		return weir_fail(-EOVERFLOW,
				 "%#" PRIx64 " bytes from IOVA %#" PRIx64 " on are beyond 64 bits", len,
				 iova);
	if (last > tables->low && iova < tables->high)
		return say_outside(tables, iova, last);
	return 0;
}

int weir_stage1_check_prot(uint32_t prot)
{
	if (prot & ~(WEIR_MAP_READ | WEIR_MAP_WRITE))
		return weir_fail(-EINVAL, "%#" PRIx32 " is not of WEIR_MAP_READ and WEIR_MAP_WRITE", prot);
	return 0;
}
