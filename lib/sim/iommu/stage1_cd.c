// SPDX-License-Identifier: MIT
/*
 * What a stream table entry of the program's makes of a request: which context descriptor is used, and what that says. Descriptors are
 * read from memory once, and again only after they were invalidated.
 */
#include <errno.h>
#include <string.h>

#include "sim/iommu/stage1.h"

enum { CD_SIZE = SIM_CD_WORDS * 8, FEWEST_BITS = 25, MOST_BITS = 48 };

/* S1Fmt: descriptors in one table, or in two levels of which the lower is of 4 or 64 KiB. */
enum { LINEAR = 0, TWO_LEVELS_4K = 1, TWO_LEVELS_64K = 2 };

/* S1DSS: what becomes of a request without a substream where there are substreams. */
enum { DSS_ABORT = 0, DSS_BYPASS = 1, DSS_FIRST = 2 };

/* Which descriptor ---------------------------------------------------------------------------------------- */

/* 0 and *@ret_ssid, SIM_ARM_BYPASS, or -EFAULT with an event. */
static int choose(const struct sim_stage1 *stage1, uint32_t pasid, uint32_t *ret_ssid,
		  enum sim_smmu_event *ret_event)
{
	uint64_t substreams = (uint64_t)1 << sim_field(stage1->ste[0], 63, 59);
	unsigned int otherwise = (unsigned int)sim_field(stage1->ste[1], 1, 0);

	*ret_ssid = pasid;
	if (pasid != SIM_NO_PASID) {
		*ret_event = SIM_EVENT_BAD_SUBSTREAM;
		return substreams > 1 && pasid < substreams ? 0 : -EFAULT;
	}
	if (substreams == 1 || otherwise == DSS_FIRST)
		return 0;
	*ret_event = SIM_EVENT_STREAM_DISABLED;
	return otherwise == DSS_BYPASS ? SIM_ARM_BYPASS : -EFAULT;
}

/* Where that lies in stage 2. */
static int find(struct sim_stage1 *stage1, uint32_t ssid, uint64_t *ret_address)
{
	uint64_t top = stage1->ste[0] & 0x000fffffffffffc0;
	unsigned int format = (unsigned int)sim_field(stage1->ste[0], 5, 4);
	unsigned int split = format == TWO_LEVELS_64K ? 10 : 6;
	uint64_t entry;
	int error;

	if (format == LINEAR || !sim_field(stage1->ste[0], 63, 59)) {
		*ret_address = top + (uint64_t)ssid * CD_SIZE;
		return 0;
	}
	error = sim_stage1_load(stage1, top + (uint64_t)(ssid >> split) * sizeof(entry), &entry);
	if (error || !(entry & 1))
		return -EFAULT;
	*ret_address = (entry & 0x000ffffffffff000) + (uint64_t)(ssid & ((1u << split) - 1)) * CD_SIZE;
	return 0;
}

/* Keeping them -------------------------------------------------------------------------------------------- */

static const uint64_t *recall(const struct sim_stage1 *stage1, const struct weir_sim_device *device,
			      uint32_t ssid)
{
	for (unsigned int i = 0; i < SIM_KEPT_CDS; i++)
		if (stage1->cds[i].device == device && stage1->cds[i].ssid == ssid)
			return stage1->cds[i].words;
	return NULL;
}

static void keep(struct sim_stage1 *stage1, const struct weir_sim_device *device, uint32_t ssid,
		 const uint64_t words[SIM_CD_WORDS])
{
	struct sim_kept_cd *kept = &stage1->cds[stage1->next_cd++ % SIM_KEPT_CDS];

	kept->device = device;
	kept->ssid = ssid;
	memcpy(kept->words, words, sizeof(kept->words));
}

void sim_arm_drop_cds(struct sim_stage1 *stage1, const struct weir_sim_device *device, bool all,
		      uint32_t ssid)
{
	for (unsigned int i = 0; i < SIM_KEPT_CDS; i++)
		if (stage1->cds[i].device == device && (all || stage1->cds[i].ssid == ssid))
			stage1->cds[i].device = NULL;
}

/* What it says -------------------------------------------------------------------------------------------- */

/* IPS in bits; more than addresses of this IOMMU have is no more. */
static unsigned int output_bits(const struct sim_stage1 *stage1, unsigned int code)
{
	static const unsigned int bits[] = { 32, 36, 40, 42, 44, 48, 48, 48 };

	return bits[code] < stage1->parent->sim->address_bits ? bits[code]
							      : stage1->parent->sim->address_bits;
}

/*
 * What this IOMMU refuses: anything but AArch64 tables of 4 KiB pages, little-endian; stalls; and ending a faulting access without an
 * error (CD.A clear: IDR0.TERM_MODEL says that this cannot be had).
 */
static bool is_legal(const uint64_t cd[SIM_CD_WORDS])
{
	enum { VALID = 31, AARCH64 = 41, ENDI = 15, STALL = 44, ABORT = 46 };
	unsigned int bits = 64 - (unsigned int)sim_field(cd[0], 5, 0);

	if (!sim_field(cd[0], VALID, VALID) || !sim_field(cd[0], AARCH64, AARCH64))
		return false;
	if (sim_field(cd[0], ENDI, ENDI) || sim_field(cd[0], STALL, STALL) || !sim_field(cd[0], ABORT, ABORT))
		return false;
	return bits >= FEWEST_BITS && bits <= MOST_BITS && !sim_field(cd[0], 7, 6);
}

static int read_context(const struct sim_stage1 *stage1, const uint64_t cd[SIM_CD_WORDS],
			struct sim_context *ret_context)
{
	if (!is_legal(cd))
		return -EFAULT;
	*ret_context = (struct sim_context){
		.table = cd[1] & 0x000ffffffffffff0,
		.input_bits = 64 - (unsigned int)sim_field(cd[0], 5, 0),
		.output_bits = output_bits(stage1, (unsigned int)sim_field(cd[0], 34, 32)),
		.asid = (uint32_t)sim_field(cd[0], 63, 48),
		.records = sim_field(cd[0], 45, 45),
		.ignores_access = sim_field(cd[0], 35, 35),
		.ignores_hierarchy = sim_field(cd[1], 60, 60),
		.no_low_half = sim_field(cd[0], 14, 14),
	};
	return ret_context->table >> ret_context->output_bits ? -EFAULT : 0;
}

static int fetch(struct sim_stage1 *stage1, uint32_t ssid, uint64_t ret_words[SIM_CD_WORDS])
{
	uint64_t address;
	int error = find(stage1, ssid, &address);

	for (unsigned int i = 0; i < SIM_CD_WORDS && !error; i++)
		error = sim_stage1_load(stage1, address + i * sizeof(uint64_t), &ret_words[i]);
	return error;
}

int sim_arm_context(struct sim_stage1 *stage1, const struct sim_requester *from,
		    struct sim_context *ret_context, enum sim_smmu_event *ret_event)
{
	uint64_t words[SIM_CD_WORDS];
	const uint64_t *kept;
	uint32_t ssid;
	int how = choose(stage1, from->pasid, &ssid, ret_event);

	if (how)
		return how;
	*ret_event = SIM_EVENT_NONE;
	kept = recall(stage1, from->device, ssid);
	if (kept) {
		memcpy(words, kept, sizeof(words));
	} else if (fetch(stage1, ssid, words)) {
		return -EFAULT;
	}
	*ret_event = SIM_EVENT_BAD_CD;
	if (read_context(stage1, words, ret_context))
		return -EFAULT;
	if (!kept)
		keep(stage1, from->device, ssid, words);
	return 0;
}
