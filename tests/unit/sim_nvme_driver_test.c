// SPDX-License-Identifier: MIT
/* The nvme driver, unchanged, on the simulated host: what works, and what the driver makes of trouble. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nvme/manage.h>

#include "sim_host.h"

enum { PAGE = 4096, TIMEOUT_MS = 10000, DEPTH = 16, BUFFER = 1 << 20, IMAGE_LEN = 4 << 20 };

#define FIRST "0000:00:01.0"

struct disk {
	struct sim_host *host;
	struct weir_sim_device *model;
	struct nvme_controller *controller;
	struct nvme_namespace ns;
	struct nvme_queue *queue;
	unsigned char *buffer;
	uint64_t iova;
};

static void close_controller(void *controller)
{
	int r = nvme_controller_close(controller);

	if (r != 0)
		FAIL("nvme_controller_close: %s", nvme_error());
}

/* Trouble that is left behind must not keep the driver from coming back. */
static void close_anyway(void *controller)
{
	nvme_controller_close(controller);
}

static struct nvme_controller_opts patience(enum nvme_wait wait)
{
	return WEIR_OPTS(nvme_controller_opts, .wait = wait, .num_queues = 4, .admin_timeout_ms = 200,
			 .ready_timeout_ms = 200);
}

/* The first device of the machine, with a buffer mapped; @closes: how it ends. */
static struct disk *open_disk(struct t *t, struct sim_host *host, enum nvme_wait wait, void (*closes)(void *))
{
	struct nvme_controller_opts opts = patience(wait);
	struct disk *disk = calloc(1, sizeof(*disk));

	ASSERT_TRUE(disk);
	t_defer(t, free, disk);
	disk->host = host;
	disk->model = weir_sim_find(host->sim, FIRST);
	if (nvme_controller_open(sim_host_device(t, host, FIRST, 0), &opts, &disk->controller))
		FAIL("nvme_controller_open: %s", nvme_error());
	t_defer(t, closes, disk->controller);
	if (nvme_namespace_info(disk->controller, 1, &disk->ns, sizeof(disk->ns)) ||
	    nvme_queue_open(disk->controller, DEPTH, &disk->queue))
		FAIL("namespace and queue: %s", nvme_error());
	disk->buffer = sim_host_memory(t, host, BUFFER, &disk->iova);
	return disk;
}

static struct disk *a_disk(struct t *t, enum nvme_wait wait, const struct weir_sim_nvme_opts *opts,
			   void (*closes)(void *))
{
	struct sim_host *host = sim_host_open(t, WEIR_BACKEND_IOMMUFD);

	ASSERT_OK(weir_sim_add_nvme(host->sim, opts, NULL, NULL));
	return open_disk(t, host, wait, closes);
}

static void expect_ok(int r)
{
	if (r < 0)
		FAIL("%s", nvme_error());
}

static char image_path[] = "/tmp/weir-sim-disk-XXXXXX";

static void remove_image(void *path)
{
	unlink(path);
	memcpy(strrchr(path, '-') + 1, "XXXXXX", 6);
}

/* An image, and its content. */
static const unsigned char *an_image(struct t *t)
{
	uint64_t *content = malloc(IMAGE_LEN), next = 1;
	int fd = mkstemp(image_path);

	ASSERT_TRUE(content);
	t_defer(t, free, content);
	ASSERT_GE(fd, 0);
	t_defer(t, remove_image, image_path);
	for (size_t i = 0; i < IMAGE_LEN / 8; i++)
		content[i] = next = next * 6364136223846793005u + 1442695040888963407u;
	ASSERT_EQ(write(fd, content, IMAGE_LEN), IMAGE_LEN);
	close(fd);
	return (unsigned char *)content;
}

/* What works -------------------------------------------------------------------------------------------- */

UNIT(sim_nvme_driver, identifies)
{
	struct disk *disk = a_disk(t, NVME_WAIT_AUTO,
				   &WEIR_OPTS(weir_sim_nvme_opts, .serial = "weir-nvme0", .capacity = 8 << 20,
					      .block_size = 4096, .mdts = 5),
				   close_controller);
	struct nvme_controller_info info;
	struct nvme_namespace other;

	expect_ok(nvme_controller_info(disk->controller, &info, sizeof(info)));
	EXPECT_STREQ(info.model, "QEMU NVMe Ctrl");
	EXPECT_STREQ(info.serial, "weir-nvme0");
	EXPECT_EQ(info.vendor_id, 0x1b36);
	EXPECT_EQ(info.version, 0x10400);
	EXPECT_EQ(info.max_transfer, 128 << 10);
	EXPECT_EQ(info.num_queues, 4);
	EXPECT_TRUE(info.interrupts);
	EXPECT_TRUE(info.write_cache);
	EXPECT_EQ(disk->ns.block_size, 4096);
	EXPECT_EQ(disk->ns.num_blocks, 2048);
	EXPECT_EQ(nvme_controller_check(disk->controller), 0);
	EXPECT_EQ(nvme_namespace_info(disk->controller, 2, &other, sizeof(other)), -ENOENT);
	EXPECT_EQ(nvme_namespace_info(disk->controller, 0xfffffffe, &other, sizeof(other)), -ENOENT);
	EXPECT_EQ(weir_sim_num_faults(disk->host->sim), 0);
}

static void expect_readable(struct t *t, enum weir_backend backend, enum nvme_wait wait,
			    const unsigned char *content)
{
	struct sim_host *host = sim_host_open(t, backend);
	struct disk *disk;

	ASSERT_OK(weir_sim_add_nvme(host->sim,
				    &WEIR_OPTS(weir_sim_nvme_opts, .image = image_path, .read_only = true),
				    NULL, NULL));
	disk = open_disk(t, host, wait, close_controller);
	for (uint64_t at = 0; at < IMAGE_LEN; at += BUFFER) {
		expect_ok(nvme_queue_read(disk->queue, &disk->ns, at / 512, disk->iova, BUFFER, TIMEOUT_MS));
		ASSERT_MEMEQ(disk->buffer, content + at, BUFFER);
	}
	EXPECT_EQ(weir_sim_num_faults(host->sim), 0);
}

UNIT(sim_nvme_driver, reads_the_whole_image)
{
	static const enum nvme_wait ways[] = { NVME_WAIT_POLLING, NVME_WAIT_INTERRUPTS };
	const unsigned char *content = an_image(t);

	for (size_t i = 0; i < sizeof(sim_backends) / sizeof(sim_backends[0]); i++) {
		for (size_t k = 0; k < 2; k++) {
			t_note(t, "%s, %s", weir_backend_name(sim_backends[i]),
			       k ? "by interrupt" : "polled");
			expect_readable(t, sim_backends[i], ways[k], content);
		}
	}
}

UNIT(sim_nvme_driver, writes_to_the_image)
{
	const unsigned char *content = an_image(t);
	struct disk *disk = a_disk(t, NVME_WAIT_INTERRUPTS,
				   &WEIR_OPTS(weir_sim_nvme_opts, .image = image_path), close_controller);
	unsigned char *found = malloc(IMAGE_LEN);
	int fd = open(image_path, O_RDONLY | O_CLOEXEC);

	ASSERT_TRUE(found);
	t_defer(t, free, found);
	memset(disk->buffer, 0x77, BUFFER);
	expect_ok(nvme_queue_write(disk->queue, &disk->ns, 100, disk->iova + 512, 512 * 1000, TIMEOUT_MS));
	expect_ok(nvme_queue_flush(disk->queue, &disk->ns, TIMEOUT_MS));
	EXPECT_EQ(pread(fd, found, IMAGE_LEN, 0), IMAGE_LEN);
	close(fd);
	EXPECT_MEMEQ(found, content, 100 * 512);
	EXPECT_MEMEQ(found + 100 * 512, disk->buffer, 1000 * 512);
	EXPECT_MEMEQ(found + 1100 * 512, content + 1100 * 512, IMAGE_LEN - 1100 * 512);
}

UNIT(sim_nvme_driver, several_queues_and_controllers)
{
	struct sim_host *host = sim_host_open(t, WEIR_BACKEND_IOMMUFD);
	struct nvme_controller_opts opts = patience(NVME_WAIT_INTERRUPTS);
	struct nvme_controller *second;
	struct nvme_queue *queues[4];
	struct disk *disk;

	ASSERT_OK(weir_sim_add_nvme(host->sim, NULL, NULL, NULL));
	ASSERT_OK(weir_sim_add_nvme(host->sim, NULL, NULL, NULL));
	disk = open_disk(t, host, NVME_WAIT_INTERRUPTS, close_controller);
	expect_ok(nvme_controller_open(sim_host_device(t, host, "0000:00:02.0", 0), &opts, &second));
	t_defer(t, close_controller, second);
	for (int i = 0; i < 4; i++)
		expect_ok(nvme_queue_open(second, DEPTH, &queues[i]));
	for (uint32_t i = 0; i < 4; i++) {
		memset(disk->buffer, (int)i + 1, PAGE);
		expect_ok(nvme_queue_write(queues[i], &disk->ns, i * 8, disk->iova, PAGE, TIMEOUT_MS));
	}
	for (uint32_t i = 0; i < 4; i++) {
		expect_ok(nvme_queue_read(queues[3 - i], &disk->ns, i * 8, disk->iova, PAGE, TIMEOUT_MS));
		EXPECT_EQ(disk->buffer[PAGE - 1], i + 1);
	}
	expect_ok(nvme_queue_read(disk->queue, &disk->ns, 0, disk->iova, PAGE, TIMEOUT_MS));
	EXPECT_EQ(disk->buffer[0], 0); /* the first has a disk of its own */
}

/* A step at a time: nothing happens in between, so that a test can look at each moment. */
UNIT(sim_nvme_driver, works_step_by_step)
{
	struct disk *disk = a_disk(t, NVME_WAIT_POLLING, NULL, close_anyway);
	struct weir_sim *sim = disk->host->sim;
	struct nvme_request requests[12];
	struct nvme_completion done[12];

	ASSERT_OK(weir_sim_stop(sim));
	EXPECT_EQ(weir_sim_step(sim), 0);
	for (uint32_t i = 0; i < 12; i++)
		requests[i] = (struct nvme_request){
			.block = i * 8, .iova = disk->iova + i * PAGE, .len = PAGE, .tag = i
		};
	EXPECT_EQ(nvme_queue_submit(disk->queue, &disk->ns, requests, 12), 12);
	EXPECT_EQ(nvme_queue_reap(disk->queue, done, 12), 0);
	EXPECT_EQ(weir_sim_step(sim), 1);
	EXPECT_EQ(nvme_queue_reap(disk->queue, done, 12), 8);
	EXPECT_EQ(weir_sim_step(sim), 1);
	EXPECT_EQ(nvme_queue_reap(disk->queue, done, 12), 4);
	EXPECT_EQ(done[3].tag, 11);
	EXPECT_EQ(done[3].error, 0);
	EXPECT_EQ(weir_sim_step(sim), 0);
	ASSERT_OK(weir_sim_start(sim));
}

/* Trouble ----------------------------------------------------------------------------------------------- */

UNIT(sim_nvme_trouble, memory_that_is_not_mapped_fails_the_request_alone)
{
	struct disk *disk = a_disk(t, NVME_WAIT_INTERRUPTS, NULL, close_controller);
	uint64_t nowhere = sim_host_nowhere(t, disk->host);
	struct weir_sim_fault fault;

	EXPECT_EQ(nvme_queue_read(disk->queue, &disk->ns, 0, nowhere, PAGE, TIMEOUT_MS), -EFAULT);
	EXPECT_CONTAINS(nvme_error(), "data transfer error");
	EXPECT_EQ(weir_sim_num_faults(disk->host->sim), 1);
	ASSERT_EQ(weir_sim_faults(disk->host->sim, &fault, 1), 1);
	EXPECT_EQ(fault.iova, nowhere);
	EXPECT_TRUE(fault.write);
	EXPECT_EQ(nvme_queue_write(disk->queue, &disk->ns, 0, nowhere, 16 * PAGE, TIMEOUT_MS), -EFAULT);
	expect_ok(nvme_queue_read(disk->queue, &disk->ns, 0, disk->iova, PAGE, TIMEOUT_MS));
}

UNIT(sim_nvme_trouble, controller_that_never_becomes_ready)
{
	struct sim_host *host = sim_host_open(t, WEIR_BACKEND_IOMMUFD);
	struct nvme_controller_opts opts = patience(NVME_WAIT_AUTO);
	struct nvme_controller *controller;
	struct weir_sim_device *model;

	ASSERT_OK(weir_sim_add_nvme(host->sim, NULL, NULL, &model));
	weir_sim_hang(model, true);
	sim_host_device(t, host, FIRST, 0);
	EXPECT_EQ(nvme_controller_open(host->device, &opts, &controller), -ETIMEDOUT);
	EXPECT_CONTAINS(nvme_error(), "did not get ready within 0.2 s");
	weir_sim_hang(model, false);
	expect_ok(nvme_controller_open(host->device, &opts, &controller));
	expect_ok(nvme_controller_close(controller));
}

UNIT(sim_nvme_trouble, controller_that_hangs)
{
	static const enum nvme_wait ways[] = { NVME_WAIT_POLLING, NVME_WAIT_INTERRUPTS };

	for (size_t i = 0; i < 2; i++) {
		struct disk *disk = a_disk(t, ways[i], NULL, close_controller);
		struct nvme_request request = { .iova = disk->iova, .len = PAGE, .tag = 7 };
		struct nvme_completion done;

		t_note(t, i ? "by interrupt" : "polled");
		weir_sim_hang(disk->model, true);
		EXPECT_EQ(nvme_queue_submit(disk->queue, &disk->ns, &request, 1), 1);
		EXPECT_EQ(nvme_queue_wait(disk->queue, &done, 1, 50), -ETIMEDOUT);
		EXPECT_EQ(nvme_queue_in_flight(disk->queue), 1);
		weir_sim_hang(disk->model, false);
		EXPECT_EQ(nvme_queue_wait(disk->queue, &done, 1, TIMEOUT_MS), 1);
		EXPECT_EQ(done.tag, 7);
		EXPECT_EQ(done.error, 0);
	}
}

UNIT(sim_nvme_trouble, controller_that_does_not_answer_commands)
{
	struct disk *disk = a_disk(t, NVME_WAIT_AUTO, NULL, close_anyway);
	struct nvme_queue *queue;

	weir_sim_hang(disk->model, true);
	EXPECT_EQ(nvme_queue_open(disk->controller, DEPTH, &queue), -ETIMEDOUT);
	EXPECT_CONTAINS(nvme_error(), "no answer within 0.2 s");
	EXPECT_EQ(nvme_controller_check(disk->controller), -EIO);
	weir_sim_hang(disk->model, false);
}

UNIT(sim_nvme_trouble, completion_that_never_comes)
{
	struct disk *disk = a_disk(t, NVME_WAIT_INTERRUPTS, NULL, close_controller);

	ASSERT_OK(weir_sim_nvme_swallow(disk->model, 1));
	EXPECT_EQ(nvme_queue_read(disk->queue, &disk->ns, 0, disk->iova, PAGE, 50), -ETIMEDOUT);
	expect_ok(nvme_queue_read(disk->queue, &disk->ns, 0, disk->iova, PAGE, TIMEOUT_MS));
	expect_ok(nvme_queue_close(disk->queue));
	expect_ok(nvme_queue_open(disk->controller, DEPTH, &disk->queue));
	expect_ok(nvme_queue_read(disk->queue, &disk->ns, 0, disk->iova, PAGE, TIMEOUT_MS));
}

/* Of eight writes, one is lost; the reset tells which. The other seven are reported as done, and each of the eight once. */
UNIT(sim_nvme_trouble, after_a_reset_what_was_lost_is_known_by_its_tag)
{
	struct disk *disk = a_disk(t, NVME_WAIT_POLLING, NULL, close_controller);
	struct nvme_completion done[8];
	unsigned int seen = 0;
	int num;

	memset(disk->buffer, 0x77, PAGE);
	for (uint64_t i = 0; i < 8; i++) {
		struct nvme_request request = {
			.op = NVME_OP_WRITE, .block = i * 8, .iova = disk->iova, .len = PAGE, .tag = i
		};

		ASSERT_OK(weir_sim_nvme_swallow(disk->model, i == 5));
		ASSERT_EQ(nvme_queue_submit(disk->queue, &disk->ns, &request, 1), 1);
		for (int tries = 0; i != 5 && tries < 1000; tries++) {
			num = nvme_queue_wait(disk->queue, done, 1, TIMEOUT_MS);
			ASSERT_EQ(num, 1);
			EXPECT_EQ(done[0].error, 0);
			seen |= 1u << done[0].tag;
			break;
		}
		if (i == 5)
			EXPECT_ERR(-ETIMEDOUT, nvme_queue_wait(disk->queue, done, 1, 20));
	}
	EXPECT_EQ(seen, 0xdf);
	EXPECT_ERR(-EBUSY, nvme_queue_abort(disk->queue, 5));
	EXPECT_ERR(-ENOENT, nvme_queue_abort(disk->queue, 4));
	expect_ok(nvme_controller_reset(disk->controller));
	ASSERT_EQ(nvme_queue_reap(disk->queue, done, 8), 1);
	EXPECT_EQ(done[0].tag, 5);
	EXPECT_EQ(done[0].error, -ECONNRESET);
	expect_ok(nvme_queue_write(disk->queue, &disk->ns, 40, disk->iova, PAGE, TIMEOUT_MS));
	memset(disk->buffer, 0, BUFFER);
	expect_ok(nvme_queue_read(disk->queue, &disk->ns, 0, disk->iova, 8 * PAGE, TIMEOUT_MS));
	for (size_t i = 0; i < 8 * PAGE; i++)
		ASSERT_EQ(disk->buffer[i], 0x77);
}

UNIT(sim_nvme_trouble, a_controller_that_hung_goes_on_after_a_reset)
{
	struct disk *disk = a_disk(t, NVME_WAIT_POLLING, NULL, close_controller);
	struct nvme_request request = { .iova = disk->iova, .len = PAGE, .tag = 1 };
	struct nvme_completion done;

	weir_sim_hang(disk->model, true);
	ASSERT_EQ(nvme_queue_submit(disk->queue, &disk->ns, &request, 1), 1);
	EXPECT_ERR(-ETIMEDOUT, nvme_controller_reset(disk->controller));
	EXPECT_EQ(nvme_queue_in_flight(disk->queue), 1);
	weir_sim_hang(disk->model, false);
	expect_ok(nvme_controller_reset(disk->controller));
	ASSERT_EQ(nvme_queue_reap(disk->queue, &done, 1), 1);
	EXPECT_EQ(done.tag, 1);
	expect_ok(nvme_queue_read(disk->queue, &disk->ns, 0, disk->iova, PAGE, TIMEOUT_MS));
}

/* The completion is there, only the knock at the door was not heard. */
UNIT(sim_nvme_trouble, interrupt_that_gets_lost)
{
	struct disk *disk = a_disk(t, NVME_WAIT_INTERRUPTS, NULL, close_controller);
	struct nvme_request request = { .iova = disk->iova, .len = PAGE };
	struct pollfd fd = { .fd = nvme_queue_fd(disk->queue), .events = POLLIN };
	struct nvme_completion done;

	ASSERT_OK(weir_sim_stop(disk->host->sim));
	weir_sim_lose_irqs(disk->model, 1);
	for (int heard = 0; heard < 2; heard++) {
		EXPECT_EQ(nvme_queue_submit(disk->queue, &disk->ns, &request, 1), 1);
		EXPECT_EQ(weir_sim_step(disk->host->sim), 1);
		EXPECT_EQ(poll(&fd, 1, 0), heard);
		EXPECT_EQ(nvme_queue_reap(disk->queue, &done, 1), 1);
	}
	ASSERT_OK(weir_sim_start(disk->host->sim));
}

UNIT(sim_nvme_trouble, controller_that_is_pulled_out)
{
	struct disk *disk = a_disk(t, NVME_WAIT_POLLING, NULL, close_anyway);

	weir_sim_unplug(disk->model, true);
	EXPECT_EQ(nvme_controller_check(disk->controller), -ENODEV);
	EXPECT_EQ(nvme_queue_read(disk->queue, &disk->ns, 0, disk->iova, PAGE, 50), -ENODEV);
}

UNIT(sim_nvme_trouble, rings_out_of_reach_are_fatal)
{
	struct disk *disk = a_disk(t, NVME_WAIT_POLLING, NULL, close_anyway);

	ASSERT_OK(weir_device_set_bus_master(disk->host->device, false));
	EXPECT_EQ(nvme_queue_read(disk->queue, &disk->ns, 0, disk->iova, PAGE, 50), -EIO);
	EXPECT_CONTAINS(nvme_error(), "fatal status");
}

UNIT(sim_nvme_trouble, what_was_left_behind_is_reset_away)
{
	struct disk *disk = a_disk(t, NVME_WAIT_POLLING, NULL, close_anyway);
	struct nvme_controller_opts opts = patience(NVME_WAIT_AUTO);
	struct nvme_controller *controller;

	weir_sim_hang(disk->model, true);
	EXPECT_EQ(nvme_queue_read(disk->queue, &disk->ns, 0, disk->iova, PAGE, 20), -ETIMEDOUT);
	EXPECT_OK(weir_device_reset(disk->host->device));
	weir_sim_hang(disk->model, false);
	expect_ok(nvme_controller_open(disk->host->device, &opts, &controller));
	expect_ok(nvme_controller_close(controller));
}

UNIT(sim_nvme_trouble, read_only_disk_takes_no_writes)
{
	struct disk *disk = a_disk(t, NVME_WAIT_AUTO, &WEIR_OPTS(weir_sim_nvme_opts, .read_only = true),
				   close_controller);

	EXPECT_EQ(nvme_queue_write(disk->queue, &disk->ns, 0, disk->iova, PAGE, TIMEOUT_MS), -EROFS);
	expect_ok(nvme_queue_read(disk->queue, &disk->ns, 0, disk->iova, PAGE, TIMEOUT_MS));
}
