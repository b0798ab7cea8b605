// SPDX-License-Identifier: MIT
/* Hand-over: a predecessor and a successor. */
#include "conformance/handover.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conformance/dma.h"
#include "conformance/os.h"

#include <weir/sim.h>

enum {
	REG_INVERT = 0x04,
	REG_IRQ_STATUS = 0x24,
	REG_IRQ_ACK = 0x64,
	REG_SOURCE = 0x80,
	REG_DESTINATION = 0x88,
	REG_COUNT = 0x90,
	REG_COMMAND = 0x98,
	EDU_BUFFER = 0x40000,
	START_TO_MEMORY_WITH_IRQ = 7
};

static struct predecessor the_predecessor;
static struct successor the_successor;

void forget_predecessor(struct predecessor *predecessor)
{
	predecessor->host = NULL;
}

static void close_predecessor(void *arg)
{
	struct predecessor *predecessor = arg;

	for (int i = 0; i < 2; i++)
		if (predecessor->ends[i] >= 0)
			close(predecessor->ends[i]);
	if (!predecessor->host)
		return;
	EXPECT_OK(weir_device_close(predecessor->device));
	EXPECT_OK(weir_memory_close(predecessor->memory));
	EXPECT_OK(weir_ioas_close(predecessor->ioas));
	EXPECT_OK(weir_host_close(predecessor->host));
}

static struct weir_region *registers(struct weir_device *device)
{
	struct weir_region *region;

	ASSERT_OK(weir_device_region(device, 0, &region));
	return region;
}

void begin_edu_write(struct weir_device *device, uint64_t iova, uint32_t len)
{
	struct weir_region *region = registers(device);

	ASSERT_OK(weir_region_write64(region, REG_SOURCE, EDU_BUFFER));
	ASSERT_OK(weir_region_write64(region, REG_DESTINATION, iova));
	ASSERT_OK(weir_region_write64(region, REG_COUNT, len));
	ASSERT_OK(weir_region_write64(region, REG_COMMAND, START_TO_MEMORY_WITH_IRQ));
}

/* A register that keeps what was written, inverted: a reset clears it. */
void put_edu_number(struct weir_device *device, uint32_t value)
{
	ASSERT_OK(weir_region_write32(registers(device), REG_INVERT, ~value));
}

uint32_t edu_number(struct weir_device *device)
{
	uint32_t value = 0;

	EXPECT_OK(weir_region_read32(registers(device), REG_INVERT, &value));
	return value;
}

static void map_file(struct t *t, struct predecessor *predecessor)
{
	int fd = new_file(t, FILE_PAGES * PAGE);

	ASSERT_OK(weir_ioas_map_file(predecessor->ioas, fd, PAGE, 2 * PAGE, NULL, &predecessor->file_map));
	memset(weir_map_addr(predecessor->file_map), 0x5a, 2 * PAGE);
	predecessor->estate->file_iova = weir_map_iova(predecessor->file_map);
}

static struct predecessor *make(struct t *t, bool nested, uint32_t flags)
{
	struct predecessor *predecessor = &the_predecessor;
	struct weir_host_opts opts =
		WEIR_OPTS(weir_host_opts, .sys = sys_of(t), .flags = WEIR_HOST_JOURNAL,
			  .backend = fixture_of(t)->backend, .journal_maps = 64, .journal_blocks = PAGE);
	void *block;

	*predecessor = (struct predecessor){ .ends = { -1, -1 } };
	record_no_calls(t);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, predecessor->ends), 0);
	ASSERT_OK(weir_host_open(&opts, &predecessor->host));
	if (nested)
		ASSERT_OK(weir_nested_space_open(
			predecessor->host,
			&WEIR_OPTS(weir_nested_space_opts, .mode = WEIR_NESTED_HARDWARE, .defer = 64),
			&predecessor->ioas));
	else
		ASSERT_OK(weir_ioas_open(predecessor->host, &WEIR_OPTS(weir_ioas_opts, .flags = flags),
					 &predecessor->ioas));
	ASSERT_OK(weir_memory_open(predecessor->ioas, &WEIR_OPTS(weir_memory_opts, SMALL),
				   &predecessor->memory));
	ASSERT_OK(weir_device_open(predecessor->ioas, address_of(t, "EDU0"),
				   &WEIR_OPTS(weir_device_opts, .address_bits = EDU0_BITS),
				   &predecessor->device));
	t_defer(t, close_predecessor, predecessor);
	ASSERT_OK(weir_irq_enable(predecessor->device, WEIR_IRQ_MSI, 1, &predecessor->irq));
	ASSERT_OK(weir_device_set_bus_master(predecessor->device, true));
	ASSERT_OK(weir_memory_alloc(predecessor->memory, 3 * PAGE, NULL, &predecessor->buffer));
	ASSERT_OK(weir_memory_alloc(predecessor->memory, PAGE, NULL, &predecessor->buffer));
	ASSERT_OK(weir_block_open(predecessor->host, "estate", BLOCK_SIZE, &block));
	predecessor->estate = block;
	predecessor->estate->chunk = predecessor->buffer.chunk;
	predecessor->estate->offset = predecessor->buffer.offset;
	predecessor->estate->iova = predecessor->buffer.iova;
	memset(predecessor->buffer.addr, 0xee, PAGE);
	map_file(t, predecessor);
	put_edu_number(predecessor->device, 0x12345678);
	return predecessor;
}

struct predecessor *new_predecessor(struct t *t)
{
	return make(t, false, 0);
}

struct predecessor *new_nested_predecessor(struct t *t)
{
	return make(t, true, 0);
}

struct predecessor *new_tracked_predecessor(struct t *t)
{
	return make(t, false, WEIR_IOAS_DIRTY);
}

void expect_interrupt(struct weir_device *device, struct weir_irq *irq)
{
	EXPECT_OK(weir_irq_wait(irq, 0, 5000, NULL));
	ASSERT_OK(weir_region_write32(registers(device), REG_IRQ_ACK, UINT32_MAX));
}

bool arrives(struct weir_device *device, uint64_t iova, unsigned char *page)
{
	memset(page, 0xee, PAGE);
	begin_edu_write(device, iova, 64);
	for (int i = 0; i < 500 && all_bytes(page, 0xee, 64); i++)
		usleep(1000);
	usleep(os_sim() ? 0 : 2000);
	return !all_bytes(page, 0xee, 64);
}

/* A DMA to a buffer, and its interrupt. */
static void expect_works(struct t *t, struct weir_device *device, struct weir_irq *irq, unsigned char *buffer,
			 uint64_t iova)
{
	(void)t;
	memset(buffer, 0xee, PAGE);
	while (!weir_irq_wait(irq, 0, 0, NULL))
		;
	begin_edu_write(device, iova, 64);
	expect_interrupt(device, irq);
	EXPECT_TRUE(!all_bytes(buffer, 0xee, 64));
	EXPECT_TRUE(all_bytes(buffer + 64, 0xee, PAGE - 64));
}

void expect_unharmed(struct t *t, struct predecessor *predecessor)
{
	struct weir_buffer more;

	expect_works(t, predecessor->device, predecessor->irq, predecessor->buffer.addr,
		     predecessor->buffer.iova);
	EXPECT_EQ(edu_number(predecessor->device), 0x12345678u);
	ASSERT_OK(weir_memory_alloc(predecessor->memory, MIB, NULL, &more));
	EXPECT_OK(weir_map_close(predecessor->file_map));
	map_file(t, predecessor);
}

const struct weir_sys *successors_sys(struct t *t)
{
	return os_sim() ? weir_sim_sys_of(os_sim(), 1) : sys_of(t);
}

void begin_successor(struct t *t, struct predecessor *predecessor, void *(*body)(void *successor))
{
	struct successor *successor = &the_successor;

	*successor = (struct successor){ .sys = successors_sys(t), .socket = predecessor->ends[1] };
	predecessor->ends[1] = -1;
	ASSERT_EQ(pthread_create(&successor->thread, NULL, body, successor), 0);
}

struct successor *end_successor(struct t *t)
{
	(void)t;
	ASSERT_EQ(pthread_join(the_successor.thread, NULL), 0);
	return &the_successor;
}

void other_ends(struct predecessor *predecessor)
{
	for (int i = 0; i < 2; i++)
		if (predecessor->ends[i] >= 0)
			close(predecessor->ends[i]);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, predecessor->ends), 0);
}

void *take_all(void *arg)
{
	struct successor *successor = arg;

	successor->error = weir_handover_receive(
		successor->socket, &WEIR_OPTS(weir_handover_opts, .sys = successor->sys), &successor->host);
	if (!successor->error)
		successor->error = weir_handover_finish(successor->host);
	if (successor->error) {
		successor->host = NULL;
		snprintf(successor->text, sizeof(successor->text), "%s", weir_error());
	}
	return NULL;
}

void *refuse_all(void *arg)
{
	struct successor *successor = arg;

	successor->error = weir_handover_receive(
		successor->socket, &WEIR_OPTS(weir_handover_opts, .sys = successor->sys), &successor->host);
	if (!successor->error)
		weir_handover_refuse(successor->host, "the queue is of another age");
	return NULL;
}

static void check_file_map(struct t *t, struct weir_ioas *ioas, const struct estate *estate)
{
	struct weir_map *map;
	struct weir_ioas_info before = info_of(ioas);

	(void)t;
	ASSERT_OK(weir_handover_map(ioas, estate->file_iova, &map));
	EXPECT_EQ(weir_map_len(map), 2 * PAGE);
	EXPECT_TRUE(all_bytes(weir_map_addr(map), 0x5a, 2 * PAGE));
	EXPECT_OK(weir_map_close(map));
	EXPECT_EQ(info_of(ioas).num_mappings, before.num_mappings - 1);
}

void expect_estate(struct t *t, struct weir_host *host)
{
	struct weir_ioas *ioas;
	struct weir_memory *memory;
	struct weir_device *device;
	struct weir_irq *irq;
	struct weir_buffer buffer, more;
	void *block;
	const struct estate *estate;

	ASSERT_OK(weir_handover_ioas(host, 0, &ioas));
	ASSERT_OK(weir_handover_memory(host, 0, &memory));
	ASSERT_OK(weir_handover_device(host, address_of(t, "EDU0"), &device));
	ASSERT_OK(weir_handover_irq(device, WEIR_IRQ_MSI, &irq));
	EXPECT_TRUE(weir_device_ioas(device) == ioas);
	ASSERT_OK(weir_block_open(host, "estate", BLOCK_SIZE, &block));
	estate = block;
	ASSERT_OK(weir_memory_claim(memory, estate->chunk, estate->offset, PAGE, &buffer));
	EXPECT_EQ(buffer.iova, estate->iova);
	expect_works(t, device, irq, buffer.addr, buffer.iova);
	EXPECT_EQ(edu_number(device), 0x12345678u);
	check_file_map(t, ioas, estate);
	ASSERT_OK(weir_memory_alloc(memory, MIB, NULL, &more));
	expect_works(t, device, irq, more.addr, more.iova);
	EXPECT_OK(weir_device_close(device));
	EXPECT_OK(weir_memory_close(memory));
	EXPECT_OK(weir_ioas_close(ioas));
	EXPECT_OK(weir_host_close(host));
}

struct weir_host *give_all(struct t *t, struct predecessor *predecessor, struct weir_host *host)
{
	struct successor *successor;

	begin_successor(t, predecessor, take_all);
	ASSERT_OK(weir_handover_give(host, predecessor->ends[0], NULL));
	forget_predecessor(predecessor);
	successor = end_successor(t);
	t_note(t, "%s", successor->text);
	ASSERT_EQ(successor->error, 0);
	other_ends(predecessor);
	return successor->host;
}
