// SPDX-License-Identifier: MIT
/* Regions: what they say of themselves, and their registers by accessor and by mapping. */
#include "conformance/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sys/ioctl.h>

enum {
	EDU_ID = 0x00,
	EDU_LIVENESS = 0x04,
	EDU_BAR_SIZE = 0x100000,
	EDU_IDS = 0x11e81234,
	PCI_STATUS = 0x06,
	PCI_CAPABILITIES = 0x34,
	PCI_INTERRUPT_LINE = 0x3c,
	PCI_MSIX_CAPABILITY = 0x11,
};

static struct weir_region *region_of(struct t *t, struct weir_device *device, uint32_t index)
{
	struct weir_region *region;

	(void)t;
	ASSERT_OK(weir_device_region(device, index, &region));
	return region;
}

/* A region of a device that is opened for it. */
static struct weir_region *new_region(struct t *t, const char *name, uint32_t index)
{
	return region_of(t, new_device(t, new_ioas(t), name, 0), index);
}

static uint32_t read32(struct weir_region *region, uint64_t offset)
{
	uint32_t value = 0;

	ASSERT_OK(weir_region_read32(region, offset, &value));
	return value;
}

/* What there is --------------------------------------------------------------------------------------------------- */

CONFORMANCE(region, info_tells_size_and_rights, NEEDS(EDU0))
{
	struct weir_region *bar = new_region(t, "EDU0", WEIR_REGION_BAR0);
	struct weir_region_area area;
	struct weir_region_info info;

	ASSERT_OK(weir_region_info(bar, &info, sizeof(info)));
	EXPECT_EQ(info.index, WEIR_REGION_BAR0);
	EXPECT_EQ(info.size, EDU_BAR_SIZE);
	EXPECT_EQ(info.flags, WEIR_REGION_READ | WEIR_REGION_WRITE | WEIR_REGION_MMAP);
	EXPECT_EQ(info.num_areas, 1);
	ASSERT_OK(weir_region_area(bar, 0, &area));
	EXPECT_EQ(area.offset, 0);
	EXPECT_EQ(area.len, EDU_BAR_SIZE);
	EXPECT_ERR(-EINVAL, weir_region_area(bar, 1, &area));
	EXPECT_CONTAINS(weir_error(), "1 piece");
}

CONFORMANCE(region, config_space_holds_the_ids, NEEDS(EDU0))
{
	struct weir_region *config = new_region(t, "EDU0", WEIR_REGION_CONFIG);
	struct weir_region_info info;

	ASSERT_OK(weir_region_info(config, &info, sizeof(info)));
	EXPECT_GE(info.size, 256);
	EXPECT_EQ(info.flags, WEIR_REGION_READ | WEIR_REGION_WRITE);
	EXPECT_EQ(info.num_areas, 0);
	EXPECT_EQ(read32(config, 0), EDU_IDS);
}

CONFORMANCE(region, asked_for_again_it_is_the_same, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);

	EXPECT_EQ(region_of(t, device, WEIR_REGION_BAR0), region_of(t, device, WEIR_REGION_BAR0));
}

CONFORMANCE(region, absent_regions_are_no_entry, NEEDS(EDU0))
{
	static const uint32_t absent[] = { WEIR_REGION_BAR1, WEIR_REGION_BAR5, WEIR_REGION_ROM };
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_region *region = NULL;

	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		t_note(t, "region %u", absent[i]);
		EXPECT_ERR(-ENOENT, weir_device_region(device, absent[i], &region));
		EXPECT_CONTAINS(weir_error(), address_of(t, "EDU0"));
		EXPECT_TRUE(region == NULL);
	}
}

CONFORMANCE(region, upper_half_of_a_64_bit_bar_is_no_entry, NEEDS(NVME0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	struct weir_region *region;

	region_of(t, device, WEIR_REGION_BAR0);
	EXPECT_ERR(-ENOENT, weir_device_region(device, WEIR_REGION_BAR1, &region));
}

CONFORMANCE(region, index_beyond_the_last_is_refused, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_device_info info;
	struct weir_region *region;

	ASSERT_OK(weir_device_info(device, &info, sizeof(info)));
	EXPECT_ERR(-EINVAL, weir_device_region(device, info.num_regions, &region));
	EXPECT_ERR(-EINVAL, weir_device_region(device, UINT32_MAX, &region));
	EXPECT_CONTAINS(weir_error(), "4294967295");
}

/* Registers ------------------------------------------------------------------------------------------------------- */

CONFORMANCE(region, accessors_and_mapping_show_the_same_registers, NEEDS(EDU0))
{
	struct weir_region *bar = new_region(t, "EDU0", WEIR_REGION_BAR0);
	uint32_t id = read32(bar, EDU_ID);
	volatile uint32_t *registers;
	uint64_t len = 0;
	void *addr;

	EXPECT_EQ(id & 0xffff, 0x00ed);
	ASSERT_OK(weir_region_write32(bar, EDU_LIVENESS, 0x12345678));
	ASSERT_OK(weir_region_map(bar, &addr, &len));
	EXPECT_EQ(len, EDU_BAR_SIZE);
	registers = addr;
	EXPECT_EQ(registers[EDU_ID / 4], id);
	EXPECT_EQ(registers[EDU_LIVENESS / 4], ~0x12345678u);

	/* From now on accessors take the mapping, too. */
	registers[EDU_LIVENESS / 4] = 0xf00df00d;
	EXPECT_EQ(read32(bar, EDU_LIVENESS), ~0xf00df00du);
	ASSERT_OK(weir_region_write32(bar, EDU_LIVENESS, 1));
	EXPECT_EQ(registers[EDU_LIVENESS / 4], ~1u);
}

CONFORMANCE(region, mapped_twice_it_is_one_mapping, NEEDS(EDU0))
{
	struct weir_region *bar = new_region(t, "EDU0", WEIR_REGION_BAR0);
	void *first = NULL, *second = NULL;

	ASSERT_OK(weir_region_map(bar, &first, NULL));
	ASSERT_OK(weir_region_map(bar, &second, NULL));
	EXPECT_EQ(first, second);
}

CONFORMANCE(region, config_space_is_read_in_every_width, NEEDS(EDU0))
{
	struct weir_region *config = new_region(t, "EDU0", WEIR_REGION_CONFIG);
	uint64_t qword;
	uint16_t word;
	uint8_t byte;

	ASSERT_OK(weir_region_read64(config, 0, &qword));
	EXPECT_EQ((uint32_t)qword, EDU_IDS);
	ASSERT_OK(weir_region_read16(config, PCI_STATUS, &word));
	EXPECT_EQ(word, qword >> 48);
	ASSERT_OK(weir_region_read16(config, 2, &word));
	EXPECT_EQ(word, 0x11e8);
	ASSERT_OK(weir_region_read8(config, 1, &byte));
	EXPECT_EQ(byte, 0x12);
}

CONFORMANCE(region, config_space_is_written_in_every_width, NEEDS(EDU0))
{
	struct weir_region *config = new_region(t, "EDU0", WEIR_REGION_CONFIG);
	uint32_t old = read32(config, PCI_INTERRUPT_LINE);

	/* The interrupt line, the lowest byte there, is a scratch register; what is above it cannot be written. */
	ASSERT_OK(weir_region_write8(config, PCI_INTERRUPT_LINE, 0x81));
	EXPECT_EQ(read32(config, PCI_INTERRUPT_LINE), (old & ~0xffu) | 0x81);
	ASSERT_OK(weir_region_write16(config, PCI_INTERRUPT_LINE, 0x0042));
	EXPECT_EQ(read32(config, PCI_INTERRUPT_LINE), (old & ~0xffu) | 0x42);
	ASSERT_OK(weir_region_write32(config, PCI_INTERRUPT_LINE, old));
	EXPECT_EQ(read32(config, PCI_INTERRUPT_LINE), old);
}

/* CAP of an NVMe controller is one register of 64 bits that may be read in parts. */
CONFORMANCE(region, bar_is_read_in_every_width, NEEDS(NVME0))
{
	struct weir_region *bar = new_region(t, "NVME0", WEIR_REGION_BAR0);
	uint64_t cap = 0;
	uint32_t high = read32(bar, 4);
	void *addr;

	for (int mapped = 0; mapped < 2; mapped++) {
		t_note(t, mapped ? "mapped" : "through the descriptor");
		ASSERT_OK(weir_region_read64(bar, 0, &cap));
		EXPECT_EQ(cap, (uint64_t)high << 32 | read32(bar, 0));
		EXPECT_NE(cap, 0);
		EXPECT_NE(cap, UINT64_MAX);
		if (!mapped)
			ASSERT_OK(weir_region_map(bar, &addr, NULL));
	}
}

struct access {
	unsigned int width;
	uint64_t offset;
};

static int read_width(struct weir_region *region, const struct access *access)
{
	uint64_t qword;
	uint32_t dword;
	uint16_t word;
	uint8_t byte;

	switch (access->width) {
	case 1:
		return weir_region_read8(region, access->offset, &byte);
	case 2:
		return weir_region_read16(region, access->offset, &word);
	case 4:
		return weir_region_read32(region, access->offset, &dword);
	default:
		return weir_region_read64(region, access->offset, &qword);
	}
}

static int write_width(struct weir_region *region, const struct access *access)
{
	switch (access->width) {
	case 1:
		return weir_region_write8(region, access->offset, 0);
	case 2:
		return weir_region_write16(region, access->offset, 0);
	case 4:
		return weir_region_write32(region, access->offset, 0);
	default:
		return weir_region_write64(region, access->offset, 0);
	}
}

CONFORMANCE(region, misaligned_and_out_of_range_accesses_are_refused, NEEDS(EDU0))
{
	static const struct access wrong[] = {
		{ 2, 1 },
		{ 4, 2 },
		{ 8, 4 },
		{ 1, EDU_BAR_SIZE },
		{ 2, EDU_BAR_SIZE },
		{ 4, EDU_BAR_SIZE },
		{ 8, EDU_BAR_SIZE },
		{ 8, EDU_BAR_SIZE - 4 },
		{ 4, 1ull << 40 },
		{ 1, UINT64_MAX },
		{ 4, UINT64_MAX - 3 },
		{ 8, UINT64_MAX - 7 },
	};
	struct weir_region *bar = new_region(t, "EDU0", WEIR_REGION_BAR0);
	void *addr;

	for (int mapped = 0; mapped < 2; mapped++) {
		for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
			t_note(t, "%s, row %zu", mapped ? "mapped" : "not mapped", i);
			EXPECT_ERR(-EINVAL, read_width(bar, &wrong[i]));
			EXPECT_CONTAINS(weir_error(), "offset");
			EXPECT_ERR(-EINVAL, write_width(bar, &wrong[i]));
		}
		ASSERT_OK(weir_region_map(bar, &addr, NULL));
	}
}

CONFORMANCE(region, last_register_is_in_range, NEEDS(EDU0))
{
	struct weir_region *bar = new_region(t, "EDU0", WEIR_REGION_BAR0);

	EXPECT_OK(read_width(bar, &(struct access){ 4, EDU_BAR_SIZE - 4 }));
}

CONFORMANCE(region, config_space_cannot_be_mapped, NEEDS(EDU0))
{
	struct weir_region *config = new_region(t, "EDU0", WEIR_REGION_CONFIG);
	void *addr = NULL;

	EXPECT_ERR(-EOPNOTSUPP, weir_region_map(config, &addr, NULL));
	EXPECT_CONTAINS(weir_error(), address_of(t, "EDU0"));
	EXPECT_TRUE(addr == NULL);
}

/* Where the MSI-X table is: its BAR and the offset in it. */
static uint32_t find_msix_table(struct t *t, struct weir_region *config, uint64_t *ret_offset)
{
	uint8_t at = 0, id = 0;
	uint32_t table;

	ASSERT_OK(weir_region_read8(config, PCI_CAPABILITIES, &at));
	for (int i = 0; at && i < 48; i++) {
		if (weir_region_read8(config, at, &id))
			FAIL("capability: %s", weir_error());
		if (id == PCI_MSIX_CAPABILITY)
			break;
		if (weir_region_read8(config, at + 1u, &at))
			FAIL("next capability: %s", weir_error());
	}
	ASSERT_EQ(id, PCI_MSIX_CAPABILITY);
	table = read32(config, at + 4u);
	*ret_offset = table & ~7u;
	(void)t;
	return table & 7;
}

/* The kernel owns the table: it hides it from accesses through the descriptor. */
CONFORMANCE(region, msix_table_is_the_kernels, NEEDS(NVME0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	uint64_t offset = 0;
	uint32_t index = find_msix_table(t, region_of(t, device, WEIR_REGION_CONFIG), &offset);
	struct weir_region *bar = region_of(t, device, index);
	struct weir_region_info info;

	ASSERT_OK(weir_region_info(bar, &info, sizeof(info)));
	EXPECT_TRUE(info.flags & WEIR_REGION_MSIX_MAP);
	EXPECT_EQ(read32(bar, offset), UINT32_MAX);
	EXPECT_OK(weir_region_write32(bar, offset, 0x1234));
	EXPECT_EQ(read32(bar, offset), UINT32_MAX);
	/* The registers beside it are not hidden. */
	EXPECT_NE(read32(bar, 0), UINT32_MAX);
}

/* Threads --------------------------------------------------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 8 };
#define VFIO_DEVICE_GET_REGION_INFO _IO(';', 108)

struct asker {
	struct weir_device *device;
	pthread_barrier_t *start;
	struct weir_region *region;
	void *addr;
};

static void *ask(void *arg)
{
	struct asker *asker = arg;

	pthread_barrier_wait(asker->start);
	EXPECT_OK(weir_device_region(asker->device, WEIR_REGION_BAR0, &asker->region));
	EXPECT_OK(weir_region_map(asker->region, &asker->addr, NULL));
	return NULL;
}

static void ask_at_once(struct weir_device *device)
{
	struct asker askers[THREADS];
	pthread_t threads[THREADS];
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, THREADS);
	for (int i = 0; i < THREADS; i++) {
		askers[i] = (struct asker){ .device = device, .start = &start };
		ASSERT_EQ(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&start);
	for (int i = 0; i < THREADS; i++) {
		EXPECT_EQ(askers[i].region, askers[0].region);
		EXPECT_EQ(askers[i].addr, askers[0].addr);
	}
}

CONFORMANCE(region, first_asked_for_by_many_threads_it_is_asked_of_the_kernel_once, NEEDS(EDU0))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct sys_log *log = &fixture_of(t)->log;
	struct weir_device *device;

	for (int round = 0; round < ROUNDS; round++) {
		t_note(t, "round %d", round);
		ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
		sys_log_clear(log);
		ask_at_once(device);
		EXPECT_EQ(sys_log_count_ioctl(log, VFIO_DEVICE_GET_REGION_INFO), 1);
		EXPECT_EQ(sys_log_count_call(log, "mmap"), 1);
		EXPECT_OK(weir_device_close(device));
	}
}
