/* SPDX-License-Identifier: MIT */
#include "disks.h"

#include <err.h>
#include <errno.h>
#include <sys/stat.h>

#include <weir/sim.h>

#include "common/say.h"

enum { SIMULATED_CMB_MIB = 4, BLOCK_SIZE = 512 };

/* The machine -------------------------------------------------------------------------------------------- */

/* The target's disk is memory, and as large as the image. */
static int simulate(const struct options *options, struct weir_sim **ret_sim)
{
	struct weir_sim_nvme_opts source =
		WEIR_OPTS(weir_sim_nvme_opts, .image = options->simulate, .read_only = true);
	struct weir_sim_nvme_opts target = WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = SIMULATED_CMB_MIB);
	struct stat status;
	int r = weir_sim_open(NULL, ret_sim);

	if (r == 0 && stat(options->simulate, &status) == 0)
		target.capacity = (uint64_t)status.st_size / BLOCK_SIZE * BLOCK_SIZE;
	if (r == 0)
		r = weir_sim_add_nvme(*ret_sim, &source,
				      &WEIR_OPTS(weir_sim_slot, .address = options->source), NULL);
	if (r == 0)
		r = weir_sim_add_nvme(*ret_sim, &target,
				      &WEIR_OPTS(weir_sim_slot, .address = options->target), NULL);
	return r == 0 ? weir_sim_start(*ret_sim) : r;
}

static int open_machine(struct disks *disks, const struct options *options)
{
	const struct open_request request = { .backend = options->backend };
	int r = options->simulate ? simulate(options, &disks->machine.sim) : 0;

	if (r == 0)
		r = open_host(&request, &disks->machine);
	return say_error(r, "the machine", weir_error);
}

/* A controller ------------------------------------------------------------------------------------------- */

static int start(struct disk *disk)
{
	int r = nvme_controller_open(disk->device, NULL, &disk->controller);

	if (r == 0)
		r = nvme_controller_info(disk->controller, &disk->info, sizeof disk->info);
	if (r == 0)
		r = nvme_namespace_info(disk->controller, 1, &disk->ns, sizeof disk->ns);
	if (r == 0)
		r = nvme_queue_open(disk->controller, disk->depth, &disk->queue);
	return say_error(r, disk->address, nvme_error);
}

static int open_disk(struct disk *disk, struct weir_host *host, const char *address, uint32_t depth)
{
	int r;

	disk->address = address;
	disk->depth = depth;
	r = weir_ioas_open(host, NULL, &disk->ioas);
	if (r == 0)
		r = weir_device_open(disk->ioas, address, NULL, &disk->device);
	return r < 0 ? say_error(r, address, weir_error) : start(disk);
}

/* The window --------------------------------------------------------------------------------------------- */

/*
 * Mapped in the target's own space, too, though its commands reach the buffer without going through it: so these addresses are
 * nothing else's, and free to be given to the controller.
 */
static int open_window(struct disks *disks, bool sink)
{
	struct weir_map_opts opts = WEIR_OPTS(weir_map_opts, .flags = sink ? WEIR_MAP_SINK : 0);
	const struct nvme_cmb *cmb = &disks->cmb;
	struct weir_region *bar;
	int r = weir_device_region(disks->target.device, cmb->bar, &bar);

	if (r == 0)
		r = weir_peer_open(bar, cmb->offset, cmb->len, &disks->window);
	if (r == 0)
		r = weir_peer_watch(disks->window, NULL, &disks->watch);
	if (r == 0)
		r = weir_peer_map(disks->window, disks->target.ioas, 0, cmb->len, NULL, &disks->of_target);
	if (r == 0)
		r = weir_peer_map(disks->window, disks->source.ioas, 0, cmb->len, &opts, &disks->of_source);
	return say_error(r, "the window", weir_error);
}

static int enable_buffer(struct disks *disks)
{
	return say_error(
		nvme_controller_enable_cmb(disks->target.controller, weir_map_iova(disks->of_target)),
		disks->target.address, nvme_error);
}

int disks_open(struct disks *disks, const struct options *options)
{
	int r = open_machine(disks, options);

	if (r == 0)
		r = open_disk(&disks->source, disks->machine.host, options->source, options->queue_depth);
	if (r == 0)
		r = open_disk(&disks->target, disks->machine.host, options->target, options->queue_depth);
	if (r == 0)
		r = say_error(nvme_controller_cmb(disks->target.controller, &disks->cmb, sizeof disks->cmb),
			      options->target, nvme_error);
	if (r == 0 && !disks->cmb.writes) {
		warnx("%s: its memory buffer is not for the data of writes", options->target);
		r = -EOPNOTSUPP;
	}
	if (r == 0)
		r = open_window(disks, options->sink);
	return r == 0 ? enable_buffer(disks) : r;
}

/* That the old controller does not answer any more is no error: it was reset under it. */
int disks_restart_target(struct disks *disks)
{
	struct disk *target = &disks->target;
	int r;

	nvme_controller_close(target->controller);
	target->controller = NULL;
	target->queue = NULL;
	r = start(target);
	return r == 0 ? enable_buffer(disks) : r;
}

/* Closing ------------------------------------------------------------------------------------------------ */

/* In the order in which the devices lose reach of things. Returns 0 or the first error. */
int disks_close(struct disks *disks)
{
	struct disk *both[] = { &disks->source, &disks->target };
	int first = 0, i;

	for (i = 0; i < 2; i++)
		keep_first(&first,
			   say_error(nvme_controller_close(both[i]->controller), "closing", nvme_error));
	keep_first(&first, say_error(weir_map_close(disks->of_source), "closing", weir_error));
	keep_first(&first, say_error(weir_map_close(disks->of_target), "closing", weir_error));
	keep_first(&first, say_error(weir_watch_close(disks->watch), "closing", weir_error));
	keep_first(&first, say_error(weir_peer_close(disks->window), "closing", weir_error));
	for (i = 0; i < 2; i++) {
		keep_first(&first, say_error(weir_device_close(both[i]->device), "closing", weir_error));
		keep_first(&first, say_error(weir_ioas_close(both[i]->ioas), "closing", weir_error));
	}
	keep_first(&first, say_error(close_device(&disks->machine), "closing", weir_error));
	return first;
}
