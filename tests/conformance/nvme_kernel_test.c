// SPDX-License-Identifier: MIT
/* What weir's nvme driver wrote, the kernel's own reads, and the other way round: a whole disk, through the block layer's back. */
#include "conformance/machine.h"
#include "conformance/os.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <nvme/nvme.h>

enum { TIMEOUT_MS = 30000, DEPTH = 32, CHUNK = 1 << 20, TRIES = 1000 };

static uint64_t word(uint64_t at, uint64_t seed)
{
	uint64_t x = (at + seed * 0x100000001) * 0x9e3779b97f4a7c15;

	return x ^ x >> 29;
}

static void fill(uint64_t *words, uint64_t at, uint64_t len, uint64_t seed)
{
	for (uint64_t i = 0; i < len / 8; i++)
		words[i] = word(at / 8 + i, seed);
}

static void expect_filled(const uint64_t *words, uint64_t at, uint64_t len, uint64_t seed)
{
	for (uint64_t i = 0; i < len / 8; i++)
		if (words[i] != word(at / 8 + i, seed))
			FAIL("byte %ju of the disk is not what was written", (uintmax_t)(at + 8 * i));
}

/* All of NVME1 by weir, which lets go of it in the end. */
static void by_weir(struct t *t, struct weir_ioas *ioas, bool writes, uint64_t seed)
{
	struct nvme_controller *controller;
	struct weir_memory *memory;
	struct weir_buffer buffer;
	struct weir_device *device;
	struct nvme_namespace ns;
	struct nvme_queue *queue;

	ASSERT_OK(weir_device_open(ioas, address_of(t, "NVME1"), NULL, &device));
	ASSERT_OK(weir_memory_open(ioas, &WEIR_OPTS(weir_memory_opts, .page_size = 4096), &memory));
	ASSERT_OK(weir_memory_alloc(memory, CHUNK, NULL, &buffer));
	ASSERT_OK(nvme_controller_open(device, NULL, &controller));
	ASSERT_OK(nvme_namespace_info(controller, 1, &ns, sizeof(ns)));
	ASSERT_OK(nvme_queue_open(controller, DEPTH, &queue));
	for (uint64_t at = 0, len, end = ns.num_blocks << ns.block_shift; at < end; at += len) {
		len = end - at < CHUNK ? end - at : CHUNK;
		if (writes)
			fill(buffer.addr, at, len, seed);
		if ((writes ? nvme_queue_write : nvme_queue_read)(queue, &ns, at >> ns.block_shift,
								  buffer.iova, len, TIMEOUT_MS))
			FAIL("at %ju: %s", (uintmax_t)at, nvme_error());
		if (!writes)
			expect_filled(buffer.addr, at, len, seed);
	}
	EXPECT_OK(nvme_queue_flush(queue, &ns, TIMEOUT_MS));
	EXPECT_OK(nvme_controller_close(controller));
	EXPECT_OK(weir_memory_close(memory));
	EXPECT_OK(weir_device_close(device));
}

/* The kernel's node of its only namespace: it takes a moment to be there. */
static int open_disk(struct t *t)
{
	char controllers[128], namespaces[192], controller[32] = "", name[32] = "", prefix[40], node[64];
	int fd = -1;

	sysfs_path(address_of(t, "NVME1"), "nvme", controllers, sizeof(controllers));
	for (int i = 0; i < TRIES && fd < 0; i++) {
		usleep(10000);
		os_find_entry(controllers, "nvme", controller, sizeof(controller));
		if (!*controller)
			continue;
		snprintf(namespaces, sizeof(namespaces), "%s/%s", controllers, controller);
		snprintf(prefix, sizeof(prefix), "%sn", controller);
		os_find_entry(namespaces, prefix, name, sizeof(name));
		snprintf(node, sizeof(node), "/dev/%s", name);
		fd = *name ? open(node, O_RDWR | O_DIRECT | O_CLOEXEC) : -1;
	}
	if (fd < 0)
		FAIL("the kernel's nvme driver shows no disk below %s (%s, %s)", controllers, controller,
		     name);
	return fd;
}

static void by_the_kernel(struct t *t, bool writes, uint64_t seed)
{
	void *buffer = new_memory(t, CHUNK, 0);
	int fd = open_disk(t);
	uint64_t end = (uint64_t)lseek(fd, 0, SEEK_END);

	for (uint64_t at = 0, len; at < end; at += len) {
		len = end - at < CHUNK ? end - at : CHUNK;
		if (writes)
			fill(buffer, at, len, seed);
		if ((writes ? pwrite(fd, buffer, len, (off_t)at) : pread(fd, buffer, len, (off_t)at)) !=
		    (ssize_t)len)
			FAIL("at %ju: %m", (uintmax_t)at);
		if (!writes)
			expect_filled(buffer, at, len, seed);
	}
	EXPECT_EQ(fsync(fd), 0);
	close(fd);
}

CONFORMANCE(nvme_kernel, each_driver_reads_what_the_other_wrote, NEEDS(NVME1, NVME_DRIVER, REAL_SYSTEM, ROOT))
{
	struct weir_ioas *ioas = new_ioas(t);

	record_no_calls(t);
	by_weir(t, ioas, true, 1);
	bind_until_end(t, "NVME1", "nvme");
	by_the_kernel(t, false, 1);
	by_the_kernel(t, true, 2);
	bind_until_end(t, "NVME1", "vfio-pci");
	by_weir(t, ioas, false, 2);
}
