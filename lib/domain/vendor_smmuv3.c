// SPDX-License-Identifier: MIT
/*
 * Arm SMMUv3: the first stage is a stream table entry (STE), nested in a virtual IOMMU over the parent, in which the device has a stream number. Fields and
 * commands: SMMU architecture (IHI 0070), 4, 5.2 and 6.3.
 *
 * How a range is forgotten: by TLBI_NH_VA. With range commands (IDR3.RIL), a handful of them, up to 2^31 pages: each takes up to 31 pages times a power of
 * two. Without, one for each page, up to 512 of them; beyond that TLBI_NH_ASID, as the kernel does it for itself: a command for each page takes longer
 * than reading the tables again. That forgets all of the ASID's entries that are not global, which those of weir_stage1 never are.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "domain/vendor.h"
#include "error.h"
#include "kernel/iommufd_abi.h"

enum {
	PAGE = 4096,
	MOST_PAGES = 512,
	DESCRIPTOR = 64, /* bytes of a context descriptor, and its alignment */

	CFGI_CD = 0x05,
	CFGI_CD_ALL = 0x06,
	TLBI_NH_ALL = 0x10,
	TLBI_NH_ASID = 0x11,
	TLBI_NH_VA = 0x12,
	ATC_INV = 0x40,

	ATC_ALL = 52, /* a span of 2^52 pages: everything */
	MOST_NUM = 31,
};

#define IDR0_ATS (1u << 10)
#define IDR3_RIL (1u << 10)

#define STE0_VALID     1ull
#define STE0_CONFIG(x) ((uint64_t)(x) << 1)
enum { CONFIG_ABORT = 0, CONFIG_BYPASS = 4, CONFIG_STAGE1 = 5 };
#define STE0_CONTEXT 0x000fffffffffffc0ull /* address bits 51:6 */

/* The context descriptor is read like any memory of the CPU's: write-back, inner shareable. */
#define STE1_CACHED      ((uint64_t)1 << 2 | (uint64_t)1 << 4 | (uint64_t)3 << 6)
#define STE1_EATS(x)     ((uint64_t)(x) << 28)
#define STE1_GET_EATS(x) ((x) >> 28 & 3)
enum { EATS_FULL = 1 };

enum feature {
	HAS_RANGES = 1 << 0,
	HAS_ATS = 1 << 1,
};

static struct abi_iommu_hw_info_arm_smmuv3 registers(const struct weir_hw_info *info)
{
	struct abi_iommu_hw_info_arm_smmuv3 hardware;

	memcpy(&hardware, info->data, sizeof(hardware));
	return hardware;
}

static int check_stage1(const struct weir_nested_opts *o)
{
	if (o->format != WEIR_STAGE1_ARM64_4K)
		return weir_fail_format(o->format, "SMMUv3", "it has those of AArch64");
	if (o->address_bits > 48)
		return weir_fail(-ERANGE, "this format has up to 48 address bits, not %u", o->address_bits);
	if (o->root % DESCRIPTOR)
		return weir_fail(-EINVAL,
				 "the context descriptor's address %#" PRIx64 " is no multiple of %u",
				 o->root, DESCRIPTOR);
	if (o->root & ~STE0_CONTEXT)
		return weir_fail(-ERANGE,
				 "the context descriptor's address %#" PRIx64 " has more than 52 bits",
				 o->root);
	return 0;
}

static int describe(const struct weir_hw_info *info, const struct weir_nested_opts *o,
		    struct weir_nested_data *ret_data)
{
	uint64_t ste[2] = { STE0_VALID, 0 };
	int error = 0;

	if (o->data)
		return 0;
	switch (o->stage1) {
	case WEIR_NESTED_TRANSLATE:
		error = check_stage1(o);
		ste[0] |= STE0_CONFIG(CONFIG_STAGE1) | o->root;
		ste[1] = STE1_CACHED;
		if (registers(info).idr[0] & IDR0_ATS)
			ste[1] |= STE1_EATS(EATS_FULL);
		break;
	case WEIR_NESTED_BYPASS:
		ste[0] |= STE0_CONFIG(CONFIG_BYPASS);
		break;
	default:
		ste[0] |= STE0_CONFIG(CONFIG_ABORT);
	}
	ste[0] = htole64(ste[0]);
	ste[1] = htole64(ste[1]);
	ret_data->type = ABI_IOMMU_HWPT_DATA_ARM_SMMUV3;
	ret_data->len = sizeof(ste);
	memcpy(ret_data->bytes, ste, sizeof(ste));
	return error;
}

static uint32_t features(const struct weir_hw_info *info, const struct weir_nested_data *data)
{
	struct abi_iommu_hw_info_arm_smmuv3 hardware = registers(info);
	uint32_t found = hardware.idr[3] & IDR3_RIL ? HAS_RANGES : 0;
	uint64_t ste[2] = { 0 };

	if (data->type == ABI_IOMMU_HWPT_DATA_ARM_SMMUV3)
		memcpy(ste, data->bytes, sizeof(ste));
	/* An SMMU without ATS takes the command for an error; and who may not translate ahead remembers nothing. */
	if ((hardware.idr[0] & IDR0_ATS) && STE1_GET_EATS(le64toh(ste[1])) == EATS_FULL)
		found |= HAS_ATS;
	return found;
}

/* Commands --------------------------------------------------------------------------------------------------------- */

static void write_command(void *ret_command, uint64_t low, uint64_t high)
{
	uint64_t words[2] = { htole64(low), htole64(high) };

	memcpy(ret_command, words, sizeof(words));
}

/*
 * What TLBI takes with one command, from the page @from of @num on: as many as the lowest bits that are set of what is left say.
 */
static uint64_t range_step(uint64_t num, uint32_t *ret_scale)
{
	*ret_scale = (uint32_t)__builtin_ctzll(num);
	return (num >> *ret_scale & MOST_NUM) << *ret_scale;
}

static uint32_t count_ranges(uint64_t num)
{
	uint32_t scale, steps = 0;

	for (; num; num -= range_step(num, &scale))
		steps++;
	return steps;
}

static uint64_t num_pages(const struct weir_inval_item *item)
{
	return (item->last - item->iova) / PAGE + 1;
}

/* The longest range that one command for all of the ASID is not cheaper than; and SCALE has 5 bits. */
static uint64_t most_pages(const struct weir_inval_target *target)
{
	return target->features & HAS_RANGES ? (uint64_t)1 << 31 : MOST_PAGES;
}

static uint32_t count_tlbi(const struct weir_inval_target *target, const struct weir_inval_item *item)
{
	uint64_t num = num_pages(item);

	if (num > most_pages(target))
		return 1;
	return target->features & HAS_RANGES ? count_ranges(num) : (uint32_t)num;
}

static void tlbi_range(const struct weir_inval_item *item, uint32_t number, uint64_t low, void *ret_command)
{
	uint64_t left = num_pages(item), step, at = item->iova;
	uint64_t leaf = item->flags & WEIR_INVAL_LEAF ? 1 : 0;
	uint32_t scale;

	for (step = range_step(left, &scale); number--; step = range_step(left, &scale)) {
		at += step * PAGE;
		left -= step;
	}
	/* A single page has no range form: NUM, SCALE and TTL of 0 together are reserved there. */
	if (step == 1)
		write_command(ret_command, low, at | leaf);
	else
		write_command(ret_command, low | ((step >> scale) - 1) << 12 | (uint64_t)scale << 20,
			      at | (uint64_t)1 << 10 | leaf);
}

static void tlbi(const struct weir_inval_target *target, const struct weir_inval_item *item, uint32_t number,
		 void *ret_command)
{
	uint64_t asid = (uint64_t)item->id << 48, leaf = item->flags & WEIR_INVAL_LEAF ? 1 : 0;

	if (num_pages(item) > most_pages(target))
		write_command(ret_command, TLBI_NH_ASID | asid, 0);
	else if (target->features & HAS_RANGES)
		tlbi_range(item, number, TLBI_NH_VA | asid, ret_command);
	else
		write_command(ret_command, TLBI_NH_VA | asid, (item->iova + (uint64_t)number * PAGE) | leaf);
}

/* What a device remembers of a range: the smallest span that has all of it, a power of two of pages and aligned to that. */
static uint64_t atc_span(const struct weir_inval_item *item)
{
	uint64_t first = item->iova / PAGE, last = item->last / PAGE;
	uint32_t bits = first == last ? 0 : 64 - (uint32_t)__builtin_clzll(first ^ last);

	return bits >= ATC_ALL ? ATC_ALL : (first >> bits << bits) * PAGE | bits;
}

static uint32_t num_atc(const struct weir_inval_target *target)
{
	uint32_t num = 0, all = weir_target_num_functions(target);

	for (uint32_t i = 0; i < all && (target->features & HAS_ATS); i++)
		num += weir_target_function(target, i)->vdevice->ats;
	return num;
}

static uint64_t stream(const struct weir_inval_target *target, uint32_t number)
{
	return weir_target_function(target, number)->vdevice->stream << 32;
}

static uint64_t atc_stream(const struct weir_inval_target *target, uint32_t number)
{
	uint32_t i = 0;

	while (!weir_target_function(target, i)->vdevice->ats || number--)
		i++;
	return stream(target, i);
}

static uint32_t count(const struct weir_inval_target *target, const struct weir_inval_item *item)
{
	switch (item->kind) {
	case WEIR_INVAL_RANGE:
		return count_tlbi(target, item) + num_atc(target);
	case WEIR_INVAL_ALL:
		return weir_target_num_functions(target) + 1 + num_atc(target);
	default:
		return weir_target_num_functions(target);
	}
}

/* Configuration first, then what was translated by it, then what devices have of that. */
static void all(const struct weir_inval_target *target, uint32_t number, void *ret_command)
{
	uint32_t num = weir_target_num_functions(target);

	if (number < num)
		write_command(ret_command, CFGI_CD_ALL | stream(target, number), 0);
	else if (number == num)
		write_command(ret_command, TLBI_NH_ALL, 0);
	else
		write_command(ret_command, ATC_INV | atc_stream(target, number - num - 1), ATC_ALL);
}

static void command(const struct weir_inval_target *target, const struct weir_inval_item *item,
		    uint32_t number, void *ret_command)
{
	uint32_t num_tlbi;

	switch (item->kind) {
	case WEIR_INVAL_RANGE:
		num_tlbi = count_tlbi(target, item);
		if (number < num_tlbi)
			tlbi(target, item, number, ret_command);
		else
			write_command(ret_command, ATC_INV | atc_stream(target, number - num_tlbi),
				      atc_span(item));
		break;
	case WEIR_INVAL_ALL:
		all(target, number, ret_command);
		break;
	default:
		write_command(ret_command, CFGI_CD | (uint64_t)item->id << 12 | stream(target, number), 0);
	}
}

/* Events ----------------------------------------------------------------------------------------------------------- */

enum {
	BAD_STE = 0x04,
	STREAM_DISABLED = 0x06,
	BAD_SUBSTREAM = 0x08,
	BAD_CD = 0x0a,
	TRANSLATION = 0x10,
	ADDR_SIZE = 0x11,
	ACCESS = 0x12,
	PERMISSION = 0x13,
};

static uint32_t event_kind(uint32_t type)
{
	switch (type) {
	case TRANSLATION:
		return WEIR_EVENT_TRANSLATION;
	case ADDR_SIZE:
		return WEIR_EVENT_ADDRESS_SIZE;
	case ACCESS:
		return WEIR_EVENT_ACCESS;
	case PERMISSION:
		return WEIR_EVENT_PERMISSION;
	case BAD_STE:
	case STREAM_DISABLED:
	case BAD_SUBSTREAM:
	case BAD_CD:
		return WEIR_EVENT_CONTEXT;
	default:
		return WEIR_EVENT_OTHER;
	}
}

/* What all faults of a translation have in common. */
static void decode_fault(const uint64_t words[4], struct weir_event *event)
{
	static const struct {
		uint32_t bit, flag;
	} flags[] = { { 31, WEIR_EVENT_STALLED },
		      { 33, WEIR_EVENT_PRIVILEGED },
		      { 34, WEIR_EVENT_EXECUTE },
		      { 39, WEIR_EVENT_STAGE2 } };
	enum { READ = 35, CLASS = 40, CLASS_INPUT = 2 };

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (words[1] >> flags[i].bit & 1)
			event->flags |= flags[i].flag;
	if (!(words[1] >> READ & 1))
		event->flags |= WEIR_EVENT_WRITE;
	if ((words[1] >> CLASS & 3) != CLASS_INPUT)
		event->flags |= WEIR_EVENT_TABLES;
	event->flags |= WEIR_EVENT_HAS_IOVA;
	event->iova = words[2];
	if (event->flags & WEIR_EVENT_STAGE2)
		event->ipa = words[3] & 0x000ffffffffff000;
}

static void event(const void *data, struct weir_event *ret_event)
{
	uint64_t words[4];

	memcpy(words, data, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		words[i] = le64toh(words[i]);
	ret_event->code = words[0] & 0xff;
	ret_event->kind = event_kind(ret_event->code);
	ret_event->stream = words[0] >> 32;
	if (words[0] >> 11 & 1) {
		ret_event->flags |= WEIR_EVENT_HAS_PASID;
		ret_event->pasid = words[0] >> 12 & 0xfffff;
	}
	if (ret_event->code >= TRANSLATION && ret_event->code <= PERMISSION)
		decode_fault(words, ret_event);
}

const struct weir_vendor weir_vendor_smmuv3 = {
	.kind = WEIR_IOMMU_SMMUV3,
	.inval_type = ABI_IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
	.command_len = sizeof(struct abi_iommu_viommu_arm_smmuv3_invalidate),
	.counts_unsent = true,
	.viommu_type = ABI_IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
	.describe = describe,
	.features = features,
	.count = count,
	.command = command,
	.event_type = ABI_IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
	.event_len = sizeof(struct abi_iommu_vevent_arm_smmuv3),
	.event = event,
};
