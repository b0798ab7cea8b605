// SPDX-License-Identifier: MIT
/* As much of weir as the nvme driver calls, on the controller that lies; and a clock of our own. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <weir/irq.h>
#include <weir/region.h>

#include "fuzz/hostile_nvme.h"
#include "fuzz/hostile_nvme_parts.h"

enum { TICK_MS = 20 };

struct weir_map {
	void *addr;
};

static char the_device, the_region, the_ioas, the_irq;
static uint32_t doorbells[LIAR_BAR / 4];
static int64_t now_ms;

struct weir_device *liar_device(void)
{
	return (struct weir_device *)&the_device;
}

/* One call in many fails. */
static bool fails(void)
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

const char *weir_error(void)
{
	return "it lies";
}

int weir_region_read32(struct weir_region *region, uint64_t offset, uint32_t *ret_value)
{
	(void)region;
	CHECK(offset <= LIAR_BAR - 4 && offset % 4 == 0);
	if (fails())
		return -EIO;
	*ret_value = liar_read(offset);
	return 0;
}

int weir_region_write32(struct weir_region *region, uint64_t offset, uint32_t value)
{
	(void)region;
	CHECK(offset <= LIAR_BAR - 4 && offset % 4 == 0);
	if (fails())
		return -EIO;
	liar_write(offset, value);
	if (!NVME_CC_EN(liar.cc))
		memset(doorbells, 0, sizeof(doorbells));
	look_at_doorbells();
	liar_act();
	return 0;
}

int weir_device_region(struct weir_device *device, uint32_t index, struct weir_region **ret_region)
{
	(void)device;
	if (fails() || index != WEIR_REGION_BAR0)
		return -ENOENT;
	*ret_region = (struct weir_region *)&the_region;
	return 0;
}

int weir_region_info(struct weir_region *region, struct weir_region_info *ret_info, size_t size)
{
	struct weir_region_info info = { .size = LIAR_BAR };

	(void)region;
	memcpy(ret_info, &info, size);
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

int weir_device_info(struct weir_device *device, struct weir_device_info *ret_info, size_t size)
{
	struct weir_device_info info = { .address = "0000:01:00.0", .class_code = 0x010802 };

	(void)device;
	memcpy(ret_info, &info, size);
	return 0;
}

int weir_device_set_bus_master(struct weir_device *device, bool enable)
{
	(void)device;
	if (enable && fails())
		return -EIO;
	liar.bus_master = enable;
	return 0;
}

/* Memory --------------------------------------------------------------------------------------------------- */

struct weir_ioas *weir_device_ioas(struct weir_device *device)
{
	(void)device;
	return (struct weir_ioas *)&the_ioas;
}

int weir_ioas_map(struct weir_ioas *ioas, void *addr, size_t len, const struct weir_map_opts *opts,
		  struct weir_map **ret_map)
{
	struct weir_map *map;

	(void)ioas;
	(void)opts;
	CHECK(len % 4096 == 0 && (uintptr_t)addr % 4096 == 0);
	if (fails() || liar.num_maps == LIAR_MAPS)
		return -ENOMEM;
	map = malloc(sizeof(*map));
	map->addr = addr;
	liar.maps[liar.num_maps].addr = addr;
	liar.maps[liar.num_maps++].len = len;
	*ret_map = map;
	return 0;
}

uint64_t weir_map_iova(const struct weir_map *map)
{
	return (uintptr_t)map->addr;
}

int weir_map_close(struct weir_map *map)
{
	for (unsigned int i = 0; map && i < liar.num_maps; i++) {
		if (liar.maps[i].addr != map->addr)
			continue;
		liar.maps[i] = liar.maps[--liar.num_maps];
		break;
	}
	free(map);
	return 0;
}

/* Interrupts ----------------------------------------------------------------------------------------------- */

const char *weir_irq_kind_name(enum weir_irq_kind kind)
{
	return kind == WEIR_IRQ_MSIX ? "MSI-X" : "MSI";
}

int weir_irq_count(struct weir_device *device, enum weir_irq_kind kind, uint32_t *ret_count)
{
	(void)device;
	if (fails())
		return -EIO;
	*ret_count = kind == WEIR_IRQ_MSIX ? liar.num_msix : liar.num_msi;
	return 0;
}

int weir_irq_enable(struct weir_device *device, enum weir_irq_kind kind, uint32_t count,
		    struct weir_irq **ret_irq)
{
	(void)device;
	(void)kind;
	if (fails())
		return -ENOSPC;
	liar.interrupts = true;
	liar.num_vectors = count;
	*ret_irq = (struct weir_irq *)&the_irq;
	return 0;
}

int weir_irq_disable(struct weir_irq *irq)
{
	if (irq)
		liar.interrupts = false;
	return 0;
}

int weir_irq_fd(const struct weir_irq *irq, uint32_t vector)
{
	(void)irq;
	CHECK(vector < liar.num_vectors);
	return 100 + (int)vector;
}

int weir_irq_wait(struct weir_irq *irq, uint32_t vector, int timeout_ms, uint64_t *ret_count)
{
	(void)irq;
	(void)ret_count;
	CHECK(vector < liar.num_vectors);
	if (fails())
		return -EIO;
	pass(liar_lies() ? 0 : timeout_ms);
	return liar_lies() ? 0 : -ETIMEDOUT;
}
