/* SPDX-License-Identifier: MIT */
#include "nvme/registers.h"

#include <errno.h>

#include "nvme/error.h"

#define MAX_READY_TIMEOUT_MS 300000u
#define MIN_READY_TIMEOUT_MS 500u
#define TIMEOUT_UNIT_MS      500u /* of CAP.TO and CRTO */
#define POLL_INTERVAL_NS     1000000
#define SQE_SHIFT            6u
#define CQE_SHIFT            4u

int nvme_read32(const struct nvme_registers *regs, uint32_t offset, uint32_t *ret_value)
{
	uint32_t value;
	int r = weir_region_read32(regs->bar, offset, &value);

	if (r < 0)
		return fail(r, "register 0x%02x cannot be read: %s", offset, weir_error());
	if (value == UINT32_MAX)
		return fail(-ENODEV, "the controller is gone: register 0x%02x reads as ones", offset);
	*ret_value = value;
	return 0;
}

int nvme_write32(const struct nvme_registers *regs, uint32_t offset, uint32_t value)
{
	int r = weir_region_write32(regs->bar, offset, value);

	return r < 0 ? fail(r, "register 0x%02x cannot be written: %s", offset, weir_error()) : 0;
}

/* Two halves, the lower first: always allowed, and right where 64-bit accesses are split on their way. */
static int write64(const struct nvme_registers *regs, uint32_t offset, uint64_t value)
{
	int r = nvme_write32(regs, offset, (uint32_t)value);

	return r < 0 ? r : nvme_write32(regs, offset + 4, (uint32_t)(value >> 32));
}

/* Opening ------------------------------------------------------------------------------------------------ */

/* How long until ready: CAP.TO, and CRTO.CRWMT where CAP.CRMS says that it is there (Base 2.0, 3.1.3). */
static int find_ready_timeout(struct nvme_registers *regs, uint32_t most)
{
	uint32_t units = (uint32_t)NVME_CAP_TO(regs->cap), crto, ms;
	int r;

	if (NVME_CAP_CRMS(regs->cap) & NVME_CAP_CRWMS) {
		r = nvme_read32(regs, NVME_REG_CRTO, &crto);
		if (r < 0)
			return r;
		if ((crto & NVME_CRTO_CRWMT_MASK) > units)
			units = crto & NVME_CRTO_CRWMT_MASK;
	}
	ms = units * TIMEOUT_UNIT_MS;
	if (ms < MIN_READY_TIMEOUT_MS)
		ms = MIN_READY_TIMEOUT_MS;
	if (most == 0 || most > MAX_READY_TIMEOUT_MS)
		most = MAX_READY_TIMEOUT_MS;
	regs->ready_timeout_ms = ms < most ? ms : most;
	return 0;
}

/* How many queues have their doorbells in the BAR; and whether those can be reached by plain stores. */
static int find_doorbells(struct nvme_registers *regs)
{
	struct weir_region_info info;
	uint64_t pairs, mapped_len;
	void *mapped;
	int r;

	r = weir_region_info(regs->bar, &info, sizeof info);
	if (r < 0)
		return fail(r, "BAR 0: %s", weir_error());
	regs->doorbell_stride = 4u << NVME_CAP_DSTRD(regs->cap);
	pairs = info.size > NVME_DOORBELLS ? (info.size - NVME_DOORBELLS) / (2 * regs->doorbell_stride) : 0;
	if (pairs < 2)
		return fail(-EOPNOTSUPP, "BAR 0 of %#jx bytes has no room for doorbells %u bytes apart",
			    (uintmax_t)info.size, regs->doorbell_stride);
	regs->max_queues = pairs - 1 < 0xfffe ? (uint32_t)(pairs - 1) : 0xfffe;

	if (weir_region_map(regs->bar, &mapped, &mapped_len) == 0 &&
	    mapped_len >= NVME_DOORBELLS + 2ull * (regs->max_queues + 1) * regs->doorbell_stride)
		regs->doorbells = (volatile uint8_t *)mapped + NVME_DOORBELLS;
	return 0;
}

static int check_capabilities(struct nvme_registers *regs)
{
	uint32_t low = 0, high = 0;
	int r;

	r = nvme_read32(regs, NVME_REG_VS, &regs->version);
	if (r == 0)
		r = weir_region_read32(regs->bar, NVME_REG_CAP, &low);
	if (r == 0)
		r = weir_region_read32(regs->bar, NVME_REG_CAP + 4, &high);
	if (r < 0)
		return r == -ENODEV ? r : fail(r, "capabilities cannot be read: %s", weir_error());
	regs->cap = (uint64_t)high << 32 | low;
	if (regs->cap == UINT64_MAX)
		return fail(-ENODEV, "the controller is gone: its capabilities read as ones");

	if (!(NVME_CAP_CSS(regs->cap) & NVME_CAP_CSS_NVM))
		return fail(-EOPNOTSUPP, "the controller has no NVM command set (CAP.CSS 0x%02x)",
			    (unsigned int)NVME_CAP_CSS(regs->cap));
	if (NVME_CAP_MPSMIN(regs->cap) != 0)
		return fail(-EOPNOTSUPP, "the controller has no 4 KiB pages (CAP.MPSMIN %u)",
			    (unsigned int)NVME_CAP_MPSMIN(regs->cap));
	regs->max_entries = (uint32_t)NVME_CAP_MQES(regs->cap) + 1;
	if (regs->max_entries < 2)
		return fail(-EPROTO, "the controller's queues have one entry, which can hold no command");
	return 0;
}

int nvme_registers_open(struct weir_device *device, uint32_t ready_timeout_ms,
			struct nvme_registers *ret_registers)
{
	struct nvme_registers regs = { 0 };
	int r = weir_device_region(device, WEIR_REGION_BAR0, &regs.bar);

	if (r < 0)
		return fail(r == -ENOENT ? -EOPNOTSUPP : r, "BAR 0: %s", weir_error());
	r = check_capabilities(&regs);
	if (r == 0)
		r = find_doorbells(&regs);
	if (r == 0)
		r = find_ready_timeout(&regs, ready_timeout_ms);
	if (r == 0)
		*ret_registers = regs;
	return r;
}

struct nvme_doorbell nvme_doorbell(const struct nvme_registers *regs, uint16_t qid, bool completion)
{
	uint64_t offset = (2ull * qid + completion) * regs->doorbell_stride;
	struct nvme_doorbell doorbell = { .region = regs->bar, .offset = NVME_DOORBELLS + offset };

	if (regs->doorbells)
		doorbell.addr = (volatile uint32_t *)(regs->doorbells + offset);
	return doorbell;
}

/* Enabling and disabling --------------------------------------------------------------------------------- */

int nvme_status(const struct nvme_registers *regs, uint32_t *ret_csts)
{
	return nvme_read32(regs, NVME_REG_CSTS, ret_csts);
}

/*
 * Wait until @mask of CSTS is @wanted. A fatal status ends the wait, unless the controller is being disabled,
 * which is how one gets out of it.
 */
static int wait_status(const struct nvme_registers *regs, uint32_t mask, uint32_t wanted, uint32_t timeout_ms,
		       bool fatal_ends, const char *what)
{
	deadline_t deadline = deadline_in(timeout_ms);
	bool last_look;
	uint32_t csts;
	int r;

	for (;;) {
		last_look = deadline_passed(deadline);
		r = nvme_status(regs, &csts);
		if (r < 0 || (csts & mask) == wanted)
			return r;
		if (fatal_ends && NVME_CSTS_CFS(csts))
			return fail(-EIO, "the controller reports a fatal status (CSTS 0x%08x) instead of %s",
				    csts, what);
		if (last_look)
			return fail(-ETIMEDOUT, "the controller did not get %s within %u.%u s (CSTS 0x%08x)",
				    what, timeout_ms / 1000, timeout_ms % 1000 / 100, csts);
		pause_ns(POLL_INTERVAL_NS);
	}
}

int nvme_disable(const struct nvme_registers *regs)
{
	uint32_t cc;
	int r = nvme_read32(regs, NVME_REG_CC, &cc);

	if (r < 0)
		return r;
	/* Also if it says that it is: one that lies must not go on with queues in memory that is given back. */
	r = nvme_write32(regs, NVME_REG_CC,
			 cc & ~(NVME_CC_EN_MASK << NVME_CC_EN_SHIFT | NVME_CC_SHN_MASK << NVME_CC_SHN_SHIFT));
	if (r < 0)
		return r;
	return wait_status(regs, NVME_CSTS_RDY_MASK, 0, regs->ready_timeout_ms, false, "disabled");
}

int nvme_enable(const struct nvme_registers *regs, uint64_t asq, uint64_t acq, uint32_t admin_entries)
{
	uint32_t last = admin_entries - 1; /* a 0's based value */
	uint32_t cc = NVME_SET(1, CC_EN) | NVME_SET(NVME_CC_CSS_NVM, CC_CSS) | NVME_SET(0, CC_MPS) |
		      NVME_SET(NVME_CC_AMS_RR, CC_AMS) | NVME_SET(SQE_SHIFT, CC_IOSQES) |
		      NVME_SET(CQE_SHIFT, CC_IOCQES);
	int r;

	r = nvme_write32(regs, NVME_REG_AQA, last << 16 | last);
	if (r == 0)
		r = write64(regs, NVME_REG_ASQ, asq);
	if (r == 0)
		r = write64(regs, NVME_REG_ACQ, acq);
	if (r == 0)
		r = nvme_write32(regs, NVME_REG_CC, cc);
	if (r < 0)
		return r;
	return wait_status(regs, NVME_CSTS_RDY_MASK, 1, regs->ready_timeout_ms, true, "ready");
}

static int read64(const struct nvme_registers *regs, uint32_t offset, uint64_t *ret_value)
{
	uint32_t low = 0, high = 0;
	int r = weir_region_read32(regs->bar, offset, &low);

	if (r == 0)
		r = weir_region_read32(regs->bar, offset + 4, &high);
	*ret_value = (uint64_t)high << 32 | low;
	return r < 0 ? fail(r, "register 0x%02x cannot be read: %s", offset, weir_error()) : 0;
}

int nvme_check_rings(const struct nvme_registers *regs, uint64_t asq, uint64_t acq, uint32_t admin_entries)
{
	uint32_t cc = 0, aqa = 0, last = admin_entries - 1;
	uint64_t asq_now = 0, acq_now = 0;
	int r = nvme_read32(regs, NVME_REG_CC, &cc);

	if (r == 0)
		r = nvme_read32(regs, NVME_REG_AQA, &aqa);
	if (r == 0)
		r = read64(regs, NVME_REG_ASQ, &asq_now);
	if (r == 0)
		r = read64(regs, NVME_REG_ACQ, &acq_now);
	if (r < 0)
		return r;
	if (!NVME_CC_EN(cc) || NVME_CC_SHN(cc) || aqa != (last << 16 | last) || asq_now != asq ||
	    acq_now != acq)
		return fail(-EIO,
			    "the controller does not work on the queues that were kept: it has been reset");
	return 0;
}

int nvme_shut_down(const struct nvme_registers *regs, uint32_t timeout_ms)
{
	uint32_t cc;
	int r = nvme_read32(regs, NVME_REG_CC, &cc);

	if (r < 0)
		return r;
	cc &= ~(uint32_t)(NVME_CC_SHN_MASK << NVME_CC_SHN_SHIFT);
	r = nvme_write32(regs, NVME_REG_CC, cc | NVME_SET(NVME_CC_SHN_NORMAL, CC_SHN));
	if (r < 0)
		return r;
	return wait_status(regs, NVME_CSTS_SHST_MASK << NVME_CSTS_SHST_SHIFT,
			   NVME_CSTS_SHST_CMPLT << NVME_CSTS_SHST_SHIFT, timeout_ms, true, "shut down");
}
