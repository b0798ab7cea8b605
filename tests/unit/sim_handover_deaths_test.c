// SPDX-License-Identifier: MIT
/*
 * One of the two is killed after its first, second... system call of a hand-over, until it lives to the end. Whatever the moment, one of them has everything, with
 * reads and a DMA in flight; only when the giver dies before all descriptors are sent, nobody has, and nothing is left over.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/handover_pass.h"
#include "support/mortal_sys.h"
#include "test.h"

static const enum weir_backend backends[] = { WEIR_BACKEND_IOMMUFD, WEIR_BACKEND_TYPE1 };

enum { MOST_CALLS = 1000, SOON_MS = 2000 };

static struct handover_rig rig = { .file = -1 };
static struct weir_kept *kept; /* or NULL: the giver is the rig */
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
	weir_kept_close(kept);
	kept = NULL;
	rig_end_machine(&rig);
}

static void begin(struct t *t, enum weir_backend backend, bool giver_dies)
{
	ASSERT_FINE(rig_machine(&rig));
	t_defer(t, end_machine, NULL);
	ASSERT_FINE(rig_begin(&rig, backend, giver_dies ? mortal_sys(weir_sim_sys(rig.sim)) : NULL));
	ASSERT_FINE(rig_busy(&rig));
	ASSERT_FINE(rig_pause(&rig));
}

/* Both at once. Returns what weir_handover_give() or weir_kept_give() did. */
static int hand_over(const struct weir_sys *takers, unsigned int giver_lives, unsigned int taker_lives)
{
	int error;

	pass_connect(&pass, &rig, takers);
	pass.kept = kept;
	if (giver_lives)
		mortal_begin(giver_lives, pass.ends[0]);
	if (taker_lives)
		mortal_begin(taker_lives, pass.ends[1]);
	pass_start(&pass);
	error = pass_give(&pass);
	if (giver_lives && mortal_end() && error)
		rig_die(&rig);
	/* It sees that its giver's end is closed. */
	if (giver_lives)
		shutdown(pass.ends[0], SHUT_RDWR);
	pass_end(&pass);
	return error;
}

/* It has everything, and can end it. */
static void expect_has_all(struct handover_rig *whose)
{
	ASSERT_FINE(rig_works(whose));
	ASSERT_FINE(rig_close(whose));
}

/* Nobody has anything: somebody else can begin, when the edu, which nothing resets, has done what it was told. */
static void expect_nobody_has_it(struct handover_rig *of)
{
	struct handover_rig another = { .sim = of->sim, .file = of->file };
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct edu *edu;
	int error, tries = 0;

	weir_sim_hang(weir_sim_find(of->sim, RIG_EDU), false);
	weir_sim_hang(weir_sim_find(of->sim, RIG_NVME), false);
	ASSERT_OK(weir_host_open(&WEIR_OPTS(weir_host_opts, .sys = weir_sim_sys(of->sim)), &host));
	ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
	ASSERT_OK(weir_device_open(ioas, RIG_EDU, NULL, &device));
	while ((error = edu_open(device, 0, &edu)) == -EBUSY && ++tries < SOON_MS)
		usleep(1000);
	ASSERT_EQ(error, 0);
	EXPECT_OK(edu_close(edu));
	EXPECT_OK(weir_device_close(device));
	EXPECT_OK(weir_ioas_close(ioas));
	EXPECT_OK(weir_host_close(host));
	ASSERT_FINE(rig_begin(&another, WEIR_BACKEND_IOMMUFD, NULL));
	ASSERT_FINE(rig_works(&another));
	ASSERT_FINE(rig_close(&another));
}

/* Returns whether the successor had all. */
static bool giver_dies_after(struct t *t, enum weir_backend backend, unsigned int calls, bool *ret_died)
{
	int error;

	begin(t, backend, true);
	error = hand_over(weir_sim_sys_of(rig.sim, 1), calls, 0);
	*ret_died = mortal_end();
	if (!*ret_died)
		EXPECT_OK(error);
	if (!error)
		rig_forget_drivers(&rig);
	if (!pass.taker_error) {
		expect_has_all(&pass.next);
	} else {
		if (!*ret_died)
			FAIL("both live, and the successor has nothing: %s", pass.why);
		expect_nobody_has_it(&rig);
	}
	rig_end_machine(&rig);
	return !pass.taker_error;
}

UNIT(sim_handover_deaths, of_the_giver_after_each_of_its_system_calls)
{
	for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
		bool died = true, had = false;
		unsigned int calls, first = 0;

		for (calls = 1; died && calls < MOST_CALLS; calls++) {
			bool has;

			t_note(t, "%s, call %u", weir_backend_name(backends[b]), calls);
			has = giver_dies_after(t, backends[b], calls, &died);
			/* Who has got all once, gets it whatever comes later. */
			if (had && !has)
				FAIL("the successor has nothing: %s", pass.why);
			if (!had && has)
				first = calls;
			had = has;
		}
		EXPECT_LT(calls, MOST_CALLS);
		/* Not for nothing: there are calls before all is sent, and after that. */
		EXPECT_GE(first, 2);
		EXPECT_LT(first, calls - 2);
	}
}

static bool taker_dies_after(struct t *t, enum weir_backend backend, unsigned int calls, bool *ret_died)
{
	int error;

	begin(t, backend, false);
	error = hand_over(mortal_sys(weir_sim_sys_of(rig.sim, 1)), 0, calls);
	*ret_died = mortal_end();
	if (!error && *ret_died) {
		/* It was done, and died then: all went with it. */
		EXPECT_OK(pass.taker_error);
		rig_forget_drivers(&rig);
		rig_die(&pass.next);
		rig = (struct handover_rig){ .sim = rig.sim, .file = rig.file };
		expect_nobody_has_it(&rig);
	} else if (!error) {
		rig_forget_drivers(&rig);
		expect_has_all(&pass.next);
	} else {
		if (!pass.taker_error)
			FAIL("both have it: %d", error);
		rig_resume(&rig);
		expect_has_all(&rig);
	}
	rig_end_machine(&rig);
	return !error;
}

UNIT(sim_handover_deaths, of_the_successor_after_each_of_its_system_calls)
{
	for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
		bool died = true, had = false;
		unsigned int calls;

		for (calls = 1; died && calls < MOST_CALLS; calls++) {
			bool has;

			t_note(t, "%s, call %u", weir_backend_name(backends[b]), calls);
			has = taker_dies_after(t, backends[b], calls, &died);
			if (had && !has)
				FAIL("the giver has it again: %s", pass.why);
			had = has;
		}
		EXPECT_LT(calls, MOST_CALLS);
		EXPECT_GE(calls, 20);
	}
}

/* The keeper has all that the rig had, which is killed. */
static void begin_kept(struct t *t, enum weir_backend backend)
{
	int ends[2], error = 0;
	char byte;

	begin(t, backend, false);
	ASSERT_OK(weir_kept_open(weir_sim_sys_of(rig.sim, 2), &kept));
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ASSERT_OK(weir_handover_keep(rig.host, ends[0]));
	while (!error && recv(ends[1], &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
		error = weir_kept_take_in(kept, ends[1]);
	EXPECT_EQ(error, 0);
	rig_die(&rig);
	close(ends[1]);
}

UNIT(sim_handover_deaths, of_each_successor_of_who_was_killed_until_one_lives)
{
	for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
		unsigned int calls = 1, lost = 0;
		bool died = true;

		for (; died && calls < MOST_CALLS; calls++) {
			int error;

			t_note(t, "%s, call %u", weir_backend_name(backends[b]), calls);
			if (!kept)
				begin_kept(t, backends[b]);
			error = hand_over(mortal_sys(weir_sim_sys_of(rig.sim, 1)), 0, calls);
			died = mortal_end();
			if (error) {
				if (!died || !pass.taker_error)
					FAIL("%d, %d: %s", error, pass.taker_error, weir_error());
				continue;
			}
			weir_kept_close(kept);
			kept = NULL;
			EXPECT_OK(pass.taker_error);
			if (died)
				rig_die(&pass.next);
			else
				expect_has_all(&pass.next);
			lost += died;
			rig_end_machine(&rig);
		}
		EXPECT_FALSE(died);
		EXPECT_GE(calls, 20);
		EXPECT_LE(lost, 3);
	}
}
