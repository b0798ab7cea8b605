// SPDX-License-Identifier: MIT
/*
 * arm64's loads and stores, executed in software: on any machine. The words are what GNU as makes of the
 * text beside them.
 */
#include "sim/preload/decode.h"

#include <errno.h>
#include <string.h>

#include "test.h"

enum { LOAD = 1, SIGNED = 2, TO_32 = 4, VECTOR = 8, PAIR = 16, SP = 32, ZERO = 64 };

/*
 * x1 and sp; the registers that addresses are made with; the ones that are loaded; the ones that are
 * stored.
 */
enum { BASE = 512, STACK = 256, FIRST_LOADED = 0, FIRST_STORED = 5, SECOND = 6 };

struct row {
	uint32_t code;
	const char *text;
	int offset;         /* from the base: where the access is */
	unsigned int width; /* of each register */
	unsigned int flags;
	int moves; /* the base, afterwards */
};

/* clang-format off */
static const struct row rows[] = {
	{ 0x39400020, "ldrb w0, [x1]", 0, 1, LOAD, 0 },
	{ 0x79400420, "ldrh w0, [x1, #2]", 2, 2, LOAD, 0 },
	{ 0xb9400420, "ldr w0, [x1, #4]", 4, 4, LOAD, 0 },
	{ 0xf9400420, "ldr x0, [x1, #8]", 8, 8, LOAD, 0 },
	{ 0xb9404020, "ldr w0, [x1, #64]", 64, 4, LOAD, 0 },
	{ 0x39c00c20, "ldrsb w0, [x1, #3]", 3, 1, LOAD | SIGNED | TO_32, 0 },
	{ 0x39800c20, "ldrsb x0, [x1, #3]", 3, 1, LOAD | SIGNED, 0 },
	{ 0x79c00c20, "ldrsh w0, [x1, #6]", 6, 2, LOAD | SIGNED | TO_32, 0 },
	{ 0x79800c20, "ldrsh x0, [x1, #6]", 6, 2, LOAD | SIGNED, 0 },
	{ 0xb9800c20, "ldrsw x0, [x1, #12]", 12, 4, LOAD | SIGNED, 0 },
	{ 0xb85fc020, "ldur w0, [x1, #-4]", -4, 4, LOAD, 0 },
	{ 0xf85f7020, "ldur x0, [x1, #-9]", -9, 8, LOAD, 0 },
	{ 0xb8410820, "ldtr w0, [x1, #16]", 16, 4, LOAD, 0 },
	{ 0xb8626820, "ldr w0, [x1, x2]", 8, 4, LOAD, 0 },
	{ 0xb8627820, "ldr w0, [x1, x2, lsl #2]", 32, 4, LOAD, 0 },
	{ 0xf8635820, "ldr x0, [x1, w3, uxtw #3]", 128, 8, LOAD, 0 },
	{ 0xb864d820, "ldr w0, [x1, w4, sxtw #2]", -32, 4, LOAD, 0 },
	{ 0xf864e820, "ldr x0, [x1, x4, sxtx]", -8, 8, LOAD, 0 },
	{ 0x38634820, "ldrb w0, [x1, w3, uxtw]", 16, 1, LOAD, 0 },
	{ 0xb8408420, "ldr w0, [x1], #8", 0, 4, LOAD, 8 },
	{ 0xf85f0c20, "ldr x0, [x1, #-16]!", -16, 8, LOAD, -16 },
	{ 0x385ff420, "ldrb w0, [x1], #-1", 0, 1, LOAD, -1 },
	{ 0x78402c20, "ldrh w0, [x1, #2]!", 2, 2, LOAD, 2 },
	{ 0xb94007e0, "ldr w0, [sp, #4]", 4, 4, LOAD | SP, 0 },
	{ 0xf84107e0, "ldr x0, [sp], #16", 0, 8, LOAD | SP, 16 },
	{ 0x88dffc20, "ldar w0, [x1]", 0, 4, LOAD, 0 },
	{ 0x08dffc20, "ldarb w0, [x1]", 0, 1, LOAD, 0 },
	{ 0xc8df7c20, "ldlar x0, [x1]", 0, 8, LOAD, 0 },
	{ 0xb8bfc020, "ldapr w0, [x1]", 0, 4, LOAD, 0 },
	{ 0xb940003f, "ldr wzr, [x1]", 0, 4, LOAD | ZERO, 0 },
	{ 0x39000425, "strb w5, [x1, #1]", 1, 1, 0, 0 },
	{ 0x79000425, "strh w5, [x1, #2]", 2, 2, 0, 0 },
	{ 0xb9000425, "str w5, [x1, #4]", 4, 4, 0, 0 },
	{ 0xf9000425, "str x5, [x1, #8]", 8, 8, 0, 0 },
	{ 0xb900043f, "str wzr, [x1, #4]", 4, 4, ZERO, 0 },
	{ 0xf800843f, "str xzr, [x1], #8", 0, 8, ZERO, 8 },
	{ 0xb81fc025, "stur w5, [x1, #-4]", -4, 4, 0, 0 },
	{ 0xb8227825, "str w5, [x1, x2, lsl #2]", 32, 4, 0, 0 },
	{ 0xf81e0c25, "str x5, [x1, #-32]!", -32, 8, 0, -32 },
	{ 0x889ffc25, "stlr w5, [x1]", 0, 4, 0, 0 },
	{ 0x489ffc25, "stlrh w5, [x1]", 0, 2, 0, 0 },
	{ 0xc89f7c25, "stllr x5, [x1]", 0, 8, 0, 0 },
	{ 0x29411820, "ldp w0, w6, [x1, #8]", 8, 4, LOAD | PAIR, 0 },
	{ 0xa97f1820, "ldp x0, x6, [x1, #-16]", -16, 8, LOAD | PAIR, 0 },
	{ 0xa8c21820, "ldp x0, x6, [x1], #32", 0, 8, LOAD | PAIR, 32 },
	{ 0xa9c11820, "ldp x0, x6, [x1, #16]!", 16, 8, LOAD | PAIR, 16 },
	{ 0x69411820, "ldpsw x0, x6, [x1, #8]", 8, 4, LOAD | SIGNED | PAIR, 0 },
	{ 0xa8411820, "ldnp x0, x6, [x1, #16]", 16, 8, LOAD | PAIR, 0 },
	{ 0x29007c25, "stp w5, wzr, [x1]", 0, 4, PAIR | ZERO, 0 },
	{ 0xa9011825, "stp x5, x6, [x1, #16]", 16, 8, PAIR, 0 },
	{ 0xa9bf1825, "stp x5, x6, [x1, #-16]!", -16, 8, PAIR, -16 },
	{ 0xa8811825, "stp x5, x6, [x1], #16", 0, 8, PAIR, 16 },
	{ 0x28001825, "stnp w5, w6, [x1]", 0, 4, PAIR, 0 },
	{ 0x3d400420, "ldr b0, [x1, #1]", 1, 1, LOAD | VECTOR, 0 },
	{ 0x7d400420, "ldr h0, [x1, #2]", 2, 2, LOAD | VECTOR, 0 },
	{ 0xbd400420, "ldr s0, [x1, #4]", 4, 4, LOAD | VECTOR, 0 },
	{ 0xfd400420, "ldr d0, [x1, #8]", 8, 8, LOAD | VECTOR, 0 },
	{ 0x3dc00420, "ldr q0, [x1, #16]", 16, 16, LOAD | VECTOR, 0 },
	{ 0x3cdfb020, "ldur q0, [x1, #-5]", -5, 16, LOAD | VECTOR, 0 },
	{ 0x3ce26820, "ldr q0, [x1, x2]", 8, 16, LOAD | VECTOR, 0 },
	{ 0x3cc10420, "ldr q0, [x1], #16", 0, 16, LOAD | VECTOR, 16 },
	{ 0xbd000425, "str s5, [x1, #4]", 4, 4, VECTOR, 0 },
	{ 0xfd000425, "str d5, [x1, #8]", 8, 8, VECTOR, 0 },
	{ 0x3d800425, "str q5, [x1, #16]", 16, 16, VECTOR, 0 },
	{ 0x3c9f0c25, "str q5, [x1, #-16]!", -16, 16, VECTOR, -16 },
	{ 0x2d401820, "ldp s0, s6, [x1]", 0, 4, LOAD | VECTOR | PAIR, 0 },
	{ 0x6d411820, "ldp d0, d6, [x1, #16]", 16, 8, LOAD | VECTOR | PAIR, 0 },
	{ 0xad411820, "ldp q0, q6, [x1, #32]", 32, 16, LOAD | VECTOR | PAIR, 0 },
	{ 0xad3f1825, "stp q5, q6, [x1, #-32]", -32, 16, VECTOR | PAIR, 0 },
	{ 0xac821825, "stp q5, q6, [x1], #64", 0, 16, VECTOR | PAIR, 64 },
	{ 0x6d001825, "stp d5, d6, [x1]", 0, 8, VECTOR | PAIR, 0 },
};

/* No loads or stores of a device's registers. */
static const struct {
	uint32_t code;
	const char *text;
} unknown[] = {
	{ 0xf9800020, "prfm pldl1keep, [x1]" },
	{ 0x885f7c20, "ldxr w0, [x1]" },
	{ 0x88037c25, "stxr w3, w5, [x1]" },
	{ 0xb8e50020, "ldaddal w5, w0, [x1]" },
	{ 0x88a07c25, "cas w0, w5, [x1]" },
	{ 0x91002020, "add x0, x1, #0x8" },
	{ 0x4c407020, "ld1 {v0.16b}, [x1]" },
	{ 0x18000040, "ldr w0, 140" },
};
/* clang-format on */

struct machine {
	uint64_t regs[31], sp, pc;
	unsigned char vectors[32][SIM_LANE];
	unsigned char bytes[1024];
	unsigned int widest;
};

static int machine_load(void *ctx, uint64_t addr, void *buf, size_t len)
{
	struct machine *m = ctx;

	if (addr > sizeof(m->bytes) || len > sizeof(m->bytes) - addr)
		return -EFAULT;
	memcpy(buf, m->bytes + addr, len);
	m->widest = len > m->widest ? (unsigned int)len : m->widest;
	return 0;
}

static int machine_store(void *ctx, uint64_t addr, const void *buf, size_t len)
{
	struct machine *m = ctx;

	if (addr > sizeof(m->bytes) || len > sizeof(m->bytes) - addr)
		return -EFAULT;
	memcpy(m->bytes + addr, buf, len);
	m->widest = len > m->widest ? (unsigned int)len : m->widest;
	return 0;
}

static struct machine initial(void)
{
	struct machine m = { .sp = STACK, .pc = 0x1000 };

	for (unsigned int i = 0; i < 31; i++)
		m.regs[i] = 0x8182838485868788 + i * 0x0101010101010101;
	m.regs[1] = BASE;
	m.regs[2] = 8;
	m.regs[3] = 0xffffffff00000010;
	m.regs[4] = (uint64_t)-8;
	for (unsigned int i = 0; i < sizeof(m.vectors); i++)
		((unsigned char *)m.vectors)[i] = (unsigned char)(i * 5 + 1);
	for (unsigned int i = 0; i < sizeof(m.bytes); i++)
		m.bytes[i] = (unsigned char)(0xff - i * 3);
	return m;
}

static bool same(const struct machine *a, const struct machine *b)
{
	return !memcmp(a->regs, b->regs, sizeof(a->regs)) && a->sp == b->sp && a->pc == b->pc &&
	       !memcmp(a->vectors, b->vectors, sizeof(a->vectors)) &&
	       !memcmp(a->bytes, b->bytes, sizeof(a->bytes)) && a->widest == b->widest;
}

static int step(struct machine *m, uint32_t code)
{
	struct sim_arm64_cpu cpu = { m->regs, &m->sp, &m->pc, m->vectors };
	const struct sim_memory memory = { m, machine_load, machine_store };

	return sim_arm64_step(&cpu, code, &memory);
}

static uint64_t little_endian(const unsigned char *at, unsigned int len)
{
	uint64_t value = 0;

	while (len--)
		value = value << 8 | at[len];
	return value;
}

/* What a row does, done on a machine in the plainest way. */
static void expect_load(struct machine *m, const struct row *row, unsigned int reg, uint64_t addr)
{
	uint64_t value = little_endian(m->bytes + addr, row->width > 8 ? 8 : row->width);

	if (row->flags & VECTOR) {
		memset(m->vectors[reg], 0, SIM_LANE);
		memcpy(m->vectors[reg], m->bytes + addr, row->width);
		return;
	}
	if (row->flags & SIGNED && row->width && row->width < 8 && value >> (8 * row->width - 1))
		value |= ~UINT64_C(0) << 8 * row->width;
	if (row->flags & TO_32)
		value &= UINT32_MAX;
	m->regs[reg] = value;
}

static void expect_store(struct machine *m, const struct row *row, unsigned int reg, uint64_t addr)
{
	if (row->flags & VECTOR)
		memcpy(m->bytes + addr, m->vectors[reg], row->width);
	for (unsigned int i = 0; i < row->width && !(row->flags & VECTOR); i++)
		m->bytes[addr + i] = (unsigned char)(m->regs[reg] >> 8 * i);
}

static void expect_one(struct machine *m, const struct row *row, unsigned int reg, uint64_t addr, bool zero)
{
	if (!zero && row->flags & LOAD)
		expect_load(m, row, reg, addr);
	else if (!zero)
		expect_store(m, row, reg, addr);
	else if (!(row->flags & LOAD))
		memset(m->bytes + addr, 0, row->width);
}

static struct machine expected(const struct row *row)
{
	struct machine m = initial();
	uint64_t *base = row->flags & SP ? &m.sp : &m.regs[1];
	uint64_t addr = *base + (uint64_t)(int64_t)row->offset;
	bool zero = row->flags & ZERO, pair = row->flags & PAIR;

	/* Of a pair with the zero register, that is the second. */
	expect_one(&m, row, row->flags & LOAD ? FIRST_LOADED : FIRST_STORED, addr, zero && !pair);
	if (pair)
		expect_one(&m, row, SECOND, addr + row->width, zero);
	*base += (uint64_t)(int64_t)row->moves;
	m.pc += 4;
	return m;
}

UNIT(sim_decode, arm64_loads_and_stores)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct machine m = initial(), want = expected(&rows[i]);

		EXPECT_OK(step(&m, rows[i].code));
		want.widest = rows[i].width > 8 ? 8 : rows[i].width;
		if (!same(&m, &want))
			FAIL("%s: x0 is %#lx, not %#lx; x1 is %#lx, not %#lx; width %u", rows[i].text,
			     m.regs[0], want.regs[0], m.regs[1], want.regs[1], m.widest);
	}
}

UNIT(sim_decode, arm64_instructions_that_are_not_known_change_nothing)
{
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		struct machine m = initial(), want = initial();

		EXPECT_ERR(-ENOSYS, step(&m, unknown[i].code));
		if (!same(&m, &want))
			FAIL("%s", unknown[i].text);
	}
}

UNIT(sim_decode, arm64_accesses_that_memory_refuses_change_nothing)
{
	/* ldr w0, [x1], #8; ldp x0, x6, [x1, #16]!; stp q5, q6, [x1], #64: all far away */
	static const uint32_t codes[] = { 0xb8408420, 0xa9c11820, 0xac821825 };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct machine m = initial(), want = initial();

		m.regs[1] = want.regs[1] = 1 << 20;
		EXPECT_ERR(-EFAULT, step(&m, codes[i]));
		EXPECT_TRUE(same(&m, &want));
	}
}
