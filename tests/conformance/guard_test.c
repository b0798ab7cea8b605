// SPDX-License-Identifier: MIT
/* The guard: what faults in a region is an error; every other fault goes where it went before. */
#include "conformance/away.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	NVME_VS = 0x08,
	READERS = 4,
	ROUNDS = 20,
	FEATURE_SET = 1 << 17,
	LOW_POWER_ENTRY = 3,
	LOW_POWER_EXIT = 5
};

#define VFIO_DEVICE_RESET   _IO(';', 111)
#define VFIO_DEVICE_FEATURE _IO(';', 117)

/* Every width, by pointer. How many of the eight accesses failed. */
static int touch_all(unsigned char *registers)
{
	uint64_t qword = 1;
	uint32_t dword = 2;
	uint16_t word = 3;
	uint8_t byte = 4;
	int failed = 0;

	failed += weir_mmio_read8(registers, &byte) == -EIO && byte == 4;
	failed += weir_mmio_read16(registers, &word) == -EIO && word == 3;
	failed += weir_mmio_read32(registers, &dword) == -EIO && dword == 2;
	failed += weir_mmio_read64(registers, &qword) == -EIO && qword == 1;
	failed += weir_mmio_write8(registers, 0) == -EIO;
	failed += weir_mmio_write16(registers, 0) == -EIO;
	failed += weir_mmio_write32(registers, 0) == -EIO;
	failed += weir_mmio_write64(registers, 0) == -EIO;
	return failed;
}

CONFORMANCE(guard, touching_memory_that_is_off_is_an_error, NEEDS(NVME0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	unsigned char *registers;
	struct weir_region *bar = mapped_bar(t, device, &registers);
	uint32_t version = 0, value = 0;

	guarded(t);
	ASSERT_OK(weir_region_read32(bar, NVME_VS, &version));
	ASSERT_OK(weir_mmio_read32(registers + NVME_VS, &value));
	EXPECT_EQ(value, version);
	ASSERT_OK(weir_device_set_memory(device, false));
	EXPECT_EQ(touch_all(registers), 8);
	ASSERT_OK(weir_device_set_memory(device, true));
	ASSERT_OK(weir_mmio_read32(registers + NVME_VS, &value));
	EXPECT_EQ(value, version);
}

CONFORMANCE(guard, accessors_find_out_what_others_did, NEEDS(NVME0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	unsigned char *registers;
	struct weir_region *bar = mapped_bar(t, device, &registers);
	uint32_t version = 0, value = 0;

	guarded(t);
	ASSERT_OK(weir_region_read32(bar, NVME_VS, &version));
	set_memory_past(t, device, false);
	EXPECT_ERR(-EIO, weir_region_read32(bar, NVME_VS, &value));
	EXPECT_CONTAINS(weir_error(), "switched off");
	EXPECT_EQ(weir_device_away(device), WEIR_AWAY_MEMORY);
	set_memory_past(t, device, true);
	EXPECT_OK(weir_region_read32(bar, NVME_VS, &value));
	EXPECT_EQ(value, version);
	EXPECT_EQ(weir_device_away(device), 0);
}

CONFORMANCE(guard, sleeping_device_is_an_error, NEEDS(EDU0))
{
	struct {
		uint32_t argsz, flags;
	} feature = { sizeof(feature), FEATURE_SET | LOW_POWER_ENTRY };
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	unsigned char *registers;
	uint32_t value = 0;

	mapped_bar(t, device, &registers);
	guarded(t);
	ASSERT_OK(weir_device_sleep(device, -1));
	EXPECT_EQ(weir_mmio_read32(registers, &value), -EIO);
	ASSERT_OK(weir_device_wake(device));
	EXPECT_EQ(weir_mmio_read32(registers, &value), 0);
	/* And put to sleep by somebody else. */
	ASSERT_EQ(past_the_library(t, device, VFIO_DEVICE_FEATURE, &feature), 0);
	EXPECT_EQ(weir_mmio_read32(registers, &value), -EIO);
	feature.flags = FEATURE_SET | LOW_POWER_EXIT;
	ASSERT_EQ(past_the_library(t, device, VFIO_DEVICE_FEATURE, &feature), 0);
	EXPECT_EQ(weir_mmio_read32(registers, &value), 0);
}

/* A page that is not there: past the end of a file. */
static void *page_past_the_end(struct t *t)
{
	int fd = memfd_create("past", MFD_CLOEXEC);
	void *page;

	(void)t;
	ASSERT_GE(fd, 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_TRUE(page != MAP_FAILED);
	close(fd);
	return page;
}

CONFORMANCE(guard, other_faults_reach_the_handler_of_before, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	unsigned char *registers;
	void *past = page_past_the_end(t);
	uint32_t value = 0;

	mapped_bar(t, device, &registers);
	catch_sigbus(t);
	EXPECT_TRUE(raises_sigbus(past));
	guarded(t);
	EXPECT_TRUE(raises_sigbus(past));
	EXPECT_FALSE(raises_sigbus(registers));
	ASSERT_OK(weir_device_set_memory(device, false));
	/* A plain load of a register is none of the guard's. */
	EXPECT_TRUE(raises_sigbus(registers));
	EXPECT_EQ(weir_mmio_read32(registers, &value), -EIO);
	ASSERT_OK(weir_device_set_memory(device, true));
	EXPECT_EQ(weir_mmio_read32(registers, &value), 0);
	munmap(past, 4096);
}

CONFORMANCE(guard, without_it_touching_memory_that_is_off_raises_sigbus, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	unsigned char *registers;

	mapped_bar(t, device, &registers);
	catch_sigbus(t);
	EXPECT_FALSE(raises_sigbus(registers));
	ASSERT_OK(weir_device_set_memory(device, false));
	EXPECT_TRUE(raises_sigbus(registers));
	ASSERT_OK(weir_device_set_memory(device, true));
	EXPECT_FALSE(raises_sigbus(registers));
}

/* Threads --------------------------------------------------------------------------------------------------------- */

struct reader {
	struct weir_region *bar;
	unsigned char *registers;
	uint32_t version;
	atomic_bool stop;
	atomic_uint reads, errors, wrong;
};

static void note(struct reader *reader, int error, uint32_t value)
{
	if (!error && value != reader->version)
		reader->wrong++;
	if (error)
		reader->errors++;
	if (error && error != -EIO)
		reader->wrong++;
	reader->reads++;
}

static void *read_on(void *arg)
{
	struct reader *reader = arg;
	uint32_t value = 0;
	int error;

	while (!reader->stop) {
		error = weir_region_read32(reader->bar, NVME_VS, &value);
		note(reader, error, value);
		error = weir_mmio_read32(reader->registers + NVME_VS, &value);
		note(reader, error, value);
		sched_yield();
	}
	return NULL;
}

/* Some reads between one change and the next. */
static void let_read(struct reader *reader)
{
	unsigned int before = reader->reads;

	while (reader->reads < before + 2 * READERS)
		sched_yield();
}

static void change_on(struct t *t, struct weir_device *device, struct reader *reader)
{
	for (int round = 0; round < ROUNDS; round++) {
		if (weir_device_reset(device))
			FAIL("round %d: %s", round, weir_error());
		let_read(reader);
		if (weir_device_set_memory(device, false))
			FAIL("round %d: %s", round, weir_error());
		let_read(reader);
		if (weir_device_set_memory(device, true))
			FAIL("round %d: %s", round, weir_error());
		set_memory_past(t, device, false);
		let_read(reader);
		set_memory_past(t, device, true);
	}
}

CONFORMANCE(guard, threads_read_while_the_device_is_reset_and_switched_off, NEEDS(NVME0, RESET))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	struct reader reader = { .bar = NULL };
	pthread_t threads[READERS];

	record_no_calls(t);
	reader.bar = mapped_bar(t, device, &reader.registers);
	ASSERT_OK(weir_region_read32(reader.bar, NVME_VS, &reader.version));
	guarded(t);
	for (int i = 0; i < READERS; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, read_on, &reader), 0);
	change_on(t, device, &reader);
	reader.stop = true;
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(reader.wrong, 0);
	EXPECT_GT(reader.errors, 0);
	EXPECT_OK(weir_device_resync(device));
	EXPECT_EQ(weir_device_away(device), 0);
	EXPECT_OK(weir_region_read32(reader.bar, NVME_VS, &reader.version));
}
