/* SPDX-License-Identifier: MIT */
/*
 * weir-nvme-vfs: the physical function of an NVMe controller, driven from this program, which gives its virtual functions their queues and
 * interrupts. Whoever then drives these need not know.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nvme/manage.h>
#include <nvme/secondary.h>

#include "common/options.h"
#include "common/say.h"
#include "common/stop.h"

#define LOOK_US  100000
#define MOST_VFS 64

struct session {
	struct open_request request;
	struct opened opened;
	struct nvme_controller *controller;
	uint32_t num_vfs, num_queues, num_vectors;
	struct nvme_secondary vfs[MOST_VFS];
	uint32_t num_started;
};

/* The kernel makes them, and takes them away. */
static int set_num_vfs(const struct session *s, uint32_t num)
{
	char path[128], text[16];
	int fd, len = snprintf(text, sizeof text, "%u", num), r = 0;

	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/sriov_numvfs", s->request.address);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, (size_t)len) != len)
		r = -errno;
	if (fd >= 0)
		close(fd);
	if (r < 0)
		warnx("%s: %s", path, strerror(-r));
	return r;
}

/* What is to be shared is no more the physical function's; QEMU's believes that after a reset of the function. */
static int give_up_what_is_shared(struct session *s)
{
	int r = nvme_secondary_keep(s->controller, 0, 0);

	if (r < 0)
		return say_error(r, NULL, nvme_error);
	r = weir_device_reset(s->opened.device);
	if (r < 0)
		return say_error(r, NULL, weir_error);
	r = nvme_controller_reset(s->controller);
	return say_error(r, NULL, nvme_error);
}

static int start_all(struct session *s)
{
	int num = nvme_secondary_list(s->controller, 0, s->vfs, MOST_VFS), i, r;

	if (num < 0)
		return say_error(num, NULL, nvme_error);
	for (i = 0; i < num; i++) {
		if (s->vfs[i].vf == 0 || s->vfs[i].vf > s->num_vfs)
			continue;
		r = nvme_secondary_start(s->controller, s->vfs[i].controller_id, s->num_queues,
					 s->num_vectors);
		if (r < 0)
			return say_error(r, NULL, nvme_error);
		s->vfs[s->num_started++] = s->vfs[i];
	}
	if (s->num_started != s->num_vfs) {
		warnx("there are not that many secondary controllers");
		return -ENOENT;
	}
	return 0;
}

static int set_up(struct session *s)
{
	struct nvme_controller_opts opts = WEIR_OPTS(nvme_controller_opts, .wait = NVME_WAIT_POLLING);
	int r = open_device(&s->request, &s->opened);

	if (r < 0)
		return say_error(r, NULL, weir_error);
	r = nvme_controller_open(s->opened.device, &opts, &s->controller);
	if (r < 0)
		return say_error(r, NULL, nvme_error);
	r = give_up_what_is_shared(s);
	if (r == 0)
		r = set_num_vfs(s, s->num_vfs);
	return r < 0 ? r : start_all(s);
}

/* Until it is told to end, or the controller fails. */
static int stay(struct session *s)
{
	int r = 0;

	printf("%u virtual functions of %s are online, with %u queues and %u interrupts each\n", s->num_vfs,
	       s->request.address, s->num_queues, s->num_vectors);
	fflush(stdout);
	while (r == 0 && !stop) {
		usleep(LOOK_US);
		r = nvme_controller_check(s->controller);
	}
	return say_error(r, NULL, nvme_error);
}

/* The first error counts; each is told. */
static int tear_down(struct session *s)
{
	int first = 0, r;

	while (s->num_started > 0) {
		r = nvme_secondary_stop(s->controller, s->vfs[--s->num_started].controller_id);
		keep_first(&first, say_error(r, NULL, nvme_error));
	}
	if (s->controller)
		keep_first(&first, set_num_vfs(s, 0));
	keep_first(&first, say_error(nvme_controller_close(s->controller), NULL, nvme_error));
	keep_first(&first, say_error(close_device(&s->opened), NULL, weir_error));
	return first;
}

static const char doc[] =
	"Be the physical function of an NVMe controller, and give its virtual functions what they need.\n"
	"\n"
	"ADDRESS is its PCI address, such as 0000:01:00.0; it has to be bound to vfio-pci, whose virtual "
	"functions "
	"have to be allowed (vfio_pci.enable_sriov=1). When the virtual functions are online, the program "
	"says so, "
	"and stays until it gets SIGINT or SIGTERM; then they go.\v"
	"Exit status: 0 when all went well; 1 when not; 2 for a command line that makes no sense.";

static const struct argp_option table[] = {
	{ "backend", 'b', "NAME", 0, "auto, iommufd, type1 or compat (default auto)", 0 },
	{ "interrupts", 'i', "N", 0, "Interrupts of each, that of the admin queue counted (default 2)", 0 },
	{ "queues", 'q', "N", 0, "Queue pairs of each, that for admin commands counted (default 2)", 0 },
	{ "vf-token", 't', "UUID", 0, "The token that who opens a virtual function has to know", 0 },
	{ "vfs", 'v', "N", 0, "How many (default 1)", 0 },
	{ 0 },
};

static error_t take(int key, char *arg, struct argp_state *state)
{
	struct session *s = state->input;
	const struct option_target targets[] = {
		{ 'b', .backend = &s->request.backend },
		{ 'i', "interrupts", .number = &s->num_vectors },
		{ 'q', "queues", .number = &s->num_queues },
		{ 't', .text = &s->request.vf_token },
		{ 'v', "vfs", .number = &s->num_vfs },
		{ ARGP_KEY_ARG, "ADDRESS", .text = &s->request.address },
	};

	if (key == ARGP_KEY_END) {
		option_controller(&s->request, state);
		if (s->num_vfs > MOST_VFS)
			argp_error(state, "vfs: at most %u", MOST_VFS);
		return 0;
	}
	return option_take(targets, sizeof targets / sizeof targets[0], key, arg, state);
}

int main(int argc, char **argv)
{
	const struct argp argp = { .options = table, .parser = take, .args_doc = "ADDRESS", .doc = doc };
	struct session s = { .num_vfs = 1, .num_queues = 2, .num_vectors = 2 };
	int r;

	option_parse(&argp, argc, argv, &s);
	stop_on_signals();
	r = set_up(&s);
	if (r == 0)
		r = stay(&s);
	return tear_down(&s) < 0 || r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
