// SPDX-License-Identifier: MIT
/*
 * Moves between memory and vector registers: SSE, the same with VEX (AVX), and whole registers with EVEX
 * (AVX-512).
 */
#include <errno.h>
#include <string.h>

#include "sim/preload/decode_x86.h"

/* HALF: a load leaves the rest of the lane as it is; with VEX it takes it from a third register. */
enum { STORE = 1 << 0, HALF = 1 << 1, HIGH = 1 << 2 /* the upper half of the lane */ };

/* How long: as the register is; 4 bytes, or with W 8. */
enum { WHOLE = 0, BY_W = 255 };

struct form {
	unsigned char map, opcode;
	enum x86_prefix prefix;
	unsigned char len;
	unsigned char flags;
};

static const struct form forms[] = {
	{ 1, 0x10, X86_NONE, WHOLE, 0 }, /* movups */
	{ 1, 0x10, X86_66, WHOLE, 0 },   /* movupd */
	{ 1, 0x10, X86_F3, 4, 0 },       /* movss */
	{ 1, 0x10, X86_F2, 8, 0 },       /* movsd */
	{ 1, 0x11, X86_NONE, WHOLE, STORE },
	{ 1, 0x11, X86_66, WHOLE, STORE },
	{ 1, 0x11, X86_F3, 4, STORE },
	{ 1, 0x11, X86_F2, 8, STORE },
	{ 1, 0x12, X86_NONE, 8, HALF }, /* movlps */
	{ 1, 0x12, X86_66, 8, HALF },   /* movlpd */
	{ 1, 0x13, X86_NONE, 8, HALF | STORE },
	{ 1, 0x13, X86_66, 8, HALF | STORE },
	{ 1, 0x16, X86_NONE, 8, HALF | HIGH }, /* movhps */
	{ 1, 0x16, X86_66, 8, HALF | HIGH },   /* movhpd */
	{ 1, 0x17, X86_NONE, 8, HALF | HIGH | STORE },
	{ 1, 0x17, X86_66, 8, HALF | HIGH | STORE },
	{ 1, 0x28, X86_NONE, WHOLE, 0 }, /* movaps */
	{ 1, 0x28, X86_66, WHOLE, 0 },   /* movapd */
	{ 1, 0x29, X86_NONE, WHOLE, STORE },
	{ 1, 0x29, X86_66, WHOLE, STORE },
	{ 1, 0x2b, X86_NONE, WHOLE, STORE }, /* movntps */
	{ 1, 0x2b, X86_66, WHOLE, STORE },   /* movntpd */
	{ 1, 0x6e, X86_66, BY_W, 0 },        /* movd, movq */
	{ 1, 0x6f, X86_66, WHOLE, 0 },       /* movdqa */
	{ 1, 0x6f, X86_F3, WHOLE, 0 },       /* movdqu */
	{ 1, 0x6f, X86_F2, WHOLE, 0 },       /* vmovdqu8, vmovdqu16 */
	{ 1, 0x7e, X86_66, BY_W, STORE },
	{ 1, 0x7e, X86_F3, 8, 0 }, /* movq */
	{ 1, 0x7f, X86_66, WHOLE, STORE },
	{ 1, 0x7f, X86_F3, WHOLE, STORE },
	{ 1, 0x7f, X86_F2, WHOLE, STORE },
	{ 1, 0xd6, X86_66, 8, STORE },     /* movq */
	{ 1, 0xe7, X86_66, WHOLE, STORE }, /* movntdq */
	{ 1, 0xf0, X86_F2, WHOLE, 0 },     /* lddqu */
	{ 2, 0x2a, X86_66, WHOLE, 0 },     /* movntdqa */
};

static enum x86_prefix prefix_of(const struct x86_insn *insn)
{
	if (insn->vex)
		return insn->vex_prefix;
	return insn->rep ? X86_F3 : insn->repne ? X86_F2 : insn->opsize ? X86_66 : X86_NONE;
}

static const struct form *form_of(const struct x86_insn *insn)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (forms[i].map == insn->map && forms[i].opcode == insn->opcode &&
		    forms[i].prefix == prefix_of(insn))
			return &forms[i];
	return NULL;
}

/* Registers ---------------------------------------------------------------------------------------------- */

static void get(const struct x86_insn *insn, unsigned int reg, unsigned char *to, unsigned int len)
{
	for (unsigned int i = 0; i * SIM_LANE < len; i++) {
		const unsigned char *lane = insn->cpu->vectors[reg][i];

		if (lane)
			memcpy(to + (size_t)i * SIM_LANE, lane, SIM_LANE);
		else
			memset(to + (size_t)i * SIM_LANE, 0, SIM_LANE);
	}
}

/* SSE knows nothing of the upper lanes and leaves them; VEX and EVEX clear what they do not set. */
static void set(const struct x86_insn *insn, unsigned int reg, const unsigned char *from, unsigned int len)
{
	for (unsigned int i = 0; i < SIM_X86_LANES; i++) {
		unsigned char *lane = insn->cpu->vectors[reg][i];

		if (lane && i * SIM_LANE < len)
			memcpy(lane, from + (size_t)i * SIM_LANE, SIM_LANE);
		else if (lane && insn->vex)
			memset(lane, 0, SIM_LANE);
	}
}

/* Moves -------------------------------------------------------------------------------------------------- */

static int store(const struct x86_insn *insn, const struct form *form, unsigned int reg, unsigned int len)
{
	unsigned char bytes[SIM_X86_LANES * SIM_LANE];

	get(insn, reg, bytes, len);
	return sim_memory_store(insn->memory, insn->addr, bytes + (form->flags & HIGH ? 8 : 0), len);
}

static int load(const struct x86_insn *insn, const struct form *form, unsigned int reg, unsigned int len)
{
	unsigned char bytes[SIM_X86_LANES * SIM_LANE] = { 0 };
	int error;

	if (form->flags & HALF)
		get(insn, insn->vex ? insn->vvvv : reg, bytes, SIM_LANE);
	error = sim_memory_load(insn->memory, insn->addr, bytes + (form->flags & HIGH ? 8 : 0), len);
	if (!error)
		set(insn, reg, bytes, len < SIM_LANE ? SIM_LANE : len);
	return error;
}

int x86_vector(struct x86_insn *insn)
{
	const struct form *form = form_of(insn);
	unsigned int len, reg;
	int error;

	/* Of EVEX only the moves of whole registers, whose displacements count in such. */
	if (!form || (insn->evex && form->len != WHOLE))
		return -ENOSYS;
	len = form->len == BY_W ? (insn->w ? 8 : 4) : form->len;
	if (form->len == WHOLE)
		len = insn->vex ? insn->vector_len : SIM_LANE;
	error = x86_modrm(insn, 0, insn->evex ? len : 1);
	if (error)
		return error;
	reg = insn->reg | insn->r << 3 | insn->r2 << 4;
	return form->flags & STORE ? store(insn, form, reg, len) : load(insn, form, reg, len);
}
