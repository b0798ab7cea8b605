/* SPDX-License-Identifier: MIT */
/* The controller memory buffer (Base 2.0, 8.5): where it is, and the addresses at which its own commands reach it. */
#include <errno.h>
#include <string.h>

#include "common/opts.h"
#include "nvme/controller.h"
#include "nvme/error.h"
#include "nvme/kept.h"

#define CMB_SHOWN   NVME_SET(1, CMBMSC_CRE)
#define CMB_ENABLED (CMB_SHOWN | NVME_SET(1, CMBMSC_CMSE))

/*
 * The upper half first: what takes effect with the lower one (CMSE) is the whole address. So it is in Linux, and QEMU's
 * controller looks at the address in no other moment.
 */
static int set_address(const struct nvme_registers *regs, uint64_t address, uint32_t flags)
{
	int r = nvme_write32(regs, NVME_REG_CMBMSC + 4, (uint32_t)(address >> 32));

	return r < 0 ? r : nvme_write32(regs, NVME_REG_CMBMSC, (uint32_t)address | flags);
}

int nvme_cmb_disable(const struct nvme_registers *regs)
{
	return NVME_CAP_CMBS(regs->cap) ? set_address(regs, 0, 0) : 0;
}

/* The device says where it is, and others will be let into what it names. */
static int check_place(const struct nvme_controller *c, const struct nvme_cmb *cmb)
{
	const struct nvme_registers *regs = &c->registers;
	uint64_t registers_end = NVME_DOORBELLS + 2ull * (c->info.num_queues + 1) * regs->doorbell_stride;
	struct weir_region_info info = { 0 };
	struct weir_region *bar;
	int r;

	if (cmb->bar == 1 || cmb->bar > WEIR_REGION_BAR5)
		return fail(-EPROTO, "the memory buffer is said to be in BAR %u", cmb->bar);
	r = weir_device_region(c->device, cmb->bar, &bar);
	if (r == 0)
		r = weir_region_info(bar, &info, sizeof info);
	if (r < 0)
		return fail(r == -ENOENT ? -EPROTO : r, "BAR %u, where the memory buffer is said to be: %s",
			    cmb->bar, weir_error());
	if (cmb->offset > info.size || cmb->len > info.size - cmb->offset)
		return fail(-EPROTO,
			    "the memory buffer is said to have %#jx bytes from %#jx on, in BAR %u of %#jx",
			    (uintmax_t)cmb->len, (uintmax_t)cmb->offset, cmb->bar, (uintmax_t)info.size);
	if (cmb->bar == 0 && cmb->offset < registers_end)
		return fail(-EPROTO,
			    "the memory buffer is said to be where the registers are: at %#jx of BAR 0",
			    (uintmax_t)cmb->offset);
	return 0;
}

/* Both in units that the size comes with, of 4 KiB to 64 GiB; 20 bits of them fit 64 bits. */
static int understand(uint32_t cmbloc, uint32_t cmbsz, struct nvme_cmb *cmb)
{
	uint32_t unit = NVME_CMBSZ_SZU(cmbsz), shift = NVME_PAGE_SHIFT + 4 * unit;

	if (NVME_CMBSZ_SZ(cmbsz) == 0)
		return fail(-EOPNOTSUPP, "the controller's memory buffer has no bytes");
	if (unit > NVME_CMBSZ_SZU_64G)
		return fail(-EPROTO, "the memory buffer's size is in unknown units (CMBSZ.SZU %u)", unit);
	*cmb = (struct nvme_cmb){
		.offset = (uint64_t)NVME_CMBLOC_OFST(cmbloc) << shift,
		.len = (uint64_t)NVME_CMBSZ_SZ(cmbsz) << shift,
		.bar = NVME_CMBLOC_BIR(cmbloc),
		.submission_queues = NVME_CMBSZ_SQS(cmbsz),
		.completion_queues = NVME_CMBSZ_CQS(cmbsz),
		.lists = NVME_CMBSZ_LISTS(cmbsz),
		.reads = NVME_CMBSZ_RDS(cmbsz),
		.writes = NVME_CMBSZ_WDS(cmbsz),
		.mixed = NVME_CMBLOC_CDMMMS(cmbloc),
	};
	return 0;
}

/* Both registers are zero until they are asked for (CMBMSC.CRE); what is enabled stays so. */
static int find(struct nvme_controller *c, struct nvme_cmb *cmb)
{
	uint32_t cmbmsc = 0, cmbloc = 0, cmbsz = 0;
	int r;

	if (!NVME_CAP_CMBS(c->registers.cap))
		return fail(-EOPNOTSUPP,
			    "the controller has no memory buffer at an address of the host's choice");
	r = nvme_read32(&c->registers, NVME_REG_CMBMSC, &cmbmsc);
	if (r == 0 && !NVME_CMBMSC_CRE(cmbmsc))
		r = nvme_write32(&c->registers, NVME_REG_CMBMSC, cmbmsc | CMB_SHOWN);
	if (r == 0)
		r = nvme_read32(&c->registers, NVME_REG_CMBLOC, &cmbloc);
	if (r == 0)
		r = nvme_read32(&c->registers, NVME_REG_CMBSZ, &cmbsz);
	if (r == 0)
		r = understand(cmbloc, cmbsz, cmb);
	return r < 0 ? r : check_place(c, cmb);
}

int nvme_controller_cmb(struct nvme_controller *c, struct nvme_cmb *ret_cmb, size_t size)
{
	struct nvme_cmb cmb = { 0 };
	int r = find(c, &cmb);

	if (r < 0)
		return r;
	info_copy(ret_cmb, size, &cmb, sizeof cmb);
	return 0;
}

static int enable(struct nvme_controller *c, uint64_t address, const struct nvme_cmb *cmb)
{
	uint32_t cmbsts = 0;
	int r;

	if ((address & NVME_PAGE_MASK) || address > UINT64_MAX - cmb->len)
		return fail(-EINVAL,
			    "no address for a memory buffer: %#jx is no multiple of 4 KiB, or too high",
			    (uintmax_t)address);
	r = set_address(&c->registers, address, CMB_ENABLED);
	if (r == 0)
		r = nvme_read32(&c->registers, NVME_REG_CMBSTS, &cmbsts);
	if (r == 0 && NVME_CMBSTS_CBAI(cmbsts))
		r = fail(-EINVAL, "the controller does not take %#jx as its memory buffer's address",
			 (uintmax_t)address);
	if (r < 0) {
		char why[DETAIL_SIZE];

		memcpy(why, nvme_detail, sizeof why);
		nvme_cmb_disable(&c->registers);
		return fail(r, "%s", why);
	}
	return 0;
}

int nvme_controller_enable_cmb(struct nvme_controller *c, uint64_t address)
{
	struct nvme_cmb cmb = { 0 };
	int r = find(c, &cmb);

	if (r == 0) {
		nvme_kept_cmb(c, true);
		r = enable(c, address, &cmb);
	}
	c->cmb_enabled = r == 0;
	nvme_kept_cmb(c, c->cmb_enabled);
	c->cmb = cmb;
	c->cmb_address = address;
	return r;
}

int nvme_cmb_restore(struct nvme_controller *c)
{
	return c->cmb_enabled ? nvme_controller_enable_cmb(c, c->cmb_address) : 0;
}
