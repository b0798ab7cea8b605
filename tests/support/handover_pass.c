// SPDX-License-Identifier: MIT
/* Both sides of a hand-over at once. */
#include "support/handover_pass.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* The drivers are restored, and it is done; or it refuses, because of what one of them said. */
static void follow(struct pass *pass)
{
	const char *why;

	if (pass->received)
		pass->received(pass);
	why = rig_follow(&pass->next, pass->giver, pass->host);
	if (why) {
		snprintf(pass->why, sizeof(pass->why), "%s", why);
		rig_forget_drivers(&pass->next);
		weir_handover_refuse(pass->host, pass->why);
		pass->taker_error = -ENOTRECOVERABLE;
		return;
	}
	pass->taker_error = weir_handover_finish(pass->host);
	if (pass->taker_error) {
		snprintf(pass->why, sizeof(pass->why), "%s", weir_error());
		rig_forget_drivers(&pass->next);
	}
}

static void *take(void *arg)
{
	struct pass *pass = arg;
	struct weir_handover_opts opts =
		WEIR_OPTS(weir_handover_opts, .sys = pass->takers, .timeout_ms = PASS_SOON_MS);

	pass->taker_error = weir_handover_receive(pass->ends[1], &opts, &pass->host);
	if (pass->taker_error)
		snprintf(pass->why, sizeof(pass->why), "%s", weir_error());
	else
		follow(pass);
	return NULL;
}

void pass_connect(struct pass *pass, struct handover_rig *giver, const struct weir_sys *takers)
{
	*pass = (struct pass){ .giver = giver, .takers = takers, .next = { .file = -1 } };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pass->ends))
		abort();
}

void pass_start(struct pass *pass)
{
	if (pthread_create(&pass->thread, NULL, take, pass))
		abort();
}

void pass_begin(struct pass *pass, struct handover_rig *giver, const struct weir_sys *takers)
{
	pass_connect(pass, giver, takers);
	pass_start(pass);
}

int pass_give(struct pass *pass)
{
	struct weir_handover_opts opts = WEIR_OPTS(weir_handover_opts, .timeout_ms = PASS_SOON_MS);

	return pass->kept ? weir_kept_give(pass->kept, pass->ends[0], &opts)
			  : weir_handover_give(pass->giver->host, pass->ends[0], &opts);
}

void pass_end(struct pass *pass)
{
	pthread_join(pass->thread, NULL);
	close(pass->ends[0]);
}
