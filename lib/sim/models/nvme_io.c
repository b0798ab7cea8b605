// SPDX-License-Identifier: MIT
/* I/O commands (NVM Command Set 1.0, 3.2; Flush: Base 2.0, 7.1). */
#include <errno.h>
#include <string.h>

#include "sim/models/nvme.h"

/* What read, write, compare and write zeroes say alike. */
static uint64_t first_block(const struct sim_nvme_command *c)
{
	return c->cdw10 | (uint64_t)c->cdw11 << 32;
}

static uint64_t count_blocks(const struct sim_nvme_command *c)
{
	return (c->cdw12 & 0xffff) + 1; /* a 0's based value */
}

static bool exist(const struct sim_nvme *n, uint64_t block, uint64_t num)
{
	return block <= n->disk.num_blocks && num <= n->disk.num_blocks - block;
}

static uint16_t write_status(int error)
{
	if (error == 0)
		return NVME_SC_SUCCESS;
	return error == -ENOSPC || error == -EDQUOT ? NVME_SC_CAP_EXCEEDED
						    : SIM_NVME_MEDIA(NVME_SC_WRITE_FAULT);
}

/*
 * Written data is safe when the command completes if the host says so (FUA), or has switched the cache
 * off.
 */
static uint16_t finish_write(struct sim_nvme *n, const struct sim_nvme_command *c, int error)
{
	bool through = c->cdw12 & (uint32_t)NVME_IO_FUA << 16 || !n->features.write_cache;

	if (error == 0 && through)
		error = sim_nvme_disk_flush(&n->disk);
	return write_status(error);
}

/* Blocks that exist, no more than MDTS allows, and memory for them. */
static uint16_t map_blocks(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	uint64_t len = count_blocks(c) * n->disk.block_size;

	if (len > (uint64_t)SIM_NVME_PAGE << n->mdts)
		return SIM_NVME_GENERIC(NVME_SC_INVALID_FIELD);
	if (!exist(n, first_block(c), count_blocks(c)))
		return SIM_NVME_GENERIC(NVME_SC_LBA_RANGE);
	return sim_nvme_map(n, c, len);
}

static uint16_t read_blocks(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	uint16_t status = map_blocks(n, c);

	if (status != NVME_SC_SUCCESS)
		return status;
	if (sim_nvme_disk_read(&n->disk, first_block(c), count_blocks(c), n->buffer) < 0)
		return SIM_NVME_MEDIA(NVME_SC_READ_ERROR);
	status = sim_nvme_send(n, n->buffer);
	if (n->waits)
		return status;
	n->reads++;
	n->blocks_read += count_blocks(c);
	return status;
}

static uint16_t write_blocks(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	uint16_t status = map_blocks(n, c);

	if (status == NVME_SC_SUCCESS)
		status = sim_nvme_receive(n, n->buffer);
	if (status != NVME_SC_SUCCESS)
		return status;
	n->writes++;
	n->blocks_written += count_blocks(c);
	return finish_write(n, c, sim_nvme_disk_write(&n->disk, first_block(c), count_blocks(c), n->buffer));
}

/* The disk's side a piece at a time: the buffer is taken by what came from the host. */
static uint16_t compare_blocks(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	unsigned char piece[SIM_NVME_PAGE];
	uint64_t per_piece = sizeof(piece) / n->disk.block_size, done, num;
	uint16_t status = map_blocks(n, c);

	if (status == NVME_SC_SUCCESS)
		status = sim_nvme_receive(n, n->buffer);
	for (done = 0; status == NVME_SC_SUCCESS && done < count_blocks(c); done += num) {
		num = count_blocks(c) - done < per_piece ? count_blocks(c) - done : per_piece;
		if (sim_nvme_disk_read(&n->disk, first_block(c) + done, num, piece) < 0)
			status = SIM_NVME_MEDIA(NVME_SC_READ_ERROR);
		else if (memcmp(n->buffer + done * n->disk.block_size, piece, num * n->disk.block_size) != 0)
			status = SIM_NVME_MEDIA(NVME_SC_COMPARE_FAILED) | NVME_SC_DNR;
	}
	return status;
}

/* No data, so no limit but the namespace's (MDTS does not count here). */
static uint16_t zero_blocks(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	if (!exist(n, first_block(c), count_blocks(c)))
		return SIM_NVME_GENERIC(NVME_SC_LBA_RANGE);
	return finish_write(n, c, sim_nvme_disk_zero(&n->disk, first_block(c), count_blocks(c)));
}

/*
 * Dataset Management: of its hints, deallocate is taken. All ranges are checked before the first is
 * touched.
 */
static uint16_t manage_blocks(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	struct nvme_dsm_range ranges[256];
	uint32_t num = (c->cdw10 & 0xff) + 1, i;
	uint16_t status = sim_nvme_map(n, c, num * sizeof(ranges[0]));
	int r = 0;

	if (status == NVME_SC_SUCCESS)
		status = sim_nvme_receive(n, ranges);
	if (status != NVME_SC_SUCCESS)
		return status;
	for (i = 0; i < num; i++)
		if (!exist(n, le64toh(ranges[i].slba), le32toh(ranges[i].nlb)))
			return SIM_NVME_GENERIC(NVME_SC_LBA_RANGE);
	for (i = 0; c->cdw11 & NVME_DSMGMT_AD && i < num && r == 0; i++)
		r = sim_nvme_disk_zero(&n->disk, le64toh(ranges[i].slba), le32toh(ranges[i].nlb));
	return write_status(r);
}

/* A flush may be for all namespaces at once. */
static uint16_t check_namespace(const struct sim_nvme *n, const struct sim_nvme_command *c)
{
	if (sim_nvme_active(n, c->nsid) || (c->nsid == UINT32_MAX && c->opcode == nvme_cmd_flush))
		return NVME_SC_SUCCESS;
	if (c->nsid == 0 || c->nsid > SIM_NVME_NUM_NSIDS)
		return SIM_NVME_GENERIC(NVME_SC_INVALID_NS);
	return SIM_NVME_GENERIC(
		NVME_SC_INVALID_FIELD); /* it could exist, and does not, or is not attached (Base 2.0, 3.2.1.4) */
}

static bool changes_data(const struct sim_nvme_command *c)
{
	return c->opcode == nvme_cmd_write || c->opcode == nvme_cmd_write_zeroes ||
	       (c->opcode == nvme_cmd_dsm && c->cdw11 & NVME_DSMGMT_AD);
}

uint16_t sim_nvme_io(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	uint16_t status = check_namespace(n, c);

	if (status != NVME_SC_SUCCESS)
		return status;
	if (n->disk.read_only && changes_data(c))
		return SIM_NVME_GENERIC(NVME_SC_NS_WRITE_PROTECTED);
	switch (c->opcode) {
	case nvme_cmd_flush:
		return write_status(n->disk.read_only ? 0 : sim_nvme_disk_flush(&n->disk));
	case nvme_cmd_write:
		return write_blocks(n, c);
	case nvme_cmd_read:
		return read_blocks(n, c);
	case nvme_cmd_compare:
		return compare_blocks(n, c);
	case nvme_cmd_write_zeroes:
		return zero_blocks(n, c);
	case nvme_cmd_dsm:
		return manage_blocks(n, c);
	}
	return SIM_NVME_GENERIC(NVME_SC_INVALID_OPCODE);
}
