// SPDX-License-Identifier: MIT
/*
 * SIGSEGV is ours once there are registers to serve; the program's own handler for it is remembered, and
 * called for the faults that are the program's. The signal is kept out of its masks: the kernel kills a
 * thread that faults with it blocked.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "sim/preload/preload.h"

static struct {
	pthread_mutex_t lock;
	_Atomic bool ours;
	struct sigaction program; /* what the program has set for it */
} fault = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The handler -------------------------------------------------------------------------------------------- */

static struct sigaction programs_action(void)
{
	struct sigaction action;

	pthread_mutex_lock(&fault.lock);
	action = fault.program;
	if (action.sa_flags & (int)SA_RESETHAND)
		fault.program.sa_handler = SIG_DFL;
	pthread_mutex_unlock(&fault.lock);
	return action;
}

/*
 * What would have happened without us: faults repeat once the handler is gone, signals from elsewhere must
 * be sent again.
 */
static void default_action(int number, const siginfo_t *info)
{
	NEXT(sigaction)(number, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
	if (info->si_code <= 0)
		raise(number);
}

static void call_program(int number, siginfo_t *info, void *context)
{
	struct sigaction action = programs_action();
	bool fault_of_its_own = info->si_code > 0;
	sigset_t mask = action.sa_mask, before;

	if (action.sa_handler == SIG_DFL || (action.sa_handler == SIG_IGN && fault_of_its_own)) {
		default_action(number, info);
		return;
	}
	if (action.sa_handler == SIG_IGN)
		return;
	/* The handler may well use registers, so that its own signal is not blocked, whatever it said. */
	NEXT(pthread_sigmask)(SIG_SETMASK, &((ucontext_t *)context)->uc_sigmask, &before);
	NEXT(pthread_sigmask)(SIG_BLOCK, &mask, NULL);
	if (action.sa_flags & SA_SIGINFO)
		action.sa_sigaction(number, info, context);
	else
		action.sa_handler(number);
	NEXT(pthread_sigmask)(SIG_SETMASK, &before, NULL);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	int error = errno;

	if (info->si_code <= 0 || !preload_trap((uintptr_t)info->si_addr, context))
		call_program(number, info, context);
	errno = error;
}

void preload_trap_start(void)
{
	struct sigaction ours = { .sa_sigaction = on_fault,
				  .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	sigset_t signal;

	pthread_mutex_lock(&fault.lock);
	if (NEXT(sigaction)(SIGSEGV, &ours, &fault.program) == 0)
		fault.ours = true;
	pthread_mutex_unlock(&fault.lock);
	sigemptyset(&signal);
	sigaddset(&signal, SIGSEGV);
	NEXT(pthread_sigmask)(SIG_UNBLOCK, &signal, NULL);
}

/* What the program sets ---------------------------------------------------------------------------------- */

EXPORT int sigaction(int number, const struct sigaction *action, struct sigaction *ret_before)
{
	struct sigaction changed, before;

	if (action) {
		changed = *action;
		sigdelset(&changed.sa_mask, SIGSEGV);
		action = &changed;
	}
	if (number != SIGSEGV || !fault.ours)
		return NEXT(sigaction)(number, action, ret_before);
	pthread_mutex_lock(&fault.lock);
	before = fault.program;
	if (action)
		fault.program = *action;
	pthread_mutex_unlock(&fault.lock);
	if (ret_before)
		*ret_before = before;
	return 0;
}

/* signal() as BSD has it, and as System V has it: once, and not blocked. */
static sighandler_t set_handler(sighandler_t handler, int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags }, before;

	return sigaction(SIGSEGV, &action, &before) < 0 ? SIG_ERR : before.sa_handler;
}

#define SIGNAL(name, flags)                                                                                  \
	sighandler_t name(int number, sighandler_t handler);                                                 \
	EXPORT sighandler_t name(int number, sighandler_t handler)                                           \
	{                                                                                                    \
		if (number != SIGSEGV || !fault.ours)                                                        \
			return NEXT(name)(number, handler);                                                  \
		return set_handler(handler, (int)(flags));                                                   \
	}

SIGNAL(signal, SA_RESTART)
SIGNAL(bsd_signal, SA_RESTART)
SIGNAL(ssignal, SA_RESTART)
SIGNAL(sysv_signal, SA_RESETHAND | SA_NODEFER)
SIGNAL(__sysv_signal, SA_RESETHAND | SA_NODEFER)

/* Masks -------------------------------------------------------------------------------------------------- */

static const sigset_t *without_fault(const sigset_t *set, int how, sigset_t *changed)
{
	if (!set || how == SIG_UNBLOCK)
		return set;
	*changed = *set;
	sigdelset(changed, SIGSEGV);
	return changed;
}

EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *ret_before)
{
	sigset_t changed;

	return NEXT(pthread_sigmask)(how, without_fault(set, how, &changed), ret_before);
}

EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *ret_before)
{
	sigset_t changed;

	return NEXT(sigprocmask)(how, without_fault(set, how, &changed), ret_before);
}
