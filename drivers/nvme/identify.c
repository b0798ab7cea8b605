/* SPDX-License-Identifier: MIT */
#include "nvme/identify.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "nvme/error.h"
#include "nvme/prp.h"

#define SQE_SHIFT 6 /* log2 of the size of a submission queue entry */
#define SGLS_MASK 3 /* SGLs can describe data, anywhere or at multiples of 4 */
#define CQE_SHIFT 4 /* ... and of a completion queue entry */

/* ASCII, padded with blanks, not ended (Base 2.0, 1.4.2.3). @text has room for @len + 1. */
static void copy_text(char *text, const char *field, size_t len)
{
	size_t i;

	while (len > 0 && (field[len - 1] == ' ' || field[len - 1] == '\0'))
		len--;
	for (i = 0; i < len; i++)
		text[i] = field[i] >= ' ' && field[i] <= '~' ? field[i] : '?';
	text[len] = '\0';
}

/* MDTS: a power of two, in pages of CAP.MPSMIN (4 KiB, or this driver would not be here); 0: no limit. Then the caller's own limit is next. */
static uint32_t max_transfer(uint8_t mdts)
{
	if (mdts == 0 || mdts >= 32 - NVME_PAGE_SHIFT || NVME_PAGE_SIZE << mdts > NVME_PRP_MAX_TRANSFER)
		return NVME_PRP_MAX_TRANSFER;
	return NVME_PAGE_SIZE << mdts;
}

static bool entry_size_fits(uint8_t sizes, unsigned int shift)
{
	return (sizes & 0xf) <= shift && shift <= sizes >> 4;
}

int nvme_parse_controller(const struct nvme_id_ctrl *id, struct nvme_identity *ret_identity)
{
	struct nvme_identity identity = { 0 };
	struct nvme_controller_info *info = &identity.info;
	uint64_t latency = le32toh(id->rtd3e);

	if (id->cntrltype != 0 && id->cntrltype != NVME_CTRL_CNTRLTYPE_IO)
		return fail(-EOPNOTSUPP, "a controller of type %u, which does no I/O", id->cntrltype);
	if (!entry_size_fits(id->sqes, SQE_SHIFT) || !entry_size_fits(id->cqes, CQE_SHIFT))
		return fail(-EPROTO,
			    "identify controller: queue entry sizes (SQES 0x%02x, CQES 0x%02x) make no sense",
			    id->sqes, id->cqes);

	copy_text(info->model, id->mn, sizeof id->mn);
	copy_text(info->serial, id->sn, sizeof id->sn);
	copy_text(info->firmware, id->fr, sizeof id->fr);
	info->controller_id = le16toh(id->cntlid);
	info->vendor_id = le16toh(id->vid);
	info->num_namespaces = le32toh(id->nn);
	info->max_transfer = max_transfer(id->mdts);
	info->write_cache = id->vwc & NVME_CTRL_VWC_PRESENT;
	info->sgl = (le32toh(id->sgls) & SGLS_MASK) != 0;
	info->shadow_doorbells = le16toh(id->oacs) & NVME_CTRL_OACS_DBBUF_CFG;
	info->compare = le16toh(id->oncs) & NVME_CTRL_ONCS_COMPARE;
	info->write_zeroes = le16toh(id->oncs) & NVME_CTRL_ONCS_WRITE_ZEROES;
	info->discard = le16toh(id->oncs) & NVME_CTRL_ONCS_DSM;
	identity.max_events = id->aerl + 1u;
	info->secondaries = le16toh(id->oacs) & NVME_CTRL_OACS_VIRT_MGMT;
	identity.shutdown_timeout_ms = (uint32_t)((latency + 999) / 1000); /* RTD3E is in microseconds */
	*ret_identity = identity;
	return 0;
}

/* The LBA format in use: FLBAS bits 3:0, and 6:5 above them where there are more than 16 formats. */
static unsigned int format_index(const struct nvme_id_ns *id)
{
	unsigned int index = id->flbas & 0xf;

	if (id->nlbaf > 15)
		index |= (id->flbas >> 5 & 0x3u) << 4;
	return index;
}

int nvme_parse_namespace(const struct nvme_id_ns *id, uint32_t nsid, uint32_t max_transfer_bytes,
			 struct nvme_namespace *ret_ns)
{
	uint64_t num_blocks = le64toh(id->nsze);
	unsigned int index = format_index(id), shift, metadata;

	if (num_blocks == 0)
		return fail(-ENOENT, "namespace %u does not exist, or is not attached to this controller",
			    nsid);
	if (index > id->nlbaf || index >= sizeof id->lbaf / sizeof id->lbaf[0])
		return fail(-EPROTO, "identify namespace %u: LBA format %u of %u", nsid, index,
			    id->nlbaf + 1u);
	shift = id->lbaf[index].ds;
	metadata = le16toh(id->lbaf[index].ms);
	if (shift < NVME_MIN_BLOCK_SHIFT || shift > NVME_MAX_BLOCK_SHIFT)
		return fail(-EPROTO, "identify namespace %u: blocks of 2^%u bytes", nsid, shift);
	if (num_blocks > UINT64_MAX >> shift)
		return fail(-EPROTO,
			    "identify namespace %u: %" PRIu64 " blocks of 2^%u bytes are beyond 2^64", nsid,
			    num_blocks, shift);
	if (metadata != 0)
		return fail(-EOPNOTSUPP, "namespace %u has %u bytes of metadata with each block", nsid,
			    metadata);
	if (1u << shift > max_transfer_bytes)
		return fail(-EOPNOTSUPP,
			    "namespace %u has blocks of %u bytes, more than a transfer can carry (%u)", nsid,
			    1u << shift, max_transfer_bytes);

	*ret_ns = (struct nvme_namespace){
		.num_blocks = num_blocks,
		.nsid = nsid,
		.block_size = 1u << shift,
		.block_shift = shift,
	};
	return 0;
}
