// SPDX-License-Identifier: MIT
/*
 * QEMU's device for teaching (its docs/specs/edu). What differs here, so that it can be relied on in
 * tests: a factorial and a DMA take one step of the device, not a thread and 100 ms; and a DMA that does
 * not fit the device's buffer moves nothing and ends like any other, where QEMU ends itself.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "sim/machine.h"

enum {
	REG_ID = 0x00,
	REG_LIVENESS = 0x04,
	REG_FACTORIAL = 0x08,
	REG_STATUS = 0x20,
	REG_IRQ_STATUS = 0x24,
	REG_IRQ_RAISE = 0x60,
	REG_IRQ_ACK = 0x64,
	REG_WIDE = 0x80, /* registers below are of 32 bits, those from here on of 32 or 64 */
	REG_DMA_SOURCE = 0x80,
	REG_DMA_DESTINATION = 0x88,
	REG_DMA_COUNT = 0x90,
	REG_DMA_COMMAND = 0x98,

	ID = 0x010000ed,
	STATUS_COMPUTING = 0x01,
	STATUS_IRQ = 0x80,
	COMMAND_RUN = 0x1,
	COMMAND_TO_MEMORY = 0x2,
	COMMAND_IRQ = 0x4,
	IRQ_FACTORIAL = 0x001,
	IRQ_DMA = 0x100,

	BAR_SIZE = 1 << 20,
	BUFFER_ADDRESS = 0x40000, /* where the DMA registers see the buffer */
	BUFFER_SIZE = 4096,
	DEFAULT_ADDRESS_BITS = 28,
};

struct edu {
	struct weir_sim_device *device;
	uint64_t address_mask;
	uint32_t inverted, factorial, status, irq_status;
	uint64_t source, destination, count, command;
	unsigned char buffer[BUFFER_SIZE];
};

/*
 * Interrupts: a message for each cause, and the pin while there is one. The machine passes on whichever
 * the program has enabled.
 */
static void raise_irq(struct edu *edu, uint32_t bits)
{
	edu->irq_status |= bits;
	if (edu->irq_status == 0)
		return;
	weir_sim_device_msi(edu->device, 0);
	weir_sim_device_intx(edu->device, true);
}

static void acknowledge_irq(struct edu *edu, uint32_t bits)
{
	edu->irq_status &= ~bits;
	if (edu->irq_status == 0)
		weir_sim_device_intx(edu->device, false);
}

static uint64_t read_register(void *state, unsigned int bar, uint64_t offset, unsigned int width)
{
	const struct edu *edu = state;

	(void)bar;
	if (width != 4 && (offset < REG_WIDE || width != 8))
		return UINT64_MAX;
	switch (offset) {
	case REG_ID:
		return ID;
	case REG_LIVENESS:
		return edu->inverted;
	case REG_FACTORIAL:
		return edu->factorial;
	case REG_STATUS:
		return edu->status;
	case REG_IRQ_STATUS:
		return edu->irq_status;
	case REG_DMA_SOURCE:
		return edu->source;
	case REG_DMA_DESTINATION:
		return edu->destination;
	case REG_DMA_COUNT:
		return edu->count;
	case REG_DMA_COMMAND:
		return edu->command;
	}
	return UINT64_MAX;
}

/* The DMA registers hold still while a DMA runs. */
static void write_dma(struct edu *edu, uint64_t offset, uint64_t value)
{
	if (edu->command & COMMAND_RUN)
		return;
	if (offset == REG_DMA_SOURCE)
		edu->source = value;
	else if (offset == REG_DMA_DESTINATION)
		edu->destination = value;
	else if (offset == REG_DMA_COUNT)
		edu->count = value;
	else if (offset == REG_DMA_COMMAND && value & COMMAND_RUN)
		edu->command = value;
}

static void write_register(void *state, unsigned int bar, uint64_t offset, unsigned int width, uint64_t value)
{
	struct edu *edu = state;

	(void)bar;
	if (width != 4 && (offset < REG_WIDE || width != 8))
		return;
	switch (offset) {
	case REG_LIVENESS:
		edu->inverted = ~(uint32_t)value;
		break;
	case REG_FACTORIAL:
		if (edu->status & STATUS_COMPUTING)
			break;
		edu->factorial = (uint32_t)value;
		edu->status |= STATUS_COMPUTING;
		break;
	case REG_STATUS:
		edu->status = (edu->status & STATUS_COMPUTING) | ((uint32_t)value & STATUS_IRQ);
		break;
	case REG_IRQ_RAISE:
		raise_irq(edu, (uint32_t)value);
		break;
	case REG_IRQ_ACK:
		acknowledge_irq(edu, (uint32_t)value);
		break;
	default:
		write_dma(edu, offset, value);
	}
}

/* Modulo 2^32, as the hardware multiplies: from 34! on that is 0. */
static uint32_t factorial(uint32_t n)
{
	uint32_t product = 1;

	for (; n > 1 && product != 0; n--)
		product *= n;
	return product;
}

static void compute(struct edu *edu)
{
	edu->factorial = factorial(edu->factorial);
	edu->status &= ~(uint32_t)STATUS_COMPUTING;
	if (edu->status & STATUS_IRQ)
		raise_irq(edu, IRQ_FACTORIAL);
}

/* What the IOMMU blocks, the device does not notice: a DMA has no status but that it has ended. False: it waits for a page. */
static bool copy(struct edu *edu)
{
	bool to_memory = edu->command & COMMAND_TO_MEMORY;
	uint64_t inside = (to_memory ? edu->source : edu->destination) - BUFFER_ADDRESS;
	uint64_t outside = (to_memory ? edu->destination : edu->source) & edu->address_mask;

	int error = 0;

	if (inside <= BUFFER_SIZE && edu->count <= BUFFER_SIZE - inside) {
		if (to_memory)
			error = weir_sim_device_dma_write(edu->device, outside, edu->buffer + inside,
							  edu->count);
		else
			error = weir_sim_device_dma_read(edu->device, outside, edu->buffer + inside,
							 edu->count);
	}
	if (error == -EAGAIN)
		return false;
	edu->command &= ~(uint64_t)COMMAND_RUN;
	if (edu->command & COMMAND_IRQ)
		raise_irq(edu, IRQ_DMA);
	return true;
}

static bool step(void *state)
{
	struct edu *edu = state;

	if (edu->status & STATUS_COMPUTING)
		compute(edu);
	else if (edu->command & COMMAND_RUN)
		return copy(edu);
	else
		return false;
	return true;
}

static void reset(void *state)
{
	struct edu *edu = state;

	*edu = (struct edu){ .device = edu->device, .address_mask = edu->address_mask };
	weir_sim_device_intx(edu->device, false);
}

static int create(struct weir_sim_device *device, const void *config, void **ret_state)
{
	const struct weir_sim_edu_opts *opts = config;
	struct edu *edu = calloc(1, sizeof(*edu));

	if (!edu)
		return weir_fail(-ENOMEM, "no memory for an edu");
	edu->device = device;
	edu->address_mask = opts->address_bits < 64 ? (1ull << opts->address_bits) - 1 : UINT64_MAX;
	*ret_state = edu;
	return 0;
}

/* All that is not of the plug. */
enum { SAVED = sizeof(struct edu) - offsetof(struct edu, inverted) };

static size_t save(void *state, void *buf, size_t room)
{
	struct edu *edu = state;

	if (room < SAVED)
		return 0;
	memcpy(buf, &edu->inverted, SAVED);
	return SAVED;
}

static int load(void *state, const void *buf, size_t len)
{
	struct edu *edu = state;

	if (len != SAVED)
		return -EINVAL;
	memcpy(&edu->inverted, buf, SAVED);
	return 0;
}

static const struct weir_sim_model edu_model = {
	.size = sizeof(struct weir_sim_model),
	.name = "edu",
	.vendor_id = 0x1234,
	.device_id = 0x11e8,
	.class_code = 0x00ff00,
	.flags = WEIR_SIM_INTX,
	.msi_vectors = 1,
	.bars = { { .len = BAR_SIZE } },
	.create = create,
	.destroy = free,
	.read = read_register,
	.write = write_register,
	.reset = reset,
	.step = step,
	.save = save,
	.load = load,
};

int weir_sim_add_edu(struct weir_sim *sim, const struct weir_sim_edu_opts *callers_opts,
		     const struct weir_sim_slot *slot, struct weir_sim_device **ret_device)
{
	struct weir_sim_model model = edu_model;
	struct weir_sim_edu_opts opts;
	struct weir_sim_slot where;
	int r = weir_opts_read(callers_opts, &opts, sizeof(opts));

	if (!r)
		r = weir_opts_read(slot, &where, sizeof(where));
	if (r)
		return r;
	opts.address_bits = opts.address_bits ? opts.address_bits : DEFAULT_ADDRESS_BITS;
	if (opts.address_bits < 12 || opts.address_bits > 64 || opts.reserved)
		return weir_fail(-EINVAL, "a DMA engine of %u address bits: from 12 to 64; reserved is 0",
				 opts.address_bits);
	/* One that requests pages is a PCI Express function. */
	if (where.page_requests)
		model.flags |= WEIR_SIM_PCIE | WEIR_SIM_WAITS;
	return weir_sim_add(sim, &model, slot, &opts, ret_device);
}
