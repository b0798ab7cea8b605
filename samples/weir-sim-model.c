/* SPDX-License-Identifier: MIT */
/*
 * weir-sim-model: a device that does not exist, and a driver for it.
 *
 * The upper half is a model on weir/sim.h: a machine that reverses bytes, wherever its driver mapped them.
 * The lower half is that driver: given another host than the simulated one, it would drive the real thing.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/sim.h>
#include <weir/weir.h>

/* What both halves know: the data sheet. Registers of 64 bits, one after the other in BAR 0. */
enum { SOURCE, TARGET, LENGTH, STATUS, NUM_REGISTERS };
enum { IDLE, RUN, DONE, FAULT }; /* STATUS; a driver writes RUN */

/* The device --------------------------------------------------------------------------------------------- */

struct reverser {
	struct weir_sim_device *device;
	uint64_t reg[NUM_REGISTERS];
};

static int create(struct weir_sim_device *device, const void *config, void **ret_state)
{
	struct reverser *r = calloc(1, sizeof(*r));

	(void)config; /* what weir_sim_add() was given */
	if (!r)
		return -ENOMEM;
	r->device = device;
	*ret_state = r;
	return 0;
}

static void reset(void *state)
{
	memset(((struct reverser *)state)->reg, 0, sizeof(((struct reverser *)state)->reg));
}

static uint64_t read_register(void *state, unsigned int bar, uint64_t offset, unsigned int width)
{
	const struct reverser *r = state;

	return bar == 0 && width == 8 && offset / 8 < NUM_REGISTERS ? r->reg[offset / 8] : UINT64_MAX;
}

static void write_register(void *state, unsigned int bar, uint64_t offset, unsigned int width, uint64_t value)
{
	struct reverser *r = state;

	if (bar == 0 && width == 8 && offset / 8 < NUM_REGISTERS && r->reg[STATUS] != RUN)
		r->reg[offset / 8] = value;
}

/* Data in, work, data out; and whatever became of it, the driver is told. */
static bool step(void *state)
{
	struct reverser *r = state;
	uint64_t len = r->reg[LENGTH];
	unsigned char in[4096], out[4096];
	bool ok;

	if (r->reg[STATUS] != RUN)
		return false;
	ok = len <= sizeof(in) && weir_sim_device_dma_read(r->device, r->reg[SOURCE], in, len) == 0;
	for (uint64_t i = 0; ok && i < len; i++)
		out[i] = in[len - 1 - i];
	ok = ok && weir_sim_device_dma_write(r->device, r->reg[TARGET], out, len) == 0;
	r->reg[STATUS] = ok ? DONE : FAULT;
	weir_sim_device_msi(r->device, 0);
	return true;
}

static const struct weir_sim_model model = {
	.size = sizeof(model),
	.name = "reverser",
	.vendor_id = 0x1234,
	.device_id = 0x4321,
	.class_code = 0x120000, /* a processing accelerator */
	.flags = WEIR_SIM_FLR | WEIR_SIM_PCIE,
	.msi_vectors = 1,
	.bars = { { .len = 4096 } },
	.create = create,
	.destroy = free,
	.read = read_register,
	.write = write_register,
	.reset = reset,
	.step = step,
};

/* The driver --------------------------------------------------------------------------------------------- */

static void must(int r, const char *what)
{
	if (r < 0)
		errx(1, "%s: %s", what, weir_error());
}

/* Have @len bytes at @iova reversed where they are. Returns what the device says of it. */
static uint64_t reverse(struct weir_region *bar, struct weir_irq *irq, uint64_t iova, uint64_t len)
{
	uint64_t reg[NUM_REGISTERS] = { [SOURCE] = iova, [TARGET] = iova, [LENGTH] = len, [STATUS] = RUN };

	for (unsigned int i = 0; i < NUM_REGISTERS; i++)
		must(weir_region_write64(bar, i * 8, reg[i]), "register");
	must(weir_irq_wait(irq, 0, 5000, NULL), "interrupt");
	must(weir_region_read64(bar, STATUS * 8, &reg[STATUS]), "status");
	return reg[STATUS];
}

int main(void)
{
	struct weir_sim *sim;
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_region *bar;
	struct weir_irq *irq;
	struct weir_memory *memory;
	struct weir_buffer page;
	char *text;

	must(weir_sim_open(NULL, &sim), "simulated host");
	must(weir_sim_add(sim, &model, NULL, NULL, NULL), "reverser");
	must(weir_sim_start(sim), "its thread");
	must(weir_host_open(&WEIR_OPTS(weir_host_opts, .sys = weir_sim_sys(sim)), &host), "host");
	must(weir_ioas_open(host, NULL, &ioas), "address space");
	must(weir_device_open(ioas, "0000:00:01.0", NULL, &device), "device");
	must(weir_device_region(device, WEIR_REGION_BAR0, &bar), "BAR 0");
	must(weir_irq_enable(device, WEIR_IRQ_MSI, 1, &irq), "MSI");
	must(weir_device_set_bus_master(device, true), "bus mastering");
	must(weir_memory_open(ioas, NULL, &memory), "memory");
	must(weir_memory_alloc(memory, 4096, NULL, &page), "a page of it");
	text = strcpy(page.addr, "!reven ro won s'ti");

	printf("%s\n", text);
	printf("%s: %s\n", reverse(bar, irq, page.iova, strlen(text)) == DONE ? "done" : "FAULT", text);
	must(weir_memory_close(memory), "unmapping");
	printf("unmapped: %s\n", reverse(bar, irq, page.iova, 18) == FAULT ? "fault" : "DONE");
	printf("DMAs that the IOMMU blocked: %ju\n", (uintmax_t)weir_sim_num_faults(sim));
	must(weir_device_close(device), "closing the device");
	must(weir_ioas_close(ioas), "closing its space");
	must(weir_host_close(host), "closing the host");
	must(weir_sim_close(sim), "closing the simulated host");
}
