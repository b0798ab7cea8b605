// SPDX-License-Identifier: MIT
/*
 * The guard: a handler of SIGBUS for the accesses of weir/guard.h.
 *
 * The handler takes no lock. It is counted while it reads what install and remove change, and they wait until nobody is inside.
 */
#include <weir/guard.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "error.h"
#include "ioas/mapped.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t installs;       /* guarded by the lock, as is who changes what follows */
static bool stays;              /* our handler is beneath somebody else's, who may call it */
static struct sigaction before; /* who gets what is not ours; written while our handler is nobody's */
static atomic_bool active;      /* somebody wants the guard */
static atomic_bool spent;       /* SA_RESETHAND: the handler of before has had its one signal */
static atomic_uint inside;      /* handlers that read the tables or before */
static _Atomic(struct weir_guard_table *) tables;

/* What differs between architectures: where a context has the next instruction, and the register of the error. */
#if defined(__x86_64__)
static uintptr_t next_instruction(const ucontext_t *context)
{
	return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
}

static void resume(ucontext_t *context, uintptr_t at, int error)
{
	context->uc_mcontext.gregs[REG_RIP] = (greg_t)at;
	context->uc_mcontext.gregs[REG_RAX] = (greg_t)(uint32_t)error;
}
#elif defined(__aarch64__)
static uintptr_t next_instruction(const ucontext_t *context)
{
	return context->uc_mcontext.pc;
}

static void resume(ucontext_t *context, uintptr_t at, int error)
{
	context->uc_mcontext.pc = at;
	context->uc_mcontext.regs[0] = (uint32_t)error;
}
#else
static uintptr_t next_instruction(const ucontext_t *context)
{
	(void)context;
	return 0;
}

static void resume(ucontext_t *context, uintptr_t at, int error)
{
	(void)context, (void)at, (void)error;
}
#endif

/* ---- The handler ---- */

static uintptr_t address_of(const int32_t *field)
{
	return (uintptr_t)field + (uintptr_t)(intptr_t)*field;
}

static const struct weir_guard_table *next_table(const struct weir_guard_table *table)
{
	return __atomic_load_n(&table->next, __ATOMIC_SEQ_CST);
}

/* Where to go on after the access at @instruction, or 0 when it is none of ours. */
static uintptr_t find_resume(uintptr_t instruction)
{
	for (const struct weir_guard_table *table = atomic_load(&tables); table; table = next_table(table))
		for (const struct weir_guard_entry *entry = table->start; entry < table->end; entry++)
			if (address_of(&entry->access) == instruction)
				return address_of(&entry->resume);
	return 0;
}

static bool serve(const siginfo_t *info, ucontext_t *context)
{
	struct weir_mapped mapped;
	uintptr_t at;

	/* Not one that somebody has sent. */
	if (!atomic_load(&active) || info->si_code <= 0 || !weir_mapped_find(info->si_addr, 1, &mapped))
		return false;
	at = find_resume(next_instruction(context));
	if (at)
		resume(context, at, -EIO);
	return at != 0;
}

/* A fault of the instruction itself, which comes again if it is not dealt with. */
static bool is_fault(const siginfo_t *info)
{
	return info->si_code > 0 && info->si_code != BUS_MCEERR_AO;
}

/*
 * What the kernel would have done. The signal is sent again with all it says, to be delivered when this handler returns: that also
 * ends the program when it was no fault, and would not come again by itself.
 */
static void die(int number, siginfo_t *info)
{
	sigaction(number, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
	syscall(SYS_rt_tgsigqueueinfo, getpid(), (pid_t)syscall(SYS_gettid), number, info);
}

/* Does the kernel end the program, rather than a handler having a say? One for a single signal may have had that. */
static bool is_deadly(const struct sigaction *to, const siginfo_t *info)
{
	if (to->sa_flags & SA_RESETHAND && atomic_exchange(&spent, true))
		return true;
	if (to->sa_flags & SA_SIGINFO)
		return false;
	return to->sa_handler == SIG_DFL || (to->sa_handler == SIG_IGN && is_fault(info));
}

static void pass_on(const struct sigaction *to, int number, siginfo_t *info, void *context)
{
	if (is_deadly(to, info))
		die(number, info);
	else if (to->sa_flags & SA_SIGINFO)
		to->sa_sigaction(number, info, context);
	else if (to->sa_handler != SIG_IGN)
		to->sa_handler(number);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	struct sigaction to;
	bool served;

	atomic_fetch_add(&inside, 1);
	served = serve(info, context);
	to = before;
	atomic_fetch_sub(&inside, 1);
	/* It may never come back. */
	if (!served)
		pass_on(&to, number, info, context);
}

/* ---- Coming and going; the lock is held ---- */

static bool is_ours(const struct sigaction *action)
{
	return action->sa_flags & SA_SIGINFO && action->sa_sigaction == on_fault;
}

static bool is_none(const struct sigaction *action)
{
	return !(action->sa_flags & SA_SIGINFO) &&
	       (action->sa_handler == SIG_DFL || action->sa_handler == SIG_IGN);
}

static void wait_until_outside(void)
{
	while (atomic_load(&inside))
		sched_yield();
}

/*
 * Ours runs as the other would: with its mask, and its flags. Only that it is reset after one signal is for us to do.
 */
static void put_handler(void)
{
	struct sigaction ours, found;

	sigaction(SIGBUS, NULL, &found);
	/* One above ours calls it: twice in a row they would call each other for ever. */
	if (stays && !is_none(&found))
		return;
	wait_until_outside();
	do {
		before = found;
		atomic_store(&spent, false);
		ours = before;
		ours.sa_sigaction = on_fault;
		ours.sa_flags = (before.sa_flags & ~(int)SA_RESETHAND) | SA_SIGINFO;
		if (is_none(&before))
			ours.sa_flags |= SA_ONSTACK;
		sigaction(SIGBUS, &ours, &found);
		/* Somebody else has come in between: that one is before us. */
	} while (found.sa_sigaction != before.sa_sigaction || found.sa_flags != before.sa_flags);
}

/* The handler of before is back, or ours stays, beneath another's. */
static int take_handler(void)
{
	struct sigaction found;

	sigaction(SIGBUS, NULL, &found);
	stays = !is_ours(&found);
	if (stays)
		return weir_fail(
			-EBUSY,
			"another handler of SIGBUS was installed after the guard's and is still there: "
			"remove that first");
	sigaction(SIGBUS, atomic_load(&spent) ? &(struct sigaction){ .sa_handler = SIG_DFL } : &before, NULL);
	return 0;
}

static void cover(struct weir_guard_table *table)
{
	if (!table || table->users++)
		return;
	table->next = atomic_load(&tables);
	atomic_store(&tables, table);
}

static void uncover(struct weir_guard_table *table)
{
	struct weir_guard_table *other = atomic_load(&tables);

	if (!table || --table->users)
		return;
	if (other == table) {
		atomic_store(&tables, table->next);
	} else {
		while (other->next != table)
			other = other->next;
		__atomic_store_n(&other->next, table->next, __ATOMIC_SEQ_CST);
	}
	/* It may be unloaded now. */
	wait_until_outside();
}

/* ---- The calls ---- */

int weir_guard_install_with(struct weir_guard_table *table)
{
#if defined(__x86_64__) || defined(__aarch64__)
	pthread_mutex_lock(&lock);
	cover(table);
	cover(&weir_guard_own);
	if (!installs++) {
		put_handler();
		atomic_store(&active, true);
	}
	pthread_mutex_unlock(&lock);
	return 0;
#else
	(void)table;
	return weir_fail(-EOPNOTSUPP, "the guard does not know this processor's instructions");
#endif
}

int weir_guard_remove_with(struct weir_guard_table *table)
{
	int error = 0;

	pthread_mutex_lock(&lock);
	if (!installs || (table && !table->users)) {
		error = weir_fail(-EINVAL, "the guard is not installed");
	} else {
		if (!--installs) {
			atomic_store(&active, false);
			error = take_handler();
		}
		uncover(&weir_guard_own);
		uncover(table);
	}
	pthread_mutex_unlock(&lock);
	return error;
}

int weir_guard_cover_with(struct weir_guard_table *table)
{
	pthread_mutex_lock(&lock);
	cover(table);
	pthread_mutex_unlock(&lock);
	return 0;
}

int weir_guard_uncover_with(struct weir_guard_table *table)
{
	int error = 0;

	pthread_mutex_lock(&lock);
	if (table && !table->users)
		error = weir_fail(-EINVAL, "these accesses are not covered");
	else
		uncover(table);
	pthread_mutex_unlock(&lock);
	return error;
}
