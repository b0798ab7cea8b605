// SPDX-License-Identifier: MIT
/* Devices: found, opened, asked, switched and closed. */
#include "conformance/dma.h"
#include "conformance/machine.h"
#include "conformance/os.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PCI_COMMAND = 0x04, COMMAND_MEMORY = 1 << 1, COMMAND_MASTER = 1 << 2 };

static uint16_t command_of(struct weir_device *device)
{
	struct weir_region *config;
	uint16_t command = 0;

	ASSERT_OK(weir_device_region(device, WEIR_REGION_CONFIG, &config));
	ASSERT_OK(weir_region_read16(config, PCI_COMMAND, &command));
	return command;
}

/* Opening --------------------------------------------------------------------------------------------------------- */

CONFORMANCE(device, long_and_short_address_mean_the_same_device, NEEDS(EDU0))
{
	const char *address = address_of(t, "EDU0");
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device_info info;
	struct weir_device *device;

	ASSERT_EQ(strncmp(address, "0000:", 5), 0);
	for (size_t skipped = 0; skipped <= 5; skipped += 5) {
		t_note(t, "%s", address + skipped);
		ASSERT_OK(weir_device_open(ioas, address + skipped, NULL, &device));
		EXPECT_OK(weir_device_info(device, &info, sizeof(info)));
		EXPECT_STREQ(info.address, address);
		EXPECT_OK(weir_device_close(device));
	}
}

struct identity {
	const char *name;
	uint16_t vendor_id, device_id;
	uint32_t class_code;
	bool resettable;
};

static void expect_identity(struct t *t, const struct identity *expected)
{
	struct weir_device *device = new_device(t, new_ioas(t), expected->name, 40);
	struct weir_device_info info;

	ASSERT_OK(weir_device_info(device, &info, sizeof(info)));
	EXPECT_STREQ(info.address, address_of(t, expected->name));
	EXPECT_EQ(info.vendor_id, expected->vendor_id);
	EXPECT_EQ(info.device_id, expected->device_id);
	EXPECT_EQ(info.class_code, expected->class_code);
	EXPECT_EQ(info.resettable, expected->resettable);
	EXPECT_EQ(info.iommu_group, group_of(address_of(t, expected->name)));
	EXPECT_EQ(info.address_bits, 40);
	EXPECT_GE(info.num_regions, WEIR_REGION_VGA + 1);
}

CONFORMANCE(device, info_tells_what_edu_is, NEEDS(EDU0))
{
	expect_identity(t, &(struct identity){ "EDU0", 0x1234, 0x11e8, 0x00ff00, false });
}

CONFORMANCE(device, info_tells_what_nvme_is, NEEDS(NVME0))
{
	expect_identity(t, &(struct identity){ "NVME0", 0x1b36, 0x0010, 0x010802, true });
}

/* A caller compiled against an older or a newer weir has a struct of another size. */
CONFORMANCE(device, info_fills_the_callers_size_and_no_more, NEEDS(EDU0))
{
	struct {
		struct weir_device_info info;
		unsigned char beyond[8];
	} result;
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	size_t known = offsetof(struct weir_device_info, vendor_id);

	memset(&result, 0xee, sizeof(result));
	EXPECT_OK(weir_device_info(device, &result.info, known));
	EXPECT_STREQ(result.info.address, address_of(t, "EDU0"));
	EXPECT_EQ(result.info.vendor_id, 0xeeee);
	EXPECT_OK(weir_device_info(device, &result.info, sizeof(result)));
	EXPECT_EQ(result.info.vendor_id, 0x1234);
	EXPECT_TRUE(all_bytes(result.beyond, 0, sizeof(result.beyond)));
}

CONFORMANCE(device, what_is_no_address_is_refused)
{
	static const char *const wrong[] = {
		"",
		"edu",
		"0000:00:06",
		"0000:00:06.8",
		"0000:00:20.0",
		"0000:100:06.0",
		"0000:00:06.0 ",
		" 0000:00:06.0",
		"0000:00:06.0x",
		"0000:00:06.00",
		"1000000:00:06.0",
		"00:6",
		"0000::06.0",
		"-1:00:06.0",
		"0000:00:06.0\n",
		"../0000:00:06.0",
		"0x0000:0:6.0",
		"0000:00:06.0 vf",
		NULL,
	};
	struct weir_device *device = NULL;
	struct weir_ioas *ioas = new_ioas(t);

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		t_note(t, "'%s'", wrong[i] ? wrong[i] : "(null)");
		EXPECT_ERR(-EINVAL, weir_device_open(ioas, wrong[i], NULL, &device));
		EXPECT_CONTAINS(weir_error(), wrong[i] ? wrong[i] : "(null)");
		EXPECT_TRUE(device == NULL);
	}
}

CONFORMANCE(device, options_out_of_range_are_refused, NEEDS(EDU0))
{
	static const struct weir_device_opts wrong[] = {
		{ .size = sizeof(wrong[0]), .address_bits = 11 },
		{ .size = sizeof(wrong[0]), .address_bits = 65 },
		{ .size = sizeof(wrong[0]), .reserved = 1 },
		{ .size = sizeof(wrong[0]), .vf_token = "" },
		{ .size = sizeof(wrong[0]), .vf_token = "no-uuid" },
		{ .size = sizeof(wrong[0]), .vf_token = "00112233-4455-6677-8899-aabbccddeefg" },
		{ .size = 4 },
		{ .size = 0 },
	};
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = NULL;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		t_note(t, "row %zu", i);
		EXPECT_ERR(-EINVAL, weir_device_open(ioas, address_of(t, "EDU0"), &wrong[i], &device));
		EXPECT_TRUE(device == NULL);
	}
}

CONFORMANCE(device, options_newer_than_the_library_are_refused_when_used, NEEDS(EDU0))
{
	struct {
		struct weir_device_opts known;
		uint64_t later;
	} opts = { .known = { .size = sizeof(opts) }, .later = 1 };
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = NULL;

	EXPECT_ERR(-E2BIG, weir_device_open(ioas, address_of(t, "EDU0"), &opts.known, &device));
	EXPECT_TRUE(device == NULL);
	opts.later = 0;
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), &opts.known, &device));
	EXPECT_OK(weir_device_close(device));
}

CONFORMANCE(device, absent_device_is_no_device)
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = NULL;

	EXPECT_ERR(-ENODEV, weir_device_open(ioas, "0000:ff:1f.7", NULL, &device));
	EXPECT_CONTAINS(weir_error(), "0000:ff:1f.7");
	EXPECT_TRUE(device == NULL);
}

/* Somebody has it ------------------------------------------------------------------------------------------------- */

static void expect_busy(struct t *t, struct weir_ioas *ioas, const char *name)
{
	const char *address = address_of(t, name);
	struct weir_device *device = NULL;

	EXPECT_ERR(-EBUSY, weir_device_open(ioas, address, NULL, &device));
	EXPECT_CONTAINS(weir_error(), address);
	EXPECT_CONTAINS(weir_error(), "open");
	EXPECT_TRUE(device == NULL);
}

CONFORMANCE(device, opened_twice_is_busy, NEEDS(EDU0))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = new_device(t, ioas, "EDU0", 0);
	struct weir_device_info info;

	expect_busy(t, ioas, "EDU0");
	EXPECT_OK(weir_device_info(device, &info, sizeof(info)));
}

/* The same kind of host, but another one. */
static void expect_busy_elsewhere(struct t *t, void *name)
{
	struct weir_host_opts opts =
		WEIR_OPTS(weir_host_opts, .backend = fixture_of(t)->backend, .sys = sys_of(t));
	struct weir_host *host;
	struct weir_ioas *ioas;

	ASSERT_OK(weir_host_open(&opts, &host));
	ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
	expect_busy(t, ioas, name);
	EXPECT_OK(weir_ioas_close(ioas));
	EXPECT_OK(weir_host_close(host));
}

CONFORMANCE(device, open_on_another_host_is_busy, NEEDS(EDU0))
{
	new_device(t, new_ioas(t), "EDU0", 0);
	expect_busy_elsewhere(t, "EDU0");
}

CONFORMANCE(device, open_in_another_process_is_busy, NEEDS(EDU0))
{
	new_device(t, new_ioas(t), "EDU0", 0);
	in_child(t, expect_busy_elsewhere, "EDU0");
}

CONFORMANCE(device, without_a_driver_it_says_how_to_bind_it, NEEDS(EDU1, ROOT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = NULL;

	bind_until_end(t, "EDU1", NULL);
	EXPECT_ERR(-ENXIO, weir_device_open(ioas, address_of(t, "EDU1"), NULL, &device));
	EXPECT_CONTAINS(weir_error(), address_of(t, "EDU1"));
	EXPECT_CONTAINS(weir_error(), "vfio-pci");
	EXPECT_CONTAINS(weir_error(), "driver_override");
	EXPECT_TRUE(device == NULL);
}

CONFORMANCE(device, with_another_driver_it_says_which, NEEDS(NVME1, NVME_DRIVER, ROOT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = NULL;

	bind_until_end(t, "NVME1", "nvme");
	EXPECT_ERR(-ENXIO, weir_device_open(ioas, address_of(t, "NVME1"), NULL, &device));
	EXPECT_CONTAINS(weir_error(), address_of(t, "NVME1"));
	EXPECT_CONTAINS(weir_error(), "bound to nvme,");
	EXPECT_CONTAINS(weir_error(), "/sys/bus/pci/drivers/nvme/unbind");
	EXPECT_TRUE(device == NULL);
}

/* Switches -------------------------------------------------------------------------------------------------------- */

CONFORMANCE(device, bus_mastering_is_off_after_opening, NEEDS(EDU0))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device;

	/* Also when it was on when the last user left. */
	for (int i = 0; i < 2; i++) {
		t_note(t, "time %d", i);
		ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
		EXPECT_EQ(command_of(device) & COMMAND_MASTER, 0);
		EXPECT_OK(weir_device_set_bus_master(device, true));
		EXPECT_OK(weir_device_close(device));
	}
}

CONFORMANCE(device, bus_mastering_goes_on_and_off, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);

	for (int i = 0; i < 4; i++) {
		bool on = i % 2 == 0;

		t_note(t, "step %d", i);
		EXPECT_OK(weir_device_set_bus_master(device, on));
		EXPECT_OK(weir_device_set_bus_master(device, on));
		EXPECT_EQ(command_of(device) & COMMAND_MASTER, on ? COMMAND_MASTER : 0);
		EXPECT_EQ(command_of(device) & COMMAND_MEMORY, COMMAND_MEMORY);
	}
}

CONFORMANCE(device, memory_that_is_switched_off_does_not_answer, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_region *bar;
	uint32_t value = 0;

	ASSERT_OK(weir_device_region(device, WEIR_REGION_BAR0, &bar));
	EXPECT_EQ(command_of(device) & COMMAND_MEMORY, COMMAND_MEMORY);
	ASSERT_OK(weir_region_read32(bar, 0, &value));

	ASSERT_OK(weir_device_set_memory(device, false));
	EXPECT_EQ(command_of(device) & COMMAND_MEMORY, 0);
	EXPECT_ERR(-EIO, weir_region_read32(bar, 0, &value));
	EXPECT_CONTAINS(weir_error(), address_of(t, "EDU0"));
	EXPECT_ERR(-EIO, weir_region_write32(bar, 4, 1));

	ASSERT_OK(weir_device_set_memory(device, true));
	EXPECT_OK(weir_region_read32(bar, 0, &value));
	EXPECT_EQ(value & 0xffff, 0x00ed);
}

CONFORMANCE(device, memory_is_on_again_for_the_next_user, NEEDS(EDU0))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device;

	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	EXPECT_OK(weir_device_set_memory(device, false));
	EXPECT_OK(weir_device_close(device));
	device = new_device(t, ioas, "EDU0", 0);
	EXPECT_EQ(command_of(device) & COMMAND_MEMORY, COMMAND_MEMORY);
}

/* Closing --------------------------------------------------------------------------------------------------------- */

CONFORMANCE(device, closing_in_full_use_leaves_nothing, NEEDS(EDU0))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned int fds, mappings = count_device_mappings();
	struct weir_device *device;
	struct weir_region *bar;
	struct weir_irq *irq;
	void *registers;

	/* The first device of a host may make it give up a container that it had at hand. */
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	ASSERT_OK(weir_device_close(device));
	fds = count_fds();

	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	ASSERT_OK(weir_device_region(device, WEIR_REGION_BAR0, &bar));
	ASSERT_OK(weir_region_map(bar, &registers, NULL));
	ASSERT_OK(weir_irq_enable(device, WEIR_IRQ_MSI, 1, &irq));
	ASSERT_OK(weir_irq_enable(device, WEIR_IRQ_REQ, 1, &irq));
	ASSERT_OK(weir_device_set_bus_master(device, true));
	EXPECT_GT(count_device_mappings(), mappings);
	EXPECT_GT(count_fds(), fds);

	EXPECT_OK(weir_device_close(device));
	EXPECT_EQ(count_fds(), fds);
	EXPECT_EQ(count_device_mappings(), mappings);
	/* The kernel, too, has let go: it can be opened at once. */
	new_device(t, ioas, "EDU0", 0);
}

enum { EDU_DMA_SOURCE = 0x80, EDU_DMA_DESTINATION = 0x88, EDU_DMA_COUNT = 0x90, EDU_DMA_COMMAND = 0x98 };
enum { EDU_DMA_RUN = 1, EDU_DMA_TO_MEMORY = 2, EDU_DMA_BUFFER = 0x40000 };
enum { LONG_AFTER_MS = 300, TRIES = 10 };

static struct weir_region *registers_of(struct weir_device *device)
{
	struct weir_region *bar;

	ASSERT_OK(weir_device_region(device, WEIR_REGION_BAR0, &bar));
	return bar;
}

/* Have edu write its buffer to @iova, 100 ms from now. */
static void start_dma(struct weir_device *device, uint64_t iova)
{
	struct weir_region *registers = registers_of(device);

	ASSERT_OK(weir_device_set_bus_master(device, true));
	ASSERT_OK(weir_region_write32(registers, EDU_DMA_SOURCE, EDU_DMA_BUFFER));
	ASSERT_OK(weir_region_write32(registers, EDU_DMA_DESTINATION, (uint32_t)iova));
	ASSERT_OK(weir_region_write32(registers, EDU_DMA_COUNT, 4096));
	ASSERT_OK(weir_region_write32(registers, EDU_DMA_COMMAND, EDU_DMA_RUN | EDU_DMA_TO_MEMORY));
}

static void finish_dma(struct weir_device *device)
{
	struct weir_region *registers = registers_of(device);
	uint32_t command = EDU_DMA_RUN;

	for (int i = 0; i < 2000 && command & EDU_DMA_RUN; i++) {
		if (weir_region_read32(registers, EDU_DMA_COMMAND, &command))
			FAIL("reading the command: %s", weir_error());
		usleep(1000);
	}
	ASSERT_EQ(command & EDU_DMA_RUN, 0);
}

/* Close the device while a DMA is under way. False when that was too slow: the DMA was through before the device was closed. */
static bool close_in_time(struct t *t, struct weir_device *device, uint64_t iova, const unsigned char *memory,
			  const unsigned char *pattern)
{
	bool in_time;

	os_hold_edu(address_of(t, "EDU0"), true);
	start_dma(device, iova);
	ASSERT_OK(weir_device_close(device));
	in_time = memcmp(memory, pattern, 4096) == 0;
	os_hold_edu(address_of(t, "EDU0"), false);
	return in_time;
}

/* What the device's buffer surely does not hold: no other case uses such bytes. */
static void fill_with_pattern(unsigned char *memory)
{
	for (unsigned int i = 0; i < 4096; i++)
		memory[i] = (unsigned char)(i * 37 + i / 256 + 11);
}

CONFORMANCE(device, dma_stops_when_it_is_closed, NEEDS(EDU0))
{
	struct weir_map_opts low = WEIR_OPTS(weir_map_opts, .address_bits = EDU0_BITS);
	struct weir_device_opts opts = WEIR_OPTS(weir_device_opts, .address_bits = EDU0_BITS);
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_memory(t, 4096, 0), *pattern = new_memory(t, 4096, 0);
	struct weir_map *map = new_map(t, ioas, memory, 4096, &low);
	struct weir_device *device;
	bool in_time = false;

	fill_with_pattern(pattern);
	for (int i = 0; i < TRIES && !in_time; i++) {
		ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), &opts, &device));
		memcpy(memory, pattern, 4096);
		start_dma(device, weir_map_iova(map));
		finish_dma(device);
		EXPECT_TRUE(memcmp(memory, pattern, 4096) != 0);

		memcpy(memory, pattern, 4096);
		in_time = close_in_time(t, device, weir_map_iova(map), memory, pattern);
	}
	/* How many tries it took is a matter of time. */
	t_record_forget();
	ASSERT_TRUE(in_time);
	usleep(LONG_AFTER_MS * 1000);
	EXPECT_MEMEQ(memory, pattern, 4096);
}
