// SPDX-License-Identifier: MIT
/* The made-up kernel. */
#include "unit/inval_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/iommufd_abi.h"

enum { PAGE = 4096, BLOCK = 63, TLBI_NH_ALL = 0x10, TLBI_NH_ASID = 0x11, TLBI_NH_VA = 0x12 };

static struct rig *rig_of(const struct weir_table *table)
{
	return (struct rig *)((char *)(uintptr_t)table - offsetof(struct rig, table));
}

static void issue(struct rig *rig, const unsigned char *command, uint32_t len)
{
	if (rig->num_done == rig->room_done) {
		rig->room_done = rig->room_done ? 2 * rig->room_done : 1024;
		rig->done = realloc(rig->done, rig->room_done * sizeof(*rig->done));
		if (!rig->done)
			abort();
	}
	memset(rig->done[rig->num_done], 0, RIG_COMMAND);
	memcpy(rig->done[rig->num_done++], command, len);
}

static int convert(struct rig *rig, const unsigned char *command, uint32_t len, uint32_t number)
{
	return rig->refuses ? rig->refuses(rig, command, len, number) : 0;
}

static int one_by_one(struct rig *rig, const unsigned char *commands, uint32_t len, uint32_t *num)
{
	for (uint32_t i = 0; i < *num; i++) {
		int error = convert(rig, commands + (size_t)i * len, len, i);

		if (error) {
			*num = i;
			return error;
		}
		issue(rig, commands + (size_t)i * len, len);
	}
	return 0;
}

static int in_blocks(struct rig *rig, const unsigned char *commands, uint32_t len, uint32_t *num)
{
	uint32_t issued = 0;

	for (uint32_t i = 0; i < *num; i++) {
		int error = convert(rig, commands + (size_t)i * len, len, i);

		if (error) {
			*num = i;
			return error;
		}
		if (i + 1 < *num && i + 1 - issued < BLOCK)
			continue;
		while (issued <= i)
			issue(rig, commands + (size_t)issued++ * len, len);
	}
	return 0;
}

static int invalidate(struct weir_table *table, uint32_t type, const void *entries, uint32_t len,
		      uint32_t *num)
{
	struct rig *rig = rig_of(table);

	if (rig->num_calls == RIG_MOST_CALLS)
		abort();
	rig->call_types[rig->num_calls] = type;
	rig->call_lens[rig->num_calls] = len;
	rig->call_sizes[rig->num_calls++] = *num;
	if (rig->call_error) {
		*num = 0;
		return rig->call_error;
	}
	return rig->kind == RIG_VTD ? one_by_one(rig, entries, len, num) : in_blocks(rig, entries, len, num);
}

static int block(struct weir_table *table)
{
	struct rig *rig = rig_of(table);

	rig->num_blocks++;
	return rig->block_error;
}

static void free_rig(void *arg)
{
	struct rig *rig = arg;

	pthread_rwlock_destroy(&rig->table.lock);
	pthread_mutex_destroy(&rig->host.lock);
	free(rig->done);
	free(rig);
}

struct rig *new_inval_rig(struct t *t, enum rig_kind kind, uint32_t num)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	ASSERT_TRUE(rig != NULL);
	pthread_rwlock_init(&rig->table.lock, NULL);
	pthread_mutex_init(&rig->host.lock, NULL);
	t_defer(t, free_rig, rig);
	rig->kind = kind;
	rig->ops = (struct weir_domain_ops){ .invalidate = invalidate, .block = block };
	rig->backend.domains = &rig->ops;
	rig->host.kernel.ops = &rig->backend;
	rig->space.kernel = &rig->host.kernel;
	rig->table.space = &rig->space;
	rig->domain = (struct weir_kernel_domain){
		.domain = { &weir_nested_type, &rig->host },
		.table = &rig->table,
		.vendor = kind == RIG_VTD ? &weir_vendor_vtd : &weir_vendor_smmuv3,
		.kind = WEIR_DOMAIN_KIND_NESTED,
	};
	for (uint32_t i = num; i--;) {
		rig->vdevices[i].stream = 0x10 + i;
		rig->vdevices[i].ats = true;
		rig->functions[i].vdevice = &rig->vdevices[i];
		rig->attachments[i] = (struct weir_attachment){ .function = &rig->functions[i],
								.table = &rig->table,
								.beside = rig->table.attached };
		rig->table.attached = &rig->attachments[i];
	}
	rig->num_functions = num;
	return rig;
}

/* What a command is about: the pages from @ret_iova on; false: everything, or something else. */
static bool pages_of(const struct rig *rig, const void *command, uint64_t *ret_iova, uint64_t *ret_num)
{
	uint64_t words[2];
	struct abi_iommu_hwpt_vtd_s1_invalidate entry;

	if (rig->kind == RIG_VTD) {
		memcpy(&entry, command, sizeof(entry));
		*ret_iova = entry.addr;
		*ret_num = entry.npages;
		return entry.npages != UINT64_MAX;
	}
	memcpy(words, command, sizeof(words));
	*ret_iova = words[1] & ~(uint64_t)0xfff;
	*ret_num = words[1] >> 10 & 3 ? ((words[0] >> 12 & 31) + 1) << (words[0] >> 20 & 31) : 1;
	return (words[0] & 0xff) == TLBI_NH_VA;
}

static bool is_everything(const struct rig *rig, const void *command)
{
	uint64_t word;

	memcpy(&word, command, sizeof(word));
	if (rig->kind == RIG_SMMUV3)
		return (word & 0xff) == TLBI_NH_ALL || (word & 0xff) == TLBI_NH_ASID;
	memcpy(&word, (const char *)command + 8, sizeof(word));
	return word == UINT64_MAX;
}

static bool is_about(const struct rig *rig, const void *command, uint64_t iova)
{
	uint64_t start, num;

	return pages_of(rig, command, &start, &num) && iova >= start && (iova - start) / PAGE < num;
}

int refuse_bad(struct rig *rig, const void *command, uint32_t len, uint32_t number)
{
	(void)len, (void)number;
	if (!rig->bad_left || !is_about(rig, command, rig->bad))
		return 0;
	rig->bad_left--;
	return -EIO;
}

bool rig_did(const struct rig *rig, const void *command, uint32_t len)
{
	for (uint32_t i = 0; i < rig->num_done; i++)
		if (!memcmp(rig->done[i], command, len))
			return true;
	return false;
}

bool rig_forgot(const struct rig *rig, uint64_t iova)
{
	for (uint32_t i = 0; i < rig->num_done; i++)
		if (is_everything(rig, rig->done[i]) || is_about(rig, rig->done[i], iova))
			return true;
	return false;
}

static void drop_and_close(void *inval)
{
	weir_inval_drop(inval);
	weir_inval_close(inval);
}

struct weir_inval *new_batch(struct t *t)
{
	struct weir_inval *inval = NULL;

	ASSERT_OK(weir_inval_open(NULL, &inval));
	t_defer(t, drop_and_close, inval);
	return inval;
}

int run_for(struct rig *rig, struct weir_inval *inval, const struct weir_inval_run_opts *opts)
{
	struct weir_domain *domain = &rig->domain.domain;

	return weir_inval_run(inval, &domain, 1, opts);
}

struct weir_inval_outcome outcome_of(struct t *t, const struct weir_inval *inval, size_t domain,
				     uint32_t entry)
{
	struct weir_inval_outcome outcome;

	(void)t;
	ASSERT_OK(weir_inval_outcome(inval, domain, entry, &outcome));
	return outcome;
}
