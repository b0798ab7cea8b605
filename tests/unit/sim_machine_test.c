// SPDX-License-Identifier: MIT
/* The simulated machine: made, filled with devices, stepped, and made to fail. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/device/device.h"
#include "sim/user.h"
#include "sim_toy.h"

UNIT(sim_machine, wrong_options_are_refused)
{
	struct weir_sim *sim = NULL;

	EXPECT_ERR(-EINVAL, weir_sim_open(&WEIR_OPTS(weir_sim_opts, .age = 5), &sim));
	EXPECT_ERR(-EINVAL, weir_sim_open(&WEIR_OPTS(weir_sim_opts, .flags = 1u << 30), &sim));
	EXPECT_ERR(-EINVAL, weir_sim_open(&WEIR_OPTS(weir_sim_opts, .iommu = 4), &sim));
	EXPECT_ERR(-EINVAL, weir_sim_open(&WEIR_OPTS(weir_sim_opts, .address_bits = 31), &sim));
	EXPECT_ERR(-EINVAL, weir_sim_open(&(struct weir_sim_opts){ .size = 0 }, &sim));
	EXPECT_CONTAINS(weir_error(), "WEIR_OPTS");
	EXPECT_TRUE(sim == NULL);
	EXPECT_OK(weir_sim_close(NULL));
}

/* Devices ----------------------------------------------------------------------------------------------- */

static void expect_refused(struct weir_sim *sim, const struct weir_sim_model *model, const char *words)
{
	struct weir_sim_device *device = NULL;

	EXPECT_ERR(-EINVAL, weir_sim_add(sim, model, NULL, NULL, &device));
	EXPECT_CONTAINS(weir_error(), words);
	EXPECT_TRUE(device == NULL);
}

UNIT(sim_machine, a_device_is_behind_one_iommu)
{
	struct weir_sim *plain = new_machine(t, NULL);
	struct weir_sim *sim = new_machine(t, &WEIR_OPTS(weir_sim_opts, .iommu = WEIR_SIM_IOMMU_VTD));
	struct weir_sim_slot slot = WEIR_OPTS(weir_sim_slot, .group = 7, .iommu_unit = 1, .pasid_bits = 20);

	EXPECT_OK(weir_sim_add(sim, &toy_model, &slot, NULL, NULL));
	EXPECT_OK(weir_sim_add(sim, &toy_model, &slot, NULL, NULL));
	EXPECT_ERR(-EINVAL, weir_sim_add(plain, &toy_model, &slot, NULL, NULL));
	EXPECT_CONTAINS(weir_error(), "knows no PASIDs");
	slot.pasid_bits = 21;
	EXPECT_ERR(-EINVAL, weir_sim_add(sim, &toy_model, &slot, NULL, NULL));
	slot.pasid_bits = 0;
	slot.iommu_unit = 0;
	EXPECT_ERR(-EINVAL, weir_sim_add(sim, &toy_model, &slot, NULL, NULL));
	EXPECT_CONTAINS(weir_error(), "group 7 is behind IOMMU 1");
}

UNIT(sim_machine, models_that_cannot_be_are_refused)
{
	static const struct {
		unsigned int bar;
		struct weir_sim_bar spec;
		const char *words;
	} bars[] = {
		{ 2, { .len = 5000 }, "BAR 2 is 5000 bytes long, which is no power of two" },
		{ 2, { .len = 8 }, "16 to" },
		{ 2, { .len = UINT64_C(1) << 32 }, "16 to" },
		{ 2, { .len = 512, .flags = WEIR_SIM_BAR_IO }, "4 to 256" },
		{ 2, { .len = 32, .flags = WEIR_SIM_BAR_IO | WEIR_SIM_BAR_RAM }, "nothing else" },
		{ 0, { .len = 4096, .flags = WEIR_SIM_BAR_64BIT }, "BAR 1 must be empty" },
		{ 5, { .len = 4096, .flags = WEIR_SIM_BAR_64BIT }, "must be empty and exist" },
		{ 3, { .len = 4096, .flags = 1u << 4 }, "unknown flags 0x10" },
		{ 3, { .flags = WEIR_SIM_BAR_RAM }, "no length" },
	};
	struct weir_sim *sim = new_machine(t, NULL);
	struct weir_sim_model model;

	for (size_t i = 0; i < sizeof(bars) / sizeof(bars[0]); i++) {
		t_note(t, "row %zu", i);
		model = toy_model;
		model.bars[bars[i].bar] = bars[i].spec;
		expect_refused(sim, &model, bars[i].words);
	}
	model = toy_model;
	model.read = NULL;
	expect_refused(sim, &model, "read and write");
	model = toy_model;
	model.size = 0;
	expect_refused(sim, &model, "size");
	expect_refused(sim, NULL, "no model");
	EXPECT_TRUE(sim->devices == NULL);
}

UNIT(sim_machine, interrupts_that_cannot_be_are_refused)
{
	static const struct {
		uint32_t msi, msix, bar, offset;
		const char *words;
	} rows[] = {
		{ 3, 0, 0, 0, "3 MSI vectors" },
		{ 64, 0, 0, 0, "64 MSI vectors" },
		{ 0, 2049, 1, 0, "2048 at most" },
		{ 0, 1, 4, 0, "no memory BAR 4" },
		{ 0, 1, 6, 0, "no memory BAR 6" },
		{ 0, 1, 0, 4, "no multiple of 8" },
		{ 0, 1, 0, 8192, "take 24 bytes from 0x2000 on, and BAR 0 has 4096" },
		{ 0, 1, 0, 4080, "take 24 bytes" },
		{ 0, 254, 0, 8, "take 4096 bytes" },
	};
	struct weir_sim *sim = new_machine(t, NULL);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct weir_sim_model model = toy_model;

		t_note(t, "row %zu", i);
		model.msi_vectors = rows[i].msi;
		model.msix_vectors = rows[i].msix;
		model.msix_bar = rows[i].bar;
		model.msix_offset = rows[i].offset;
		expect_refused(sim, &model, rows[i].words);
	}
}

UNIT(sim_machine, devices_find_their_place)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct weir_sim_device *device;
	int refusal = -EXDEV;

	EXPECT_STREQ(weir_sim_device_address(new_toy(t, sim, NULL)), "0000:00:01.0");
	new_toy(t, sim, "0001:00:00.0");
	EXPECT_STREQ(weir_sim_device_address(new_toy(t, sim, "00:02.0")), "0000:00:02.0");
	device = new_toy(t, sim, NULL);
	EXPECT_STREQ(weir_sim_device_address(device), "0000:00:03.0");
	EXPECT_TRUE(weir_sim_find(sim, "00:03.0") == device);
	EXPECT_TRUE(weir_sim_find(sim, "00:04.0") == NULL);
	EXPECT_TRUE(weir_sim_find(sim, "nowhere") == NULL);
	for (device = sim->devices; device->next; device = device->next)
		EXPECT_LT(strcmp(device->address, device->next->address), 0);

	EXPECT_ERR(-EEXIST,
		   weir_sim_add(sim, &toy_model, &WEIR_OPTS(weir_sim_slot, .address = "0:1.0"), NULL, NULL));
	EXPECT_ERR(-EINVAL, weir_sim_add(sim, &toy_model, &WEIR_OPTS(weir_sim_slot, .address = "00:20.0"),
					 NULL, NULL));
	EXPECT_ERR(-EINVAL,
		   weir_sim_add(sim, &toy_model,
				&WEIR_OPTS(weir_sim_slot, .driver = "a-driver-of-a-very-long-name-indeed"),
				NULL, NULL));
	EXPECT_ERR(-EXDEV, weir_sim_add(sim, &toy_model, NULL, &refusal, NULL));
	EXPECT_TRUE(weir_sim_find(sim, "00:04.0") == NULL);
}

UNIT(sim_machine, bus_0_can_be_full)
{
	struct weir_sim *sim = new_machine(t, NULL);

	for (int i = 0; i < 31; i++)
		new_toy(t, sim, NULL);
	EXPECT_ERR(-ENOSPC, weir_sim_add(sim, &toy_model, NULL, NULL, NULL));
	new_toy(t, sim, "01:00.0");
}

UNIT(sim_machine, devices_share_a_group_when_told)
{
	struct weir_sim *sim = new_machine(t, NULL);
	char text[1024];

	for (int i = 0; i < 2; i++)
		ASSERT_OK(weir_sim_add(sim, &toy_model, &WEIR_OPTS(weir_sim_slot, .group = 7), NULL, NULL));
	new_toy(t, sim, NULL);
	EXPECT_STREQ(list_of(sim, "/sys/kernel/iommu_groups/7/devices", text), "0000:00:01.0 0000:00:02.0 ");
	EXPECT_STREQ(list_of(sim, "/sys/kernel/iommu_groups", text), "1 7 ");
}

UNIT(sim_machine, unplugged_device_is_gone)
{
	struct weir_sim *sim = new_machine(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	struct weir_sim_device *device;
	int fd;

	weir_sim_unplug(new_toy(t, sim, NULL), false);
	EXPECT_TRUE(weir_sim_find(sim, "00:01.0") == NULL);

	/* Held open, it goes when it is closed. */
	device = new_toy(t, sim, NULL);
	EXPECT_STREQ(weir_sim_device_address(device), "0000:00:01.0");
	fd = sys->open(sys->ctx, "/dev/vfio/devices/vfio0", O_RDWR);
	ASSERT_GE(fd, 0);
	weir_sim_unplug(device, true);
	EXPECT_TRUE(weir_sim_find(sim, "00:01.0") == device);
	EXPECT_OK(sys->close(sys->ctx, fd));
	EXPECT_TRUE(weir_sim_find(sim, "00:01.0") == NULL);
}

/* Time -------------------------------------------------------------------------------------------------- */

UNIT(sim_machine, step_lets_each_device_do_one_thing)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct weir_sim_device *a = new_toy(t, sim, NULL), *b = new_toy(t, sim, NULL);

	EXPECT_EQ(weir_sim_step(sim), 0);
	toy_set_count(a, 1);
	toy_set_count(b, 2);
	EXPECT_EQ(weir_sim_step(sim), 2);
	EXPECT_EQ(weir_sim_step(sim), 1);
	EXPECT_EQ(weir_sim_step(sim), 0);

	toy_set_count(a, 1);
	weir_sim_hang(a, true);
	EXPECT_EQ(weir_sim_step(sim), 0);
	weir_sim_hang(a, false);
	EXPECT_EQ(weir_sim_step(sim), 1);
}

static void wait_until_zero(struct weir_sim_device *device)
{
	while (toy_count(device))
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
}

UNIT(sim_machine, thread_works_until_it_is_stopped)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct weir_sim_device *device = new_toy(t, sim, NULL);

	EXPECT_OK(weir_sim_stop(sim));
	ASSERT_OK(weir_sim_start(sim));
	EXPECT_ERR(-EBUSY, weir_sim_start(sim));
	EXPECT_ERR(-EBUSY, weir_sim_step(sim));
	toy_set_count(device, 1000);
	wait_until_zero(device);
	EXPECT_OK(weir_sim_stop(sim));
	toy_set_count(device, 5);
	EXPECT_EQ(weir_sim_step(sim), 1);
	EXPECT_EQ(toy_count(device), 4);

	/* Again, and closing stops it. */
	ASSERT_OK(weir_sim_start(sim));
	wait_until_zero(device);
}

/* Calls ------------------------------------------------------------------------------------------------- */

UNIT(sim_machine, machine_with_open_descriptors_does_not_close)
{
	struct weir_sim *sim = new_machine(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	int fd = sys->open(sys->ctx, "/dev/vfio/vfio", O_RDWR);

	ASSERT_GE(fd, 0);
	EXPECT_ERR(-EBUSY, weir_sim_close(sim));
	EXPECT_CONTAINS(weir_error(), "container");
	close(fd);
}

static int looked_at = -1;

static void stop_looking(int signal)
{
	(void)signal;
	close(looked_at);
}

/* As ps, lsof and debuggers look into /proc/PID/fd: a descriptor stays open until they have seen it, though it was closed before. */
UNIT(sim_machine, machine_closes_though_somebody_still_looks_at_a_descriptor)
{
	struct weir_sim *sim = NULL;
	const struct sigaction action = { .sa_handler = stop_looking };
	const struct itimerspec soon = { .it_value = { .tv_nsec = 3000000 } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	timer_t timer;
	int fd;

	ASSERT_OK(weir_sim_open(NULL, &sim));
	fd = weir_sim_sys(sim)->open(weir_sim_sys(sim)->ctx, "/dev/vfio/vfio", O_RDWR);
	looked_at = dup(fd);
	ASSERT_GE(looked_at, 0);
	ASSERT_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	ASSERT_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	close(fd);
	ASSERT_EQ(timer_settime(timer, 0, &soon, NULL), 0);
	EXPECT_OK(weir_sim_close(sim));
	timer_delete(timer);
	signal(SIGUSR1, SIG_DFL);
}

UNIT(sim_machine, machines_are_independent)
{
	struct weir_sim *one = new_machine(t, NULL), *two = new_machine(t, NULL);
	char text[1024];

	new_toy(t, one, NULL);
	new_toy(t, two, "00:02.0");
	EXPECT_STREQ(list_of(one, "/sys/bus/pci/devices", text), "0000:00:01.0 ");
	EXPECT_STREQ(list_of(two, "/sys/bus/pci/devices", text), "0000:00:02.0 ");
	EXPECT_EQ(weir_sim_num_calls(one), 1);
	EXPECT_EQ(weir_sim_num_calls(two), 1);
}

static void *open_and_close(void *arg)
{
	const struct weir_sys *sys = weir_sim_sys(arg);
	char target[256];

	for (int i = 0; i < 50; i++) {
		int fd = sys->open(sys->ctx, "/dev/vfio/vfio", O_RDWR);
		int copy = sys->dup(sys->ctx, fd);

		EXPECT_GT(sys->readlink(sys->ctx, "/sys/bus/pci/devices/0000:00:01.0/driver", target, 256),
			  0);
		close(fd);
		EXPECT_OK(sys->close(sys->ctx, copy));
	}
	return NULL;
}

UNIT(sim_machine, calls_come_from_many_threads)
{
	enum { THREADS = 4 };
	struct weir_sim *sim = new_machine(t, NULL);
	struct weir_sim_device *device = new_toy(t, sim, NULL);
	pthread_t threads[THREADS];

	ASSERT_OK(weir_sim_start(sim));
	toy_set_count(device, 200);
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, open_and_close, sim), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	wait_until_zero(device);
	EXPECT_OK(weir_sim_stop(sim));
	EXPECT_EQ(weir_sim_num_calls(sim), THREADS * 50 * 4);
	EXPECT_TRUE(sim->files == NULL);
}

UNIT(sim_machine, calls_are_counted_and_the_nth_fails)
{
	struct weir_sim *sim = new_machine(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	int fd;

	EXPECT_EQ(weir_sim_num_calls(sim), 0);
	EXPECT_OK(sys->sleep(sys->ctx, 0));
	weir_sim_fail_call(sim, 2, -EIO, false);
	EXPECT_OK(sys->sleep(sys->ctx, 0));
	EXPECT_ERR(-EIO, sys->open(sys->ctx, "/dev/null", O_RDONLY));
	fd = sys->open(sys->ctx, "/dev/null", O_RDONLY);
	EXPECT_GE(fd, 0);
	EXPECT_EQ(weir_sim_num_calls(sim), 4);

	/* A failed close has closed. */
	weir_sim_fail_call(sim, 1, -EINTR, false);
	EXPECT_ERR(-EINTR, sys->close(sys->ctx, fd));
	EXPECT_EQ(fcntl(fd, F_GETFD), -1);

	weir_sim_fail_call(sim, 1, -EIO, false);
	weir_sim_fail_call(sim, 0, 0, false);
	EXPECT_OK(sys->sleep(sys->ctx, 0));
}

UNIT(sim_machine, answer_that_cannot_be_copied_back)
{
	struct weir_sim *sim = new_machine(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	char target[64];

	new_toy(t, sim, NULL);
	weir_sim_fail_call(sim, 1, 0, true);
	EXPECT_ERR(-EFAULT, sys->readlink(sys->ctx, "/sys/bus/pci/devices/0000:00:01.0", target, 64));
	EXPECT_GT(sys->readlink(sys->ctx, "/sys/bus/pci/devices/0000:00:01.0", target, 64), 0);
	weir_sim_fail_call(sim, 1, 0, true);
	EXPECT_OK(sys->sleep(sys->ctx, 0)); /* nothing to copy */
	EXPECT_GT(sys->readlink(sys->ctx, "/sys/bus/pci/devices/0000:00:01.0", target, 64), 0);
}

UNIT(sim_machine, calls_can_be_slow)
{
	struct weir_sim *sim = new_machine(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	struct timespec before, after;

	weir_sim_delay_calls(sim, 20000000);
	clock_gettime(CLOCK_MONOTONIC, &before);
	EXPECT_ERR(-EBADF, sys->ioctl(sys->ctx, -1, 0, NULL));
	clock_gettime(CLOCK_MONOTONIC, &after);
	weir_sim_delay_calls(sim, 0);
	EXPECT_GE((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec, 20000000);
}

UNIT(sim_machine, last_faults_are_kept)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct weir_sim_device *device = new_toy(t, sim, NULL);
	struct weir_sim_fault faults[65];

	EXPECT_EQ(weir_sim_faults(sim, faults, 65), 0);
	ASSERT_OK(sim_lock(sim));
	for (uint64_t iova = 0; iova < 100; iova++)
		sim_fault(sim, device, iova, iova & 1);
	sim_unlock(sim);
	EXPECT_EQ(weir_sim_num_faults(sim), 100);
	EXPECT_EQ(weir_sim_faults(sim, faults, 65), 64);
	EXPECT_EQ(faults[0].iova, 36);
	EXPECT_EQ(faults[63].iova, 99);
	EXPECT_TRUE(faults[63].write);
	EXPECT_STREQ(faults[63].address, "0000:00:01.0");
	EXPECT_EQ(weir_sim_faults(sim, faults, 2), 2);
	EXPECT_EQ(faults[1].iova, 99);
}

/* Fork -------------------------------------------------------------------------------------------------- */

static void expect_child_of_its_own(struct weir_sim *sim, struct weir_sim_device *device)
{
	const struct weir_sys *sys = weir_sim_sys(sim);
	int fd = sys->open(sys->ctx, "/dev/vfio/vfio", O_RDWR);

	EXPECT_GE(fd, 0);
	EXPECT_OK(sys->close(sys->ctx, fd));
	EXPECT_EQ(toy_count(device), 3);
	toy_set_count(device, 7);
	memset(weir_sim_device_ram(device, 1), 0x55, 65536);
	new_toy(NULL, sim, NULL);
	EXPECT_OK(weir_sim_close(sim));
}

UNIT(sim_machine, child_has_a_machine_of_its_own)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct weir_sim_device *device = new_toy(t, sim, NULL);
	const unsigned char *ram = weir_sim_device_ram(device, 1);
	uint64_t calls = weir_sim_num_calls(sim);
	pid_t child;
	int status;

	memset(weir_sim_device_ram(device, 1), 0xaa, 65536);
	toy_set_count(device, 3);
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		expect_child_of_its_own(sim, device);
		_exit(0);
	}
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(toy_count(device), 3);
	EXPECT_EQ(ram[0], 0xaa);
	EXPECT_EQ(weir_sim_num_calls(sim), calls);
	EXPECT_TRUE(weir_sim_find(sim, "00:02.0") == NULL);
}

/* ThreadSanitizer wants no threads in a child of a program that has some. */
#ifndef __SANITIZE_THREAD__
UNIT(sim_machine, child_of_a_running_machine_runs_its_own)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct weir_sim_device *device = new_toy(t, sim, NULL);
	pid_t child;
	int status;

	ASSERT_OK(weir_sim_start(sim));
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		toy_set_count(device, 10);
		wait_until_zero(device);
		EXPECT_OK(weir_sim_close(sim));
		_exit(0);
	}
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	EXPECT_OK(weir_sim_stop(sim));
}
#endif

UNIT(sim_machine, fork_in_the_middle_of_something_is_told)
{
	struct weir_sim *sim = new_machine(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	pid_t child;
	int status;

	ASSERT_OK(sim_lock(sim));
	child = fork();
	if (!child) {
		EXPECT_ERR(-EOWNERDEAD, sys->open(sys->ctx, "/dev/vfio/vfio", O_RDWR));
		EXPECT_CONTAINS(weir_error(), "weir_sim_stop()");
		EXPECT_ERR(-EOWNERDEAD, weir_sim_step(sim));
		_exit(0);
	}
	sim_unlock(sim);
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
}
