/* SPDX-License-Identifier: MIT */
/* A controller taken over from a predecessor: registers are read, none is written. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/admin.h"
#include "nvme/controller.h"
#include "nvme/error.h"
#include "nvme/kept.h"

#define MAX_TIMEOUT_MS 3600000u

/* The controller's block --------------------------------------------------------------------------------- */

static bool is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static int check_kept(const struct nvme_controller *c, const struct nvme_kept *kept)
{
	if (kept->version == 0)
		return fail(-ENODATA,
			    "nothing was kept of this controller: its driver was not open, or not yet");
	if (kept->version != NVME_KEPT_VERSION)
		return fail(-EPROTO, "what was kept is of version %u; this driver knows %u", kept->version,
			    NVME_KEPT_VERSION);
	if (kept->flags & ~(uint32_t)(NVME_SGL | NVME_SHADOW_DOORBELLS | NVME_EVENTS))
		return fail(-EPROTO, "what was kept makes no sense: flags %#x", kept->flags);
	if (!is_text(kept->model, sizeof kept->model) || !is_text(kept->serial, sizeof kept->serial) ||
	    !is_text(kept->firmware, sizeof kept->firmware))
		return fail(-EPROTO, "what was kept makes no sense: a text has no end");
	if (kept->num_queues == 0 || kept->num_queues > NVME_KEPT_QUEUES ||
	    kept->num_queues > c->registers.max_queues)
		return fail(-EPROTO, "what was kept makes no sense: %u queues", kept->num_queues);
	if (kept->max_depth == 0 || kept->max_depth > NVME_MAX_DEPTH ||
	    kept->max_depth > c->registers.max_entries - 1 || kept->max_transfer == 0 ||
	    kept->max_transfer > NVME_PRP_MAX_TRANSFER || kept->max_transfer % NVME_PAGE_SIZE)
		return fail(-EPROTO, "what was kept makes no sense: queues of %u, transfers of %u bytes",
			    kept->max_depth, kept->max_transfer);
	if (kept->num_vectors > kept->num_queues + 1 || kept->irq_kind > WEIR_IRQ_MSIX || kept->dead > 0)
		return fail(-EPROTO, "what was kept makes no sense: %u vectors", kept->num_vectors);
	if (kept->admin_timeout_ms > MAX_TIMEOUT_MS || kept->shutdown_timeout_ms > MAX_TIMEOUT_MS)
		return fail(-EPROTO, "what was kept makes no sense: a time-out of hours");
	return nvme_kept_carried(kept->flags, kept->cmb != 0);
}

static void take_kept(struct nvme_controller *c, const struct nvme_kept *kept)
{
	struct nvme_controller_info *info = &c->info;

	c->dead = kept->dead;
	c->num_vectors = kept->num_vectors;
	c->irq_kind = kept->irq_kind;
	c->admin_timeout_ms = kept->admin_timeout_ms;
	c->shutdown_timeout_ms = kept->shutdown_timeout_ms;
	c->flags = kept->flags;
	c->spin_us = kept->spin_us;
	c->was_enabled = true;
	memcpy(info->model, kept->model, sizeof info->model);
	memcpy(info->serial, kept->serial, sizeof info->serial);
	memcpy(info->firmware, kept->firmware, sizeof info->firmware);
	info->controller_id = kept->controller_id;
	info->vendor_id = kept->vendor_id;
	info->version = c->registers.version;
	info->num_namespaces = kept->num_namespaces;
	info->max_transfer = kept->max_transfer;
	info->max_depth = kept->max_depth;
	info->num_queues = kept->num_queues;
	info->ready_timeout_ms = c->registers.ready_timeout_ms;
	info->interrupts = kept->num_vectors > 0;
	info->write_cache = kept->write_cache != 0;
	info->sgl = kept->sgl != 0;
	info->shadow_doorbells = kept->shadow_doorbells != 0;
	info->compare = kept->compare != 0;
	info->write_zeroes = kept->write_zeroes != 0;
	info->secondaries = kept->secondaries != 0;
	info->discard = kept->discard != 0;
	info->doorbells_mapped = c->registers.doorbells != NULL;
}

/* Where the memory is -------------------------------------------------------------------------------------- */

/* Claim a buffer of @memory that was kept; it is where the controller was told. */
static int claim(struct nvme_controller *c, struct weir_memory *memory, const struct nvme_kept_buffer *kept,
		 struct weir_buffer *ret_buffer)
{
	struct weir_buffer buffer;
	uint64_t iova = 0;
	int r = weir_memory_claim(memory, kept->chunk, kept->offset, kept->len, &buffer);

	if (r < 0)
		return fail(r, "memory for rings: %s", weir_error());
	r = weir_memory_iova_in(memory, weir_device_ioas(c->device), &buffer, &iova);
	if (r < 0)
		fail(r, "memory for rings: %s", weir_error());
	else if (iova != kept->iova)
		r = fail(-EPROTO, "memory for rings is not at the IOVA where it was");
	if (r < 0) {
		weir_memory_free(memory, &buffer);
		return r;
	}
	buffer.iova = iova;
	*ret_buffer = buffer;
	return 0;
}

/* One that the driver made for itself is among those of the host: the one where its pages are. */
static int find_memory(struct nvme_controller *c, const struct nvme_kept *kept, struct weir_memory *callers)
{
	struct weir_memory *memory = callers;
	uint32_t i;
	int r;

	if (!kept->own_memory && !callers)
		return fail(-EINVAL, "the rings are in a memory of the caller's, which was not given");
	for (i = 0;; i++) {
		if (kept->own_memory) {
			r = weir_handover_memory(weir_device_host(c->device), i, &memory);
			if (r < 0)
				return fail(r == -ENOENT ? -EPROTO : r,
					    "the memory for rings was not handed over");
		}
		r = claim(c, memory, &kept->shared, &c->shared);
		if (r == 0 || !kept->own_memory || r == -ENOMEM)
			break;
	}
	if (r == 0)
		c->memory = (struct nvme_memory){ .weir = memory,
						  .ioas = weir_device_ioas(c->device),
						  .own = kept->own_memory };
	return r;
}

/* The queues ----------------------------------------------------------------------------------------------- */

static int adopt_admin(struct nvme_controller *c)
{
	struct nvme_queue_kept *kept;
	int r = nvme_kept_open_queue(c, 0, NVME_ADMIN_ENTRIES - 1, &kept);

	if (r == 0)
		r = nvme_admin_queue(c, kept, true);
	if (r < 0)
		return r;
	/* Nobody waits for the answer to what was asked. */
	c->admin->num_left = 0;
	nvme_queue_drop(c->admin);
	return 0;
}

static int adopt_queue(struct nvme_controller *c, uint32_t id, uint32_t depth, uint32_t stage)
{
	struct nvme_queue_kept *kept;
	struct nvme_kept_buffer place;
	struct weir_buffer memory;
	struct nvme_queue *q;
	int r;

	if (depth == 0 || depth > c->info.max_depth || stage > NVME_KEPT_UNSURE)
		return fail(-EPROTO, "queue %u: what was kept of it makes no sense: depth %u", id, depth);
	r = nvme_kept_open_queue(c, id, depth, &kept);
	if (r < 0)
		return r;
	place = kept->memory;
	r = claim(c, c->memory.weir, &place, &memory);
	if (r == 0) {
		r = nvme_pair_make(c, id, depth, &memory, kept, true, &q);
		if (r < 0)
			weir_memory_free(c->memory.weir, &memory);
	}
	if (r < 0) {
		block_close(c->device, kept);
		return r;
	}
	q->lost = stage == NVME_KEPT_UNSURE;
	c->queues[id - 1] = q;
	return 0;
}

static int adopt_queues(struct nvme_controller *c, const struct nvme_kept *kept)
{
	uint32_t i;
	int r = adopt_admin(c);

	c->queues = calloc(c->info.num_queues, sizeof(struct nvme_queue *));
	if (!c->queues)
		return fail(-ENOMEM, "no memory for %u queues", c->info.num_queues);
	for (i = 0; r == 0 && i < c->info.num_queues; i++)
		if (kept->queues[i].stage != NVME_KEPT_NONE)
			r = adopt_queue(c, i + 1, kept->queues[i].depth, kept->queues[i].stage);
	return r;
}

/* All together --------------------------------------------------------------------------------------------- */

/* It is enabled, and works on the rings that are ours: nobody has reset it meanwhile. */
static int check_running(struct nvme_controller *c)
{
	int r = nvme_controller_state(c);
	char why[DETAIL_SIZE];

	if (r == -EIO) {
		snprintf(why, sizeof why, "%s", nvme_error());
		return fail(r, "it has been reset meanwhile, or has failed: %s", why);
	}
	return r < 0 ? r
		     : nvme_check_rings(&c->registers, c->shared.iova, c->shared.iova + NVME_PAGE_SIZE,
					NVME_ADMIN_ENTRIES);
}

static int find_interrupts(struct nvme_controller *c)
{
	int r;

	if (c->num_vectors == 0)
		return 0;
	r = weir_handover_irq(c->device, (enum weir_irq_kind)c->irq_kind, &c->irq);
	if (r == 0)
		r = weir_irq_fd(c->irq, c->num_vectors - 1);
	return r < 0 ? fail(r, "%s: %s", weir_irq_kind_name((enum weir_irq_kind)c->irq_kind), weir_error())
		     : 0;
}

static int restore(struct nvme_controller *c, struct weir_memory *memory)
{
	struct nvme_kept kept = *c->kept; /* it cannot change while it is looked at */
	int r = nvme_registers_open(c->device, kept.ready_timeout_ms, &c->registers);

	if (r == 0)
		r = check_kept(c, &kept);
	if (r < 0)
		return r;
	take_kept(c, &kept);
	r = find_memory(c, &kept, memory);
	if (r == 0)
		r = check_running(c);
	if (r == 0)
		r = find_interrupts(c);
	return r == 0 ? adopt_queues(c, &kept) : r;
}

/* Nothing was told to the controller, which still uses its memory: only this process lets go of it. */
static void let_go(struct nvme_controller *c)
{
	uint32_t i;

	for (i = 0; c->queues && i < c->info.num_queues; i++) {
		if (!c->queues[i])
			continue;
		weir_memory_free(c->memory.weir, &c->queues[i]->memory);
		nvme_queue_release(c, c->queues[i]);
	}
	if (c->admin)
		nvme_queue_release(c, c->admin);
	if (c->shared.addr)
		weir_memory_free(c->memory.weir, &c->shared);
	nvme_kept_close(c);
	free(c->queues);
	free(c);
}

int nvme_controller_restore(struct weir_device *device, struct weir_memory *memory,
			    struct nvme_controller **ret_controller)
{
	struct nvme_controller *c;
	void *block = NULL;
	int r = nvme_check_class(device);

	if (r < 0)
		return r;
	c = calloc(1, sizeof *c);
	if (!c)
		return fail(-ENOMEM, "no memory for a controller");
	c->device = device;
	r = block_open(device, "nvme", "", sizeof *c->kept, &block);
	if (r < 0)
		fail(r, "journal: %s", weir_error());
	c->kept = block;
	if (r == 0)
		r = restore(c, memory);
	if (r < 0) {
		let_go(c);
		return r;
	}
	*ret_controller = c;
	return 0;
}

int nvme_controller_queue(struct nvme_controller *c, uint32_t id, struct nvme_queue **ret_queue)
{
	if (id == 0 || id > c->info.num_queues || !c->queues[id - 1] || c->queues[id - 1]->lost)
		return fail(-ENOENT, "there is no queue %u that works", id);
	*ret_queue = c->queues[id - 1];
	return 0;
}
