// SPDX-License-Identifier: MIT
#include "support/stub_weir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weir/handover.h>
#include <weir/irq.h>
#include <weir/region.h>

enum { PAGE = 4096 };

struct weir_memory {
	struct weir_memory *next; /* of all that are open */
};

static struct weir_memory *memories;

struct stub stub;

/* There is one of each; a driver only hands their addresses around. */
static char the_device, the_region, the_ioas, the_irq;

struct weir_device *stub_device(void)
{
	return (struct weir_device *)&the_device;
}

struct weir_region *stub_region(void)
{
	return (struct weir_region *)&the_region;
}

/* BAR 2, which has no registers. */
static struct weir_region *second_region(void)
{
	static char region;

	return (struct weir_region *)&region;
}

bool stub_is_clean(void)
{
	for (unsigned int i = 0; i < STUB_BLOCKS; i++)
		if (stub.blocks[i].bytes)
			return false;
	return !stub.num_memories && !stub.num_buffers && !stub.interrupts && !stub.bus_master;
}

bool stub_reaches(const void *addr, size_t len)
{
	const unsigned char *at = addr;

	for (unsigned int i = 0; i < stub.num_buffers; i++)
		if (at >= stub.buffers[i].addr && len <= stub.buffers[i].len &&
		    (size_t)(at - stub.buffers[i].addr) <= stub.buffers[i].len - len)
			return true;
	return false;
}

const char *weir_error(void)
{
	return "the stub says no";
}

/* The device ------------------------------------------------------------------------------------------------------- */

int weir_device_info(struct weir_device *device, struct weir_device_info *ret_info, size_t size)
{
	struct weir_device_info info = { .address = "0000:01:00.0",
					 .class_code = stub.class_code,
					 .vendor_id = stub.vendor_id,
					 .device_id = stub.device_id };

	(void)device;
	if (stub.fails())
		return -EIO;
	memcpy(ret_info, &info, size);
	return 0;
}

struct weir_ioas *weir_device_ioas(struct weir_device *device)
{
	(void)device;
	return (struct weir_ioas *)&the_ioas;
}

int weir_device_set_bus_master(struct weir_device *device, bool enable)
{
	(void)device;
	/* As with a real command register, turning it off always works, unless it is to stay. */
	if (enable ? stub.fails() : stub.bus_master_stays)
		return -EIO;
	stub.bus_master = enable;
	return 0;
}

int weir_device_region(struct weir_device *device, uint32_t index, struct weir_region **ret_region)
{
	(void)device;
	if (stub.fails() || (index != WEIR_REGION_BAR0 && (index != WEIR_REGION_BAR2 || !stub.bar2_size)))
		return -ENOENT;
	*ret_region = index == WEIR_REGION_BAR0 ? stub_region() : second_region();
	return 0;
}

int weir_region_info(struct weir_region *region, struct weir_region_info *ret_info, size_t size)
{
	struct weir_region_info info = { .size = region == stub_region() ? stub.bar_size : stub.bar2_size };

	if (stub.fails())
		return -EIO;
	memcpy(ret_info, &info, size);
	return 0;
}

struct weir_host *weir_device_host(struct weir_device *device)
{
	(void)device;
	return (struct weir_host *)&the_device;
}

/* Blocks, kept until they are closed, or for the next process to open again (stub_reopen_blocks()). ---------------- */

static struct stub_block *find_block(const char *name)
{
	for (unsigned int i = 0; i < STUB_BLOCKS; i++)
		if (stub.blocks[i].bytes && !strcmp(stub.blocks[i].name, name))
			return &stub.blocks[i];
	return NULL;
}

static struct stub_block *new_block(const char *name, size_t len)
{
	for (unsigned int i = 0; i < STUB_BLOCKS; i++) {
		struct stub_block *block = &stub.blocks[i];

		if (block->bytes)
			continue;
		block->bytes = aligned_alloc(64, (len + 63) & ~(size_t)63);
		if (!block->bytes)
			return NULL;
		memset(block->bytes, 0, len);
		block->len = len;
		strncpy(block->name, name, sizeof(block->name) - 1);
		return block;
	}
	return NULL;
}

int weir_block_open(struct weir_host *host, const char *name, size_t len, void **ret_block)
{
	struct stub_block *block = find_block(name);

	(void)host;
	if (stub.fails())
		return -ENOSPC;
	if (block && block->open)
		return -EBUSY;
	if (block && block->len != len)
		return -EEXIST;
	if (!block)
		block = new_block(name, len);
	if (!block)
		return -ENOMEM;
	block->open = true;
	*ret_block = block->bytes;
	return 0;
}

void weir_block_close(struct weir_host *host, void *bytes)
{
	(void)host;
	for (unsigned int i = 0; i < STUB_BLOCKS; i++) {
		if (stub.blocks[i].bytes != bytes)
			continue;
		free(bytes);
		memset(&stub.blocks[i], 0, sizeof(stub.blocks[i]));
	}
}

void stub_reopen_blocks(void)
{
	for (unsigned int i = 0; i < STUB_BLOCKS; i++)
		stub.blocks[i].open = false;
}

int weir_handover_irq(struct weir_device *device, enum weir_irq_kind kind, struct weir_irq **ret_irq)
{
	(void)device;
	(void)kind;
	if (stub.fails() || !stub.interrupts)
		return -ENOENT;
	*ret_irq = (struct weir_irq *)&the_irq;
	return 0;
}

/* Memory ----------------------------------------------------------------------------------------------------------- */

static struct weir_memory *last_memory;

int weir_memory_open(struct weir_ioas *ioas, const struct weir_memory_opts *opts,
		     struct weir_memory **ret_memory)
{
	struct weir_memory *memory;

	(void)ioas;
	(void)opts;
	if (stub.fails())
		return -ENOMEM;
	memory = calloc(1, sizeof(*memory));
	if (!memory)
		return -ENOMEM;
	stub.num_memories++;
	last_memory = memory;
	memory->next = memories;
	memories = memory;
	*ret_memory = memory;
	return 0;
}

/* What is in a buffer that was not used before is not known, as if it had been. */
int weir_memory_alloc(struct weir_memory *memory, uint64_t len, const struct weir_buffer_opts *opts,
		      struct weir_buffer *ret_buffer)
{
	size_t whole = (len + PAGE - 1) & ~(size_t)(PAGE - 1);
	unsigned char *addr;

	(void)opts;
	if (stub.fails() || stub.num_buffers == STUB_BUFFERS)
		return -ENOMEM;
	addr = aligned_alloc(PAGE, whole);
	if (!addr)
		return -ENOMEM;
	memset(addr, 0xa5, whole);
	stub.buffers[stub.num_buffers].memory = memory;
	stub.buffers[stub.num_buffers].addr = addr;
	stub.buffers[stub.num_buffers++].len = len;
	*ret_buffer = (struct weir_buffer){
		.addr = addr, .iova = (uintptr_t)addr, .len = len, .offset = (uintptr_t)addr
	};
	return 0;
}

static void end_buffer(unsigned int i)
{
	free(stub.buffers[i].addr);
	stub.buffers[i] = stub.buffers[--stub.num_buffers];
}

int weir_memory_free(struct weir_memory *memory, const struct weir_buffer *buffer)
{
	for (unsigned int i = 0; i < stub.num_buffers; i++) {
		if (stub.buffers[i].memory != memory || stub.buffers[i].addr != buffer->addr)
			continue;
		end_buffer(i);
		return 0;
	}
	return -EINVAL;
}

int weir_handover_memory(struct weir_host *host, uint32_t index, struct weir_memory **ret_memory)
{
	(void)host;
	if (stub.fails() || index > 0 || !stub.num_memories)
		return -ENOENT;
	*ret_memory = last_memory;
	return 0;
}

/* A buffer is where it was: that it is claimed a second time, by another process, is the point. */
int weir_memory_claim(struct weir_memory *memory, uint32_t chunk, uint64_t offset, uint64_t len,
		      struct weir_buffer *ret_buffer)
{
	(void)chunk;
	if (stub.fails())
		return -ENOMEM;
	for (unsigned int i = 0; i < stub.num_buffers; i++) {
		if (stub.buffers[i].memory != memory || (uintptr_t)stub.buffers[i].addr != offset ||
		    stub.buffers[i].len != len)
			continue;
		*ret_buffer = (struct weir_buffer){
			.addr = stub.buffers[i].addr, .iova = offset, .len = len, .offset = offset
		};
		return 0;
	}
	return -EINVAL;
}

int weir_memory_iova_in(struct weir_memory *memory, const struct weir_ioas *ioas,
			const struct weir_buffer *buffer, uint64_t *ret_iova)
{
	(void)memory;
	(void)ioas;
	if (stub.fails())
		return -ENOENT;
	*ret_iova = (uintptr_t)buffer->addr;
	return 0;
}

int weir_memory_close(struct weir_memory *memory)
{
	if (!memory)
		return 0;
	for (unsigned int i = stub.num_buffers; i-- > 0;)
		if (stub.buffers[i].memory == memory)
			end_buffer(i);
	for (struct weir_memory **link = &memories; *link; link = &(*link)->next)
		if (*link == memory) {
			*link = memory->next;
			break;
		}
	stub.num_memories--;
	free(memory);
	return 0;
}

void stub_switch_off(void)
{
	while (memories)
		weir_memory_close(memories);
	for (unsigned int i = 0; i < STUB_BLOCKS; i++)
		if (stub.blocks[i].bytes)
			weir_block_close(NULL, stub.blocks[i].bytes);
}

/* Interrupts ------------------------------------------------------------------------------------------------------- */

const char *weir_irq_kind_name(enum weir_irq_kind kind)
{
	return kind == WEIR_IRQ_MSIX ? "MSI-X" : "MSI";
}

int weir_irq_count(struct weir_device *device, enum weir_irq_kind kind, uint32_t *ret_count)
{
	(void)device;
	if (stub.fails())
		return -EINVAL;
	*ret_count = kind == WEIR_IRQ_MSIX ? stub.num_msix : stub.num_msi;
	return 0;
}

int weir_irq_enable(struct weir_device *device, enum weir_irq_kind kind, uint32_t count,
		    struct weir_irq **ret_irq)
{
	(void)device;
	(void)kind;
	if (stub.fails())
		return stub.irq_error;
	stub.interrupts = true;
	stub.num_vectors = count;
	*ret_irq = (struct weir_irq *)&the_irq;
	return 0;
}

int weir_irq_disable(struct weir_irq *irq)
{
	if (irq)
		stub.interrupts = false;
	return 0;
}

int weir_irq_fd(const struct weir_irq *irq, uint32_t vector)
{
	(void)irq;
	return vector < stub.num_vectors ? 100 + (int)vector : -EINVAL;
}
