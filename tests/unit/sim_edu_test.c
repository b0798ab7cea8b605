// SPDX-License-Identifier: MIT
/* The model of edu, register by register. The driver meets it in sim_drivers_test.c. */
#include <errno.h>
#include <string.h>

#include "sim_bench.h"

enum {
	ID = 0x00,
	LIVENESS = 0x04,
	FACTORIAL = 0x08,
	STATUS = 0x20,
	IRQ_STATUS = 0x24,
	IRQ_RAISE = 0x60,
	IRQ_ACK = 0x64,
	DMA_SOURCE = 0x80,
	DMA_DESTINATION = 0x88,
	DMA_COUNT = 0x90,
	DMA_COMMAND = 0x98,

	BUFFER = 0x40000,
	RUN = 1,
	TO_MEMORY = 2,
	WITH_IRQ = 4,
};

static struct bench *an_edu(struct t *t, uint32_t address_bits)
{
	struct bench *bench = bench_open(t);

	ASSERT_OK(weir_sim_add_edu(bench_sim(bench),
				   &WEIR_OPTS(weir_sim_edu_opts, .address_bits = address_bits), NULL, NULL));
	return bench;
}

static void start_dma(struct bench *bench, uint64_t source, uint64_t destination, uint64_t count,
		      uint32_t command)
{
	bench_write64(bench, DMA_SOURCE, source);
	bench_write64(bench, DMA_DESTINATION, destination);
	bench_write64(bench, DMA_COUNT, count);
	bench_write32(bench, DMA_COMMAND, command);
}

/* One that runs to its end. */
static void do_dma(struct bench *bench, uint64_t source, uint64_t destination, uint64_t count,
		   uint32_t command)
{
	start_dma(bench, source, destination, count, command);
	EXPECT_EQ(bench_read32(bench, DMA_COMMAND), command);
	EXPECT_EQ(bench_run(bench), 1);
	EXPECT_EQ(bench_read32(bench, DMA_COMMAND), command & ~(uint32_t)RUN);
}

UNIT(sim_edu, is_what_qemu_calls_edu)
{
	struct bench *bench = an_edu(t, 0);

	EXPECT_EQ(bench->model.vendor_id, 0x1234);
	EXPECT_EQ(bench->model.device_id, 0x11e8);
	EXPECT_EQ(bench->model.class_code, 0x00ff00);
	EXPECT_EQ(bench->model.msi_vectors, 1);
	EXPECT_EQ(bench->model.flags, WEIR_SIM_INTX);
	EXPECT_EQ(bench->model.bars[0].len, 1 << 20);
	EXPECT_EQ(bench_read32(bench, ID), 0x010000ed);
	bench_write32(bench, ID, 0);
	EXPECT_EQ(bench_read32(bench, ID), 0x010000ed);
}

UNIT(sim_edu, liveness_inverts)
{
	struct bench *bench = an_edu(t, 0);

	bench_write32(bench, LIVENESS, 0xcafe);
	EXPECT_EQ(bench_read32(bench, LIVENESS), 0xffff3501);
	EXPECT_EQ(bench_run(bench), 0);
}

UNIT(sim_edu, factorial_takes_a_step)
{
	static const struct {
		uint32_t n, product;
	} rows[] = { { 0, 1 },           { 1, 1 },  { 5, 120 },       { 12, 479001600 },
		     { 13, 1932053504 }, { 34, 0 }, { UINT32_MAX, 0 } };
	struct bench *bench = an_edu(t, 0);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "%u!", rows[i].n);
		bench_write32(bench, FACTORIAL, rows[i].n);
		EXPECT_EQ(bench_read32(bench, STATUS), 1);
		bench_write32(bench, FACTORIAL, 3); /* busy: not heard */
		EXPECT_EQ(bench_run(bench), 1);
		EXPECT_EQ(bench_read32(bench, STATUS), 0);
		EXPECT_EQ(bench_read32(bench, FACTORIAL), rows[i].product);
	}
	EXPECT_EQ(bench->messages[0], 0);
}

UNIT(sim_edu, factorial_interrupts_when_told_to)
{
	struct bench *bench = an_edu(t, 0);

	bench_write32(bench, STATUS, 0xffffffff);
	EXPECT_EQ(bench_read32(bench, STATUS), 0x80);
	bench_write32(bench, FACTORIAL, 5);
	bench_run(bench);
	EXPECT_EQ(bench->messages[0], 1);
	EXPECT_TRUE(bench->pin);
	EXPECT_EQ(bench_read32(bench, IRQ_STATUS), 1);
	bench_write32(bench, IRQ_ACK, 1);
	EXPECT_EQ(bench_read32(bench, IRQ_STATUS), 0);
	EXPECT_FALSE(bench->pin);
}

UNIT(sim_edu, interrupts_are_raised_and_acknowledged_by_bits)
{
	struct bench *bench = an_edu(t, 0);

	bench_write32(bench, IRQ_RAISE, 0);
	EXPECT_EQ(bench->messages[0], 0);
	bench_write32(bench, IRQ_RAISE, 0x30);
	bench_write32(bench, IRQ_RAISE, 0x03);
	EXPECT_EQ(bench->messages[0], 2);
	EXPECT_EQ(bench->pin_changes, 1);
	bench_write32(bench, IRQ_ACK, 0x31);
	EXPECT_EQ(bench_read32(bench, IRQ_STATUS), 0x02);
	EXPECT_TRUE(bench->pin);
	bench_write32(bench, IRQ_ACK, 0x02);
	EXPECT_FALSE(bench->pin);
}

UNIT(sim_edu, registers_have_their_widths)
{
	struct bench *bench = an_edu(t, 0);
	struct weir_sim_model *model = &bench->model;
	void *edu = bench->device.state;

	EXPECT_EQ(bench_read64(bench, ID), UINT64_MAX);
	EXPECT_EQ(model->read(edu, 0, ID, 1), UINT64_MAX);
	EXPECT_EQ(model->read(edu, 0, DMA_SOURCE, 2), UINT64_MAX);
	EXPECT_EQ(bench_read32(bench, 0x5c), UINT32_MAX);
	EXPECT_EQ(bench_read32(bench, BUFFER), UINT32_MAX);
	bench_write64(bench, LIVENESS, 1);
	model->write(edu, 0, LIVENESS, 2, 1);
	EXPECT_EQ(bench_read32(bench, LIVENESS), 0);
	bench_write64(bench, DMA_SOURCE, 0x123456789abcdef0);
	EXPECT_EQ(bench_read64(bench, DMA_SOURCE), 0x123456789abcdef0);
	bench_write32(bench, DMA_SOURCE, 0x11);
	EXPECT_EQ(bench_read64(bench, DMA_SOURCE), 0x11);
}

UNIT(sim_edu, dma_goes_there_and_back)
{
	struct bench *bench = an_edu(t, 40);
	unsigned char *from = bench_at(bench, BENCH_IOVA + 0x100), *to = bench_at(bench, BENCH_IOVA + 0x9ff0);

	for (int i = 0; i < 4096; i++)
		from[i] = (unsigned char)(i * 7 + (i >> 8));
	do_dma(bench, BENCH_IOVA + 0x100, BUFFER, 4096, RUN);
	do_dma(bench, BUFFER, BENCH_IOVA + 0x9ff0, 4096, RUN | TO_MEMORY);
	EXPECT_MEMEQ(to, from, 4096);
	do_dma(bench, BUFFER + 4095, BENCH_IOVA, 1, RUN | TO_MEMORY);
	EXPECT_EQ(bench->memory[0], from[4095]);
	EXPECT_EQ(bench->memory[1], 0);
	EXPECT_EQ(bench->messages[0], 0);
}

UNIT(sim_edu, dma_interrupts_when_told_to)
{
	struct bench *bench = an_edu(t, 40);

	do_dma(bench, BENCH_IOVA, BUFFER, 16, RUN | WITH_IRQ);
	EXPECT_EQ(bench->messages[0], 1);
	EXPECT_EQ(bench_read32(bench, IRQ_STATUS), 0x100);
}

UNIT(sim_edu, registers_hold_still_while_a_dma_runs)
{
	struct bench *bench = an_edu(t, 40);

	bench_write32(bench, DMA_COMMAND, TO_MEMORY); /* without RUN: nothing */
	EXPECT_EQ(bench_read32(bench, DMA_COMMAND), 0);
	start_dma(bench, BENCH_IOVA, BUFFER, 16, RUN);
	start_dma(bench, 1, 2, 3, RUN | TO_MEMORY);
	EXPECT_EQ(bench_read64(bench, DMA_SOURCE), BENCH_IOVA);
	EXPECT_EQ(bench_read64(bench, DMA_COUNT), 16);
	EXPECT_EQ(bench_read32(bench, DMA_COMMAND), RUN);
	EXPECT_EQ(bench_run(bench), 1);
}

UNIT(sim_edu, drops_address_bits_it_does_not_drive)
{
	struct bench *bench = an_edu(t, 0);

	do_dma(bench, BENCH_IOVA, BUFFER, 16, RUN); /* 28 bits: IOVA 0 */
	EXPECT_EQ(bench->num_faults, 1);
	bench = an_edu(t, 33);
	do_dma(bench, BENCH_IOVA | 1ull << 40, BUFFER, 16, RUN);
	EXPECT_EQ(bench->num_faults, 0);
}

UNIT(sim_edu, blocked_dma_ends_like_any_other)
{
	struct bench *bench = an_edu(t, 40);

	do_dma(bench, 0, BUFFER, 16, RUN | WITH_IRQ);
	do_dma(bench, BUFFER, 0, 16, RUN | TO_MEMORY | WITH_IRQ);
	EXPECT_EQ(bench->num_faults, 2);
	EXPECT_EQ(bench->messages[0], 2);
}

UNIT(sim_edu, dma_outside_the_buffer_moves_nothing)
{
	static const struct {
		uint64_t inside, count;
	} rows[] = {
		{ BUFFER, 4097 },
		{ BUFFER + 1, 4096 },
		{ BUFFER + 4096, 1 },
		{ BUFFER - 1, 1 },
		{ BUFFER - 1, 4096 },
		{ 0, 1 },
		{ UINT64_MAX, 2 },
		{ BUFFER, UINT64_MAX },
		{ BUFFER + 8, UINT64_MAX - 7 },
		{ UINT64_MAX - 7, UINT64_MAX },
	};
	struct bench *bench = an_edu(t, 40);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "row %zu", i);
		do_dma(bench, rows[i].inside, BENCH_IOVA, rows[i].count, RUN | TO_MEMORY);
		do_dma(bench, BENCH_IOVA, rows[i].inside, rows[i].count, RUN);
	}
	EXPECT_EQ(bench->num_dma, 0);
}

UNIT(sim_edu, reset_brings_back_the_beginning)
{
	struct bench *bench = an_edu(t, 40);

	memset(bench->memory, 0x55, 4096);
	do_dma(bench, BENCH_IOVA, BUFFER, 4096, RUN);
	bench_write32(bench, IRQ_RAISE, 1);
	bench_write32(bench, LIVENESS, 1);
	bench_write32(bench, FACTORIAL, 5);
	bench->model.reset(bench->device.state);
	EXPECT_FALSE(bench->pin);
	EXPECT_EQ(bench_run(bench), 0);
	EXPECT_EQ(bench_read32(bench, LIVENESS), 0);
	EXPECT_EQ(bench_read32(bench, IRQ_STATUS), 0);
	do_dma(bench, BUFFER, BENCH_IOVA, 4096, RUN | TO_MEMORY); /* still 40 bits */
	EXPECT_EQ(bench->memory[0], 0);
	EXPECT_EQ(bench->memory[4095], 0);
}

UNIT(sim_edu, impossible_options_are_refused)
{
	struct bench *bench = bench_open(t);
	static const struct weir_sim_edu_opts rows[] = {
		{ .size = sizeof(rows[0]), .address_bits = 11 },
		{ .size = sizeof(rows[0]), .address_bits = 65 },
		{ .size = sizeof(rows[0]), .reserved = 1 },
		{ .size = 2 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "row %zu", i);
		EXPECT_ERR(-EINVAL, weir_sim_add_edu(bench_sim(bench), &rows[i], NULL, NULL));
		EXPECT_TRUE(*weir_error());
	}
	EXPECT_FALSE(bench->plugged);
	bench->adding_fails = true;
	EXPECT_ERR(-EEXIST, weir_sim_add_edu(bench_sim(bench), NULL, NULL, NULL));
}
