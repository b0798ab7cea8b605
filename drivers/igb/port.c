// SPDX-License-Identifier: MIT
/* A port comes, is reset, and goes. */
#include "igb/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/opts.h"
#include "igb/virtual.h"

#define DEFAULT_FRAME      1522u
#define MIN_FRAME          64u
#define DEFAULT_TIMEOUT_MS 1000u
#define MEMORY_CHUNK       (64u << 10)
#define KNOWN_FLAGS        (IGB_PROMISCUOUS | IGB_VLAN_STRIP | IGB_INTERRUPTS)

/* The key that Microsoft's specification of RSS verifies hashes with. */
static const uint8_t default_key[40] = { 0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
					 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
					 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
					 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa };

/* Opening ------------------------------------------------------------------------------------------------------- */

static int read_opts(const struct igb_port_opts *callers, struct igb_port_opts *opts)
{
	int r = opts_copy(opts, sizeof *opts, callers);

	if (r < 0)
		return fail(r, r == -E2BIG ? "options newer than this driver"
					   : "the size of the options is impossible");
	opts->num_rx = opts->num_rx ? opts->num_rx : 1;
	opts->max_frame = opts->max_frame ? opts->max_frame : DEFAULT_FRAME;
	opts->ready_timeout_ms = opts->ready_timeout_ms ? opts->ready_timeout_ms : DEFAULT_TIMEOUT_MS;
	opts->rss_key = opts->rss_key ? opts->rss_key : default_key;
	if (opts->flags & ~KNOWN_FLAGS)
		return fail(-EINVAL, "unknown flags: 0x%x", opts->flags & ~KNOWN_FLAGS);
	if (opts->num_rx > IGB_MAX_QUEUES)
		return fail(-EINVAL, "%u receive queues: there are %u", opts->num_rx, IGB_MAX_QUEUES);
	if (opts->max_frame < MIN_FRAME || opts->max_frame > IGB_MAX_FRAME)
		return fail(-EINVAL, "frames of up to %u bytes: %u to %u", opts->max_frame, MIN_FRAME,
			    IGB_MAX_FRAME);
	if (opts->num_vfs > IGB_MAX_VFS)
		return fail(-EINVAL, "%u virtual functions: %u at most", opts->num_vfs, IGB_MAX_VFS);
	return 0;
}

/* What the function cannot have is known now. */
static int check_kind(const struct igb_port *port)
{
	if (port->is_vf && port->num_vfs)
		return fail(-EOPNOTSUPP, "a virtual function has no virtual functions");
	if (port->is_vf && port->flags & (IGB_PROMISCUOUS | IGB_VLAN_STRIP))
		return fail(-EOPNOTSUPP, "what a virtual function receives, and with which tags, is for its "
					 "physical function to say");
	if (port->num_rx > igb_num_rx_queues(port))
		return fail(-EINVAL, "%u receive queues: there are %u", port->num_rx,
			    igb_num_rx_queues(port));
	return 0;
}

static int find_registers(struct igb_port *port)
{
	uint64_t needed;
	struct weir_device_info info;
	struct weir_region_info region = { 0 };
	uint64_t len;
	void *mapped;
	int r = weir_device_info(port->device, &info, sizeof info);

	if (r < 0)
		return fail(r, "%s", weir_error());
	port->is_vf = info.device_id == IGB_VF_DEVICE_ID;
	if (info.vendor_id != IGB_VENDOR_ID || (info.device_id != IGB_DEVICE_ID && !port->is_vf))
		return fail(-ENODEV, "%s is no 82576 (%04x:%04x instead of %04x:%04x)", info.address,
			    info.vendor_id, info.device_id, IGB_VENDOR_ID, IGB_DEVICE_ID);
	port->device_id = info.device_id;
	r = check_kind(port);
	if (r < 0)
		return r;
	needed = port->is_vf ? IGB_VF_REGISTERS : IGB_REGISTERS;
	r = weir_device_region(port->device, WEIR_REGION_BAR0, &port->bar);
	if (r == 0)
		r = weir_region_info(port->bar, &region, sizeof region);
	if (r < 0)
		return fail(r == -ENOENT ? -EOPNOTSUPP : r, "BAR 0: %s", weir_error());
	if (region.size < needed)
		return fail(-EOPNOTSUPP, "BAR 0 of %ju bytes has no room for the registers",
			    (uintmax_t)region.size);
	if (weir_region_map(port->bar, &mapped, &len) == 0 && len >= needed)
		port->mapped = mapped;
	return 0;
}

static int find_memory(struct igb_port *port, struct weir_memory *callers)
{
	int r = 0;

	port->ioas = weir_device_ioas(port->device);
	port->memory = callers;
	if (!callers)
		r = weir_memory_open(port->ioas,
				     &WEIR_OPTS(weir_memory_opts, .page_size = 4096, .chunk = MEMORY_CHUNK),
				     &port->memory);
	if (r < 0)
		return fail(r, "memory for rings: %s", weir_error());
	port->own_memory = !callers;
	return 0;
}

static int enable_interrupts(struct igb_port *port)
{
	uint32_t count = 0;
	int r;

	if (!(port->flags & IGB_INTERRUPTS))
		return 0;
	r = weir_irq_count(port->device, WEIR_IRQ_MSIX, &count);
	if (r < 0)
		return fail(r, "%s", weir_error());
	if (count < 2)
		return fail(
			-EOPNOTSUPP,
			"the device has %u MSI-X vectors: one for the link and one for a queue are needed",
			count);
	count = count < 1 + port->num_rx ? count : 1 + port->num_rx;
	r = weir_irq_enable(port->device, WEIR_IRQ_MSIX, count, &port->irq);
	if (r < 0)
		return fail(r, "interrupts: %s", weir_error());
	port->num_vectors = count;
	return 0;
}

static int bring_up(struct igb_port *port)
{
	int r = igb_reset_function(port);

	if (r == 0 && !port->is_vf) /* a virtual function is told its address */
		r = igb_read_mac(port);
	if (r == 0)
		r = enable_interrupts(port);
	if (r < 0)
		return r;
	r = weir_device_set_bus_master(port->device, true);
	if (r < 0)
		return fail(r, "bus mastering: %s", weir_error());
	r = igb_set_up(port);
	return r < 0 ? r : igb_collect(port); /* what was counted before is none of ours */
}

/* Of what there is. Returns the first error. */
static int take_down(struct igb_port *port)
{
	int r = igb_reset_function(port), other;

	other = weir_device_set_bus_master(port->device, false);
	if (other < 0 && r == 0)
		r = fail(other, "bus mastering: %s", weir_error());
	other = weir_irq_disable(port->irq);
	if (other < 0 && r == 0)
		r = fail(other, "interrupts: %s", weir_error());
	return r;
}

static int close_memory(struct igb_port *port)
{
	int r = port->own_memory ? weir_memory_close(port->memory) : 0;

	return r < 0 ? fail(r, "memory for rings stays mapped: %s", weir_error()) : 0;
}

int igb_port_open(struct weir_device *device, const struct igb_port_opts *callers, struct igb_port **ret_port)
{
	struct igb_port_opts opts;
	struct igb_port *port;
	char text[DETAIL_SIZE];
	int r = read_opts(callers, &opts);

	if (r < 0)
		return r;
	port = calloc(1, sizeof *port);
	if (!port)
		return fail(-ENOMEM, "no memory for a port");
	port->device = device;
	port->flags = opts.flags;
	port->num_rx = opts.num_rx;
	port->max_frame = opts.max_frame;
	port->timeout_ms = opts.ready_timeout_ms;
	memcpy(port->rss_key, opts.rss_key, sizeof port->rss_key);
	port->num_vfs = opts.num_vfs;
	r = find_registers(port);
	if (r == 0 && port->num_vfs) {
		port->vfs = igb_vfs_create();
		r = port->vfs ? 0 : fail(-ENOMEM, "no memory for virtual functions");
	}
	if (r == 0)
		r = find_memory(port, opts.memory);
	if (r == 0) {
		r = bring_up(port);
		memset(&port->stats, 0, sizeof port->stats);
		if (r < 0) {
			memcpy(text, igb_detail, sizeof text);
			take_down(port);
			close_memory(port);
			memcpy(igb_detail, text, sizeof text);
		}
	}
	if (r < 0) {
		free(port->vfs);
		free(port);
		return r;
	}
	*ret_port = port;
	return 0;
}

/* And after that ------------------------------------------------------------------------------------------------ */

int igb_port_close(struct igb_port *port)
{
	uint32_t i;
	int r = 0, other;

	if (!port)
		return 0;
	for (i = 0; i < IGB_MAX_QUEUES; i++) {
		other = igb_tx_close(port->tx[i]);
		r = r ? r : other;
	}
	for (i = 0; i < IGB_MAX_QUEUES; i++) {
		other = igb_rx_close(port->rx[i]);
		r = r ? r : other;
	}
	other = take_down(port);
	r = r ? r : other;
	other = close_memory(port);
	r = r ? r : other;
	free(port->vfs);
	free(port);
	return r;
}

int igb_port_reset(struct igb_port *port)
{
	int r = igb_collect(port);

	if (r == 0)
		r = igb_reset_function(port);
	if (r == 0) {
		r = weir_device_set_bus_master(port->device, true);
		if (r < 0)
			fail(r, "bus mastering: %s", weir_error());
	}
	if (r == 0)
		r = igb_set_up(port);
	if (r == 0)
		r = igb_start_queues(port);
	if (r < 0) {
		igb_fail_queues(port, -ECONNRESET);
		weir_device_set_bus_master(port->device, false);
	}
	return r;
}

int igb_port_check(struct igb_port *port)
{
	uint32_t status;
	int r = igb_read(port, IGB_STATUS, &status);

	return r == 0 && port->is_vf ? igb_hear(port) : r;
}

int igb_port_info(const struct igb_port *port, struct igb_port_info *ret_info, size_t size)
{
	struct igb_port_info info = {
		.device_id = port->device_id,
		.num_vectors = port->num_vectors,
		.max_frame = port->max_frame,
		.doorbells_mapped = port->mapped,
	};

	memcpy(info.mac, port->mac, 6);
	info_copy(ret_info, size, &info, sizeof info);
	return 0;
}
