/* SPDX-License-Identifier: MIT */
/*
 * Driver for the Intel 82576 gigabit Ethernet controller (8086:10c9), and QEMU's model of it, "igb".
 *
 *     struct igb_port *port;
 *     struct igb_pool *pool;
 *     struct igb_rx *rx;
 *     struct igb_tx *tx;
 *     struct igb_packet packets[32];
 *     struct igb_piece pieces[32];
 *     igb_port_open(device, NULL, &port);
 *     igb_pool_open(memory, 1024, 2048, &pool);
 *     igb_rx_open(port, 0, 512, pool, &rx);
 *     igb_tx_open(port, 0, 512, pool, &tx);
 *     n = igb_rx_burst(rx, packets, 32, &all);
 *     for (i = 0; i < n; i++)
 *             pieces[i] = igb_forward(&packets[i]);
 *     sent = igb_tx_burst(tx, pieces, n);
 *     igb_port_close(port);
 *
 * Four things: a port (one function of the controller), pools of buffers, receive queues, transmit queues. Packets come and go in
 * bursts; there is no object for a packet, only where it is and the word that the controller wrote back for it.
 *
 * Buffers. A buffer is known by its IOVA, and always belongs to one of: a pool; a receive queue, which the controller fills; the
 * program, from igb_rx_burst() or igb_pool_take() on; or a transmit queue, from igb_tx_burst() until the packet has been sent, when it goes back to
 * that queue's pool. A program gives back what it does not send with igb_pool_give().
 *
 * Packets of several buffers. A packet longer than a buffer lies in several: every one but the last is filled, and the last has
 * IGB_RX_END in its word. They come in order, perhaps not all in one burst. For sending it is the same: pieces, the last with IGB_TX_END.
 *
 * Trust. All that a queue believes of the controller is "done" and a length, which is checked. One that breaks the rules gets -EPROTO; one that is gone
 * (all registers read as ones), -ENODEV.
 *
 * Registers. All accesses return errors where they can be had: the library's accessors, and guarded stores to the doorbells. A program that
 * calls weir_guard_install() (weir/guard.h) gets -EIO from a queue whose controller others have switched off; without it, ringing a doorbell then
 * raises SIGBUS.
 *
 * Errors: 0 (or a count) or a negative errno; igb_error() tells more. Outputs (ret_...) are written on success only.
 *
 * Threads: a pool and the queues that use it are one thread's, without locks; different pools with their queues may be different threads' at
 * once. In builds without NDEBUG, or with sanitizers, two threads in one queue at once are detected: the second gets -EBUSY. Calls on the port, and opening and closing
 * queues, are one thread's at a time; the queues may be at work meanwhile, but not in igb_port_reset().
 *
 * Facts: Intel 82576EB Gigabit Ethernet Controller Datasheet, revision 2.63 (chapter 7: descriptors and offloads; 8: registers).
 */
#ifndef IGB_IGB_H
#define IGB_IGB_H

#include <stdbool.h>

#include <weir/device.h>
#include <weir/memory.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IGB_VENDOR_ID    0x8086
#define IGB_DEVICE_ID    0x10c9 /* 82576, copper */
#define IGB_VF_DEVICE_ID 0x10ca /* a virtual function of one */

#define IGB_MAX_QUEUES 16u   /* of each kind */
#define IGB_MAX_VFS    7u    /* virtual functions, while the physical one is at work itself */
#define IGB_MAX_DEPTH  4096u /* descriptors of a queue */
#define IGB_MAX_FRAME  9728u /* bytes of a frame, with its check sequence */
#define IGB_MIN_SEND   17u   /* bytes of the shortest frame that can be sent; it is padded to 60 on its way */
#define IGB_MAX_PIECES 16u   /* of a packet that is sent */

struct igb_port;
struct igb_pool;
struct igb_rx;
struct igb_tx;

/*
 * What the last failing igb call on this thread has to say: one line of English, without a newline; "" if none failed yet. The pointer
 * stays valid as long as the thread.
 */
const char *igb_error(void);

/* Port ----------------------------------------------------------------------------------------------------- */

#define IGB_PROMISCUOUS (1u << 0) /* receive every frame, whoever it is for */
#define IGB_VLAN_STRIP  (1u << 1) /* take the VLAN tag out of frames: it is in their word then */
#define IGB_INTERRUPTS                                                                                       \
	(1u                                                                                                  \
	 << 2) /* MSI-X: igb_rx_wait() sleeps, igb_port_wait_link() too; without it they look now and then */

struct igb_port_opts {
	size_t size;               /* sizeof(struct igb_port_opts); set by WEIR_OPTS() */
	uint32_t flags;            /* IGB_PROMISCUOUS ... */
	uint32_t num_rx;           /* receive queues, among which RSS divides flows; 0: 1 */
	uint32_t max_frame;        /* bytes of the longest frame, with check sequence and VLAN tag; 0: 1522 */
	uint32_t ready_timeout_ms; /* for a reset, at most; 0: 1 second */
	const uint8_t *rss_key;    /* 40 bytes for the hash; NULL: one that is known to spread well */
	struct weir_memory *memory; /* in the device's space, for rings; NULL: the driver makes some */
	uint32_t num_vfs;           /* virtual functions to have a place for (igb/vfs.h); 0: none */
	uint32_t reserved;
};

/*
 * Take charge of @device, which the caller has opened and closes after igb_port_close(): reset the function, read its address, set up filters and
 * RSS, bring the PHY up. Bus mastering is switched on. Nothing is received or sent before there are queues. Whether the link is up shows
 * igb_port_link(), after some seconds on real copper.
 *
 * A virtual function (IGB_VF_DEVICE_ID) is a port as well, with one receive and two transmit queues. It asks its physical function for what it wants, through a mailbox: whoever drives that, the kernel's igb
 * or this driver (igb_vfs_serve()), has to answer within ready_timeout_ms, also later on. Its address is what it is given, or else one by chance (locally administered).
 * It receives no tagged frames before igb_port_set_vlan(). IGB_PROMISCUOUS and IGB_VLAN_STRIP are not its to choose.
 *
 * A port with num_vfs has two queues of each kind for itself, and 15 - num_vfs groups that are matched exactly. Its device may have as many virtual functions as that, or
 * fewer, from now on or later.
 *
 * Returns 0 and the port in @ret_port, which the caller closes with igb_port_close(); or, with the function reset and bus mastering off,
 *   -EINVAL      unknown flags, more receive queues than there are, max_frame not 64 to IGB_MAX_FRAME, or num_vfs above IGB_MAX_VFS
 *   -E2BIG       options newer than this driver
 *   -ENODEV      no 82576 by its PCI identity; or it is gone
 *   -EOPNOTSUPP  its registers are not in BAR 0; IGB_INTERRUPTS, and it has fewer than two MSI-X vectors; or of a virtual function: num_vfs, or flags that it cannot have
 *   -ETIMEDOUT   the reset did not end; of a virtual function: its physical function does not answer
 *   -EPERM       its physical function refuses what it asks for, such as max_frame
 *   -EIO         registers cannot be reached
 *   -EPROTO      its address is no station's (all zero, or a group's)
 *   -ENOENT      opts.memory is not in the device's address space
 *   -ENOMEM, -EMFILE, -ENOSPC  also those of weir_memory_open(), weir_irq_enable()
 *
 * Datasheet 4.5 (initialisation).
 */
int igb_port_open(struct weir_device *device, const struct igb_port_opts *opts, struct igb_port **ret_port);

/*
 * Close the queues that are open, let what is being sent end, reset the function, and switch bus mastering and interrupts off. What was
 * received and not taken is lost. NULL is allowed. Runs to its end whatever happens; returns 0 or the first error: -ENODEV, -EIO, -ETIMEDOUT.
 */
int igb_port_close(struct igb_port *port);

/*
 * Recover: reset the function and set everything up again as it was: filters, RSS, queues. Received packets that were not taken are lost; the buffers of all
 * packets are back in the queues and pools, and queues that had failed work again. The queues' threads are not in them meanwhile.
 *
 * Packets that a transmit queue had taken and not given back are in doubt, and nothing tells of each what became of it. What holds: a queue's packets are
 * sent in the order in which it took them, so the first of those in doubt have been sent (the last of these perhaps cut off) and the others have not;
 * none is sent twice, and none after this returns. igb_tx_flush() before this tells how many descriptors are in doubt. igb_port_stats() counts those that were
 * sent, but for those of the instant between the reading of the counters and the reset. Who must not lose a packet has to hear of it from the other end, as
 * on any Ethernet.
 *
 * Returns 0; or as igb_port_open(), and then the queues have failed.
 */
int igb_port_reset(struct igb_port *port);

/*
 * Whether the port is in working order: read its status. Returns 0; -ENODEV when it is gone; -EIO; or of a virtual function -ECONNRESET: its physical function was reset, or
 * wants this one to be: igb_port_reset(). igb_rx_wait() says so as well.
 */
int igb_port_check(struct igb_port *port);

struct igb_port_info {
	uint8_t mac[6];
	uint16_t device_id;
	uint32_t num_vectors;  /* MSI-X vectors in use; 0: none */
	uint32_t max_frame;    /* as it was asked for */
	bool doorbells_mapped; /* doorbells are stores to the mapped BAR, not system calls */
	uint8_t reserved[3];
};

/* Fill in @ret_info (@size: sizeof *@ret_info). Returns 0. */
int igb_port_info(const struct igb_port *port, struct igb_port_info *ret_info, size_t size);

struct igb_link {
	uint32_t mbps; /* 10, 100 or 1000; 0: the link is down */
	bool up, full_duplex;
};

/* How the link is now. Returns 0, -ENODEV or -EIO. Datasheet 8.2.2 (STATUS). */
int igb_port_link(struct igb_port *port, struct igb_link *ret_link, size_t size);

/*
 * Wait until the link changes from @up (what the caller knows), or is something else already. With IGB_INTERRUPTS that is an interrupt.
 *
 * Returns 0; -ETIMEDOUT, not within @timeout_ms milliseconds (negative: no limit; 0: only look); -EINTR, a signal handler ran; -ENODEV, -EIO.
 */
int igb_port_wait_link(struct igb_port *port, bool up, int timeout_ms);

/* For an event loop: a descriptor that becomes readable when the link may have changed. -EOPNOTSUPP without IGB_INTERRUPTS. */
int igb_port_link_fd(const struct igb_port *port);

/* Receive every frame from now on, or only those for this port. Returns 0, -ENODEV, -EIO; -EOPNOTSUPP, a virtual function. */
int igb_port_set_promiscuous(struct igb_port *port, bool on);

/*
 * Take @mac for the port's own address. Returns 0; -EINVAL, it is a group's or all zero; -EADDRINUSE, one of its virtual functions has it;
 * -ENODEV, -EIO; of a virtual function also -EPERM, refused, -ETIMEDOUT, no answer, or -ECONNRESET, it is not known there any more
 * (igb_port_check()). Reset gives back the one from the
 * EEPROM only when the port is opened anew. Datasheet 8.10.15.
 */
int igb_port_set_mac(struct igb_port *port, const uint8_t mac[6]);

/*
 * Receive frames for these @num group addresses, and no others (broadcast always). The first 15 are matched exactly, the others by a hash of 12 bits: a
 * frame for a group that was not asked for may come as well. Of a virtual function all are matched by the hash, and it can have 30. Returns 0; -EINVAL, one of them is no group's; -ENOSPC, too
 * many; -ENODEV, -EIO; -EPERM, -ETIMEDOUT and -ECONNRESET as for igb_port_set_mac(). Datasheet 7.1.2.1.
 */
int igb_port_set_multicast(struct igb_port *port, const uint8_t (*macs)[6], size_t num);

/*
 * Receive frames with VLAN tag @vlan (0 to 4095), or no longer. Before the first call every tag is let through; @vlan UINT16_MAX: every tag again.
 * With virtual functions there is room for 32 tags altogether, and as soon as one of them has a tag, it is as if there had been a first call here.
 * Returns 0; -EINVAL; -ENOSPC, no room; -ENODEV, -EIO; of a virtual function also -EOPNOTSUPP for UINT16_MAX, -EPERM, -ETIMEDOUT, -ECONNRESET. Datasheet 8.10.18 (VFTA), 8.10.19 (VLVF).
 */
int igb_port_set_vlan(struct igb_port *port, uint16_t vlan, bool receive);

/* What the hardware has counted since the port was opened, resets included. A virtual function counts packets, bytes, and what it received for groups. */
struct igb_stats {
	uint64_t rx_packets, rx_bytes, rx_multicast, rx_broadcast;
	uint64_t tx_packets, tx_bytes, tx_multicast, tx_broadcast;
	uint64_t rx_missed;     /* no room in the port's own packet buffer */
	uint64_t rx_no_buffers; /* no descriptor was ready in a receive queue */
	uint64_t rx_crc_errors, rx_length_errors, rx_undersize, rx_oversize, rx_fragments, rx_jabbers;
};

/* Read the counters, which clears them there. Returns 0, -ENODEV or -EIO. Datasheet 8.18. */
int igb_port_stats(struct igb_port *port, struct igb_stats *ret_stats, size_t size);

/* Pool ----------------------------------------------------------------------------------------------------- */

/*
 * Make a pool of @num buffers of @len bytes, a multiple of 1024 up to 16384, in one piece of @memory. They begin at multiples of 64, and not at
 * a power of two from each other.
 *
 * Returns 0 and the pool in @ret_pool, which the caller closes with igb_pool_close(); or
 *   -EINVAL  @num is 0 or above 2^20; @len is none of these
 *   -ENOMEM, and those of weir_memory_alloc()
 */
int igb_pool_open(struct weir_memory *memory, uint32_t num, uint32_t len, struct igb_pool **ret_pool);

/*
 * The same in memory of somebody else, such as a window of another device (weir/peer.h): @room bytes that devices see at @iova, a multiple of 64,
 * and this program at @addr, or NULL: not at all. It stays the caller's. -EMSGSIZE: @num buffers do not fit.
 */
int igb_pool_open_at(uint64_t iova, void *addr, uint64_t room, uint32_t num, uint32_t len,
		     struct igb_pool **ret_pool);

/* Give the memory back. -EBUSY, with nothing changed, while a queue uses the pool. NULL is allowed. */
int igb_pool_close(struct igb_pool *pool);

/* Take up to @num buffers for packets to be sent. Returns how many. */
uint32_t igb_pool_take(struct igb_pool *pool, uint64_t *ret_iovas, uint32_t num);

/*
 * Give @num buffers back, each by an IOVA that the pool or a queue gave. Returns 0; or -EINVAL, with nothing given back: more than there can be, or
 * one that is none of its buffers.
 */
int igb_pool_give(struct igb_pool *pool, const uint64_t *iovas, uint32_t num);

/* Buffers that nobody has. */
uint32_t igb_pool_free(const struct igb_pool *pool);

/* What the compiled-in functions need to know. */
struct igb_pool_place {
	uint64_t iova, room; /* where its buffers lie */
	uintptr_t delta;     /* from an IOVA to the address, modulo 2^64 */
	uint32_t len;        /* of a buffer */
	uint32_t stride;     /* from one to the next */
};

/* Where the program sees a buffer. One addition. */
static inline void *igb_pool_addr(const struct igb_pool *pool, uint64_t iova)
{
	return (void *)((uintptr_t)iova + ((const struct igb_pool_place *)(const void *)pool)->delta);
}

/* Receive queue -------------------------------------------------------------------------------------------- */

/* A received packet, or a part of it. */
struct igb_packet {
	uint64_t iova; /* of the buffer, which is the program's now */
	uint64_t word; /* as written back: length in bits 47:32, VLAN tag in 63:48, and IGB_RX_... */
	uint64_t flow; /* as written back: RSS hash in bits 63:32, its type in 3:0, packet type in 16:4 */
};

#define IGB_RX_DONE     (UINT64_C(1) << 0)
#define IGB_RX_END      (UINT64_C(1) << 1) /* the packet ends in this buffer */
#define IGB_RX_VLAN     (UINT64_C(1) << 3) /* it had a VLAN tag; with IGB_VLAN_STRIP that is in bits 63:48 */
#define IGB_RX_L4_SEEN  (UINT64_C(1) << 5) /* its TCP or UDP checksum was looked at */
#define IGB_RX_IP_SEEN  (UINT64_C(1) << 6) /* its IPv4 header checksum was looked at */
#define IGB_RX_L4_WRONG (UINT64_C(1) << 29)
#define IGB_RX_IP_WRONG (UINT64_C(1) << 30)
#define IGB_RX_BAD      (UINT64_C(1) << 31) /* damaged on its way */
#define IGB_RX_ERRORS   (IGB_RX_L4_WRONG | IGB_RX_IP_WRONG | IGB_RX_BAD)

static inline uint32_t igb_packet_len(const struct igb_packet *packet)
{
	return (uint32_t)(packet->word >> 32) & 0xffff;
}

static inline uint32_t igb_packet_hash(const struct igb_packet *packet)
{
	return (uint32_t)(packet->flow >> 32);
}

/*
 * Open receive queue @index (below num_rx of the port) with @depth descriptors, a power of two from 64 to IGB_MAX_DEPTH, and fill it from @pool: as
 * many buffers as descriptors. A flow that RSS leads to a queue that is not open is lost.
 *
 * Returns 0 and the queue in @ret_rx, which the caller closes with igb_rx_close(); or
 *   -EINVAL  no such index or depth
 *   -EBUSY   it is open
 *   -ENOBUFS the pool has not as many buffers
 *   -ETIMEDOUT, -ENODEV, -EIO, -ENOMEM, and those of weir_memory_alloc()
 *
 * Datasheet 4.5.9.
 */
int igb_rx_open(struct igb_port *port, uint32_t index, uint32_t depth, struct igb_pool *pool,
		struct igb_rx **ret_rx);

/* Stop the queue, and give its buffers back to the pool. NULL is allowed. Runs to its end; returns 0 or the first error. */
int igb_rx_close(struct igb_rx *rx);

/*
 * Take up to @max received packets (or parts), in order. Never waits. Each is replaced by a buffer from the pool; so packets wait in the queue
 * while the pool is empty.
 *
 * Returns their number, 0 if there are none, and in @ret_all all their words or-ed together: whether there is an IGB_RX_ERRORS to look for shows one
 * look at that. Or, with nothing taken,
 *   -ENOBUFS  the pool is empty, also after what transmit queues have sent was given back to it
 *   -EPROTO   the controller wrote a length of 0 or beyond the buffer: the queue has failed (igb_port_reset()). Packets before it are returned first.
 *   -EIO, -ENODEV  the doorbell could not be rung: the queue has failed
 *   -EBUSY    another thread is in this queue
 *
 * Datasheet 7.1.5 (advanced receive descriptors).
 */
int igb_rx_burst(struct igb_rx *rx, struct igb_packet *ret_packets, uint32_t max, uint64_t *ret_all);

/*
 * Wait until packets are there to be taken.
 *
 * Returns 0; -ETIMEDOUT, none within @timeout_ms milliseconds (negative: no limit; 0: only look); -EINTR, a signal handler ran; -ENODEV,
 * -EIO; or the error with which the queue has failed.
 */
int igb_rx_wait(struct igb_rx *rx, int timeout_ms);

/*
 * For an event loop: igb_rx_arm() asks for an interrupt, after which the descriptor becomes readable when packets come; look with igb_rx_burst()
 * once after arming. -EOPNOTSUPP without IGB_INTERRUPTS.
 */
int igb_rx_fd(const struct igb_rx *rx);
int igb_rx_arm(struct igb_rx *rx);

/* Transmit queue ------------------------------------------------------------------------------------------- */

/* A packet to send, or a part of one. */
struct igb_piece {
	uint64_t iova; /* of the buffer, which is the queue's from now on */
	uint64_t what; /* its length, where received packets have theirs: IGB_TX_LEN(), with IGB_TX_... */
};

#define IGB_TX_LEN(bytes)    ((uint64_t)(bytes) << 32) /* 1 to 65535 */
#define IGB_TX_OFFSET(bytes) ((uint64_t)(bytes) << 48) /* where in the buffer it begins */
#define IGB_TX_END           (UINT64_C(1) << 1)        /* the packet ends with this piece */
#define IGB_TX_VLAN          (UINT64_C(1) << 8)        /* put a VLAN tag in, as igb_tx_offload() says */
#define IGB_TX_IP_SUM        (UINT64_C(1) << 9)        /* fill in the IPv4 header checksum */
#define IGB_TX_L4_SUM                                                                                        \
	(UINT64_C(1)                                                                                         \
	 << 10) /* fill in the TCP, UDP or SCTP checksum; its field holds the pseudo header's sum */

/* What sends a received buffer on as it is. */
static inline struct igb_piece igb_forward(const struct igb_packet *packet)
{
	struct igb_piece piece = { packet->iova, packet->word & (IGB_TX_LEN(0xffff) | IGB_TX_END) };

	return piece;
}

/*
 * Open transmit queue @index (below IGB_MAX_QUEUES) with @depth descriptors, a power of two from 64 to IGB_MAX_DEPTH; buffers go to @pool when they have
 * been sent. Errors as for igb_rx_open(), but -ENOBUFS.
 */
int igb_tx_open(struct igb_port *port, uint32_t index, uint32_t depth, struct igb_pool *pool,
		struct igb_tx **ret_tx);

/*
 * Stop the queue after what is on its way (100 ms at most), and give the buffers to the pool. NULL is allowed. Runs to its end; returns 0 or the
 * first error.
 */
int igb_tx_close(struct igb_tx *tx);

/*
 * Send packets: @num pieces, in order, and ring the doorbell once. Never waits. Flags other than IGB_TX_END count in the first piece of a packet.
 *
 * Returns how many pieces were taken, always whole packets; fewer than @num when the queue is full, or when the next packet is in error: send the rest
 * again to learn it. What was not taken stays the caller's. Pieces whose doorbell could not be rung have been taken: the next call says so. Or, when
 * nothing could be taken,
 *   -EAGAIN    the queue is full
 *   -EINVAL    a piece of no bytes; a packet shorter than IGB_MIN_SEND; unknown flags; the last packet has no end; the buffer does not hold
 *              the piece; or is not the pool's (of packets in one buffer without offloads, that is seen only in builds without NDEBUG or with sanitizers)
 *   -EMSGSIZE  the packet is longer than max_frame of the port leaves room for, or has more than IGB_MAX_PIECES pieces
 *   -EIO, -ENODEV  the queue has failed
 *   -EBUSY     another thread is in this queue
 *
 * Datasheet 7.2.2.4 (advanced transmit data descriptors).
 */
int igb_tx_burst(struct igb_tx *tx, const struct igb_piece *pieces, uint32_t num);

/* What offloads need to know of the packets that follow. */
struct igb_offload {
	size_t size;      /* sizeof(struct igb_offload); set by WEIR_OPTS() */
	uint32_t mac_len; /* bytes of the Ethernet header, without the tag that is put in; 14 to 127; 0: 14 */
	uint32_t ip_len;  /* bytes of the IP header: 20 to 511; 0: 20 */
	uint32_t l4;      /* 6: TCP, 17: UDP, 132: SCTP; 0: UDP */
	uint16_t vlan;    /* the tag: priority in bits 15:13, number in 11:0 */
	bool ipv6;
	uint8_t reserved;
};

/* Holds for packets that are sent after this, until the next. Takes a descriptor. Returns 0; -EINVAL; -EAGAIN, the queue is full. Datasheet 7.2.2.3. */
int igb_tx_offload(struct igb_tx *tx, const struct igb_offload *offload);

/*
 * Give the buffers of all that has been sent back to the pool. igb_tx_burst() does that for whole lots of 32 as they end; this, for idle times, also
 * for the last ones, at the price of a register read. Returns how many descriptors are still on their way; or -EIO, -ENODEV, -EBUSY.
 */
int igb_tx_flush(struct igb_tx *tx);

#ifdef __cplusplus
}
#endif

#endif
