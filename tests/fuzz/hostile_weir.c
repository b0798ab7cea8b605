// SPDX-License-Identifier: MIT
/* What the controller that lies does for the stub of weir: registers, waiting for an interrupt; and a clock of our own. */
#include <errno.h>
#include <time.h>

#include <weir/irq.h>
#include <weir/region.h>

#include "fuzz/hostile_nvme.h"
#include "fuzz/hostile_nvme_parts.h"

enum { TICK_MS = 20 };

static uint32_t doorbells[LIAR_BAR / 4];
static int64_t now_ms;

/* One call in many fails. */
bool liar_fails(void)
{
	return liar_lies() && in_u8(&liar.in) >= 192;
}

/* Time ----------------------------------------------------------------------------------------------------- */

void liar_forget_doorbells(uint32_t qid)
{
	memset(&doorbells[NVME_DOORBELLS / 4 + 2 * qid], 0, 8);
}

static void look_at_doorbells(void)
{
	for (uint32_t i = 0; liar.mapped && i < 2 * (LIAR_QUEUES + 1); i++)
		liar_doorbell(i, le32toh(doorbells[NVME_DOORBELLS / 4 + i]));
}

static void pass(int64_t ms)
{
	now_ms += ms;
	look_at_doorbells();
	liar_act();
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_now)
{
	(void)clock;
	pass(TICK_MS);
	*ret_now = (struct timespec){ .tv_sec = now_ms / 1000, .tv_nsec = now_ms % 1000 * 1000000 };
	return 0;
}

int __wrap_nanosleep(const struct timespec *wanted, struct timespec *ret_left);
int __wrap_nanosleep(const struct timespec *wanted, struct timespec *ret_left)
{
	(void)wanted;
	(void)ret_left;
	pass(1);
	return 0;
}

/* Registers ------------------------------------------------------------------------------------------------ */

int weir_region_read32(struct weir_region *region, uint64_t offset, uint32_t *ret_value)
{
	(void)region;
	CHECK(offset <= LIAR_BAR - 4 && offset % 4 == 0);
	if (liar_fails())
		return -EIO;
	*ret_value = liar_read(offset);
	return 0;
}

/* There is no memory buffer that it could be written to. */
int weir_region_write64(struct weir_region *region, uint64_t offset, uint64_t value)
{
	(void)region;
	(void)offset;
	(void)value;
	return -EIO;
}

int weir_region_write32(struct weir_region *region, uint64_t offset, uint32_t value)
{
	(void)region;
	CHECK(offset <= LIAR_BAR - 4 && offset % 4 == 0);
	if (liar_fails())
		return -EIO;
	liar_write(offset, value);
	if (!NVME_CC_EN(liar.cc))
		memset(doorbells, 0, sizeof(doorbells));
	look_at_doorbells();
	liar_act();
	return 0;
}

/* Its doorbells, if they are four bytes apart, as we look at them. */
int weir_region_map(struct weir_region *region, void **ret_addr, uint64_t *ret_len)
{
	(void)region;
	liar.mapped = liar.mapped && !NVME_CAP_DSTRD(liar.cap);
	if (!liar.mapped)
		return -EOPNOTSUPP;
	*ret_addr = doorbells;
	*ret_len = sizeof(doorbells);
	return 0;
}

int weir_irq_wait(struct weir_irq *irq, uint32_t vector, int timeout_ms, uint64_t *ret_count)
{
	(void)irq;
	(void)ret_count;
	CHECK(vector < stub.num_vectors);
	if (liar_fails())
		return -EIO;
	pass(liar_lies() ? 0 : timeout_ms);
	return liar_lies() ? 0 : -ETIMEDOUT;
}
