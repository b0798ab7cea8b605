/* SPDX-License-Identifier: MIT */
/* From one process to the next. */
#include <errno.h>
#include <stdlib.h>

#include <weir/region.h>

#include "common/block.h"
#include "edu/state.h"

/* What is kept --------------------------------------------------------------------------------------------- */

/* As FNV-1a, by words: any change of one word shows; folded, so that two changes do not undo one another. */
static uint32_t add(uint32_t sum, uint32_t word)
{
	sum = (sum ^ word) * 0x01000193;
	return sum ^ sum >> 16;
}

static uint64_t with_check(uint32_t word, uint32_t check)
{
	return check * UINT64_C(0x100000000) + word;
}

static uint32_t check_of(const struct edu_kept *kept)
{
	return add(add(add(0x811c9dc5, EDU_KEPT_VERSION), kept->flags), kept->id);
}

/* Of no DMA, it does not matter what the transfer says. */
static uint64_t dma_word(uint32_t dma, const struct edu_transfer *transfer)
{
	uint32_t sum = add(0x811c9dc5, dma);

	if (dma == EDU_DMA_NONE)
		return with_check(dma, sum);
	sum = add(add(sum, (uint32_t)transfer->iova), (uint32_t)(transfer->iova >> 32));
	sum = add(add(sum, transfer->offset), transfer->len);
	return with_check(dma, add(add(sum, transfer->direction), transfer->how));
}

void edu_kept_begin(struct edu *edu, uint32_t flags)
{
	edu->kept->flags = flags;
	edu->kept->id = edu->id;
	edu->kept->check = check_of(edu->kept);
	block_set(edu->kept->version, EDU_KEPT_VERSION);
}

void edu_kept_dma(struct edu *edu, enum edu_dma dma)
{
	block_set(edu->kept->dma, dma_word(dma, &edu->kept->transfer));
}

void edu_kept_asks(struct edu *edu, uint32_t value)
{
	block_set(edu->kept->told, edu->kept->asked);
	block_set(edu->kept->asked, with_check(value, ~value));
}

/* From one process to the next ------------------------------------------------------------------------------- */

int edu_pause(struct edu *edu)
{
	edu->paused = true;
	return 0;
}

void edu_resume(struct edu *edu)
{
	edu->paused = false;
}

void edu_forget(struct edu *edu)
{
	free(edu);
}

enum edu_pending edu_dma_pending(const struct edu *edu, struct edu_transfer *ret_transfer)
{
	if ((uint32_t)edu->kept->dma == EDU_DMA_NONE)
		return EDU_NOTHING;
	*ret_transfer = edu->kept->transfer;
	return (uint32_t)edu->kept->dma == EDU_DMA_READY ? EDU_IN_DOUBT : EDU_PENDING;
}

/* Before the first question, told is zero. */
static bool is_damaged(const struct edu_kept *kept)
{
	return kept->check != check_of(kept) || kept->dma != dma_word((uint32_t)kept->dma, &kept->transfer) ||
	       kept->asked >> 32 != (uint32_t)~kept->asked ||
	       (kept->told && kept->told >> 32 != (uint32_t)~kept->told);
}

/* Whether the device still answers what it was told. */
static int check_not_reset(const struct edu *edu, const struct edu_kept *kept)
{
	uint32_t answer;
	int r = weir_region_read32(edu->registers, REG_LIVENESS, &answer);

	if (r < 0)
		return fail(r, "liveness register: %s", weir_error());
	if (answer == (uint32_t)~kept->asked || (kept->told && answer == (uint32_t)~kept->told))
		return 0;
	return fail(-EIO,
		    "the device has been reset, or is another's (its liveness register answers 0x%08x): what "
		    "it was doing is lost",
		    answer);
}

/* @kept is a copy: what it says cannot change while it is looked at. */
static int check_kept(struct edu *edu, const struct edu_kept *kept)
{
	const struct edu_transfer *transfer = &kept->transfer;

	if (kept->version == 0)
		return fail(-ENODATA, "nothing was kept of this device: its driver was not open");
	if (kept->version != EDU_KEPT_VERSION)
		return fail(-EPROTO, "what was kept is of version %u; this driver knows %u", kept->version,
			    EDU_KEPT_VERSION);
	if (is_damaged(kept) || kept->flags & ~EDU_INTERRUPTS || (uint32_t)kept->dma > EDU_DMA_TOLD)
		return fail(-EPROTO, "what was kept is damaged (flags 0x%x, DMA %u)", kept->flags,
			    (uint32_t)kept->dma);
	if (kept->id != edu->id)
		return fail(-ENODEV, "identification register 0x%08x was 0x%08x: this is another device",
			    edu->id, kept->id);
	if ((uint32_t)kept->dma == EDU_DMA_NONE)
		return 0;
	if (transfer->direction > EDU_TO_MEMORY || transfer->how > EDU_BY_INTERRUPT ||
	    (transfer->how == EDU_BY_INTERRUPT && !(kept->flags & EDU_INTERRUPTS)) ||
	    edu_check_dma(edu, transfer->iova, transfer->offset, transfer->len) < 0)
		return fail(-EPROTO, "what was kept is no DMA that this driver would have begun");
	return 0;
}

/*
 * The interrupt of a DMA that has ended may have been acknowledged by the predecessor, with nobody to tell: so the running bit alone says
 * whether it is over. One that runs has raised none yet.
 */
static int take_up_dma(struct edu *edu, const struct edu_kept *kept)
{
	int running = edu_dma_running(edu);

	if (running < 0)
		return running;
	if (running && (uint32_t)kept->dma == EDU_DMA_READY)
		edu_kept_dma(edu, EDU_DMA_TOLD);
	edu->dma_waits = running && (uint32_t)kept->dma != EDU_DMA_NONE ? kept->transfer.how : EDU_BY_POLLING;
	edu->look_first = true;
	return 0;
}

static int restore(struct edu *edu)
{
	struct edu_kept kept = *edu->kept;
	int r = edu_check_identity(edu);

	if (r == 0)
		r = check_kept(edu, &kept);
	if (r == 0)
		r = check_not_reset(edu, &kept);
	if (r == 0 && kept.flags & EDU_INTERRUPTS) {
		r = weir_handover_irq(edu->device, WEIR_IRQ_MSI, &edu->irq);
		if (r < 0)
			return fail(r, "MSI: %s", weir_error());
	}
	return r < 0 ? r : take_up_dma(edu, &kept);
}

int edu_restore(struct weir_device *device, struct edu **ret_edu)
{
	struct edu *edu = calloc(1, sizeof *edu);
	void *block = NULL;
	int r;

	if (!edu)
		return fail(-ENOMEM, "no memory");
	edu->device = device;
	r = block_open(device, "edu", "", sizeof *edu->kept, &block);
	if (r < 0)
		fail(r, "journal: %s", weir_error());
	edu->kept = block;
	if (r == 0)
		r = restore(edu);
	if (r < 0) {
		block_close(device, block);
		free(edu);
		return r;
	}
	*ret_edu = edu;
	return 0;
}
