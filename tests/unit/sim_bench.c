// SPDX-License-Identifier: MIT
#include "sim_bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MANY_STEPS = 100000 };

static struct bench *bench_of(const struct weir_sim_device *device)
{
	return (struct bench *)device->sim;
}

struct weir_sim *bench_sim(struct bench *bench)
{
	return &bench->sim;
}

void bench_remove(struct bench *bench)
{
	if (!bench->plugged)
		return;
	bench->plugged = false;
	bench->model.destroy(bench->device.state);
	for (unsigned int i = 0; i < 6; i++)
		free(bench->device.bars[i].ram);
	memset(&bench->device, 0, sizeof(bench->device));
}

static void close_bench(void *arg)
{
	struct bench *bench = arg;

	bench_remove(bench);
	munmap(bench->memory, BENCH_MEMORY);
	free(bench);
}

struct bench *bench_open(struct t *t)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	ASSERT_TRUE(bench);
	bench->memory = mmap(NULL, BENCH_MEMORY, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_TRUE(bench->memory != MAP_FAILED);
	t_defer(t, close_bench, bench);
	return bench;
}

/* The driver's side ------------------------------------------------------------------------------------- */

uint32_t bench_read32(struct bench *bench, uint64_t offset)
{
	return (uint32_t)bench->model.read(bench->device.state, 0, offset, 4);
}

uint64_t bench_read64(struct bench *bench, uint64_t offset)
{
	return bench->model.read(bench->device.state, 0, offset, 8);
}

void bench_write32(struct bench *bench, uint64_t offset, uint32_t value)
{
	bench->model.write(bench->device.state, 0, offset, 4, value);
}

void bench_write64(struct bench *bench, uint64_t offset, uint64_t value)
{
	bench->model.write(bench->device.state, 0, offset, 8, value);
}

unsigned int bench_run(struct bench *bench)
{
	unsigned int steps = 0;

	while (!bench->device.hangs && bench->model.step(bench->device.state))
		if (++steps == MANY_STEPS)
			FAIL("the device works and works");
	return steps;
}

void *bench_at(struct bench *bench, uint64_t iova)
{
	if (iova < BENCH_IOVA || iova - BENCH_IOVA >= BENCH_MEMORY)
		FAIL("there is no memory at IOVA 0x%jx", (uintmax_t)iova);
	return bench->memory + (iova - BENCH_IOVA);
}

/* The machine's side ------------------------------------------------------------------------------------ */

int weir_sim_add(struct weir_sim *sim, const struct weir_sim_model *model, const struct weir_sim_slot *slot,
		 const void *config, struct weir_sim_device **ret_device)
{
	struct bench *bench = (struct bench *)sim;
	struct weir_sim_device *device = &bench->device;
	int r;

	(void)slot;
	if (bench->adding_fails)
		return -EEXIST;
	bench->model = *model;
	*device = (struct weir_sim_device){ .sim = sim, .model = &bench->model, .address = "0000:00:01.0" };
	for (unsigned int i = 0; i < 6; i++)
		if (model->bars[i].flags & WEIR_SIM_BAR_RAM)
			device->bars[i].ram = calloc(1, model->bars[i].len);
	r = model->create(device, config, &device->state);
	if (r < 0)
		return r;
	bench->plugged = true;
	if (ret_device)
		*ret_device = device;
	return 0;
}

const char *weir_sim_device_address(const struct weir_sim_device *device)
{
	return device->address;
}

/* As the machine: up to the page that is blocked. */
static int dma(struct weir_sim_device *device, uint64_t iova, void *buf, size_t len, bool write)
{
	struct bench *bench = bench_of(device);
	size_t done, part;

	bench->num_dma++;
	for (done = 0; done < len; done += part, iova += part) {
		part = 4096 - (iova & 4095);
		part = part < len - done ? part : len - done;
		if (iova < BENCH_IOVA || iova - BENCH_IOVA > BENCH_MEMORY - part ||
		    (iova - bench->blocked < bench->blocked_len)) {
			bench->num_faults++;
			return -EFAULT;
		}
		if (write)
			memcpy(bench->memory + (iova - BENCH_IOVA), (char *)buf + done, part);
		else
			memcpy((char *)buf + done, bench->memory + (iova - BENCH_IOVA), part);
	}
	return 0;
}

int weir_sim_device_dma_read(struct weir_sim_device *device, uint64_t iova, void *buf, size_t len)
{
	return dma(device, iova, buf, len, false);
}

int weir_sim_device_dma_write(struct weir_sim_device *device, uint64_t iova, const void *buf, size_t len)
{
	return dma(device, iova, (void *)(uintptr_t)buf, len, true);
}

void weir_sim_device_msi(struct weir_sim_device *device, unsigned int vector)
{
	ASSERT_LT(vector, BENCH_VECTORS);
	bench_of(device)->messages[vector]++;
}

void weir_sim_device_intx(struct weir_sim_device *device, bool asserted)
{
	bench_of(device)->pin_changes += asserted != bench_of(device)->pin;
	bench_of(device)->pin = asserted;
}

void *weir_sim_device_ram(struct weir_sim_device *device, unsigned int bar)
{
	return device->bars[bar].ram;
}

int sim_lock(struct weir_sim *sim)
{
	(void)sim;
	return 0;
}

void sim_unlock(struct weir_sim *sim)
{
	(void)sim;
}
