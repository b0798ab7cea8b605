// SPDX-License-Identifier: MIT
/*
 * Loads and stores executed in software. On x86-64 each instruction is run twice, on memory and on a page
 * without access, where it faults and is executed by the decoder: registers, flags and memory must come
 * out the same.
 */
#include "sim/preload/context.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "test.h"

#ifdef __x86_64__

enum { PAGE = 4096, AT = 256, NUM_XMM = 4 };

/* What the instruction finds and leaves. rsp is not in it. */
struct state {
	uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r15, flags, unused;
	unsigned char ymm[NUM_XMM][32] __attribute__((aligned(32)));
};

/* @code ends in ret. The callee's registers are those of the state; AVX only if @avx. */
void sim_decode_run(const void *code, struct state *state, int avx);

/* clang-format off */
asm(".pushsection .text\n"
    ".type sim_decode_run, @function\n"
    "sim_decode_run:\n"
    " push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    " mov %rdi, %r12; mov %rsi, %r13; mov %edx, %r14d\n"
    " movups 96(%r13), %xmm0; movups 128(%r13), %xmm1; movups 160(%r13), %xmm2; movups 192(%r13), %xmm3\n"
    " test %r14d, %r14d; jz 1f\n"
    " vmovups 96(%r13), %ymm0; vmovups 128(%r13), %ymm1; vmovups 160(%r13), %ymm2; vmovups 192(%r13), %ymm3\n"
    "1: push 80(%r13); popfq\n"
    " mov (%r13), %rax; mov 8(%r13), %rcx; mov 16(%r13), %rdx; mov 24(%r13), %rbx; mov 32(%r13), %rbp\n"
    " mov 40(%r13), %rsi; mov 48(%r13), %rdi; mov 56(%r13), %r8; mov 64(%r13), %r9; mov 72(%r13), %r15\n"
    " call *%r12\n"
    " mov %rax, (%r13); mov %rcx, 8(%r13); mov %rdx, 16(%r13); mov %rbx, 24(%r13); mov %rbp, 32(%r13)\n"
    " mov %rsi, 40(%r13); mov %rdi, 48(%r13); mov %r8, 56(%r13); mov %r9, 64(%r13); mov %r15, 72(%r13)\n"
    " pushfq; pop 80(%r13); cld\n"
    " movups %xmm0, 96(%r13); movups %xmm1, 128(%r13); movups %xmm2, 160(%r13); movups %xmm3, 192(%r13)\n"
    " test %r14d, %r14d; jz 1f\n"
    " vmovups %ymm0, 96(%r13); vmovups %ymm1, 128(%r13); vmovups %ymm2, 160(%r13); vmovups %ymm3, 192(%r13)\n"
    " vzeroupper\n"
    "1: pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    " ret\n"
    ".size sim_decode_run, . - sim_decode_run\n"
    ".popsection\n");
/* clang-format on */

_Static_assert(offsetof(struct state, flags) == 80 && offsetof(struct state, ymm) == 96,
	       "as the assembly has it");

/* rdi points to the page, rsi to other memory; rcx is 5, r9 2, rdx -3. */
#define INTEGER_FORMS(DO)                                                                                    \
	DO(mov_to_r8, "movb (%rdi), %al")                                                                    \
	DO(mov_to_r16, "movw 2(%rdi), %ax")                                                                  \
	DO(mov_to_r32, "movl 4(%rdi), %eax")                                                                 \
	DO(mov_to_r64, "movq 8(%rdi), %rax")                                                                 \
	DO(mov_to_high_byte, "movb (%rdi), %ah")                                                             \
	DO(mov_to_low_byte_by_rex, "movb 3(%rdi), %bpl")                                                     \
	DO(mov_to_upper_register, "movq (%rdi), %r15")                                                       \
	DO(mov_to_upper_register_32, "movl (%rdi), %r8d")                                                    \
	DO(mov_from_r8, "movb %al, (%rdi)")                                                                  \
	DO(mov_from_r16, "movw %ax, (%rdi)")                                                                 \
	DO(mov_from_r32, "movl %eax, (%rdi)")                                                                \
	DO(mov_from_r64, "movq %rax, (%rdi)")                                                                \
	DO(mov_from_high_byte, "movb %bh, (%rdi)")                                                           \
	DO(mov_from_upper_register, "movl %r15d, (%rdi)")                                                    \
	DO(mov_imm8, "movb $0x9a, (%rdi)")                                                                   \
	DO(mov_imm16, "movw $0x9abc, (%rdi)")                                                                \
	DO(mov_imm32, "movl $0x9abcdef0, (%rdi)")                                                            \
	DO(mov_imm64, "movq $-2, (%rdi)")                                                                    \
	DO(disp8, "movl -128(%rdi), %eax")                                                                   \
	DO(disp32, "movl 0x400(%rdi), %eax")                                                                 \
	DO(index_1, "movl (%rdi,%rcx), %eax")                                                                \
	DO(index_4, "movl (%rdi,%rcx,4), %eax")                                                              \
	DO(index_8_disp8, "movq 16(%rdi,%r9,8), %rax")                                                       \
	DO(index_negative, "movl 8(%rdi,%rdx,2), %eax")                                                      \
	DO(index_disp32_imm, "movl $7, 0x200(%rdi,%rcx,2)")                                                  \
	DO(base_rbp, "push %rbp; mov %rdi, %rbp; movl 4(%rbp), %eax; pop %rbp")                              \
	DO(base_r13, "push %r13; mov %rdi, %r13; movl (%r13), %eax; pop %r13")                               \
	DO(base_r12, "push %r12; mov %rdi, %r12; movl (%r12), %eax; pop %r12")                               \
	DO(index_only, "movq %rdi, %rbx; movl 12(,%rbx,1), %eax; xor %ebx, %ebx")                            \
	DO(movzx_8_32, "movzbl 5(%rdi), %eax")                                                               \
	DO(movzx_8_16, "movzbw 5(%rdi), %ax")                                                                \
	DO(movzx_16_64, "movzwq 6(%rdi), %rax")                                                              \
	DO(movsx_8_16, "movsbw 7(%rdi), %ax")                                                                \
	DO(movsx_8_32, "movsbl 7(%rdi), %eax")                                                               \
	DO(movsx_8_64, "movsbq 7(%rdi), %rax")                                                               \
	DO(movsx_16_32, "movswl 6(%rdi), %eax")                                                              \
	DO(movsx_16_64, "movswq 6(%rdi), %rax")                                                              \
	DO(movsxd, "movslq 4(%rdi), %rax")                                                                   \
	DO(movnti_32, "movnti %eax, (%rdi)")                                                                 \
	DO(movnti_64, "movnti %rax, (%rdi)")                                                                 \
	DO(add_to_memory, "addl %eax, (%rdi)")                                                               \
	DO(add_from_memory, "addq (%rdi), %rax")                                                             \
	DO(adc_to_memory, "stc; adcw %ax, (%rdi)")                                                           \
	DO(sbb_from_memory, "stc; sbbb (%rdi), %al")                                                         \
	DO(and_to_memory, "andl %eax, (%rdi)")                                                               \
	DO(or_to_memory, "orb %al, (%rdi)")                                                                  \
	DO(xor_from_memory, "xorq (%rdi), %rax")                                                             \
	DO(sub_to_memory, "subq %rax, (%rdi)")                                                               \
	DO(cmp_register, "cmpl %eax, (%rdi)")                                                                \
	DO(cmp_memory, "cmpw (%rdi), %ax")                                                                   \
	DO(or_imm8, "orl $0x41, (%rdi)")                                                                     \
	DO(or_imm8_negative, "orq $-16, (%rdi)")                                                             \
	DO(and_imm32, "andl $0xfff0ffff, (%rdi)")                                                            \
	DO(and_imm16, "andw $0xf0f, (%rdi)")                                                                 \
	DO(add_imm_64, "addq $0x12345678, (%rdi)")                                                           \
	DO(cmp_imm8, "cmpb $0x80, 3(%rdi)")                                                                  \
	DO(locked_or, "lock orl $4, (%rdi)")                                                                 \
	DO(test_register, "testl %eax, (%rdi)")                                                              \
	DO(test_imm8, "testb $0x20, (%rdi)")                                                                 \
	DO(test_imm32, "testl $0x80000000, (%rdi)")                                                          \
	DO(xchg, "xchgl %eax, (%rdi)")                                                                       \
	DO(xchg_64, "xchgq %r15, (%rdi)")                                                                    \
	DO(not_, "notl (%rdi)")                                                                              \
	DO(neg, "negq (%rdi)")                                                                               \
	DO(inc, "stc; incl (%rdi)")                                                                          \
	DO(dec, "decb (%rdi)")                                                                               \
	DO(bt, "btl $5, (%rdi)")                                                                             \
	DO(bts, "btsl $6, (%rdi)")                                                                           \
	DO(btr, "btrq $40, (%rdi)")                                                                          \
	DO(btc, "btcw $9, (%rdi)")                                                                           \
	DO(movs_from, "xchg %rsi, %rdi; movsl; xchg %rsi, %rdi")                                             \
	DO(movs_to, "movsq")                                                                                 \
	DO(rep_movs_to, "rep movsl")                                                                         \
	DO(rep_movs_from, "xchg %rsi, %rdi; rep movsb; xchg %rsi, %rdi")                                     \
	DO(rep_movs_down, "std; rep movsw; cld")                                                             \
	DO(rep_movs_none, "xor %ecx, %ecx; rep movsb")                                                       \
	DO(rep_movs_many, "sub $256, %rdi; mov $4096, %ecx; rep movsb; sub $4096, %rdi")                     \
	DO(stos_8, "stosb")                                                                                  \
	DO(rep_stos_32, "rep stosl")                                                                         \
	DO(rep_stos_64, "rep stosq")                                                                         \
	DO(lods, "xchg %rsi, %rdi; lodsl; xchg %rsi, %rdi")                                                  \
	DO(lods_8, "xchg %rsi, %rdi; lodsb; xchg %rsi, %rdi")                                                \
	DO(across_a_qword, "movq 5(%rdi), %rax")

#define VECTOR_FORMS(DO)                                                                                     \
	DO(movups_load, "movups 1(%rdi), %xmm0")                                                             \
	DO(movups_store, "movups %xmm1, 1(%rdi)")                                                            \
	DO(movupd_load, "movupd (%rdi), %xmm0")                                                              \
	DO(movaps_load, "movaps 16(%rdi), %xmm2")                                                            \
	DO(movaps_store, "movaps %xmm3, 16(%rdi)")                                                           \
	DO(movdqu_load, "movdqu 3(%rdi), %xmm0")                                                             \
	DO(movdqu_store, "movdqu %xmm0, 3(%rdi)")                                                            \
	DO(movdqa_load, "movdqa (%rdi), %xmm1")                                                              \
	DO(movdqa_store, "movdqa %xmm1, (%rdi)")                                                             \
	DO(movss_load, "movss 4(%rdi), %xmm0")                                                               \
	DO(movss_store, "movss %xmm0, 4(%rdi)")                                                              \
	DO(movsd_load, "movsd 8(%rdi), %xmm0")                                                               \
	DO(movsd_store, "movsd %xmm0, 8(%rdi)")                                                              \
	DO(movd_load, "movd (%rdi), %xmm0")                                                                  \
	DO(movd_store, "movd %xmm1, (%rdi)")                                                                 \
	DO(movq_load, "movq (%rdi), %xmm0")                                                                  \
	DO(movq_store, "movq %xmm1, (%rdi)")                                                                 \
	DO(movq_by_rex_load, ".byte 0x66, 0x48, 0x0f, 0x6e, 0x07")                                           \
	DO(movq_by_rex_store, ".byte 0x66, 0x48, 0x0f, 0x7e, 0x07")                                          \
	DO(movlps_load, "movlps (%rdi), %xmm0")                                                              \
	DO(movlps_store, "movlps %xmm0, (%rdi)")                                                             \
	DO(movhps_load, "movhps (%rdi), %xmm0")                                                              \
	DO(movhps_store, "movhps %xmm0, (%rdi)")                                                             \
	DO(movntps, "movntps %xmm2, (%rdi)")                                                                 \
	DO(movntdq, "movntdq %xmm2, (%rdi)")                                                                 \
	DO(lddqu, "lddqu 1(%rdi), %xmm0")

#define NEWER_FORMS(DO)                                                                                      \
	DO(movbe_load, "movbe (%rdi), %eax")                                                                 \
	DO(movbe_store, "movbe %rax, (%rdi)")                                                                \
	DO(vmovups_load, "vmovups 1(%rdi), %ymm0")                                                           \
	DO(vmovups_store, "vmovups %ymm1, 1(%rdi)")                                                          \
	DO(vmovdqu_load_128, "vmovdqu (%rdi), %xmm0")                                                        \
	DO(vmovdqu_store, "vmovdqu %ymm0, (%rdi,%rcx,8)")                                                    \
	DO(vmovdqa_load, "vmovdqa 32(%rdi), %ymm2")                                                          \
	DO(vmovdqa_store, "vmovdqa %ymm2, 32(%rdi)")                                                         \
	DO(vmovntdq, "vmovntdq %ymm3, 32(%rdi)")                                                             \
	DO(vmovss_load, "vmovss (%rdi), %xmm0")                                                              \
	DO(vmovd_store, "vmovd %xmm0, (%rdi)")                                                               \
	DO(vmovq_load, "vmovq (%rdi), %xmm1")                                                                \
	DO(vmovlps_load, "vmovlps (%rdi), %xmm1, %xmm0")                                                     \
	DO(vmovhps_load, "vmovhps (%rdi), %xmm1, %xmm0")                                                     \
	DO(vmovups_far_base, "push %r13; mov %rdi, %r13; vmovups 0x100(%r13), %ymm0; pop %r13")

#define DEFINE(name, text)                                                                                   \
	asm(".pushsection .text\ndecode_" #name ": " text "\nret\n.popsection");                             \
	extern const unsigned char decode_##name[];
INTEGER_FORMS(DEFINE)
VECTOR_FORMS(DEFINE)
NEWER_FORMS(DEFINE)

struct snippet {
	const char *name;
	const unsigned char *code;
	bool newer; /* AVX2, and what came with it */
};

#define PLAIN_ROW(name, text) { #name, decode_##name, false },
#define NEWER_ROW(name, text) { #name, decode_##name, true },
static const struct snippet snippets[] = { INTEGER_FORMS(PLAIN_ROW) VECTOR_FORMS(PLAIN_ROW)
						   NEWER_FORMS(NEWER_ROW) };

/* The page without access, and what is behind it. */
static struct trap {
	unsigned char *page;
	unsigned char behind[PAGE];
	unsigned int faults, widest;
	int result;
	struct sigaction before;
} trap;

static unsigned char *behind(uint64_t addr, size_t len)
{
	uint64_t at = addr - (uintptr_t)trap.page;

	if (len > trap.widest)
		trap.widest = (unsigned int)len;
	return at < PAGE ? trap.behind + at : (unsigned char *)(uintptr_t)addr;
}

static int trap_load(void *ctx, uint64_t addr, void *buf, size_t len)
{
	(void)ctx;
	memcpy(buf, behind(addr, len), len);
	return 0;
}

static int trap_store(void *ctx, uint64_t addr, const void *buf, size_t len)
{
	(void)ctx;
	memcpy(behind(addr, len), buf, len);
	return 0;
}

static const struct sim_memory trap_memory = { NULL, trap_load, trap_store };

static void on_fault(int signal, siginfo_t *info, void *context)
{
	(void)info;
	trap.faults++;
	trap.result = sim_context_step(context, &trap_memory);
	/* Unknown: let it fault for good, and the program die with the case's name in the report. */
	if (trap.result)
		sigaction(signal, &trap.before, NULL);
}

static void remove_trap(void *unused)
{
	(void)unused;
	sigaction(SIGSEGV, &trap.before, NULL);
	munmap(trap.page, PAGE);
}

static void set_trap(struct t *t)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	trap.page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(trap.page != MAP_FAILED);
	sigaction(SIGSEGV, &action, &trap.before);
	t_defer(t, remove_trap, NULL);
}

static void pattern(unsigned char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (unsigned char)(i * 73 + 0x85 + (i >> 5));
}

static struct state initial(unsigned char *page, unsigned char *other)
{
	struct state state = {
		.rax = 0xfedcba9876543210,
		.rcx = 5,
		.rdx = (uint64_t)-3,
		.rbx = 0x1122334455667788,
		.rbp = 0xaaaaaaaa55555555,
		.rsi = (uintptr_t)(other + AT),
		.rdi = (uintptr_t)(page + AT),
		.r8 = 0x8888888888888888,
		.r9 = 2,
		.r15 = 0xffffeeeeddddcccc,
		.flags = 0x202,
	};

	pattern(state.ymm[0], sizeof(state.ymm));
	return state;
}

/* Run it on a page; the pointers that it leaves are made comparable. */
static struct state run_on(const struct snippet *snippet, unsigned char *page, unsigned char *other)
{
	struct state state = initial(page, other);

	sim_decode_run(snippet->code, &state, __builtin_cpu_supports("avx2"));
	state.rdi -= (uintptr_t)page;
	state.rsi -= (uintptr_t)other;
	return state;
}

static void compare(const struct snippet *snippet)
{
	static unsigned char memory[PAGE] __attribute__((aligned(64)));
	static unsigned char others[2][PAGE] __attribute__((aligned(64)));
	struct state native, trapped;

	pattern(memory, PAGE);
	memcpy(trap.behind, memory, PAGE);
	for (unsigned int i = 0; i < PAGE; i++)
		others[0][i] = others[1][i] = (unsigned char)(i * 31 + 7);
	trap.faults = 0;
	trap.widest = 0;
	native = run_on(snippet, memory, others[0]);
	trapped = run_on(snippet, trap.page, others[1]);
	if (!EXPECT_EQ(memcmp(&native, &trapped, sizeof(native)), 0) ||
	    !EXPECT_EQ(memcmp(memory, trap.behind, PAGE), 0) ||
	    !EXPECT_EQ(memcmp(others[0], others[1], PAGE), 0))
		FAIL("%s: rax %#lx, in software %#lx; flags %#lx, in software %#lx", snippet->name,
		     native.rax, trapped.rax, native.flags, trapped.flags);
	EXPECT_LE(trap.widest, 8);
	if (strcmp(snippet->name, "rep_movs_none") != 0)
		EXPECT_EQ(trap.faults, 1);
}

UNIT(sim_decode, x86_instructions_do_in_software_what_they_do_on_memory)
{
	set_trap(t);
	for (size_t i = 0; i < sizeof(snippets) / sizeof(snippets[0]); i++)
		if (!snippets[i].newer || __builtin_cpu_supports("avx2"))
			compare(&snippets[i]);
}

/* The C library chooses among many ways of copying; whichever it takes here, it works. */
UNIT(sim_decode, the_c_librarys_copies_work)
{
	unsigned char copy[PAGE];

	set_trap(t);
	pattern(trap.behind, PAGE);
	for (size_t len = 1; len <= PAGE; len += len < 300 ? 1 : 173) {
		void *volatile page = trap.page;

		memset(copy, 0, sizeof(copy));
		memcpy(copy, page, len);
		ASSERT_MEMEQ(copy, trap.behind, len);
		for (size_t i = 0; i < len; i++)
			copy[i] ^= 0x3c;
		memcpy(page, copy, len);
		ASSERT_MEMEQ(copy, trap.behind, len);
		memset(page, (int)len, len);
		memset(copy, (int)len, len);
		ASSERT_MEMEQ(copy, trap.behind, len);
		pattern(trap.behind, PAGE);
	}
}

#endif

/* x86-64 by its bytes ------------------------------------------------------------------------------------ */

struct flat {
	unsigned char bytes[1024];
};

static int flat_load(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct flat *flat = ctx;

	if (addr > sizeof(flat->bytes) || len > sizeof(flat->bytes) - addr)
		return -EFAULT;
	memcpy(buf, flat->bytes + addr, len);
	return 0;
}

static int flat_store(void *ctx, uint64_t addr, const void *buf, size_t len)
{
	struct flat *flat = ctx;

	if (addr > sizeof(flat->bytes) || len > sizeof(flat->bytes) - addr)
		return -EFAULT;
	memcpy(flat->bytes + addr, buf, len);
	return 0;
}

/* A processor with everything. */
struct x86 {
	uint64_t regs[16], ip, flags;
	unsigned char vectors[SIM_X86_VECTORS][SIM_X86_LANES][SIM_LANE];
	struct sim_x86_cpu cpu;
	struct flat flat;
	struct sim_memory memory;
};

static void x86_init(struct x86 *x86)
{
	memset(x86, 0, sizeof(*x86));
	for (unsigned int i = 0; i < 16; i++)
		x86->cpu.regs[i] = &x86->regs[i];
	for (unsigned int i = 0; i < SIM_X86_VECTORS; i++)
		for (unsigned int j = 0; j < SIM_X86_LANES; j++) {
			x86->cpu.vectors[i][j] = x86->vectors[i][j];
			memset(x86->vectors[i][j], (int)(i * 4 + j), SIM_LANE);
		}
	x86->cpu.ip = &x86->ip;
	x86->cpu.flags = &x86->flags;
	for (unsigned int i = 0; i < sizeof(x86->flat.bytes); i++)
		x86->flat.bytes[i] = (unsigned char)(i * 7 + i / 256);
	x86->memory = (struct sim_memory){ &x86->flat, flat_load, flat_store };
}

static int x86_step(struct x86 *x86, const char *code)
{
	return sim_x86_step(&x86->cpu, (const unsigned char *)code, &x86->memory);
}

/* Few processors at hand have AVX-512, but the C library copies with it where there is. */
UNIT(sim_decode, avx_512_moves_of_whole_registers)
{
	struct x86 x86;

	x86_init(&x86);
	x86.regs[6] = 128;
	/* vmovdqu64 (%rsi), %ymm16 */
	ASSERT_OK(x86_step(&x86, "\x62\xe1\xfe\x28\x6f\x06"));
	EXPECT_MEMEQ(x86.vectors[16][0], x86.flat.bytes + 128, SIM_LANE);
	EXPECT_MEMEQ(x86.vectors[16][1], x86.flat.bytes + 144, SIM_LANE);
	EXPECT_EQ(x86.vectors[16][2][0], 0);
	EXPECT_EQ(x86.ip, 6);
	/* vmovdqu64 %ymm17, 0x20(%rsi): the displacement is stored as 1 */
	ASSERT_OK(x86_step(&x86, "\x62\xe1\xfe\x28\x7f\x4e\x01"));
	EXPECT_MEMEQ(x86.flat.bytes + 160, x86.vectors[17][0], SIM_LANE);
	EXPECT_MEMEQ(x86.flat.bytes + 176, x86.vectors[17][1], SIM_LANE);
	/* vmovups -64(%rsi), %zmm3; vmovntdq %zmm3, 0x80(%rsi) */
	ASSERT_OK(x86_step(&x86, "\x62\xf1\x7c\x48\x10\x5e\xff"));
	EXPECT_MEMEQ(x86.vectors[3][3], x86.flat.bytes + 64 + 48, SIM_LANE);
	ASSERT_OK(x86_step(&x86, "\x62\xf1\x7d\x48\xe7\x5e\x02"));
	EXPECT_MEMEQ(x86.flat.bytes + 256, x86.vectors[3][0], SIM_LANE);
	EXPECT_MEMEQ(x86.flat.bytes + 304, x86.vectors[3][3], SIM_LANE);
	/* vmovdqu8 (%rsi), %zmm1 {%k1}: masked, so not a plain move */
	EXPECT_ERR(-ENOSYS, x86_step(&x86, "\x62\xf1\x7f\x49\x6f\x0e"));
}

UNIT(sim_decode, x86_addresses_that_count_from_the_next_instruction)
{
	struct x86 x86;

	x86_init(&x86);
	x86.ip = 64;
	/* movl 0x10(%rip), %eax: six bytes long; movl $5, 0x10(%rip): ten */
	ASSERT_OK(x86_step(&x86, "\x8b\x05\x10\x00\x00\x00"));
	EXPECT_MEMEQ(&x86.regs[0], x86.flat.bytes + 64 + 6 + 16, 4);
	ASSERT_OK(x86_step(&x86, "\xc7\x05\x10\x00\x00\x00\x05\x00\x00\x00"));
	EXPECT_EQ(x86.flat.bytes[70 + 10 + 16], 5);
	EXPECT_EQ(x86.ip, 80);
	/* movabs 0x20, %eax */
	ASSERT_OK(x86_step(&x86, "\xa1\x20\0\0\0\0\0\0\0"));
	EXPECT_MEMEQ(&x86.regs[0], x86.flat.bytes + 32, 4);
}

UNIT(sim_decode, x86_instructions_that_are_not_known_change_nothing)
{
	static const char *const codes[] = {
		"\x89\xc0",         /* mov %eax, %eax: no memory */
		"\x64\x8b\x06",     /* mov %fs:(%rsi), %eax */
		"\x0f\xb1\x06",     /* cmpxchg %eax, (%rsi) */
		"\xff\x16",         /* call *(%rsi) */
		"\xd8\x06",         /* fadds (%rsi) */
		"\x0f\x58\x06",     /* addps (%rsi), %xmm0 */
		"\x0f\x6f\x06",     /* movq (%rsi), %mm0 */
		"\xc5\xf9\x5b\x06", /* vcvtps2dq (%rsi), %xmm0 */
		"\x67\xa4",         /* movsb (%esi), (%edi) */
	};
	struct x86 x86, before;

	x86_init(&x86);
	x86.regs[6] = 128;
	before = x86;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		EXPECT_ERR(-ENOSYS, x86_step(&x86, codes[i]));
	x86.regs[6] = before.regs[6] = sizeof(x86.flat.bytes);
	EXPECT_ERR(-EFAULT, x86_step(&x86, "\x8b\x06"));
	EXPECT_ERR(-EFAULT, x86_step(&x86, "\x83\x06\x01"));
	EXPECT_ERR(-EFAULT, x86_step(&x86, "\x0f\x10\x06"));
	EXPECT_MEMEQ(&x86, &before, sizeof(x86));
}
