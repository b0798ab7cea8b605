/* SPDX-License-Identifier: MIT */
/*
 * A network port and a disk, each in an address space of its own, and a window of the disk's controller between them: its memory buffer, into which the
 * port receives.
 *
 * Functions return 0 or a negative errno, after they have said on stderr what is wrong.
 */
#ifndef PACKET_DUMP_PAIR_H
#define PACKET_DUMP_PAIR_H

#include <igb/igb.h>
#include <nvme/nvme.h>
#include <weir/weir.h>

#define PAIR_BURST 32u /* packets at a time */
#define PAIR_BACK  8u  /* reads at a time */

struct pair {
	struct weir_ioas *nic_space, *disk_space;
	struct weir_device *nic, *disk;
	struct nvme_controller *controller;
	struct nvme_namespace ns;
	struct nvme_queue *queue;
	struct nvme_cmb cmb;
	struct weir_peer *window;
	struct weir_map *of_nic;  /* where the port's DMA reaches it */
	struct weir_map *of_disk; /* where the disk's own commands do */
	struct igb_port *port;
	struct igb_pool *pool; /* in the window; this program does not see it */
	struct igb_rx *rx;
	uint32_t len;               /* of a buffer: whole blocks */
	struct weir_memory *memory; /* to read back into, which comes later */
	struct weir_buffer back;    /* PAIR_BACK requests */
	uint32_t request_size;      /* of each */
};

struct pair_opts {
	const char *nic, *disk; /* PCI addresses */
	bool polls;
	uint8_t reserved[7];
};

/* Open everything. What is open after an error is closed by pair_close(), too. */
int pair_open(struct pair *pair, struct weir_host *host, const struct pair_opts *opts);

/* Returns 0 or the first error. */
int pair_close(struct pair *pair);

#endif
