// SPDX-License-Identifier: MIT
/* Waiting for interrupts, where the kernel's part cannot be had to order. */
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "unit/yes_host.h"

enum { TIMEOUT = 40, ROUND = 15 };

/* Another thread is always faster: a signal arrives every ROUND milliseconds, and is gone when it is read. */
struct rival {
	int polls, last_timeout;
};

static struct rival rival;

static int signalled(void *ctx, struct pollfd *fds, size_t num, int timeout_ms)
{
	struct timespec round = { .tv_nsec = ROUND * 1000000 };

	(void)ctx, (void)num;
	rival.polls++;
	rival.last_timeout = timeout_ms;
	if (timeout_ms < ROUND)
		return 0;
	nanosleep(&round, NULL);
	fds[0].revents = POLLIN;
	return 1;
}

static ssize_t taken(void *ctx, int fd, void *buf, size_t len)
{
	(void)ctx, (void)fd, (void)buf, (void)len;
	return -EAGAIN;
}

UNIT(irq, a_wait_whose_signals_others_take_ends_in_time)
{
	struct yes_kernel *yes = new_yes_kernel(t);
	struct weir_host *host = new_host(t, yes, WEIR_BACKEND_IOMMUFD);
	struct weir_device *device = new_device(t, new_ioas(t, host), YES_ADDRESS_0);
	struct weir_irq *irq;

	ASSERT_OK(weir_irq_enable(device, WEIR_IRQ_MSI, 1, &irq));
	rival = (struct rival){ 0 };
	yes->table.poll = signalled;
	yes->table.read = taken;
	EXPECT_ERR(-ETIMEDOUT, weir_irq_wait(irq, 0, TIMEOUT, NULL));
	EXPECT_TRUE(rival.polls >= 2 && rival.polls <= TIMEOUT / ROUND + 1);
	EXPECT_TRUE(rival.last_timeout < ROUND);
}
