// SPDX-License-Identifier: MIT
/*
 * Where a command's data is: physical region pages (Base 2.0, 4.1.1), in the host's memory or in the
 * controller's own (8.5).
 */
#include <errno.h>
#include <string.h>

#include "sim/models/nvme.h"

#define OFFSET_INVALID SIM_NVME_GENERIC(NVME_SC_PRP_INVALID_OFFSET)

/* Memory ------------------------------------------------------------------------------------------------ */

/*
 * The part of [iova, iova + *len) that lies on one side of the CMB's borders: *len becomes its length,
 * and the result is where it is in the CMB, or NULL when it is the host's.
 */
static unsigned char *in_cmb(const struct sim_nvme *n, uint64_t iova, uint64_t *len)
{
	uint64_t base = n->cmbmsc & (NVME_CMBMSC_CBA_MASK << NVME_CMBMSC_CBA_SHIFT), to_end;

	if (n->cmb_size == 0 || !NVME_CMBMSC_CMSE(n->cmbmsc) || base > UINT64_MAX - n->cmb_size)
		return NULL;
	if (iova >= base && iova - base < n->cmb_size) {
		to_end = n->cmb_size - (iova - base);
		*len = *len < to_end ? *len : to_end;
		return (unsigned char *)weir_sim_device_ram(n->device, SIM_NVME_CMB_BAR) + (iova - base);
	}
	if (iova<base && * len> base - iova)
		*len = base - iova;
	return NULL;
}

int sim_nvme_copy_in(struct sim_nvme *n, uint64_t iova, void *buf, uint64_t len)
{
	uint64_t done, part;
	int r = 0;

	for (done = 0; done < len && r == 0; done += part) {
		const unsigned char *own;

		part = len - done;
		own = in_cmb(n, iova + done, &part);
		if (own)
			memcpy((char *)buf + done, own, part);
		else
			r = weir_sim_device_dma_read(n->device, iova + done, (char *)buf + done, part);
	}
	n->waits |= r == -EAGAIN;
	return r;
}

int sim_nvme_copy_out(struct sim_nvme *n, uint64_t iova, const void *buf, uint64_t len)
{
	uint64_t done, part;
	int r = 0;

	for (done = 0; done < len && r == 0; done += part) {
		unsigned char *own;

		part = len - done;
		own = in_cmb(n, iova + done, &part);
		if (own)
			memcpy(own, (const char *)buf + done, part);
		else
			r = weir_sim_device_dma_write(n->device, iova + done, (const char *)buf + done, part);
	}
	n->waits |= r == -EAGAIN;
	return r;
}

/* Pages ------------------------------------------------------------------------------------------------- */

/*
 * Neighbours become one, since a DMA of many pages costs little more than one of a page; but none wraps
 * around.
 */
static void add(struct sim_nvme *n, uint64_t iova, uint64_t len)
{
	if (n->num_segments > 0 && iova != 0) {
		struct sim_nvme_segment *last = &n->segments[n->num_segments - 1];

		if (iova == last->iova + last->len) {
			last->len += len;
			return;
		}
	}
	n->segments[n->num_segments++] = (struct sim_nvme_segment){ iova, len };
}

/* What is left of the data while its list is being read. */
struct walk {
	uint64_t at; /* of the next entry */
	uint64_t left;
};

/*
 * Entries of one page of the list, a batch at a time. The last one of a page that is not the data's last
 * leads to the next page of the list, which begins at its start; so each page but the first has hundreds
 * of entries, and the list as many as the data needs: no driver can keep us busy.
 */
static uint16_t walk_some(struct sim_nvme *n, struct walk *walk, uint64_t page)
{
	uint64_t in_page = (page - (walk->at & (page - 1))) / sizeof(n->list[0]);
	uint64_t num = (walk->left + page - 1) / page;
	uint64_t i, iova, len;

	if (num > in_page)
		num = in_page;
	if (num > SIM_NVME_LIST)
		num = SIM_NVME_LIST;
	if (sim_nvme_copy_in(n, walk->at, n->list, num * sizeof(n->list[0])) < 0)
		return NVME_SC_DATA_XFER_ERROR;
	for (i = 0; i < num; i++) {
		iova = le64toh(n->list[i]);
		if (iova & (page - 1))
			return OFFSET_INVALID;
		if (i == in_page - 1 && walk->left > page) {
			walk->at = iova;
			return NVME_SC_SUCCESS;
		}
		len = walk->left < page ? walk->left : page;
		add(n, iova, len);
		walk->left -= len;
	}
	walk->at += num * sizeof(n->list[0]);
	return NVME_SC_SUCCESS;
}

static uint16_t map_pages(struct sim_nvme *n, const struct sim_nvme_command *command, uint64_t len)
{
	uint64_t page = sim_nvme_page_size(n), first = page - (command->prp1 & (page - 1));
	struct walk walk = { .at = command->prp2 };
	uint16_t status = NVME_SC_SUCCESS;

	n->num_segments = 0;
	if (command->prp1 & 3)
		return OFFSET_INVALID;
	if (len <= first) {
		add(n, command->prp1, len);
		return NVME_SC_SUCCESS;
	}
	add(n, command->prp1, first);
	walk.left = len - first;
	if (walk.left <= page) {
		if (command->prp2 & (page - 1))
			return OFFSET_INVALID;
		add(n, command->prp2, walk.left);
		return NVME_SC_SUCCESS;
	}
	if (command->prp2 & 7)
		return OFFSET_INVALID;
	while (walk.left > 0 && status == NVME_SC_SUCCESS)
		status = walk_some(n, &walk, page);
	return status;
}

/* Descriptors ------------------------------------------------------------------------------------------- */

enum { DATA_BLOCK = 0x00, SEGMENT = 0x20, LAST_SEGMENT = 0x30 }; /* type, and an address as subtype */

#define LENGTH_INVALID SIM_NVME_GENERIC(NVME_SC_SGL_INVALID_DATA)

struct descriptor {
	uint64_t address, word; /* length 31:0, identifier 63:56 */
};

static unsigned int kind_of(const struct descriptor *d)
{
	return (unsigned int)(d->word >> 56);
}

static uint16_t add_block(struct sim_nvme *n, const struct descriptor *d, uint64_t *left)
{
	uint32_t len = (uint32_t)d->word;

	if (kind_of(d) != DATA_BLOCK)
		return SIM_NVME_GENERIC(NVME_SC_SGL_INVALID_TYPE);
	if (len > *left)
		return LENGTH_INVALID;
	if (n->num_segments == n->max_segments)
		return SIM_NVME_GENERIC(NVME_SC_SGL_INVALID_COUNT);
	if (len > 0)
		add(n, d->address, len);
	*left -= len;
	return NVME_SC_SUCCESS;
}

/* Segments lead to one another, so their number is limited: no driver can keep us busy. @d becomes what the last descriptor is. */
static uint16_t walk_segment(struct sim_nvme *n, struct descriptor *d, uint64_t *left, uint32_t *allowed)
{
	uint32_t len = (uint32_t)d->word, num = len / sizeof(*d), i;
	bool last = kind_of(d) == LAST_SEGMENT;
	uint64_t at = d->address;
	uint16_t status = NVME_SC_SUCCESS;

	if (len == 0 || len % sizeof(*d) != 0 || num > *allowed)
		return SIM_NVME_GENERIC(NVME_SC_SGL_INVALID_COUNT);
	*allowed -= num;
	for (i = 0; i < num && status == NVME_SC_SUCCESS; i++) {
		if (sim_nvme_copy_in(n, at + i * sizeof(*d), d, sizeof(*d)) < 0)
			return NVME_SC_DATA_XFER_ERROR;
		d->address = le64toh(d->address);
		d->word = le64toh(d->word);
		if (i == num - 1 && !last && kind_of(d) != DATA_BLOCK)
			return NVME_SC_SUCCESS;
		status = add_block(n, d, left);
	}
	d->word = 0;
	return status;
}

static uint16_t map_descriptors(struct sim_nvme *n, const struct sim_nvme_command *command, uint64_t len)
{
	struct descriptor d = { command->prp1, command->prp2 };
	uint32_t allowed = SIM_NVME_MAX_DESCRIPTORS;
	uint64_t left = len;
	uint16_t status = NVME_SC_SUCCESS;

	n->num_segments = 0;
	if (kind_of(&d) != SEGMENT && kind_of(&d) != LAST_SEGMENT)
		status = add_block(n, &d, &left);
	else
		while (status == NVME_SC_SUCCESS && (kind_of(&d) == SEGMENT || kind_of(&d) == LAST_SEGMENT))
			status = walk_segment(n, &d, &left, &allowed);
	return status == NVME_SC_SUCCESS && left > 0 ? LENGTH_INVALID : status;
}

uint16_t sim_nvme_map(struct sim_nvme *n, const struct sim_nvme_command *command, uint64_t len)
{
	return command->flags & 0x40 ? map_descriptors(n, command, len) : map_pages(n, command, len);
}

/* Data -------------------------------------------------------------------------------------------------- */

uint16_t sim_nvme_receive(struct sim_nvme *n, void *buf)
{
	unsigned char *to = buf;
	uint32_t i;

	for (i = 0; i < n->num_segments; i++) {
		if (sim_nvme_copy_in(n, n->segments[i].iova, to, n->segments[i].len) < 0)
			return NVME_SC_DATA_XFER_ERROR;
		to += n->segments[i].len;
	}
	return NVME_SC_SUCCESS;
}

uint16_t sim_nvme_send(struct sim_nvme *n, const void *buf)
{
	const unsigned char *from = buf;
	uint32_t i;

	for (i = 0; i < n->num_segments; i++) {
		if (sim_nvme_copy_out(n, n->segments[i].iova, from, n->segments[i].len) < 0)
			return NVME_SC_DATA_XFER_ERROR;
		from += n->segments[i].len;
	}
	return NVME_SC_SUCCESS;
}

uint16_t sim_nvme_answer(struct sim_nvme *n, const struct sim_nvme_command *command, const void *buf,
			 uint64_t len)
{
	uint16_t status = sim_nvme_map(n, command, len);

	return status == NVME_SC_SUCCESS ? sim_nvme_send(n, buf) : status;
}
