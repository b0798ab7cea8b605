// SPDX-License-Identifier: MIT
/*
 * Hand-over, with reads and a DMA in flight, to a successor that lacks a right or has less memory to lock, with a device that was reset in between, to two at once,
 * and while other threads map: it is refused with a reason and the giver has all as before, or the successor has all.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handover/handover.h"
#include "sim/device/device.h"
#include "sim/machine.h"
#include "support/handover_pass.h"
#include "support/mortal_sys.h"
#include "test.h"

#define TARGET "0000:00:03.0"

static const enum weir_backend backends[] = { WEIR_BACKEND_IOMMUFD, WEIR_BACKEND_TYPE1 };

enum { MOST_CALLS = 1000, ENOUGH = 1 << 30, MAPPERS = 3 };

static struct handover_rig rig = { .file = -1 };
static struct pass pass;

#define ASSERT_FINE(call)                                                                                    \
	do {                                                                                                 \
		const char *why_ = (call);                                                                   \
		if (why_)                                                                                    \
			FAIL("%s: %s", #call, why_);                                                         \
	} while (0)

#define FOR_EACH_BACKEND(b) for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++)

static void end_machine(void *arg)
{
	(void)arg;
	rig_end_machine(&rig);
}

static void busy(void)
{
	ASSERT_FINE(rig_busy(&rig));
	ASSERT_FINE(rig_pause(&rig));
}

static void begin(struct t *t, enum weir_backend backend)
{
	t_note(t, "%s", weir_backend_name(backend));
	ASSERT_FINE(rig_machine(&rig));
	t_defer(t, end_machine, NULL);
	ASSERT_OK(weir_sim_set_memlock(rig.sim, 0, ENOUGH));
	ASSERT_FINE(rig_begin(&rig, backend, NULL));
	busy();
}

static int hand_over(const struct weir_sys *takers)
{
	int error;

	pass_begin(&pass, &rig, takers);
	error = pass_give(&pass);
	pass_end(&pass);
	return error;
}

/* It has everything, and can end it. */
static void expect_has_all(struct handover_rig *whose)
{
	ASSERT_FINE(rig_works(whose));
	ASSERT_FINE(rig_close(whose));
}

/* What was in flight has ended well, and there is more of it. */
static void expect_unharmed(void)
{
	rig_resume(&rig);
	ASSERT_FINE(rig_works(&rig));
	busy();
}

static void expect_taken(void)
{
	rig_forget_drivers(&rig);
	expect_has_all(&pass.next);
	rig_end_machine(&rig);
}

static void expect_ends(void)
{
	rig_resume(&rig);
	expect_has_all(&rig);
	rig_end_machine(&rig);
}

/* Rights ---------------------------------------------------------------------------------------------------- */

static unsigned int tried_nodes;

static int open_no_node(void *ctx, const char *path, int flags)
{
	if (strncmp(path, "/dev/", 5) == 0) {
		tried_nodes++;
		return -EACCES;
	}
	return weir_sim_sys_of(ctx, 1)->open(ctx, path, flags);
}

/* What it needs has come over the socket. */
UNIT(sim_handover_trouble, a_successor_that_may_open_no_node_takes_all)
{
	FOR_EACH_BACKEND(b)
	{
		struct weir_sys takers;

		begin(t, backends[b]);
		takers = *weir_sim_sys_of(rig.sim, 1);
		takers.open = open_no_node;
		tried_nodes = 0;
		EXPECT_OK(hand_over(&takers));
		EXPECT_OK(pass.taker_error);
		expect_taken();
		EXPECT_EQ(tried_nodes, 0);
	}
}

/* Returns whether the successor has it. */
static bool is_refused_at(struct t *t, unsigned int call, int refusal, bool *ret_refused)
{
	const struct weir_sys *takers = mortal_sys(weir_sim_sys_of(rig.sim, 1));
	int error;

	t_note(t, "call %u", call);
	mortal_refuse(call, refusal);
	error = hand_over(takers);
	*ret_refused = mortal_end();
	if (!error) {
		if (pass.taker_error)
			FAIL("nobody has it: %d, %s", pass.taker_error, pass.why);
		return true;
	}
	if (!pass.taker_error || !*ret_refused)
		FAIL("%d, but the successor has %d", error, pass.taker_error);
	if (!weir_error()[0] || !pass.why[0])
		FAIL("refused without a word");
	return false;
}

/* Each right in turn that it would need. What nothing depends on may be refused. The call that takes what is charged is named, to the giver, too. */
UNIT(sim_handover_trouble, a_successor_that_is_refused_any_of_its_calls_says_so)
{
	static const char *const charges[] = { "IOMMU_IOAS_CHANGE_PROCESS", "VFIO_IOMMU_MAP_DMA" };

	FOR_EACH_BACKEND(b)
	{
		bool refused = true, named = false;
		unsigned int not_taken = 0;

		begin(t, backends[b]);
		for (unsigned int call = 1; refused && call < MOST_CALLS; call++)
			if (is_refused_at(t, call, call % 2 ? -EPERM : -EACCES, &refused)) {
				rig_forget_drivers(&rig);
				expect_has_all(&pass.next);
				ASSERT_FINE(rig_begin(&rig, backends[b], NULL));
				busy();
			} else {
				not_taken++;
				named |= strstr(pass.why, charges[b]) && strstr(weir_error(), charges[b]);
				expect_unharmed();
			}
		EXPECT_FALSE(refused);
		EXPECT_GE(not_taken, 20);
		EXPECT_TRUE(named);
		expect_ends();
	}
}

/* Memory to lock --------------------------------------------------------------------------------------------- */

static uint64_t charged(unsigned int process)
{
	uint64_t pinned = 0, locked = 0;

	if (weir_sim_charged(rig.sim, process, &pinned, &locked))
		FAIL("%s", weir_error());
	return pinned + locked;
}

static void expect_limit_refuses(uint64_t limit, uint64_t all)
{
	ASSERT_OK(weir_sim_set_memlock(rig.sim, 1, limit));
	EXPECT_ERR(-ECONNREFUSED, hand_over(weir_sim_sys_of(rig.sim, 1)));
	EXPECT_CONTAINS(weir_error(), "RLIMIT_MEMLOCK");
	EXPECT_EQ(pass.taker_error, -ENOMEM);
	EXPECT_EQ(charged(0), all);
	EXPECT_EQ(charged(1), 0);
	expect_unharmed();
}

/* From one page on, so that on the container some of the mappings are the successor's when it fails. */
UNIT(sim_handover_trouble, a_successor_with_a_smaller_limit_leaves_all_where_it_was)
{
	FOR_EACH_BACKEND(b)
	{
		uint64_t all;

		begin(t, backends[b]);
		all = charged(0);
		ASSERT_GE(all, 8 * RIG_PAGE);
		for (uint64_t limit = RIG_PAGE; limit < all; limit += all / 5 / RIG_PAGE * RIG_PAGE)
			expect_limit_refuses(limit, all);
		expect_limit_refuses(all - RIG_PAGE, all);
		ASSERT_OK(weir_sim_set_memlock(rig.sim, 1, all));
		EXPECT_OK(hand_over(weir_sim_sys_of(rig.sim, 1)));
		EXPECT_EQ(charged(0), 0);
		EXPECT_EQ(charged(1), all);
		ASSERT_OK(weir_sim_set_memlock(rig.sim, 1, ENOUGH));
		expect_taken();
	}
}

/* A reset in between ------------------------------------------------------------------------------------------- */

static const char *reset_address;

/* The drivers are asked, and there is nothing that asking has changed: rig_follow() asks them again. */
static void reset_it(struct pass *taker)
{
	struct weir_sim_device *device = weir_sim_find(rig.sim, reset_address);
	struct weir_device *edu, *nvme;
	struct nvme_controller *controller;
	struct edu *other;

	ASSERT_OK(sim_lock(rig.sim));
	sim_device_reset(device);
	sim_unlock(rig.sim);
	ASSERT_OK(weir_handover_device(taker->host, RIG_EDU, &edu));
	ASSERT_OK(weir_handover_device(taker->host, RIG_NVME, &nvme));
	if (strcmp(reset_address, RIG_EDU) == 0) {
		EXPECT_EQ(edu_restore(edu, &other), -EIO);
		EXPECT_CONTAINS(edu_error(), "has been reset");
	} else {
		EXPECT_EQ(nvme_controller_restore(nvme, NULL, &controller), -EIO);
		EXPECT_CONTAINS(nvme_error(), "has been reset");
	}
}

/* It refuses with what the driver said; who gave finds a device that was reset, and can end everything. */
UNIT(sim_handover_trouble, a_device_that_was_reset_in_between_is_found_out)
{
	static const char *const addresses[] = { RIG_EDU, RIG_NVME };

	FOR_EACH_BACKEND(b)
	{
		for (int which = 0; which < 2; which++) {
			begin(t, backends[b]);
			reset_address = addresses[which];
			pass_connect(&pass, &rig, weir_sim_sys_of(rig.sim, 1));
			pass.received = reset_it;
			pass_start(&pass);
			EXPECT_ERR(-ECONNREFUSED, pass_give(&pass));
			EXPECT_CONTAINS(weir_error(), "has been reset");
			pass_end(&pass);
			/* Stopping what has stopped fails; yet all is closed. */
			rig_resume(&rig);
			rig_close(&rig);
			ASSERT_OK(weir_sim_close(rig.sim));
			rig.sim = NULL;
			rig_end_machine(&rig);
		}
	}
}

/* Two of them ------------------------------------------------------------------------------------------------ */

static void give_again(struct pass *taker)
{
	int ends[2];

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	EXPECT_ERR(-EBUSY, weir_handover_give(taker->giver->host, ends[0], NULL));
	EXPECT_CONTAINS(weir_error(), "under way");
	close(ends[0]);
	close(ends[1]);
}

UNIT(sim_handover_trouble, a_second_successor_is_told_that_a_hand_over_is_under_way)
{
	FOR_EACH_BACKEND(b)
	{
		begin(t, backends[b]);
		pass_connect(&pass, &rig, weir_sim_sys_of(rig.sim, 1));
		pass.received = give_again;
		pass_start(&pass);
		EXPECT_OK(pass_give(&pass));
		pass_end(&pass);
		EXPECT_OK(pass.taker_error);
		expect_taken();
	}
}

/* Two that have the same end of the socket, as after a fork: each reads some of what was for one. At most one has it, and else the giver. */
UNIT(sim_handover_trouble, of_two_at_one_socket_at_most_one_has_it)
{
	static struct pass second;

	FOR_EACH_BACKEND(b)
	{
		begin(t, backends[b]);
		for (int round = 0; round < 20; round++) {
			int error;

			t_note(t, "round %d", round);
			pass_connect(&pass, &rig, weir_sim_sys_of(rig.sim, 1));
			second = pass;
			second.takers = weir_sim_sys_of(rig.sim, 2);
			second.ends[1] = dup(pass.ends[1]);
			second.ends[0] = dup(pass.ends[0]);
			pass_start(&pass);
			pass_start(&second);
			error = pass_give(&pass);
			shutdown(pass.ends[0], SHUT_RDWR);
			pass_end(&pass);
			pass_end(&second);
			if (!error == (pass.taker_error && second.taker_error) ||
			    (!pass.taker_error && !second.taker_error))
				FAIL("%d, and %d (%s), %d (%s)", error, pass.taker_error, pass.why,
				     second.taker_error, second.why);
			if (error) {
				expect_unharmed();
				continue;
			}
			rig_forget_drivers(&rig);
			expect_has_all(pass.taker_error ? &second.next : &pass.next);
			ASSERT_FINE(rig_begin(&rig, backends[b], NULL));
			busy();
		}
		expect_ends();
	}
}

/* While others map --------------------------------------------------------------------------------------------- */

struct mapper {
	pthread_t thread;
	int error;
	_Atomic unsigned int rounds;
};

static void *map_until_it_is_over(void *arg)
{
	struct mapper *mapper = arg;
	struct weir_ioas *ioas = rig.ioas;
	int file = rig.file;

	while (!mapper->error) {
		struct weir_map *map;
		uint64_t iova;

		mapper->error = weir_ioas_map_file(ioas, file, 0, RIG_PAGE, NULL, &map);
		if (mapper->error)
			break;
		iova = weir_map_iova(map);
		mapper->error = weir_map_close(map);
		if (mapper->error && mapper->error != -ESTALE)
			FAIL("closing the mapping at %#jx: %s", (uintmax_t)iova, weir_error());
		atomic_fetch_add(&mapper->rounds, 1);
	}
	return NULL;
}

static void refuse(struct pass *taker)
{
	weir_handover_refuse(taker->host, "it is only a test");
}

static void *refuse_all(void *arg)
{
	struct pass *taker = arg;
	struct weir_handover_opts opts = WEIR_OPTS(weir_handover_opts, .sys = taker->takers);

	taker->taker_error = weir_handover_receive(taker->ends[1], &opts, &taker->host);
	if (!taker->taker_error)
		refuse(taker);
	return NULL;
}

static void wait_for_rounds(struct mapper *mappers)
{
	for (int i = 0; i < MAPPERS; i++) {
		unsigned int before = atomic_load(&mappers[i].rounds);

		while (atomic_load(&mappers[i].rounds) < before + 3)
			usleep(100);
	}
}

/* Those who map wait; when it was refused they go on, and when it was not, each is told. */
UNIT(sim_handover_trouble, threads_that_map_wait_and_are_told)
{
	FOR_EACH_BACKEND(b)
	{
		struct mapper mappers[MAPPERS] = { 0 };

		begin(t, backends[b]);
		for (int i = 0; i < MAPPERS; i++)
			ASSERT_EQ(pthread_create(&mappers[i].thread, NULL, map_until_it_is_over, &mappers[i]),
				  0);
		for (int round = 0; round < 5; round++) {
			wait_for_rounds(mappers);
			pass_connect(&pass, &rig, weir_sim_sys_of(rig.sim, 1));
			ASSERT_EQ(pthread_create(&pass.thread, NULL, refuse_all, &pass), 0);
			EXPECT_ERR(-ECONNREFUSED, pass_give(&pass));
			pass_end(&pass);
			EXPECT_OK(pass.taker_error);
		}
		wait_for_rounds(mappers);
		EXPECT_OK(hand_over(weir_sim_sys_of(rig.sim, 1)));
		EXPECT_OK(pass.taker_error);
		for (int i = 0; i < MAPPERS; i++) {
			ASSERT_EQ(pthread_join(mappers[i].thread, NULL), 0);
			EXPECT_EQ(mappers[i].error, -ESTALE);
		}
		expect_taken();
	}
}

/* By name ------------------------------------------------------------------------------------------------------ */

static void note_text(void *ctx, const char *what)
{
	snprintf(ctx, 512, "%s", what);
}

/* A peer's window: named with its address, refused, and dropped only when that is asked for. */
UNIT(sim_handover_trouble, a_peers_window_is_refused_by_name_or_dropped)
{
	FOR_EACH_BACKEND(b)
	{
		struct weir_handover_opts drop =
			WEIR_OPTS(weir_handover_opts, .flags = WEIR_HANDOVER_DROP_PEERS);
		struct weir_device *target;
		struct weir_region *region;
		struct weir_peer *peer;
		struct weir_map *map;
		char what[512] = "", iova[32];

		begin(t, backends[b]);
		ASSERT_OK(weir_sim_add_nvme(rig.sim, &WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = 1),
					    &WEIR_OPTS(weir_sim_slot, .address = TARGET), NULL));
		ASSERT_OK(weir_device_open(rig.ioas, TARGET, NULL, &target));
		ASSERT_OK(weir_device_region(target, WEIR_REGION_BAR0 + 2, &region));
		ASSERT_OK(weir_peer_open(region, 0, RIG_PAGE, &peer));
		ASSERT_OK(weir_peer_map(peer, rig.ioas, 0, RIG_PAGE, NULL, &map));
		snprintf(iova, sizeof(iova), "%#jx", (uintmax_t)weir_map_iova(map));
		EXPECT_ERR(-ENOTSUP, weir_handover_check(rig.host, note_text, what));
		EXPECT_CONTAINS(what, "window of a device");
		EXPECT_CONTAINS(what, iova);
		pass_connect(&pass, &rig, weir_sim_sys_of(rig.sim, 1));
		EXPECT_ERR(-ENOTSUP, pass_give(&pass));
		EXPECT_CONTAINS(weir_error(), "WEIR_HANDOVER_DROP_PEERS");
		expect_unharmed();
		/* Nothing has been said over the socket. */
		pass_start(&pass);
		EXPECT_OK(weir_handover_give(rig.host, pass.ends[0], &drop));
		EXPECT_OK(weir_peer_close(peer));
		EXPECT_ERR(-ESTALE, weir_map_close(map));
		pass_end(&pass);
		EXPECT_OK(pass.taker_error);
		ASSERT_OK(weir_handover_device(pass.next.host, TARGET, &target));
		EXPECT_OK(weir_device_close(target));
		EXPECT_ERR(-ENOENT, weir_handover_map(pass.next.ioas, strtoull(iova, NULL, 16), &map));
		expect_taken();
	}
}
