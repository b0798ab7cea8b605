// SPDX-License-Identifier: MIT
/* Memory for DMA: what can be pinned, what it costs, and what happens when it goes away (kernel-interface
 * A.5, A.6, B.10). */
#include "sim_iommu.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void unpin(void *pages)
{
	sim_pages_unpin(pages);
}

static void put(void *pages)
{
	sim_pages_put(pages);
}

static struct sim_pages *of_memory(struct t *t, struct weir_sim *sim, const void *addr, uint64_t len,
				   bool writable)
{
	struct sim_pages *pages;

	ASSERT_OK(sim_pages_memory(sim, (uintptr_t)addr, len, writable, SIM_CHARGE_USER, &pages));
	t_defer(t, put, pages);
	return pages;
}

static struct sim_pages *of_file(struct t *t, struct weir_sim *sim, int fd, uint64_t offset, uint64_t len)
{
	struct sim_pages *pages;

	ASSERT_OK(sim_pages_file(sim, fd, offset, len, true, SIM_CHARGE_MM, &pages));
	t_defer(t, put, pages);
	return pages;
}

/* Pinned until the case is over. */
static struct sim_pages *pinned(struct t *t, struct sim_pages *pages)
{
	ASSERT_OK(sim_pages_pin(pages));
	t_defer(t, unpin, pages);
	return pages;
}

static int can_pin(struct sim_pages *pages)
{
	int error = sim_pages_pin(pages);

	if (!error)
		sim_pages_unpin(pages);
	return error;
}

/* Memory of the process ---------------------------------------------------------------------------------- */

UNIT(sim_pages, memory_must_be_there_and_allow_what_is_asked)
{
	struct weir_sim *sim = new_machine(t, NULL);
	unsigned char *memory = new_memory(t, 8 * PAGE);
	static const struct {
		const char *what;
		uint64_t offset, len;
		bool writable;
		int error;
	} rows[] = {
		{ "plain", 0, 2 * PAGE, true, 0 },
		{ "within pages", 100, PAGE, true, 0 },
		{ "read-only, read", 2 * PAGE, PAGE, false, 0 },
		{ "read-only, written", 2 * PAGE, PAGE, true, -EFAULT },
		{ "ends read-only", PAGE, PAGE + 1, true, -EFAULT },
		{ "begins read-only", 3 * PAGE - 1, PAGE, true, -EFAULT },
		{ "no access", 4 * PAGE, PAGE, false, -EFAULT },
		{ "hole", 5 * PAGE, 3 * PAGE, false, -EFAULT },
		{ "ends in a hole", 5 * PAGE, PAGE + 1, false, -EFAULT },
	};

	ASSERT_OK(mprotect(memory + 2 * PAGE, PAGE, PROT_READ));
	ASSERT_OK(mprotect(memory + 4 * PAGE, PAGE, PROT_NONE));
	ASSERT_OK(munmap(memory + 6 * PAGE, PAGE));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "%s", rows[i].what);
		EXPECT_EQ(can_pin(of_memory(t, sim, memory + rows[i].offset, rows[i].len, rows[i].writable)),
			  rows[i].error);
	}
	EXPECT_EQ(sim->processes[0].pinned_bytes, 0);
}

UNIT(sim_pages, memory_of_nobody_is_refused)
{
	static const uint64_t addresses[] = { 0, 1, 1ull << 47, 1ull << 63, UINT64_MAX - PAGE };
	struct weir_sim *sim = new_machine(t, NULL);

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		t_note(t, "%#llx", (unsigned long long)addresses[i]);
		EXPECT_ERR(-EFAULT, can_pin(of_memory(t, sim, (void *)(uintptr_t)addresses[i], PAGE, true)));
	}
	EXPECT_ERR(-EFAULT, can_pin(of_memory(t, sim, (void *)(uintptr_t)PAGE, 1ull << 62, true)));
}

UNIT(sim_pages, memory_that_goes_away_is_out_of_reach_and_harms_nobody)
{
	struct weir_sim *sim = new_machine(t, NULL);
	unsigned char *memory = new_memory(t, 2 * PAGE), bytes[64] = { 0 };
	struct sim_pages *pages = pinned(t, of_memory(t, sim, memory, 2 * PAGE, true));

	memory[100] = 7;
	EXPECT_OK(sim_pages_read(pages, 100, bytes, 1));
	EXPECT_EQ(bytes[0], 7);
	EXPECT_OK(sim_pages_write(pages, PAGE - 32, bytes, 64));
	EXPECT_EQ(memory[PAGE - 32], 7);
	ASSERT_OK(munmap(memory + PAGE, PAGE));
	EXPECT_OK(sim_pages_read(pages, PAGE - 64, bytes, 64));
	EXPECT_ERR(-EFAULT, sim_pages_read(pages, PAGE, bytes, 64));
	EXPECT_ERR(-EFAULT, sim_pages_write(pages, PAGE - 32, bytes, 64));
}

/* DMA done within a call is not the answer that is asked to fail. */
UNIT(sim_pages, a_failing_answer_is_no_failing_dma)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct sim_pages *pages = pinned(t, of_memory(t, sim, new_memory(t, PAGE), PAGE, true));

	sim->trouble.copy_back_fails = true;
	EXPECT_OK(sim_pages_write(pages, 0, "x", 1));
	EXPECT_TRUE(sim->trouble.copy_back_fails);
	sim->trouble.copy_back_fails = false;
}

/* Files -------------------------------------------------------------------------------------------------- */

UNIT(sim_pages, a_file_is_shared_with_the_devices)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = new_memfd(t, 4 * PAGE);
	struct sim_pages *pages = pinned(t, of_file(t, sim, fd, PAGE + 100, 2 * PAGE));
	char byte = 'a';

	EXPECT_EQ(pwrite(fd, &byte, 1, PAGE + 100), 1);
	EXPECT_OK(sim_pages_read(pages, 0, &byte, 1));
	EXPECT_EQ(byte, 'a');
	EXPECT_OK(sim_pages_write(pages, PAGE, "b", 1));
	EXPECT_EQ(pread(fd, &byte, 1, 2 * PAGE + 100), 1);
	EXPECT_EQ(byte, 'b');
}

UNIT(sim_pages, files_are_of_memory_and_long_enough)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = new_memfd(t, 2 * PAGE + 10), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int status = open("/proc/self/status", O_RDONLY | O_CLOEXEC), iommufd = open_iommufd(t, sim);

	EXPECT_OK(can_pin(of_file(t, sim, fd, 0, 2 * PAGE + 10)));
	EXPECT_OK(can_pin(of_file(t, sim, fd, 2 * PAGE + 9, 1)));
	EXPECT_ERR(-EINVAL, can_pin(of_file(t, sim, fd, 0, 2 * PAGE + 11)));
	EXPECT_ERR(-EINVAL, can_pin(of_file(t, sim, fd, 2 * PAGE + 10, 1)));
	EXPECT_ERR(-EINVAL, can_pin(of_file(t, sim, fd, 1ull << 62, PAGE)));
	EXPECT_ERR(-EINVAL, can_pin(of_file(t, sim, fd, PAGE, UINT64_MAX - PAGE)));
	EXPECT_ERR(-EINVAL, can_pin(of_file(t, sim, null, 0, PAGE)));
	EXPECT_ERR(-EINVAL, can_pin(of_file(t, sim, status, 0, 1)));
	EXPECT_ERR(-EINVAL, can_pin(of_file(t, sim, iommufd, 0, PAGE)));
	close(null);
	close(status);
}

/* Neither the mode of the descriptor nor seals are looked at (A.6). */
UNIT(sim_pages, modes_and_seals_do_not_matter)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = new_memfd(t, PAGE), sealed = new_memfd(t, PAGE), reader;
	struct sim_pages *pages;
	char path[32], byte = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_GE(reader, 0);
	pages = pinned(t, of_file(t, sim, reader, 0, PAGE));
	close(reader);
	EXPECT_OK(sim_pages_write(pages, 0, "x", 1));
	EXPECT_EQ(pread(fd, &byte, 1, 0), 1);
	EXPECT_EQ(byte, 'x');
	/* What cannot be simulated: nobody can write what is sealed, so a device cannot either. */
	EXPECT_EQ(pwrite(sealed, "y", 1, 0), 1);
	ASSERT_OK(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE));
	pages = pinned(t, of_file(t, sim, sealed, 0, PAGE));
	EXPECT_OK(sim_pages_read(pages, 0, &byte, 1));
	EXPECT_EQ(byte, 'y');
	EXPECT_ERR(-EFAULT, sim_pages_write(pages, 0, "x", 1));
}

UNIT(sim_pages, a_file_that_shrinks_harms_nobody)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = new_memfd(t, 2 * PAGE);
	struct sim_pages *pages = pinned(t, of_file(t, sim, fd, 0, 2 * PAGE));
	char bytes[2];

	ASSERT_OK(ftruncate(fd, PAGE));
	EXPECT_OK(sim_pages_read(pages, 0, bytes, 2));
	EXPECT_ERR(-EFAULT, sim_pages_read(pages, PAGE - 1, bytes, 2));
	EXPECT_ERR(-EFAULT, sim_pages_write(pages, PAGE, bytes, 2));
}

UNIT(sim_pages, a_descriptor_that_is_not_open_is_ebadf)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct sim_pages *pages;

	EXPECT_ERR(-EBADF, sim_pages_file(sim, -1, 0, PAGE, true, SIM_CHARGE_NONE, &pages));
	EXPECT_ERR(-EBADF, sim_pages_file(sim, 1 << 20, 0, PAGE, true, SIM_CHARGE_NONE, &pages));
}

/* With huge pages, where some are reserved: only whole ones can be mapped, the object may be any part. */
UNIT(sim_pages, parts_of_huge_pages_can_be_pinned)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
	struct sim_pages *pages;
	char byte;

	if (fd < 0)
		return;
	if (ftruncate(fd, 2 * MIB) == 0) {
		pages = of_file(t, sim, fd, PAGE, PAGE);
		int error = sim_pages_pin(pages);

		if (error)
			EXPECT_ERR(-ENOMEM, error);
		else
			EXPECT_OK(sim_pages_read(pages, 10, &byte, 1));
		if (!error)
			sim_pages_unpin(pages);
	}
	close(fd);
}

/* Accounting (A.5) --------------------------------------------------------------------------------------- */

UNIT(sim_pages, whole_pages_are_charged_once)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct sim_pages *pages = of_memory(t, sim, new_memory(t, 4 * PAGE) + PAGE - 1, PAGE + 2, true);
	struct sim_pages *file = of_file(t, sim, new_memfd(t, PAGE), 10, 20);

	EXPECT_OK(sim_pages_pin(pages));
	EXPECT_OK(sim_pages_pin(pages));
	EXPECT_OK(sim_pages_pin(file));
	EXPECT_EQ(sim->processes[0].user_locked_bytes, 3 * PAGE);
	EXPECT_EQ(sim->processes[0].locked_bytes, PAGE);
	EXPECT_EQ(sim->processes[0].pinned_bytes, 4 * PAGE);
	sim_pages_unpin(pages);
	EXPECT_EQ(sim->processes[0].user_locked_bytes, 3 * PAGE);
	sim_pages_unpin(pages);
	sim_pages_unpin(file);
	EXPECT_EQ(sim->processes[0].user_locked_bytes, 0);
	EXPECT_EQ(sim->processes[0].locked_bytes, 0);
	EXPECT_EQ(sim->processes[0].pinned_bytes, 0);
}

UNIT(sim_pages, the_limit_is_the_callers)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct sim_pages *file = of_file(t, sim, new_memfd(t, 2 * PAGE), 0, 2 * PAGE);

	limit_memlock(t, 2 * PAGE - 1);
	EXPECT_ERR(-ENOMEM, can_pin(file));
	EXPECT_TRUE(!file->mapping && !sim->processes[0].pinned_bytes);
	limit_memlock(t, 2 * PAGE);
	EXPECT_OK(can_pin(file));
	EXPECT_EQ(sim_charge_now(sim, SIM_CHARGE_MM),
		  sim_capable(CAP_IPC_LOCK) ? SIM_CHARGE_NONE : SIM_CHARGE_MM);
	drop_capabilities(t);
	EXPECT_EQ(sim_charge_now(sim, SIM_CHARGE_MM), SIM_CHARGE_MM);
	EXPECT_EQ(sim_charge_now(sim, SIM_CHARGE_USER), SIM_CHARGE_USER);
}

/* BARs (B.10) -------------------------------------------------------------------------------------------- */

UNIT(sim_pages, a_bar_in_the_process_is_no_memory_to_iommufd)
{
	struct board b = new_board(t);
	const struct weir_sys *sys = weir_sim_sys(b.sim);
	struct abi_vfio_region_info info = { .argsz = sizeof(info), .index = 1 };
	void *bar;

	ASSERT_OK(call(b.sim, b.cdev, ABI_VFIO_DEVICE_GET_REGION_INFO, &info));
	ASSERT_OK(sys->mmap(sys->ctx, NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, b.cdev, info.offset,
			    &bar));
	EXPECT_OK(map_at(b.sim, b.iommufd, b.ioas, bar, PAGE, MIB));
	EXPECT_ERR(-EFAULT, attach_to(b.sim, b.cdev, b.ioas));
	EXPECT_OK(destroy(b.sim, b.iommufd, b.ioas));
	EXPECT_OK(sys->munmap(sys->ctx, bar, 2 * PAGE));
}

UNIT(sim_pages, a_bar_is_reached_while_its_device_has_memory)
{
	struct board b = new_board(t);
	struct sim_pages *pages;
	char byte = 0;

	ASSERT_OK(sim_pages_bar(b.device, 1, PAGE, PAGE, &pages));
	t_defer(t, put, pages);
	EXPECT_OK(sim_pages_pin(pages));
	EXPECT_EQ(b.sim->processes[0].pinned_bytes, 0);
	EXPECT_OK(sim_pages_write(pages, 5, "z", 1));
	EXPECT_OK(sim_pages_read(pages, 5, &byte, 1));
	EXPECT_EQ(byte, 'z');
	EXPECT_EQ(((const char *)weir_sim_device_ram(b.device, 1))[PAGE + 5], 'z');
	weir_sim_set_memory(b.device, false);
	EXPECT_ERR(-EIO, sim_pages_read(pages, 5, &byte, 1));
	sim_pages_unpin(pages);
	EXPECT_ERR(-EFAULT, can_pin(pages));
	pages->revoked = true;
	EXPECT_ERR(-ENODEV, can_pin(pages));
}
