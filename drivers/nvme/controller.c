/* SPDX-License-Identifier: MIT */
/* Opening and closing a controller (Base 2.0, 3.5.1 and 3.6.1). */
#include "nvme/controller.h"

#include <errno.h>
#include <stdlib.h>

#include "common/opts.h"
#include "nvme/admin.h"
#include "nvme/error.h"
#include "nvme/kept.h"

#define ADMIN_TIMEOUT_MS        10000u
#define SHUTDOWN_TIMEOUT_MS     5000u
#define MAX_SHUTDOWN_TIMEOUT_MS 30000u
#define MAX_QUEUES              65534u
#define SPIN_US                 20u
#define MAX_TRANSFER            NVME_PRP_LIST_TRANSFER
#define KNOWN_FLAGS             ((uint32_t)(NVME_SGL | NVME_SHADOW_DOORBELLS | NVME_EVENTS))

/* Interrupts --------------------------------------------------------------------------------------------- */

/*
 * Vector 0 belongs to the admin queue, which is polled; each I/O queue has one of its own after that. A
 * device or a platform with a single vector gives it to one I/O queue, which then wakes up for admin
 * completions too.
 */
static int enable_vectors(struct nvme_controller *c, enum weir_irq_kind kind, uint32_t available,
			  uint32_t num_queues)
{
	uint32_t count = num_queues + 1 < available ? num_queues + 1 : available;
	int r = weir_irq_enable(c->device, kind, count, &c->irq);

	if (r == -ENOSPC && count > 1) {
		count = 1;
		r = weir_irq_enable(c->device, kind, count, &c->irq);
	}
	if (r < 0)
		return fail(r, "%s: %s", weir_irq_kind_name(kind), weir_error());
	c->num_vectors = count;
	c->irq_kind = kind;
	return 0;
}

static int enable_interrupts(struct nvme_controller *c, enum nvme_wait wait, uint32_t num_queues)
{
	static const enum weir_irq_kind kinds[] = { WEIR_IRQ_MSIX, WEIR_IRQ_MSI };
	uint32_t available;
	size_t i;
	int r;

	if (wait == NVME_WAIT_POLLING)
		return 0;
	for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		r = weir_irq_count(c->device, kinds[i], &available);
		if (r < 0)
			return fail(r, "interrupts: %s", weir_error());
		if (available > 0)
			return enable_vectors(c, kinds[i], available, num_queues);
	}
	if (wait != NVME_WAIT_AUTO)
		return fail(-EOPNOTSUPP, "the controller has neither MSI-X nor MSI");
	return 0;
}

/* Opening ------------------------------------------------------------------------------------------------ */

int nvme_check_class(struct weir_device *device)
{
	struct weir_device_info info;
	int r = weir_device_info(device, &info, sizeof info);

	if (r < 0)
		return fail(r, "%s", weir_error());
	if (info.class_code != NVME_CLASS_CODE)
		return fail(-ENODEV, "class 0x%06x is not that of an NVMe controller (0x%06x)",
			    info.class_code, NVME_CLASS_CODE);
	return 0;
}

/*
 * From whatever state it was left in to ready. Bus mastering comes on only when the controller has stopped,
 * so that what it may have been told to do before never reaches memory.
 */
static int start(struct nvme_controller *c, const struct nvme_controller_opts *opts, uint32_t num_queues)
{
	int r;

	r = nvme_disable(&c->registers);
	if (r == 0)
		r = nvme_cmb_disable(&c->registers);
	if (r == 0)
		r = nvme_memory_open(&c->memory, c->device, opts->memory);
	if (r == 0)
		r = nvme_admin_open(c);
	if (r == 0)
		r = enable_interrupts(c, opts->wait, num_queues);
	if (r < 0)
		return r;
	r = weir_device_set_bus_master(c->device, true);
	if (r < 0)
		return fail(r, "bus mastering: %s", weir_error());
	c->was_enabled = true;
	return nvme_enable(&c->registers, c->shared.iova, c->shared.iova + NVME_PAGE_SIZE,
			   NVME_ADMIN_ENTRIES);
}

static void set_shutdown_timeout(struct nvme_controller *c, uint32_t claimed_ms)
{
	c->shutdown_timeout_ms = claimed_ms == 0 ? SHUTDOWN_TIMEOUT_MS : claimed_ms;
	if (c->shutdown_timeout_ms > MAX_SHUTDOWN_TIMEOUT_MS)
		c->shutdown_timeout_ms = MAX_SHUTDOWN_TIMEOUT_MS;
}

/* Each I/O queue needs doorbells in the BAR, a place in the controller, and a vector if it is not polled. */
static int agree_on_queues(struct nvme_controller *c, uint32_t wanted)
{
	uint32_t vectors = c->num_vectors > 1 ? c->num_vectors - 1 : 1;
	uint32_t granted;
	int r;

	if (wanted > c->registers.max_queues)
		wanted = c->registers.max_queues;
	if (c->irq && wanted > vectors)
		wanted = vectors;
	r = nvme_admin_set_num_queues(c, wanted, &granted);
	if (r < 0)
		return r;
	c->queues = calloc(granted, sizeof(struct nvme_queue *));
	if (!c->queues)
		return fail(-ENOMEM, "no memory for %u queues", granted);
	c->info.num_queues = granted;
	return 0;
}

/* What the caller asks for, and the controller has or has not. */
static int check_flags(const struct nvme_controller *c)
{
	if (c->flags & NVME_SGL && !c->info.sgl)
		return fail(-EOPNOTSUPP, "the controller has no scatter-gather lists");
	if (c->flags & NVME_SHADOW_DOORBELLS && !c->info.shadow_doorbells)
		return fail(-EOPNOTSUPP, "the controller has no shadow doorbells");
	return 0;
}

static int get_to_know(struct nvme_controller *c, uint32_t num_queues, uint32_t max_transfer)
{
	struct nvme_identity identity;
	int r = nvme_admin_identify_controller(c, &identity);

	if (r < 0)
		return r;
	c->info = identity.info;
	if (c->info.max_transfer > max_transfer)
		c->info.max_transfer = max_transfer;
	set_shutdown_timeout(c, identity.shutdown_timeout_ms);
	c->info.version = c->registers.version;
	c->info.max_depth = c->registers.max_entries - 1;
	if (c->info.max_depth > NVME_MAX_DEPTH)
		c->info.max_depth = NVME_MAX_DEPTH;
	c->info.ready_timeout_ms = c->registers.ready_timeout_ms;
	c->info.interrupts = c->irq != NULL;
	c->info.doorbells_mapped = c->registers.doorbells != NULL;
	c->max_events = identity.max_events < NVME_MAX_EVENTS ? identity.max_events : NVME_MAX_EVENTS;
	r = check_flags(c);
	if (r == 0)
		r = agree_on_queues(c, num_queues);
	return r < 0 ? r : nvme_controller_configure(c);
}

int nvme_controller_configure(struct nvme_controller *c)
{
	int r = 0;

	if (c->flags & NVME_SHADOW_DOORBELLS)
		r = nvme_shadow_configure(c);
	if (r == 0 && c->flags & NVME_EVENTS)
		r = nvme_events_start(c);
	return r;
}

int nvme_controller_open(struct weir_device *device, const struct nvme_controller_opts *callers_opts,
			 struct nvme_controller **ret_controller)
{
	struct nvme_controller_opts opts;
	struct nvme_controller *c;
	uint32_t num_queues;
	int r;

	r = opts_copy(&opts, sizeof opts, callers_opts);
	if (r < 0)
		return fail(r, "options of an impossible size, or newer than this driver");
	num_queues = opts.num_queues ? opts.num_queues : 1;
	if (opts.wait > NVME_WAIT_HYBRID || opts.flags & ~KNOWN_FLAGS || num_queues > MAX_QUEUES)
		return fail(-EINVAL, "unknown way to wait (%u), or flags (%#x), or too many queues (%u)",
			    opts.wait, opts.flags, num_queues);
	if (opts.max_transfer & NVME_PAGE_MASK || opts.max_transfer > NVME_PRP_MAX_TRANSFER)
		return fail(-EINVAL, "transfers of %u bytes: a multiple of %u, %u at most", opts.max_transfer,
			    NVME_PAGE_SIZE, NVME_PRP_MAX_TRANSFER);
	r = nvme_check_class(device);
	if (r < 0)
		return r;

	c = calloc(1, sizeof *c);
	if (!c)
		return fail(-ENOMEM, "no memory for a controller");
	c->device = device;
	c->admin_timeout_ms = opts.admin_timeout_ms ? opts.admin_timeout_ms : ADMIN_TIMEOUT_MS;
	c->shutdown_timeout_ms = SHUTDOWN_TIMEOUT_MS;
	c->flags = opts.flags;
	if (opts.wait == NVME_WAIT_HYBRID)
		c->spin_us = opts.spin_us ? opts.spin_us : SPIN_US;
	r = nvme_registers_open(device, opts.ready_timeout_ms, &c->registers);
	if (r == 0)
		r = nvme_kept_open(c, num_queues);
	if (r < 0) {
		free(c);
		return r;
	}
	r = start(c, &opts, num_queues);
	if (r == 0)
		r = get_to_know(c, num_queues, opts.max_transfer ? opts.max_transfer : MAX_TRANSFER);
	if (r < 0) {
		char why[DETAIL_SIZE];

		memcpy(why, nvme_detail, sizeof why);
		nvme_controller_close(c);
		return fail(r, "%s", why);
	}
	nvme_kept_begin(c);
	*ret_controller = c;
	return 0;
}

/* Closing ------------------------------------------------------------------------------------------------ */

/* Keep the first error; its text is the one that stays. */
static void note(int *first, char text[DETAIL_SIZE], int r)
{
	if (r >= 0 || *first < 0)
		return;
	*first = r;
	memcpy(text, nvme_detail, DETAIL_SIZE);
}

/* One that was reset, is gone or has failed hears no command: it is not waited for. */
static bool hears(struct nvme_controller *c, int *first, char text[DETAIL_SIZE])
{
	int r;

	if (!c->was_enabled || c->dead)
		return false;
	r = nvme_controller_check(c);
	note(first, text, r);
	return r == 0;
}

/* Queues deleted, then shut down, then disabled: each only as far as the controller still answers. */
static void stop(struct nvme_controller *c, int *first, char text[DETAIL_SIZE])
{
	uint32_t i;
	int r;

	if (hears(c, first, text))
		for (i = 0; i < c->info.num_queues; i++)
			if (c->queues[i] && !c->queues[i]->lost)
				note(first, text, nvme_queue_delete(c->queues[i]));
	if (hears(c, first, text))
		note(first, text, nvme_shut_down(&c->registers, c->shutdown_timeout_ms));
	note(first, text, nvme_disable(&c->registers));
	note(first, text, nvme_cmb_disable(&c->registers));
	r = weir_device_set_bus_master(c->device, false);
	c->memory.reachable = r < 0;
	if (r < 0)
		note(first, text, fail(r, "bus mastering: %s", weir_error()));
	r = weir_irq_disable(c->irq);
	if (r < 0)
		note(first, text, fail(r, "interrupts: %s", weir_error()));
}

int nvme_controller_close(struct nvme_controller *c)
{
	char text[DETAIL_SIZE];
	int first = 0;
	uint32_t i;

	if (!c)
		return 0;
	if (c->kept)
		block_set(c->kept->version, 0); /* from here on, nothing can be restored */
	nvme_controller_resume(c);
	stop(c, &first, text);
	for (i = 0; i < c->info.num_queues; i++)
		if (c->queues[i])
			nvme_pair_end(c, c->queues[i]);
	if (c->admin)
		nvme_admin_end(c);
	nvme_kept_close(c);
	nvme_memory_free(&c->memory, &c->shared);
	note(&first, text, nvme_memory_close(&c->memory));
	free(c->queues);
	free(c);
	return first < 0 ? fail(first, "%s", text) : 0;
}

/* Asking ------------------------------------------------------------------------------------------------- */

int nvme_controller_info(const struct nvme_controller *c, struct nvme_controller_info *ret_info, size_t size)
{
	info_copy(ret_info, size, &c->info, sizeof c->info);
	return 0;
}

int nvme_controller_state(const struct nvme_controller *c)
{
	uint32_t csts;
	int r = nvme_status(&c->registers, &csts);

	if (r < 0)
		return r;
	if (NVME_CSTS_CFS(csts))
		return fail(-EIO, "the controller reports a fatal status (CSTS 0x%08x)", csts);
	if (!NVME_CSTS_RDY(csts))
		return fail(-EIO, "the controller is not ready (CSTS 0x%08x)", csts);
	return 0;
}

void nvme_controller_die(struct nvme_controller *c)
{
	c->dead = -EIO;
	if (c->kept)
		block_set(c->kept->dead, c->dead);
}

int nvme_controller_check(struct nvme_controller *c)
{
	if (c->dead)
		return fail(c->dead, "the controller did not answer an admin command");
	return nvme_controller_state(c);
}

int nvme_namespace_info(struct nvme_controller *c, uint32_t nsid, struct nvme_namespace *ret_ns, size_t size)
{
	struct nvme_namespace ns;
	int r;

	if (nsid == 0 || nsid > c->info.num_namespaces)
		return fail(-ENOENT, "there is no namespace %u: the highest possible is %u", nsid,
			    c->info.num_namespaces);
	r = nvme_admin_identify_namespace(c, nsid, &ns);
	if (r < 0)
		return r;
	info_copy(ret_ns, size, &ns, sizeof ns);
	return 0;
}
