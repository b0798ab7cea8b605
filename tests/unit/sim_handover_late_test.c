// SPDX-License-Identifier: MIT
/* Threads that come to what was handed over when it is another process's already: they are told. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "handover/handover.h"
#include "support/handover_pass.h"
#include "test.h"

static const enum weir_backend backends[] = { WEIR_BACKEND_IOMMUFD, WEIR_BACKEND_TYPE1 };

static struct handover_rig rig = { .file = -1 };
static struct pass pass;

#define ASSERT_FINE(call)                                                                                    \
	do {                                                                                                 \
		const char *why_ = (call);                                                                   \
		if (why_)                                                                                    \
			FAIL("%s: %s", #call, why_);                                                         \
	} while (0)

static void end_machine(void *arg)
{
	(void)arg;
	rig_end_machine(&rig);
}

static void begin(struct t *t, enum weir_backend backend)
{
	t_note(t, "%s", weir_backend_name(backend));
	ASSERT_FINE(rig_machine(&rig));
	t_defer(t, end_machine, NULL);
	ASSERT_FINE(rig_begin(&rig, backend, NULL));
	ASSERT_FINE(rig_busy(&rig));
	ASSERT_FINE(rig_pause(&rig));
}

static void hand_over(void)
{
	pass_begin(&pass, &rig, weir_sim_sys_of(rig.sim, 1));
	EXPECT_OK(pass_give(&pass));
	pass_end(&pass);
	EXPECT_OK(pass.taker_error);
}

static void expect_taken(void)
{
	rig_forget_drivers(&rig);
	ASSERT_FINE(rig_works(&pass.next));
	ASSERT_FINE(rig_close(&pass.next));
	rig_end_machine(&rig);
}

/* One that was about to close a mapping when the host was given away finds what it looked at, and is told. */
UNIT(sim_handover_late, a_mapping_that_is_closed_too_late_is_there_to_say_so)
{
	for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
		struct weir_map *map;
		struct weir_held *held;

		begin(t, backends[b]);
		map = rig.map;
		held = map->held;
		ASSERT_TRUE(held != NULL);
		hand_over();
		EXPECT_TRUE(map->held == held);
		EXPECT_TRUE(held->window == NULL);
		EXPECT_ERR(-ESTALE, weir_map_close(map));
		expect_taken();
	}
}

/* Memory ------------------------------------------------------------------------------------------------------ */

enum { TAKERS = 3, GROWS_BY = 1 << 22 };

struct buffer_taker {
	pthread_t thread;
	struct weir_memory *memory;
	uint64_t len;
	int error;
	_Atomic unsigned int rounds;
};

static void *take_until_it_is_over(void *arg)
{
	struct buffer_taker *taker = arg;

	while (!taker->error) {
		struct weir_buffer buffer;

		taker->error = weir_memory_alloc(taker->memory, taker->len, NULL, &buffer);
		if (!taker->error)
			EXPECT_OK(weir_memory_free(taker->memory, &buffer));
		atomic_fetch_add(&taker->rounds, 1);
	}
	return NULL;
}

/* Some wait for its lock, which nobody counts. */
UNIT(sim_handover_late, threads_that_take_buffers_are_told)
{
	for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
		struct buffer_taker takers[TAKERS] = { 0 };
		struct weir_memory *memory;

		begin(t, backends[b]);
		memory = rig.memory;
		for (int i = 0; i < TAKERS; i++) {
			takers[i].memory = memory;
			takers[i].len = i ? 64 : RIG_PAGE;
			ASSERT_EQ(pthread_create(&takers[i].thread, NULL, take_until_it_is_over, &takers[i]),
				  0);
		}
		for (int i = 0; i < TAKERS; i++)
			while (atomic_load(&takers[i].rounds) < 3)
				usleep(100);
		hand_over();
		for (int i = 0; i < TAKERS; i++) {
			ASSERT_EQ(pthread_join(takers[i].thread, NULL), 0);
			EXPECT_EQ(takers[i].error, -ESTALE);
		}
		expect_taken();
	}
}

UNIT(sim_handover_late, a_memory_that_is_anothers_gives_nothing)
{
	for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
		struct weir_memory *memory;
		struct weir_ioas *ioas;
		struct weir_buffer buffer, before;
		struct weir_memory_chunk chunk;
		uint64_t iova;

		begin(t, backends[b]);
		memory = rig.memory;
		ioas = rig.ioas;
		ASSERT_OK(weir_memory_alloc(memory, 64, NULL, &before));
		hand_over();
		EXPECT_ERR(-ESTALE, weir_memory_alloc(memory, 64, NULL, &buffer));
		EXPECT_ERR(-ESTALE, weir_memory_alloc(memory, GROWS_BY, NULL, &buffer));
		EXPECT_ERR(-ESTALE, weir_memory_claim(memory, 0, 0, RIG_PAGE, &buffer));
		EXPECT_ERR(-ESTALE, weir_memory_share(memory, ioas));
		EXPECT_ERR(-ESTALE, weir_memory_unshare(memory, ioas));
		EXPECT_ERR(-ENOENT, weir_memory_iova_in(memory, ioas, &before, &iova));
		EXPECT_ERR(-ENOENT, weir_memory_chunk(memory, 0, &chunk));
		EXPECT_OK(weir_memory_free(memory, &before));
		expect_taken();
	}
}
