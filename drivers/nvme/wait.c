/* SPDX-License-Identifier: MIT */
/* Waiting for completions: by looking, by interrupt, or by one and then the other. */
#include <errno.h>

#include "common/io.h"
#include "nvme/controller.h"
#include "nvme/error.h"

#define SPINS            2000 /* looks before the first sleep, when polling */
#define SPINS_PER_CLOCK  64   /* looks between two looks at the clock */
#define POLL_INTERVAL_NS 20000
#define CHECK_EVERY_MS   1000 /* how often CSTS is read while nothing comes */

static int check_controller(const struct nvme_queue *q)
{
	return q->controller ? nvme_controller_state(q->controller) : 0;
}

/* Nothing came in time: the controller's state may say why. */
static int nothing_came(const struct nvme_queue *q)
{
	int r = check_controller(q);

	if (r < 0)
		return r;
	return fail(-ETIMEDOUT, "queue %u: none of %u requests in flight has completed in time", q->state.id,
		    nvme_queue_in_flight(q));
}

/* The interrupt comes after the completion: what it announced is found by looking once more. */
static int wait_interrupt(struct nvme_queue *q, struct nvme_completion *ret, size_t max, deadline_t deadline)
{
	bool last_look;
	int r, num;

	for (;;) {
		last_look = deadline_passed(deadline);
		r = weir_irq_wait(q->irq, q->vector, deadline_left(deadline, CHECK_EVERY_MS), NULL);
		if (r < 0 && r != -ETIMEDOUT)
			return fail(r, "queue %u: %s", q->state.id, weir_error());
		num = nvme_queue_reap(q, ret, max);
		if (num != 0)
			return num;
		if (last_look)
			return nothing_came(q);
		if (r == -ETIMEDOUT && (r = check_controller(q)) < 0)
			return r;
	}
}

static int wait_polling(struct nvme_queue *q, struct nvme_completion *ret, size_t max, deadline_t deadline)
{
	deadline_t check = deadline_in(CHECK_EVERY_MS);
	bool last_look = false;
	unsigned int i;
	int r;

	for (i = 0;; i++) {
		if (i >= SPINS || i % SPINS_PER_CLOCK == 0)
			last_look = deadline_passed(deadline);
		r = nvme_queue_reap(q, ret, max);
		if (r != 0)
			return r;
		if (last_look)
			return nothing_came(q);
		if (i < SPINS) {
			spin_pause();
			continue;
		}
		i = SPINS;
		pause_ns(POLL_INTERVAL_NS);
		if (deadline_passed(check)) {
			r = check_controller(q);
			if (r < 0)
				return r;
			check = deadline_in(CHECK_EVERY_MS);
		}
	}
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Look for as long as the caller of nvme_controller_open() would rather spin than sleep. */
static int spin(struct nvme_queue *q, struct nvme_completion *ret, size_t max, uint32_t spin_us)
{
	int64_t end = now_us() + spin_us;
	unsigned int i;
	int r;

	do {
		for (i = 0; i < SPINS_PER_CLOCK; i++) {
			r = nvme_queue_reap(q, ret, max);
			if (r != 0)
				return r;
			spin_pause();
		}
	} while (now_us() < end);
	return 0;
}

int nvme_queue_wait(struct nvme_queue *q, struct nvme_completion *ret_completions, size_t max, int timeout_ms)
{
	int r = nvme_queue_reap(q, ret_completions, max);

	if (r != 0 || nvme_queue_in_flight(q) == 0 || max == 0)
		return r;
	if (q->controller && q->controller->spin_us > 0 && timeout_ms != 0)
		r = spin(q, ret_completions, max, q->controller->spin_us);
	if (r != 0)
		return r;
	if (q->irq)
		return wait_interrupt(q, ret_completions, max, deadline_in(timeout_ms));
	return wait_polling(q, ret_completions, max, deadline_in(timeout_ms));
}
