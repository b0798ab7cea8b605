// SPDX-License-Identifier: MIT
/* Windows for RDMA devices of each class: as they go, come back, and do not come back. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "unit/rdma_fake.h"
#include "unit/sim_host.h"

enum {
	PAGE = 4096,
	WINDOW = 16 * PAGE,
	CMB_BAR = 2,
	READ = IBV_ACCESS_REMOTE_READ,
	EVENTS = 8,
};

struct setting {
	struct weir_sim *sim;
	struct fake_rdma *fake;
	struct weir_rdma *rdma;
	struct weir_device *device;
	struct weir_peer *peer;
	struct weir_rdma_window *window;
	struct weir_rdma_event events[EVENTS];
	uint32_t num;
	uint32_t rkey; /* that the other side was told last */
	uint32_t mrs;  /* that were registered when the program was told that the window goes */
};

static void end(void *arg)
{
	struct setting *s = arg;

	EXPECT_OK(weir_rdma_window_close(s->window));
	EXPECT_OK(weir_peer_close(s->peer));
	EXPECT_OK(weir_device_close(s->device));
	EXPECT_OK(weir_rdma_close(s->rdma));
	EXPECT_EQ(fake_rdma_mrs(s->fake), 0);
	free(s);
}

/* A window of a simulated controller's memory, not registered yet. */
static struct setting *begin_on(struct t *t, enum weir_backend backend, enum fake_class kind,
				const char *driver)
{
	struct sim_host *host = sim_host_open(t, backend);
	struct fake_rdma *fake = fake_rdma_new(t, kind, driver);
	struct setting *s = calloc(1, sizeof(*s));
	struct weir_region *bar;

	ASSERT_TRUE(s != NULL);
	t_defer(t, end, s);
	s->sim = host->sim;
	s->fake = fake;
	ASSERT_OK(weir_sim_add_nvme(host->sim, &WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = 1), NULL, NULL));
	ASSERT_OK(weir_device_open(host->ioas, "0000:00:01.0", NULL, &s->device));
	ASSERT_OK(weir_device_region(s->device, CMB_BAR, &bar));
	ASSERT_OK(weir_peer_open(bar, 0, WINDOW, &s->peer));
	fake->peer = s->peer;
	ASSERT_OK(weir_rdma_open(&fake->pd, &WEIR_OPTS(weir_rdma_opts, .verbs = &fake->verbs), &s->rdma));
	return s;
}

static struct setting *begin(struct t *t, enum fake_class kind, const char *driver)
{
	return begin_on(t, WEIR_BACKEND_IOMMUFD, kind, driver);
}

static int other_side_reads(struct setting *s)
{
	return fake_rdma_reach(s->fake, s->rkey, 0, PAGE, READ);
}

static void on_event(void *ctx, const struct weir_rdma_event *event)
{
	struct setting *s = ctx;

	if (s->num < EVENTS)
		s->events[s->num++] = *event;
	if (event->kind == WEIR_RDMA_RESTORED)
		s->rkey = event->rkey;
	else if (event->kind == WEIR_RDMA_WITHDRAWN)
		s->mrs = fake_rdma_mrs(s->fake);
}

static struct weir_rdma_window_info info_of(struct setting *s)
{
	struct weir_rdma_window_info info;

	ASSERT_OK(weir_rdma_window_info(s->window, &info, sizeof(info)));
	return info;
}

static int register_it(struct setting *s)
{
	int error = weir_rdma_window_open(
		s->rdma, s->peer,
		&WEIR_OPTS(weir_rdma_window_opts, .access = READ, .callback = on_event, .callback_ctx = s),
		&s->window);

	if (!error)
		s->rkey = info_of(s).rkey;
	return error;
}

static struct setting *registered(struct t *t, enum fake_class kind, const char *driver)
{
	struct setting *s = begin(t, kind, driver);

	ASSERT_OK(register_it(s));
	EXPECT_OK(other_side_reads(s));
	return s;
}

static int range_of(struct setting *s)
{
	struct weir_rdma_range range;

	return weir_rdma_window_range(s->window, 0, WINDOW, &range);
}

static void close_device(struct setting *s)
{
	EXPECT_OK(weir_device_close(s->device));
	s->device = NULL;
}

/* ---- The classes ---- */

UNIT(rdma_window, one_that_recovers_keeps_its_keys)
{
	struct setting *s = registered(t, FAKE_RECOVERS, "mlx5_core");
	uint32_t rkey = s->rkey;

	EXPECT_EQ(info_of(s).way, WEIR_RDMA_RECOVERS);
	ASSERT_OK(weir_device_set_memory(s->device, false));
	EXPECT_EQ(s->num, 1);
	EXPECT_EQ(s->events[0].kind, WEIR_RDMA_WITHDRAWN);
	EXPECT_EQ(info_of(s).state, WEIR_PEER_AWAY);
	EXPECT_EQ(info_of(s).rkey, 0);
	EXPECT_ERR(-EAGAIN, range_of(s));
	EXPECT_ERR(-EFAULT, other_side_reads(s));
	ASSERT_OK(weir_device_set_memory(s->device, true));
	EXPECT_EQ(s->events[1].kind, WEIR_RDMA_RESTORED);
	EXPECT_EQ(s->events[1].rkey, rkey);
	EXPECT_FALSE(s->events[1].new_keys);
	EXPECT_EQ(info_of(s).registrations, 1);
	EXPECT_EQ(info_of(s).generation, 2);
	EXPECT_OK(other_side_reads(s));
}

UNIT(rdma_window, one_that_dies_is_registered_anew)
{
	struct setting *s = registered(t, FAKE_DIES, "ice");
	uint32_t old = s->rkey;

	EXPECT_EQ(info_of(s).way, WEIR_RDMA_ANEW);
	ASSERT_OK(weir_device_set_memory(s->device, false));
	EXPECT_EQ(s->events[0].kind, WEIR_RDMA_WITHDRAWN);
	EXPECT_EQ(fake_rdma_mrs(s->fake), 0);
	EXPECT_ERR(-EAGAIN, range_of(s));
	EXPECT_CONTAINS(weir_error(), "switched off");
	ASSERT_OK(weir_device_set_memory(s->device, true));
	EXPECT_EQ(s->num, 2);
	EXPECT_EQ(s->events[1].kind, WEIR_RDMA_RESTORED);
	EXPECT_TRUE(s->events[1].new_keys);
	EXPECT_EQ(s->events[1].generation, 2);
	EXPECT_EQ(info_of(s).rkey, s->rkey);
	EXPECT_EQ(info_of(s).registrations, 2);
	EXPECT_NE(s->rkey, old);
	EXPECT_OK(other_side_reads(s));
	s->rkey = old;
	EXPECT_ERR(-EKEYREJECTED, other_side_reads(s));
}

/* Even one whose regions would find the window again, but that nobody knows to do so, is right afterwards. */
UNIT(rdma_window, one_that_is_not_known_is_registered_anew)
{
	struct setting *s = registered(t, FAKE_RECOVERS, "");
	uint32_t old = s->rkey;

	EXPECT_OK(weir_device_reset(s->device));
	EXPECT_EQ(s->num, 2);
	EXPECT_TRUE(s->events[1].new_keys);
	EXPECT_OK(other_side_reads(s));
	s->rkey = old;
	EXPECT_ERR(-EKEYREJECTED, other_side_reads(s));
}

UNIT(rdma_window, a_remote_key_used_after_withdrawal_is_refused)
{
	struct setting *s = registered(t, FAKE_DIES, "ice");

	ASSERT_OK(weir_device_set_memory(s->device, false));
	EXPECT_ERR(-EKEYREJECTED, other_side_reads(s));
	/* The program was told before, so that it could stop who uses it. */
	EXPECT_EQ(s->num, 1);
	EXPECT_EQ(s->mrs, 1);
	EXPECT_EQ(fake_rdma_mrs(s->fake), 0);
	EXPECT_CONTAINS(s->events[0].reason, "switched off");
	ASSERT_OK(weir_device_set_memory(s->device, true));
	EXPECT_OK(other_side_reads(s));
}

UNIT(rdma_window, the_kernel_interface_makes_no_difference)
{
	for (size_t i = 0; i < 3; i++) {
		struct setting *s = begin_on(t, sim_backends[i], FAKE_DIES, "ice");

		t_note(t, "backend %s", weir_backend_name(sim_backends[i]));
		ASSERT_OK(register_it(s));
		EXPECT_OK(weir_device_reset(s->device));
		EXPECT_EQ(info_of(s).generation, 2);
		EXPECT_OK(other_side_reads(s));
	}
}

UNIT(rdma_window, those_that_take_none_say_why)
{
	static const struct {
		const char *driver, *text;
	} table[] = {
		{ "rdma_rxe", "no dma-bufs at all" }, { "siw", "no dma-bufs at all" },
		{ "efa", "cannot let go" },           { "bnxt_en", "cannot let go" },
		{ "mlx5_core", "on-demand paging" },  { "something_new", "takes no dma-bufs, or none" },
		{ "ice", "this rdma-core" },          { "", "an unknown driver" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct setting *s = begin(t, FAKE_REFUSES, table[i].driver);

		t_note(t, "driver %s", table[i].driver);
		EXPECT_ERR(-EOPNOTSUPP, register_it(s));
		EXPECT_CONTAINS(weir_error(), "fake0");
		EXPECT_CONTAINS(weir_error(), table[i].driver);
		EXPECT_CONTAINS(weir_error(), table[i].text);
		EXPECT_TRUE(s->window == NULL);
		EXPECT_OK(weir_device_reset(s->device));
		EXPECT_EQ(s->num, 0);
	}
}

UNIT(rdma_window, fifty_resets_leave_one_registration)
{
	struct setting *s = registered(t, FAKE_DIES, "ice");

	for (uint32_t i = 0; i < 50; i++) {
		s->num = 0;
		ASSERT_OK(weir_device_reset(s->device));
		ASSERT_EQ(s->num, 2);
		ASSERT_OK(other_side_reads(s));
		ASSERT_EQ(fake_rdma_mrs(s->fake), 1);
	}
	EXPECT_EQ(info_of(s).generation, 51);
	EXPECT_EQ(info_of(s).registrations, 51);
}

/* ---- What goes wrong ---- */

UNIT(rdma_window, a_mismatched_offset_is_refused)
{
	static const struct weir_rdma_window_opts refused[] = {
		{ .offset = 0, .addr = 0x10 },
		{ .offset = 0x10, .addr = 0x1000 },
		{ .offset = WINDOW },
		{ .offset = PAGE, .len = WINDOW },
		{ .len = WINDOW + 1 },
		{ .offset = PAGE, .len = UINT64_MAX },
		{ .addr = UINT64_MAX - PAGE + 1, .len = PAGE + 1 },
		{ .access = IBV_ACCESS_REMOTE_WRITE },
		{ .access = IBV_ACCESS_ON_DEMAND },
	};
	struct setting *s = begin(t, FAKE_RECOVERS, "mlx5_core");
	struct weir_rdma_window_opts opts;
	struct weir_rdma_range range;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		t_note(t, "row %zu", i);
		opts = refused[i];
		opts.size = sizeof(opts);
		EXPECT_ERR(-EINVAL, weir_rdma_window_open(s->rdma, s->peer, &opts, &s->window));
	}
	opts = WEIR_OPTS(weir_rdma_window_opts, .offset = PAGE + 0x10, .len = 0x100, .addr = 0x7000010,
			 .access = READ);
	ASSERT_OK(weir_rdma_window_open(s->rdma, s->peer, &opts, &s->window));
	ASSERT_OK(weir_rdma_window_range(s->window, 0x20, 0xe0, &range));
	EXPECT_EQ(range.addr, 0x7000030);
	EXPECT_OK(fake_rdma_reach(s->fake, range.rkey, range.addr, range.len, READ));
	EXPECT_ERR(-ERANGE, weir_rdma_window_range(s->window, 0x20, 0xe1, &range));
	EXPECT_ERR(-ERANGE, weir_rdma_window_range(s->window, 0x101, 0, &range));
}

UNIT(rdma_window, without_an_address_it_is_the_offset_in_its_page)
{
	struct setting *s = begin(t, FAKE_RECOVERS, "mlx5_core");

	ASSERT_OK(weir_rdma_window_open(s->rdma, s->peer,
					&WEIR_OPTS(weir_rdma_window_opts, .offset = PAGE + 8), &s->window));
	EXPECT_EQ(info_of(s).addr, 8);
	EXPECT_EQ(info_of(s).len, WINDOW - PAGE - 8);
	EXPECT_STREQ(info_of(s).driver, "mlx5_core");
}

UNIT(rdma_window, one_that_is_away_cannot_be_registered)
{
	struct setting *s = begin(t, FAKE_DIES, "ice");

	ASSERT_OK(weir_device_set_memory(s->device, false));
	EXPECT_ERR(-EAGAIN, register_it(s));
	EXPECT_CONTAINS(weir_error(), "away");
	ASSERT_OK(weir_device_set_memory(s->device, true));
	EXPECT_OK(register_it(s));
	EXPECT_EQ(s->num, 0);
}

UNIT(rdma_window, what_the_kernel_says_is_told_in_words)
{
	static const struct {
		int says, means;
		const char *text;
	} table[] = {
		{ ENODEV, -EAGAIN, "weir_device_resync()" },
		{ EINVAL, -EHOSTUNREACH, "weir_reach_ask()" },
		{ ENOMEM, -ENOMEM, "ibv_reg_dmabuf_mr()" },
		{ EIO, -EIO, "fake0 (ice)" },
	};
	struct setting *s = begin(t, FAKE_DIES, "ice");

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		t_note(t, "row %zu", i);
		s->fake->reg_error = table[i].says;
		EXPECT_ERR(table[i].means, register_it(s));
		EXPECT_CONTAINS(weir_error(), table[i].text);
		EXPECT_TRUE(s->window == NULL);
	}
	EXPECT_OK(register_it(s));
}

UNIT(rdma_window, one_that_cannot_be_registered_anew_is_lost_for_this_one)
{
	struct setting *s = registered(t, FAKE_DIES, "ice");
	struct weir_peer_info peer;

	s->fake->reg_error = ENOMEM;
	EXPECT_OK(weir_device_reset(s->device));
	EXPECT_EQ(s->num, 2);
	EXPECT_EQ(s->events[1].kind, WEIR_RDMA_LOST);
	EXPECT_CONTAINS(s->events[1].reason, "ibv_reg_dmabuf_mr()");
	EXPECT_EQ(s->events[1].rkey, 0);
	EXPECT_ERR(-ENODEV, range_of(s));
	EXPECT_ERR(-EKEYREJECTED, other_side_reads(s));
	ASSERT_OK(weir_peer_info(s->peer, &peer, sizeof(peer)));
	EXPECT_EQ(peer.state, WEIR_PEER_HERE);
	/* It stays lost, and nobody hears of it again; a new registration can be had. */
	EXPECT_OK(weir_device_reset(s->device));
	EXPECT_EQ(s->num, 2);
	EXPECT_OK(weir_rdma_window_close(s->window));
	EXPECT_OK(register_it(s));
	EXPECT_OK(other_side_reads(s));
}

UNIT(rdma_window, one_that_goes_again_before_it_is_registered_comes_the_next_time)
{
	struct setting *s = registered(t, FAKE_DIES, "ice");

	s->fake->reg_error = ENODEV;
	EXPECT_OK(weir_device_reset(s->device));
	EXPECT_EQ(s->num, 1);
	EXPECT_EQ(info_of(s).state, WEIR_PEER_AWAY);
	EXPECT_CONTAINS(info_of(s).reason, "behind the library's back");
	EXPECT_OK(weir_device_reset(s->device));
	EXPECT_EQ(s->num, 2);
	EXPECT_EQ(s->events[1].kind, WEIR_RDMA_RESTORED);
	EXPECT_OK(other_side_reads(s));
}

UNIT(rdma_window, a_region_that_cannot_be_deregistered_is_tried_again)
{
	struct setting *s = registered(t, FAKE_DIES, "ice");

	s->fake->dereg_error = EBUSY;
	ASSERT_OK(weir_device_set_memory(s->device, false));
	EXPECT_EQ(fake_rdma_mrs(s->fake), 1);
	EXPECT_ERR(-EKEYREJECTED, other_side_reads(s));
	ASSERT_OK(weir_device_set_memory(s->device, true));
	EXPECT_EQ(fake_rdma_mrs(s->fake), 1);
	EXPECT_EQ(info_of(s).registrations, 2);
	EXPECT_OK(other_side_reads(s));
	s->fake->dereg_error = EBUSY;
	EXPECT_ERR(-EBUSY, weir_rdma_window_close(s->window));
	s->window = NULL;
	memset(s->fake->mrs, 0, sizeof(s->fake->mrs));
}

UNIT(rdma_window, when_the_device_is_closed_it_is_lost)
{
	static const enum fake_class kinds[] = { FAKE_DIES, FAKE_RECOVERS };
	static const char *const drivers[] = { "ice", "mlx5_core" };

	for (size_t i = 0; i < 2; i++) {
		struct setting *s = registered(t, kinds[i], drivers[i]);

		t_note(t, "driver %s", drivers[i]);
		close_device(s);
		ASSERT_NE(s->num, 0);
		EXPECT_EQ(s->events[s->num - 1].kind, WEIR_RDMA_LOST);
		EXPECT_EQ(info_of(s).state, WEIR_PEER_LOST);
		EXPECT_ERR(-ENODEV, range_of(s));
		EXPECT_ERR(-EKEYREJECTED, other_side_reads(s));
		EXPECT_EQ(fake_rdma_mrs(s->fake), 0);
		EXPECT_OK(weir_rdma_window_close(s->window));
		EXPECT_ERR(-ENODEV, register_it(s));
		s->window = NULL;
	}
}

UNIT(rdma_window, what_is_registered_keeps_the_window_and_the_domain)
{
	struct setting *s = registered(t, FAKE_DIES, "ice");

	EXPECT_ERR(-EBUSY, weir_peer_close(s->peer));
	EXPECT_ERR(-EBUSY, weir_rdma_close(s->rdma));
}

UNIT(rdma_window, a_system_call_that_fails_leaves_nothing_registered)
{
	struct setting *s = begin(t, FAKE_DIES, "ice");
	uint64_t calls = weir_sim_num_calls(s->sim), num;

	ASSERT_OK(register_it(s));
	num = weir_sim_num_calls(s->sim) - calls;
	EXPECT_OK(weir_rdma_window_close(s->window));
	ASSERT_NE(num, 0);
	for (uint64_t n = 1; n <= num; n++) {
		t_note(t, "call %d of %d", (int)n, (int)num);
		s->window = NULL;
		weir_sim_fail_call(s->sim, n, -EMFILE, false);
		EXPECT_ERR(-EMFILE, register_it(s));
		weir_sim_fail_call(s->sim, 0, 0, false);
		EXPECT_EQ(fake_rdma_mrs(s->fake), 0);
		EXPECT_TRUE(s->window == NULL);
		ASSERT_OK(register_it(s));
		EXPECT_OK(other_side_reads(s));
		EXPECT_OK(weir_rdma_window_close(s->window));
	}
	s->window = NULL;
}

static uint64_t calls_of_a_reset(struct t *t)
{
	struct setting *s = registered(t, FAKE_DIES, "ice");
	uint64_t before = weir_sim_num_calls(s->sim);

	ASSERT_OK(weir_device_reset(s->device));
	return weir_sim_num_calls(s->sim) - before;
}

/* Whichever call of a reset fails: what is said to be there is there, and for all else there is no key. */
UNIT(rdma_window, a_system_call_that_fails_in_a_reset_leaves_no_key_that_leads_nowhere)
{
	uint64_t num = calls_of_a_reset(t);

	ASSERT_GT(num, 1);
	for (uint64_t n = 1; n <= num; n++) {
		struct setting *s = registered(t, FAKE_DIES, "ice");
		struct weir_rdma_range range;
		int error;

		t_note(t, "call %d of %d", (int)n, (int)num);
		weir_sim_fail_call(s->sim, n, -EIO, false);
		weir_device_reset(s->device);
		weir_sim_fail_call(s->sim, 0, 0, false);
		error = weir_rdma_window_range(s->window, 0, PAGE, &range);
		EXPECT_EQ(info_of(s).state == WEIR_PEER_HERE, error == 0);
		EXPECT_EQ(fake_rdma_mrs(s->fake), error == 0);
		if (!error)
			EXPECT_OK(fake_rdma_reach(s->fake, range.rkey, range.addr, PAGE, READ));
		if (s->num > 0)
			EXPECT_EQ(s->events[s->num - 1].kind == WEIR_RDMA_RESTORED, error == 0);
	}
}

/* ---- Threads ---- */

struct crowd {
	struct setting *s;
	_Atomic bool over;
};

static void *ask_all_the_time(void *arg)
{
	struct crowd *crowd = arg;
	struct weir_rdma_window_info info;
	struct weir_rdma_range range;

	while (!crowd->over) {
		int error = weir_rdma_window_range(crowd->s->window, 0, PAGE, &range);

		EXPECT_TRUE(!error || error == -EAGAIN);
		EXPECT_OK(weir_rdma_window_info(crowd->s->window, &info, sizeof(info)));
	}
	return NULL;
}

UNIT(rdma_window, threads_ask_while_it_goes_and_comes)
{
	struct crowd crowd = { .s = registered(t, FAKE_DIES, "ice") };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, ask_all_the_time, &crowd));
	for (uint32_t i = 0; i < 50; i++) {
		crowd.s->num = 0;
		EXPECT_OK(weir_device_reset(crowd.s->device));
	}
	crowd.over = true;
	pthread_join(thread, NULL);
	EXPECT_OK(other_side_reads(crowd.s));
}
