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

/* Its descriptor is another file's by then. */
UNIT(sim_handover_late, a_mapping_that_is_shared_too_late_with_another_host_is_there_to_say_so)
{
	for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
		struct weir_host *host;
		struct weir_ioas *ioas;
		struct weir_map *map;
		int others[32];

		begin(t, backends[b]);
		ASSERT_OK(weir_host_open(
			&WEIR_OPTS(weir_host_opts, .sys = weir_sim_sys(rig.sim), .backend = backends[b]),
			&host));
		ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
		ASSERT_OK(weir_map_share(rig.map, ioas, NULL, &map));
		hand_over();
		for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
			others[i] = dup(rig.file);
		EXPECT_ERR(-ESTALE, weir_map_share(rig.map, ioas, NULL, &map));
		for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
			close(others[i]);
		EXPECT_OK(weir_ioas_close(ioas));
		EXPECT_OK(weir_host_close(host));
		expect_taken();
	}
}

/* Windows ----------------------------------------------------------------------------------------------------- */

#define TARGET "0000:00:03.0"

enum { LATE = 8 };

struct late {
	pthread_t thread;
	struct weir_map *map;
	struct weir_ioas *ioas;     /* share it there; */
	struct weir_device *device; /* or reset this; NULL: close it */
	int error;
};

static struct late late[LATE];

/* Of a device that is opened into @ioas. Nothing has a part in its memory but its region, and each mapping. */
static struct weir_device *map_windows(struct t *t, struct weir_ioas *ioas)
{
	struct weir_device *target;
	struct weir_region *region;
	struct weir_peer *peer;
	struct weir_map *map;
	void *addr;

	(void)t;
	ASSERT_OK(weir_sim_add_nvme(rig.sim, &WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = 1),
				    &WEIR_OPTS(weir_sim_slot, .address = TARGET), NULL));
	ASSERT_OK(weir_device_open(ioas, TARGET, NULL, &target));
	ASSERT_OK(weir_device_region(target, WEIR_REGION_BAR0 + 2, &region));
	ASSERT_OK(weir_peer_open(region, 0, RIG_PAGE, &peer));
	ASSERT_OK(weir_peer_map(peer, rig.ioas, 0, RIG_PAGE, NULL, &map));
	addr = weir_map_addr(map);
	ASSERT_OK(weir_map_close(map));
	ASSERT_OK(weir_peer_close(peer));
	for (int i = 0; i < LATE; i++)
		ASSERT_OK(weir_ioas_map(rig.ioas, addr, RIG_PAGE, NULL, &late[i].map));
	return target;
}

static void *come_late(void *arg)
{
	struct late *own = arg;
	struct weir_map *map;

	if (own->device)
		own->error = weir_device_reset(own->device);
	else
		own->error = own->ioas ? weir_map_share(own->map, own->ioas, NULL, &map)
				       : weir_map_close(own->map);
	return NULL;
}

/* The first waits for the end of the hand-over with the window's lock, and the others for that lock. */
static void set_out(struct pass *taker)
{
	enum { SOON_US = 20000 };

	(void)taker;
	for (int i = 0; i < LATE; i++)
		ASSERT_EQ(pthread_create(&late[i].thread, NULL, come_late, &late[i]), 0);
	usleep(SOON_US);
}

static void hand_windows_over(struct weir_ioas *share_in, struct weir_device *reset)
{
	const struct weir_handover_opts drop =
		WEIR_OPTS(weir_handover_opts, .flags = WEIR_HANDOVER_DROP_PEERS);

	for (int i = 0; i < LATE; i++)
		late[i].ioas = share_in, late[i].device = reset;
	pass_connect(&pass, &rig, weir_sim_sys_of(rig.sim, 1));
	pass.received = set_out;
	pass_start(&pass);
	EXPECT_OK(weir_handover_give(rig.host, pass.ends[0], &drop));
	pass_end(&pass);
	EXPECT_OK(pass.taker_error);
	for (int i = 0; i < LATE; i++)
		ASSERT_EQ(pthread_join(late[i].thread, NULL), 0);
}

static void expect_windows_taken(void)
{
	struct weir_device *target;

	ASSERT_OK(weir_handover_device(pass.next.host, TARGET, &target));
	EXPECT_OK(weir_device_close(target));
	expect_taken();
}

/* Of most use with the address sanitizer: the window is gone when most of them get its lock, unless they have a part in it. */
UNIT(sim_handover_late, threads_that_close_mappings_of_windows_are_told)
{
	for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
		begin(t, backends[b]);
		map_windows(t, rig.ioas);
		hand_windows_over(NULL, NULL);
		for (int i = 0; i < LATE; i++) {
			EXPECT_EQ(late[i].error, -ESTALE);
			EXPECT_ERR(-ESTALE, weir_map_close(late[i].map));
		}
		expect_windows_taken();
	}
}

/* Likewise. */
UNIT(sim_handover_late, threads_that_share_mappings_of_windows_are_told)
{
	for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
		struct weir_ioas *ioas;
		struct weir_map *map;

		begin(t, backends[b]);
		map_windows(t, rig.ioas);
		ioas = rig.ioas;
		hand_windows_over(ioas, NULL);
		for (int i = 0; i < LATE; i++) {
			EXPECT_EQ(late[i].error, -ESTALE);
			EXPECT_ERR(-ESTALE, weir_map_share(late[i].map, ioas, NULL, &map));
		}
		expect_windows_taken();
	}
}

/* A window of another host's device, which is reset meanwhile: it waits for the mappings, and they are gone. Of most use with the thread sanitizer. */
UNIT(sim_handover_late, a_reset_waits_for_mappings_that_are_handed_over)
{
	for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
		struct weir_device *target;
		struct weir_host *host;
		struct weir_ioas *ioas;

		begin(t, backends[b]);
		ASSERT_OK(weir_host_open(
			&WEIR_OPTS(weir_host_opts, .sys = weir_sim_sys(rig.sim), .backend = backends[b]),
			&host));
		ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
		target = map_windows(t, ioas);
		hand_windows_over(NULL, target);
		for (int i = 0; i < LATE; i++) {
			EXPECT_EQ(late[i].error, 0);
			EXPECT_ERR(-ESTALE, weir_map_close(late[i].map));
		}
		EXPECT_OK(weir_device_close(target));
		EXPECT_OK(weir_ioas_close(ioas));
		EXPECT_OK(weir_host_close(host));
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
