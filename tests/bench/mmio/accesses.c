// SPDX-License-Identifier: MIT
/*
 * Accesses of a register: plain ones, guarded ones (weir/guard.h) and the checked ones of weir/region.h. The register is memory, so
 * what is counted is the code around the access. Run below callgrind, by tests/bench/mmio/instructions.
 *
 *     weir-bench-mmio TIMES
 */
#include <stdio.h>
#include <stdlib.h>

#include <weir/weir.h>

#include "support/yes_kernel.h"

__attribute__((noinline)) int bench_plain_read(const volatile uint32_t *reg, uint32_t times,
					       uint32_t *ret_sum);
__attribute__((noinline)) int bench_guarded_read(const volatile uint32_t *reg, uint32_t times,
						 uint32_t *ret_sum);
__attribute__((noinline)) int bench_plain_write(volatile uint32_t *reg, uint32_t times);
__attribute__((noinline)) int bench_guarded_write(volatile uint32_t *reg, uint32_t times);
__attribute__((noinline)) int bench_checked_read(struct weir_region *region, uint32_t times,
						 uint32_t *ret_sum);
__attribute__((noinline)) int bench_checked_write(struct weir_region *region, uint32_t times);

int bench_plain_read(const volatile uint32_t *reg, uint32_t times, uint32_t *ret_sum)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < times; i++)
		sum += *reg;
	*ret_sum = sum;
	return 0;
}

int bench_guarded_read(const volatile uint32_t *reg, uint32_t times, uint32_t *ret_sum)
{
	uint32_t sum = 0, value;

	for (uint32_t i = 0; i < times; i++) {
		if (weir_mmio_read32(reg, &value))
			return -1;
		sum += value;
	}
	*ret_sum = sum;
	return 0;
}

int bench_plain_write(volatile uint32_t *reg, uint32_t times)
{
	for (uint32_t i = 0; i < times; i++)
		*reg = i;
	return 0;
}

int bench_guarded_write(volatile uint32_t *reg, uint32_t times)
{
	for (uint32_t i = 0; i < times; i++)
		if (weir_mmio_write32(reg, i))
			return -1;
	return 0;
}

int bench_checked_read(struct weir_region *region, uint32_t times, uint32_t *ret_sum)
{
	uint32_t sum = 0, value;

	for (uint32_t i = 0; i < times; i++) {
		if (weir_region_read32(region, 0, &value))
			return -1;
		sum += value;
	}
	*ret_sum = sum;
	return 0;
}

int bench_checked_write(struct weir_region *region, uint32_t times)
{
	for (uint32_t i = 0; i < times; i++)
		if (weir_region_write32(region, 0, i))
			return -1;
	return 0;
}

static int run(struct weir_region *bar, uint32_t times)
{
	uint32_t sum[3];
	void *addr;
	int error = weir_region_map(bar, &addr, NULL);

	if (!error)
		error = weir_guard_install();
	if (error)
		return error;
	error = bench_plain_write(addr, times) || bench_guarded_write(addr, times) ||
		bench_checked_write(bar, times) || bench_plain_read(addr, times, &sum[0]) ||
		bench_guarded_read(addr, times, &sum[1]) || bench_checked_read(bar, times, &sum[2]);
	weir_guard_remove();
	return error || sum[0] != sum[1] || sum[0] != sum[2];
}

int main(int argc, char **argv)
{
	uint32_t times = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 1000;
	struct weir_host *host = NULL;
	struct weir_ioas *ioas = NULL;
	struct weir_device *device = NULL;
	struct weir_region *bar;
	static struct yes_kernel yes;
	struct weir_host_opts opts =
		WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD, .sys = &yes.table);
	int error;

	yes_kernel_init(&yes);
	error = weir_host_open(&opts, &host);
	if (!error)
		error = weir_ioas_open(host, NULL, &ioas);
	if (!error)
		error = weir_device_open(ioas, YES_ADDRESS_0, NULL, &device);
	if (!error)
		error = weir_device_region(device, WEIR_REGION_BAR0, &bar);
	if (!error)
		error = run(bar, times);
	if (error)
		fprintf(stderr, "something is wrong: %s\n", weir_error());
	weir_device_close(device);
	weir_ioas_close(ioas);
	weir_host_close(host);
	yes_kernel_finish(&yes);
	return error != 0;
}
