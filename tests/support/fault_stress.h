/* SPDX-License-Identifier: MIT */
/*
 * Page requests of many devices in many queues, answered by many threads: at once, twice, late, by two at a time, and orphaned by devices that go from queue to queue
 * meanwhile. Some are held until the end, so that groups which expire (the first queue has to have an answer_ns, and a short one), and which are orphaned (the others have
 * none that matters), are in each run. Each group has a number of its own by which it is counted.
 */
#ifndef TESTS_SUPPORT_FAULT_STRESS_H
#define TESTS_SUPPORT_FAULT_STRESS_H

#include <stdatomic.h>

#include <weir/weir.h>

enum { STRESS_DEVICES = 4, STRESS_QUEUES = 4, STRESS_GROUPS = 2000 };

struct fault_stress {
	struct weir_device *devices[STRESS_DEVICES];
	struct weir_faultq *queues[STRESS_QUEUES];
	struct weir_domain *domains[STRESS_DEVICES][STRESS_QUEUES];

	/* Have a device request a page, in a group of that number. Any thread. */
	void (*request)(void *ctx, unsigned int device, uint32_t number);
	void *ctx;

	/* What came of it: by number, how often respond said 0, and -ESTALE; and what it said else. */
	atomic_uint answered[STRESS_GROUPS], stale[STRESS_GROUPS];
	atomic_int other_error;
	/* Groups that were held, and how many of these respond said 0 to after all. */
	unsigned int num_held, held_answered;
};

/* Run it, with the devices attached to nothing before and after. 0, or an errno of starting threads. */
int fault_stress_run(struct fault_stress *stress);

/* What the queues say of it, together; outstanding is 0, if it all went well. */
struct weir_faultq_info fault_stress_info(const struct fault_stress *stress);

/* Which of the kernel's numbers (cookies) of groups have been in answers, by queue; and how often one was that had been before. Zero it first. */
enum { COOKIE_FDS = 64, COOKIES = 64 };

struct fault_cookies {
	atomic_bool seen[COOKIE_FDS][COOKIES];
	atomic_uint again;
};

/* An answer that the kernel was given. Any thread. */
void fault_stress_see(struct fault_cookies *cookies, int fd, const void *answer, size_t len);

#endif
