// SPDX-License-Identifier: MIT
/*
 * The guard among other handlers of SIGBUS. Regions are pages past the end of a file, which fault as a device's memory does that is away.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/guard.h>

#include "ioas/mapped.h"
#include "shim/test.h"

enum { PAGE = 4096 };

static void drop_page(void *page)
{
	weir_mapped_remove(page);
	munmap(page, PAGE);
}

/* A page whose every access raises SIGBUS. */
static unsigned char *bad_page(struct t *t)
{
	int fd = memfd_create("bad", MFD_CLOEXEC);
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ASSERT_TRUE(fd >= 0 && page != MAP_FAILED);
	close(fd);
	t_defer(t, drop_page, page);
	return page;
}

/* The same, as a region's. */
static unsigned char *bad_region(struct t *t)
{
	unsigned char *page = bad_page(t);

	ASSERT_EQ(weir_mapped_add((struct weir_region *)page, NULL, page, PAGE), 0);
	return page;
}

/* What a handler saw. */
static struct {
	int calls, code;
	void *addr;
	bool bus_blocked, usr1_blocked;
} seen;

static sigjmp_buf out;

static void note_mask(void)
{
	sigset_t mask;

	sigprocmask(SIG_BLOCK, NULL, &mask);
	seen.bus_blocked = sigismember(&mask, SIGBUS);
	seen.usr1_blocked = sigismember(&mask, SIGUSR1);
	seen.calls++;
}

static void plain_handler(int number)
{
	(void)number;
	note_mask();
	siglongjmp(out, 1);
}

static void info_handler(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	seen.code = info->si_code;
	seen.addr = info->si_addr;
	note_mask();
	siglongjmp(out, 1);
}

/* Touch what faults, and come back by a handler's jump. */
static bool touch(volatile unsigned char *at)
{
	memset(&seen, 0, sizeof(seen));
	if (sigsetjmp(out, 1))
		return true;
	*at = 1;
	return false;
}

static struct sigaction handle(void (*plain)(int), void (*info)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_flags = flags }, old;

	if (info) {
		action.sa_sigaction = info;
		action.sa_flags |= SA_SIGINFO;
	} else {
		action.sa_handler = plain;
	}
	sigaddset(&action.sa_mask, SIGUSR1);
	sigaction(SIGBUS, &action, &old);
	return old;
}

static struct sigaction first_action;

static void restore(void *arg)
{
	(void)arg;
	sigaction(SIGBUS, &first_action, NULL);
}

/* The case's handler; whoever was there before comes back in the end. */
static void set_handler(struct t *t, void (*plain)(int), void (*info)(int, siginfo_t *, void *), int flags)
{
	first_action = handle(plain, info, flags);
	t_defer(t, restore, NULL);
}

/* What it is for ------------------------------------------------------------------------------------------------- */

UNIT(guard, what_faults_in_a_region_returns_an_error)
{
	unsigned char *page = bad_region(t);
	uint64_t qword = 1;
	uint32_t dword = 2;
	uint16_t word = 3;
	uint8_t byte = 4;

	ASSERT_OK(weir_guard_install());
	for (int i = 0; i < 1000; i++) {
		EXPECT_EQ(weir_mmio_read8(page + 1, &byte), -EIO);
		EXPECT_EQ(weir_mmio_read16(page + 2, &word), -EIO);
		EXPECT_EQ(weir_mmio_read32(page + 4, &dword), -EIO);
		EXPECT_EQ(weir_mmio_read64(page + PAGE - 8, &qword), -EIO);
		EXPECT_EQ(weir_mmio_write8(page + 1, 1), -EIO);
		EXPECT_EQ(weir_mmio_write16(page + 2, 1), -EIO);
		EXPECT_EQ(weir_mmio_write32(page + 4, 1), -EIO);
		EXPECT_EQ(weir_mmio_write64(page + PAGE - 8, 1), -EIO);
	}
	EXPECT_EQ(qword + dword + word + byte, 10);
	EXPECT_OK(weir_guard_remove());
}

UNIT(guard, accesses_that_work_are_plain_ones)
{
	_Alignas(8) unsigned char memory[16] = { 0 };
	uint64_t qword = 0;
	uint32_t dword = 0;
	uint16_t word = 0;
	uint8_t byte = 0;

	for (int with = 0; with < 2; with++) {
		memset(memory, 0, sizeof(memory));
		EXPECT_EQ(weir_mmio_write64(memory, 0x0123456789abcdef), 0);
		EXPECT_EQ(weir_mmio_write32(memory + 4, 0x11223344), 0);
		EXPECT_EQ(weir_mmio_write16(memory + 2, 0x5566), 0);
		EXPECT_EQ(weir_mmio_write8(memory + 1, 0x77), 0);
		EXPECT_EQ(memory[8], 0);
		EXPECT_EQ(weir_mmio_read64(memory, &qword), 0);
		EXPECT_EQ(qword, 0x11223344556677ef);
		EXPECT_EQ(weir_mmio_read32(memory, &dword), 0);
		EXPECT_EQ(dword, 0x556677ef);
		EXPECT_EQ(weir_mmio_read16(memory + 6, &word), 0);
		EXPECT_EQ(word, 0x1122);
		EXPECT_EQ(weir_mmio_read8(memory + 7, &byte), 0);
		EXPECT_EQ(byte, 0x11);
		if (!with)
			ASSERT_OK(weir_guard_install());
	}
	EXPECT_OK(weir_guard_remove());
}

/* Both the place and the instruction must be the library's. */
UNIT(guard, other_faults_go_where_they_went)
{
	unsigned char *region = bad_region(t), *page = bad_page(t);
	uint32_t value = 0;

	set_handler(t, NULL, info_handler, 0);
	ASSERT_OK(weir_guard_install());
	EXPECT_TRUE(touch(page + 5));
	EXPECT_EQ(seen.calls, 1);
	EXPECT_EQ(seen.code, BUS_ADRERR);
	EXPECT_EQ(seen.addr, page + 5);
	EXPECT_TRUE(touch(region + 6));
	EXPECT_EQ(seen.addr, region + 6);
	memset(&seen, 0, sizeof(seen));
	if (!sigsetjmp(out, 1))
		FAIL("got %d of a page that is no region's", weir_mmio_read32(page, &value));
	EXPECT_EQ(seen.calls, 1);
	EXPECT_EQ(weir_mmio_read32(region, &value), -EIO);
	EXPECT_EQ(seen.calls, 1);
	EXPECT_OK(weir_guard_remove());
}

/* Coming and going ------------------------------------------------------------------------------------------------ */

UNIT(guard, it_is_counted)
{
	unsigned char *page = bad_region(t);
	uint32_t value;

	set_handler(t, plain_handler, NULL, 0);
	EXPECT_ERR(-EINVAL, weir_guard_remove());
	ASSERT_OK(weir_guard_install());
	ASSERT_OK(weir_guard_install());
	EXPECT_OK(weir_guard_remove());
	EXPECT_EQ(weir_mmio_read32(page, &value), -EIO);
	EXPECT_OK(weir_guard_remove());
	EXPECT_TRUE(touch(page));
	EXPECT_ERR(-EINVAL, weir_guard_remove());
}

UNIT(guard, the_action_of_before_is_put_back_as_it_was)
{
	static const int flags[] = { 0, SA_NODEFER, SA_ONSTACK | SA_RESTART, SA_NODEFER | SA_ONSTACK };
	struct sigaction now;

	set_handler(t, plain_handler, NULL, 0);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		handle(NULL, info_handler, flags[i]);
		ASSERT_OK(weir_guard_install());
		EXPECT_OK(weir_guard_remove());
		sigaction(SIGBUS, NULL, &now);
		EXPECT_EQ(now.sa_sigaction == info_handler, true);
		EXPECT_EQ(now.sa_flags & ~0x04000000,
			  flags[i] | SA_SIGINFO); /* SA_RESTORER is the C library's */
		EXPECT_EQ(sigismember(&now.sa_mask, SIGUSR1), 1);
	}
	handle(SIG_DFL, NULL, 0);
	ASSERT_OK(weir_guard_install());
	EXPECT_OK(weir_guard_remove());
	sigaction(SIGBUS, NULL, &now);
	EXPECT_EQ(now.sa_handler == SIG_DFL, true);
}

UNIT(guard, handlers_run_with_their_own_flags_and_mask)
{
	unsigned char *page = bad_page(t);

	set_handler(t, plain_handler, NULL, 0);
	for (int nodefer = 0; nodefer < 2; nodefer++) {
		handle(plain_handler, NULL, nodefer ? SA_NODEFER : 0);
		ASSERT_OK(weir_guard_install());
		EXPECT_TRUE(touch(page));
		EXPECT_EQ(seen.calls, 1);
#ifndef __SANITIZE_THREAD__ /* which runs handlers with every signal blocked */
		EXPECT_EQ(seen.bus_blocked, !nodefer);
#endif
		EXPECT_TRUE(seen.usr1_blocked);
		EXPECT_OK(weir_guard_remove());
	}
}

UNIT(guard, a_handler_above_it_keeps_it_below)
{
	unsigned char *page = bad_region(t), *other = bad_page(t);
	struct sigaction guards;
	uint32_t value;

	set_handler(t, plain_handler, NULL, 0);
	ASSERT_OK(weir_guard_install());
	guards = handle(NULL, info_handler, 0);
	EXPECT_ERR(-EBUSY, weir_guard_remove());
	EXPECT_CONTAINS(weir_error(), "another handler");
	/* Who finds it there and goes, leaves it on top: it passes on everything, and works when it is wanted again. */
	sigaction(SIGBUS, &guards, NULL);
	EXPECT_TRUE(touch(page));
	EXPECT_EQ(seen.calls, 1);
	ASSERT_OK(weir_guard_install());
	EXPECT_EQ(weir_mmio_read32(page, &value), -EIO);
	EXPECT_TRUE(touch(other));
	EXPECT_OK(weir_guard_remove());
	EXPECT_TRUE(touch(page));
}

UNIT(guard, accesses_that_are_only_covered_wait_for_somebody_to_install_it)
{
	unsigned char *page = bad_region(t);
	uint32_t value;

	set_handler(t, plain_handler, NULL, 0);
	ASSERT_OK(weir_guard_cover());
	EXPECT_TRUE(touch(page));
	ASSERT_OK(weir_guard_install_with(NULL));
	EXPECT_EQ(weir_mmio_read32(page, &value), -EIO);
	EXPECT_OK(weir_guard_remove_with(NULL));
	EXPECT_OK(weir_guard_uncover());
	EXPECT_ERR(-EINVAL, weir_guard_uncover());
}

/* In processes of their own ---------------------------------------------------------------------------------------- */

/* The signal that @body dies of in a child with the guard; 0 when it does not. */
static int dies_of(void (*body)(volatile unsigned char *page), unsigned char *page)
{
	int status = 0;
	pid_t child = fork();

	if (!child) {
		alarm(20);
		body(page);
		_exit(0);
	}
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void by_default(volatile unsigned char *page)
{
	handle(SIG_DFL, NULL, 0);
	weir_guard_install();
	*page = 1;
}

static void sent_by_default(volatile unsigned char *page)
{
	(void)page;
	handle(SIG_DFL, NULL, 0);
	weir_guard_install();
	kill(getpid(), SIGBUS);
}

static void ignored(volatile unsigned char *page)
{
	handle(SIG_IGN, NULL, 0);
	weir_guard_install();
	*page = 1;
}

static void sent_ignored(volatile unsigned char *page)
{
	(void)page;
	handle(SIG_IGN, NULL, 0);
	weir_guard_install();
	kill(getpid(), SIGBUS);
}

static void twice_at_most(volatile unsigned char *page)
{
	handle(plain_handler, NULL, SA_RESETHAND);
	weir_guard_install();
	for (volatile int i = 0; i < 2; i++)
		if (!sigsetjmp(out, 1))
			*page = 1;
}

static void once(volatile unsigned char *page)
{
	struct sigaction now;

	handle(plain_handler, NULL, SA_RESETHAND);
	weir_guard_install();
	if (!sigsetjmp(out, 1))
		*page = 1;
	weir_guard_remove();
	sigaction(SIGBUS, NULL, &now);
	if (now.sa_handler != SIG_DFL)
		abort();
}

UNIT(guard, what_nobody_handles_ends_the_program)
{
	unsigned char *page = bad_page(t);

	EXPECT_EQ(dies_of(by_default, page), SIGBUS);
	EXPECT_EQ(dies_of(sent_by_default, page), SIGBUS);
	/* A fault cannot be ignored, a signal that was sent can. */
	EXPECT_EQ(dies_of(ignored, page), SIGBUS);
	EXPECT_EQ(dies_of(sent_ignored, page), 0);
	EXPECT_EQ(dies_of(twice_at_most, page), SIGBUS);
	EXPECT_EQ(dies_of(once, page), 0);
}
