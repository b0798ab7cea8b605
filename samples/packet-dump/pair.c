// SPDX-License-Identifier: MIT
#include "packet-dump/pair.h"

#include <err.h>
#include <errno.h>

#include "common/say.h"

enum {
	RX_DEPTH = 256,
	DISK_DEPTH = 128,
	BUFFERS = 1024,
	BUFFER = 2048, /* or a block, if that is longer */
	LONGEST = 16384,
	LINE = 64,          /* from one buffer to the next */
	REQUEST = 64 << 10, /* that is read back, at most */
};

/* The disk -------------------------------------------------------------------------------------------------- */

static int open_disk(struct pair *pair, struct weir_host *host, const char *address)
{
	struct nvme_controller_info info = { 0 };
	int r = weir_ioas_open(host, NULL, &pair->disk_space);

	if (r == 0)
		r = weir_device_open(pair->disk_space, address, NULL, &pair->disk);
	if (r < 0)
		return say_error(r, address, weir_error);
	r = nvme_controller_open(pair->disk, NULL, &pair->controller);
	if (r == 0)
		r = nvme_controller_info(pair->controller, &info, sizeof info);
	if (r == 0)
		r = nvme_namespace_info(pair->controller, 1, &pair->ns, sizeof pair->ns);
	if (r == 0)
		r = nvme_queue_open(pair->controller, DISK_DEPTH, &pair->queue);
	if (r == 0)
		r = nvme_controller_cmb(pair->controller, &pair->cmb, sizeof pair->cmb);
	if (r < 0)
		return say_error(r, address, nvme_error);
	pair->request_size = info.max_transfer < REQUEST ? info.max_transfer : REQUEST;
	pair->len = pair->ns.block_size > BUFFER ? pair->ns.block_size : BUFFER;
	if (!pair->cmb.writes || pair->len > LONGEST) {
		warnx("%s: its memory buffer is not for the data of writes, or its blocks are too long",
		      address);
		return -EOPNOTSUPP;
	}
	return 0;
}

/* Before privileges are dropped, which limits what can be mapped. */
static int get_memory(struct pair *pair)
{
	int r = weir_memory_open(pair->disk_space, NULL, &pair->memory);

	if (r == 0)
		r = weir_memory_alloc(pair->memory, (uint64_t)PAIR_BACK * pair->request_size, NULL,
				      &pair->back);
	return say_error(r, "memory to read back into", weir_error);
}

/* Mapped in the disk's own space as well, so that nothing else gets these addresses (docs/peer.md). */
static int open_window(struct pair *pair)
{
	struct weir_region *bar;
	int r = weir_device_region(pair->disk, pair->cmb.bar, &bar);

	if (r == 0)
		r = weir_peer_open(bar, pair->cmb.offset, pair->cmb.len, &pair->window);
	if (r == 0)
		r = weir_peer_map(pair->window, pair->disk_space, 0, pair->cmb.len, NULL, &pair->of_disk);
	if (r == 0)
		r = weir_peer_map(pair->window, pair->nic_space, 0, pair->cmb.len, NULL, &pair->of_nic);
	if (r < 0)
		return say_error(r, "the window", weir_error);
	return say_error(nvme_controller_enable_cmb(pair->controller, weir_map_iova(pair->of_disk)),
			 "the memory buffer", nvme_error);
}

/* The port -------------------------------------------------------------------------------------------------- */

static int open_nic_device(struct pair *pair, struct weir_host *host, const char *address)
{
	int r = weir_ioas_open(host, NULL, &pair->nic_space);

	if (r == 0)
		r = weir_device_open(pair->nic_space, address, NULL, &pair->nic);
	return say_error(r, address, weir_error);
}

static int open_port(struct pair *pair, const char *address, bool polls)
{
	uint64_t most = pair->cmb.len / (pair->len + LINE);
	uint32_t num = most < BUFFERS ? (uint32_t)most : BUFFERS;
	int r = igb_port_open(pair->nic, &WEIR_OPTS(igb_port_opts, .flags = polls ? 0 : IGB_INTERRUPTS),
			      &pair->port);

	if (r == 0)
		r = igb_pool_open_at(weir_map_iova(pair->of_nic), NULL, pair->cmb.len, num, pair->len,
				     &pair->pool);
	if (r == 0)
		r = igb_rx_open(pair->port, 0, RX_DEPTH, pair->pool, &pair->rx);
	return say_error(r, address, igb_error);
}

int pair_open(struct pair *pair, struct weir_host *host, const struct pair_opts *opts)
{
	int r = open_disk(pair, host, opts->disk);

	if (r == 0)
		r = get_memory(pair);
	if (r == 0)
		r = open_nic_device(pair, host, opts->nic);
	if (r == 0)
		r = open_window(pair);
	return r < 0 ? r : open_port(pair, opts->nic, opts->polls);
}

/* Closing --------------------------------------------------------------------------------------------------- */

/* In the order in which the devices lose reach of things. */
int pair_close(struct pair *pair)
{
	int first = 0;

	keep_first(&first, say_error(igb_port_close(pair->port), "closing", igb_error));
	keep_first(&first, say_error(igb_pool_close(pair->pool), "closing", igb_error));
	keep_first(&first, say_error(nvme_controller_close(pair->controller), "closing", nvme_error));
	keep_first(&first, say_error(weir_map_close(pair->of_nic), "closing", weir_error));
	keep_first(&first, say_error(weir_map_close(pair->of_disk), "closing", weir_error));
	keep_first(&first, say_error(weir_peer_close(pair->window), "closing", weir_error));
	keep_first(&first, say_error(weir_memory_close(pair->memory), "closing", weir_error));
	keep_first(&first, say_error(weir_device_close(pair->nic), "closing", weir_error));
	keep_first(&first, say_error(weir_device_close(pair->disk), "closing", weir_error));
	keep_first(&first, say_error(weir_ioas_close(pair->nic_space), "closing", weir_error));
	keep_first(&first, say_error(weir_ioas_close(pair->disk_space), "closing", weir_error));
	*pair = (struct pair){ 0 };
	return first;
}
