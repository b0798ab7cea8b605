/* SPDX-License-Identifier: MIT */
/* The edu driver. Registers as QEMU's docs/specs/edu has them. */
#include "edu/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include <weir/region.h>

#include "common/block.h"

_Thread_local char edu_detail[DETAIL_SIZE];

const char *edu_error(void)
{
	return edu_detail;
}

/* Every register of a device that has gone reads as ones. None of those read here can be that otherwise. */
static int read_register(struct edu *edu, uint32_t offset, uint32_t *ret_value)
{
	uint32_t value;
	int r = weir_region_read32(edu->registers, offset, &value);

	if (r < 0)
		return fail(r, "register 0x%02x cannot be read: %s", offset, weir_error());
	if (value == UINT32_MAX)
		return fail(-ENODEV, "the device is gone: register 0x%02x reads as ones", offset);
	*ret_value = value;
	return 0;
}

static int write_register(struct edu *edu, uint32_t offset, uint32_t value)
{
	int r = weir_region_write32(edu->registers, offset, value);

	return r < 0 ? fail(r, "register 0x%02x cannot be written: %s", offset, weir_error()) : 0;
}

/*
 * The DMA registers take 64 bits in one access only; a 32-bit write clears the upper half. Where the BAR is
 * not mapped a 64-bit access may be split on its way, and the device would then use another address: read it
 * back.
 */
static int write_address(struct edu *edu, uint32_t offset, uint64_t address)
{
	uint64_t seen = 0;
	int r;

	if (address <= UINT32_MAX)
		return write_register(edu, offset, (uint32_t)address);
	r = weir_region_write64(edu->registers, offset, address);
	if (r == 0)
		r = weir_region_read64(edu->registers, offset, &seen);
	if (r < 0)
		return fail(r, "register 0x%02x cannot be reached: %s", offset, weir_error());
	if (seen != address)
		return fail(-EIO,
			    "DMA address 0x%" PRIx64 " arrived as 0x%" PRIx64
			    ": 64-bit accesses are split here",
			    address, seen);
	return 0;
}

/* Opening and closing ------------------------------------------------------------------------------------ */

int edu_check_identity(struct edu *edu)
{
	struct weir_device_info info;
	int r = weir_device_info(edu->device, &info, sizeof info);

	if (r < 0)
		return fail(r, "%s", weir_error());
	if (info.vendor_id != EDU_VENDOR_ID || info.device_id != EDU_DEVICE_ID)
		return fail(-ENODEV, "%s is %04x:%04x, not an edu (%04x:%04x)", info.address, info.vendor_id,
			    info.device_id, EDU_VENDOR_ID, EDU_DEVICE_ID);
	edu->address_bits = info.address_bits;

	r = weir_device_region(edu->device, WEIR_REGION_BAR0, &edu->registers);
	if (r < 0)
		return fail(r, "BAR 0: %s", weir_error());
	r = read_register(edu, REG_ID, &edu->id);
	if (r < 0)
		return r;
	if ((edu->id & 0xffff) != ID_SUFFIX)
		return fail(-ENODEV, "identification register is 0x%08x: no edu", edu->id);
	return 0;
}

static int clear_interrupts(struct edu *edu)
{
	uint32_t bits;
	int r = read_register(edu, REG_IRQ_STATUS, &bits);

	return r < 0 || bits == 0 ? r : write_register(edu, REG_IRQ_ACK, bits);
}

/* What a reset forgets, so that a successor sees that there was one; another each time, and never what a reset leaves. */
static int mark(struct edu *edu)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return edu_liveness(edu, ((uint32_t)now.tv_nsec ^ (uint32_t)now.tv_sec << 20) & ~1u);
}

/* Interrupts first, while the device cannot send any: bus mastering is what lets MSIs out. */
static int set_up(struct edu *edu, uint32_t flags)
{
	int running, r;

	r = edu_check_identity(edu);
	if (r < 0)
		return r;
	running = edu_dma_running(edu);
	if (running < 0)
		return running;
	if (running)
		return fail(-EBUSY, "a DMA is running that this driver did not start");
	r = mark(edu);
	if (r == 0)
		r = clear_interrupts(edu);
	if (r < 0)
		return r;
	if (flags & EDU_INTERRUPTS) {
		r = weir_irq_enable(edu->device, WEIR_IRQ_MSI, 1, &edu->irq);
		if (r < 0)
			return fail(r, "MSI: %s", weir_error());
	}
	r = weir_device_set_bus_master(edu->device, true);
	if (r < 0) {
		fail(r, "bus mastering: %s", weir_error());
		weir_irq_disable(edu->irq);
		return r;
	}
	return 0;
}

/* What a predecessor left in it ends here. */
static int open_kept(struct edu *edu)
{
	void *block;
	int r = block_open(edu->device, "edu", "", sizeof *edu->kept, &block);

	if (r < 0)
		return fail(r, "journal: %s", weir_error());
	edu->kept = block;
	block_set(edu->kept->version, 0);
	edu_kept_dma(edu, EDU_DMA_NONE);
	return 0;
}

int edu_open(struct weir_device *device, uint32_t flags, struct edu **ret_edu)
{
	struct edu *edu;
	int r;

	if (flags & ~EDU_INTERRUPTS)
		return fail(-EINVAL, "unknown flags 0x%x", flags);
	edu = calloc(1, sizeof *edu);
	if (!edu)
		return fail(-ENOMEM, "no memory");
	edu->device = device;
	r = open_kept(edu);
	if (r < 0) {
		free(edu);
		return r;
	}
	r = set_up(edu, flags);
	if (r < 0) {
		block_close(device, edu->kept);
		free(edu);
		return r;
	}
	edu_kept_begin(edu, flags);
	*ret_edu = edu;
	return 0;
}

/* Poll until the DMA has ended; does not touch interrupts. */
static int wait_stopped(struct edu *edu, deadline_t deadline)
{
	int running;

	while ((running = edu_dma_running(edu)) > 0) {
		if (deadline_passed(deadline))
			return fail(-ETIMEDOUT, "the DMA is still running");
		pause_ns(POLL_INTERVAL_NS);
	}
	return running;
}

int edu_close(struct edu *edu)
{
	int first, r;

	if (!edu)
		return 0;
	block_set(edu->kept->version, 0); /* from here on, nothing can be restored */
	first = wait_stopped(edu, deadline_in(CLOSE_TIMEOUT_MS));
	if (first == -ETIMEDOUT)
		first = -EBUSY;
	r = weir_device_set_bus_master(edu->device, false);
	if (r < 0 && first == 0)
		first = fail(r, "bus mastering: %s", weir_error());
	r = weir_irq_disable(edu->irq);
	if (r < 0 && first == 0)
		first = fail(r, "MSI: %s", weir_error());
	block_close(edu->device, edu->kept);
	free(edu);
	return first;
}

uint32_t edu_version(const struct edu *edu)
{
	return edu->id >> 16;
}

/* Computing ---------------------------------------------------------------------------------------------- */

int edu_liveness(struct edu *edu, uint32_t value)
{
	uint32_t answer;
	int r;

	edu_kept_asks(edu, value);
	r = write_register(edu, REG_LIVENESS, value);
	if (r == 0)
		r = weir_region_read32(edu->registers, REG_LIVENESS, &answer);
	if (r < 0)
		return fail(r, "liveness register: %s", weir_error());
	if (answer == ~value)
		return 0;
	if (answer == UINT32_MAX)
		return fail(-ENODEV, "the device is gone: its liveness register reads as ones");
	return fail(-EIO, "liveness: 0x%08x was answered by 0x%08x instead of 0x%08x", value, answer, ~value);
}

/* Wait for one bit of the interrupt status; keep the others for who waits for them. */
static int wait_for_bit(struct edu *edu, uint32_t bit, deadline_t deadline)
{
	uint32_t bits;
	int r;

	while (!(edu->irq_seen & bit)) {
		r = edu_irq_wait(edu, deadline == INT64_MAX ? -1 : deadline_left(deadline, INT_MAX), &bits);
		if (r < 0)
			return r;
		edu->irq_seen |= bits & (EDU_IRQ_FACTORIAL | EDU_IRQ_DMA);
	}
	edu->irq_seen &= ~bit;
	return 0;
}

static int check_use(const struct edu *edu)
{
	return edu->paused ? fail(-EBUSY, "paused: edu_resume() first") : 0;
}

static int check_way(const struct edu *edu, enum edu_completion how)
{
	int r = check_use(edu);

	if (r < 0)
		return r;
	if (how == EDU_BY_INTERRUPT && !edu->irq)
		return fail(-EINVAL, "by interrupt, but the driver was opened without EDU_INTERRUPTS");
	return 0;
}

static int factorial_start(struct edu *edu, uint32_t n, enum edu_completion how)
{
	uint32_t status;
	int r = check_way(edu, how);

	if (r == 0)
		r = read_register(edu, REG_STATUS, &status);
	if (r < 0)
		return r;
	if (status & STATUS_COMPUTING)
		return fail(-EBUSY, "another factorial is being computed");
	edu->irq_seen &= ~EDU_IRQ_FACTORIAL;
	r = write_register(edu, REG_STATUS, how == EDU_BY_INTERRUPT ? STATUS_IRQ : 0);
	return r < 0 ? r : write_register(edu, REG_FACTORIAL, n);
}

static int factorial_poll(struct edu *edu, deadline_t deadline)
{
	uint32_t status;
	int r;

	for (;;) {
		r = read_register(edu, REG_STATUS, &status);
		if (r < 0 || !(status & STATUS_COMPUTING))
			return r;
		if (deadline_passed(deadline))
			return fail(-ETIMEDOUT, "the factorial is not ready");
		pause_ns(POLL_INTERVAL_NS);
	}
}

int edu_factorial(struct edu *edu, uint32_t n, enum edu_completion how, int timeout_ms, uint32_t *ret_product)
{
	deadline_t deadline = deadline_in(timeout_ms);
	int r = factorial_start(edu, n, how);

	/* The interrupt may be one of a computation that timed out earlier: the status decides. */
	if (r == 0 && how == EDU_BY_INTERRUPT)
		r = wait_for_bit(edu, EDU_IRQ_FACTORIAL, deadline);
	if (r == 0)
		r = factorial_poll(edu, deadline);
	return r < 0 ? r : read_register(edu, REG_FACTORIAL, ret_product);
}

/* DMA ---------------------------------------------------------------------------------------------------- */

int edu_dma_running(struct edu *edu)
{
	uint32_t command;
	int r = read_register(edu, REG_DMA_COMMAND, &command);

	return r < 0 ? r : (command & COMMAND_RUN) != 0;
}

int edu_check_dma(struct edu *edu, uint64_t iova, uint32_t offset, uint32_t len)
{
	uint64_t limit = edu->address_bits < 64 ? (1ull << edu->address_bits) - 1 : UINT64_MAX;

	if (len == 0 || offset > EDU_BUFFER_SIZE || len > EDU_BUFFER_SIZE - offset)
		return fail(-EINVAL, "%u bytes at %u do not fit the device's buffer of %u", len, offset,
			    EDU_BUFFER_SIZE);
	if (iova > limit || len - 1 > limit - iova)
		return fail(-ERANGE, "IOVA 0x%" PRIx64 " is beyond the device's %u address bits", iova,
			    edu->address_bits);
	return 0;
}

int edu_dma_start(struct edu *edu, enum edu_direction direction, uint64_t iova, uint32_t offset, uint32_t len,
		  enum edu_completion how)
{
	bool to_memory = direction == EDU_TO_MEMORY;
	uint64_t inside = BUFFER_ADDRESS + offset;
	uint32_t command =
		COMMAND_RUN | (to_memory ? COMMAND_TO_RAM : 0) | (how == EDU_BY_INTERRUPT ? COMMAND_IRQ : 0);
	int r;

	r = edu_check_dma(edu, iova, offset, len);
	if (r == 0)
		r = check_way(edu, how);
	if (r == 0)
		r = edu_dma_running(edu);
	if (r != 0)
		return r < 0 ? r : fail(-EBUSY, "another DMA is running");

	r = write_address(edu, REG_DMA_SOURCE, to_memory ? inside : iova);
	if (r == 0)
		r = write_address(edu, REG_DMA_DESTINATION, to_memory ? iova : inside);
	if (r == 0)
		r = write_register(edu, REG_DMA_COUNT, len);
	if (r < 0)
		return r;
	edu->dma_waits = how;
	edu->irq_seen &= ~EDU_IRQ_DMA;
	edu->kept->transfer = (struct edu_transfer){
		.iova = iova, .offset = offset, .len = len, .direction = direction, .how = how
	};
	edu_kept_dma(edu, EDU_DMA_READY);
	r = write_register(edu, REG_DMA_COMMAND, command);
	edu_kept_dma(edu, r < 0 ? EDU_DMA_NONE : EDU_DMA_TOLD);
	return r;
}

/*
 * A DMA that was waited for once is over: the running bit is clear and its interrupt is taken, so that
 * waiting again, or without a start, returns at once. The bit is cleared before the interrupt is raised:
 * after the interrupt, it is final.
 */
int edu_dma_wait(struct edu *edu, int timeout_ms)
{
	deadline_t deadline = deadline_in(timeout_ms);
	int r = check_use(edu);

	if (r == 0 && edu->dma_waits == EDU_BY_INTERRUPT)
		r = wait_for_bit(edu, EDU_IRQ_DMA, deadline);
	if (r == 0)
		r = wait_stopped(edu, deadline);
	if (r < 0)
		return r;
	edu->dma_waits = EDU_BY_POLLING;
	edu_kept_dma(edu, EDU_DMA_NONE);
	return 0;
}

int edu_dma(struct edu *edu, enum edu_direction direction, uint64_t iova, uint32_t offset, uint32_t len,
	    enum edu_completion how, int timeout_ms)
{
	int r = edu_dma_start(edu, direction, iova, offset, len, how);

	return r < 0 ? r : edu_dma_wait(edu, timeout_ms);
}

/* Interrupts --------------------------------------------------------------------------------------------- */

struct weir_irq *edu_irq(struct edu *edu)
{
	return edu->irq;
}

int edu_raise(struct edu *edu, uint32_t bits)
{
	int r = check_use(edu);

	if (r < 0)
		return r;
	if (bits == 0)
		return fail(-EINVAL, "no interrupt bits to raise");
	return write_register(edu, REG_IRQ_RAISE, bits);
}

/*
 * A signal without a status bit is one whose cause was acknowledged with an earlier signal (two causes, one
 * look): wait on.
 */
int edu_irq_wait(struct edu *edu, int timeout_ms, uint32_t *ret_bits)
{
	deadline_t deadline = deadline_in(timeout_ms);
	uint32_t bits;
	int r;

	r = check_way(edu, EDU_BY_INTERRUPT);
	if (r < 0)
		return r;
	do {
		r = edu->look_first
			    ? 0
			    : weir_irq_wait(edu->irq, 0,
					    deadline == INT64_MAX ? -1 : deadline_left(deadline, INT_MAX),
					    NULL);
		edu->look_first = false;
		if (r < 0)
			return fail(r, "no interrupt: %s", r == -ETIMEDOUT ? "timed out" : weir_error());
		r = read_register(edu, REG_IRQ_STATUS, &bits);
		if (r < 0)
			return r;
	} while (bits == 0);
	r = write_register(edu, REG_IRQ_ACK, bits);
	if (r < 0)
		return r;
	*ret_bits = bits;
	return 0;
}
