// SPDX-License-Identifier: MIT
/* The drivers with commands in flight, from one process of a simulated machine to another. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <edu/edu.h>
#include <nvme/nvme.h>
#include <weir/sim.h>
#include <weir/weir.h>

#include "test.h"

enum { PAGE = 4096, TIMEOUT_MS = 5000, READS = 4, DEPTH = 8 };

static const char address[] = "0000:00:01.0";

static const enum weir_backend backends[] = { WEIR_BACKEND_IOMMUFD, WEIR_BACKEND_TYPE1 };

/* A machine, and what one process has on it. The successor's handles take the place of the predecessor's. */
struct process {
	struct weir_sim *sim;
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_memory *memory;
	struct weir_buffer buffer;
	int ends[2];
	void (*restore)(struct process *process);
	struct nvme_controller *controller;
	struct edu *edu;
};

static void end_machine(void *sim)
{
	EXPECT_OK(weir_sim_close(sim));
}

static void begin(struct t *t, enum weir_backend backend, bool nvme, struct process *p)
{
	struct weir_sim_slot slot = WEIR_OPTS(weir_sim_slot, .address = address);
	struct weir_device_opts opts = WEIR_OPTS(weir_device_opts, .address_bits = 28);

	memset(p, 0, sizeof(*p));
	ASSERT_OK(weir_sim_open(NULL, &p->sim));
	t_defer(t, end_machine, p->sim);
	ASSERT_OK(nvme ? weir_sim_add_nvme(p->sim, NULL, &slot, NULL)
		       : weir_sim_add_edu(p->sim, NULL, &slot, NULL));
	ASSERT_OK(weir_sim_start(p->sim));
	ASSERT_OK(weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = backend, .sys = weir_sim_sys(p->sim),
					    .flags = WEIR_HOST_JOURNAL),
				 &p->host));
	ASSERT_OK(weir_ioas_open(p->host, NULL, &p->ioas));
	ASSERT_OK(weir_device_open(p->ioas, address, &opts, &p->device));
	ASSERT_OK(weir_memory_open(p->ioas, NULL, &p->memory));
	ASSERT_OK(weir_memory_alloc(p->memory, READS * PAGE, NULL, &p->buffer));
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p->ends), 0);
}

static void *follow(void *arg)
{
	struct process *p = arg;
	struct weir_handover_opts opts = WEIR_OPTS(weir_handover_opts, .sys = weir_sim_sys_of(p->sim, 1));
	struct weir_buffer was = p->buffer;

	ASSERT_OK(weir_handover_receive(p->ends[1], &opts, &p->host));
	ASSERT_OK(weir_handover_device(p->host, address, &p->device));
	ASSERT_OK(weir_handover_memory(p->host, 0, &p->memory));
	ASSERT_OK(weir_memory_claim(p->memory, was.chunk, was.offset, was.len, &p->buffer));
	p->ioas = weir_device_ioas(p->device);
	p->restore(p);
	ASSERT_OK(weir_handover_finish(p->host));
	return NULL;
}

/* What is the predecessor's in @p is the successor's when this returns. */
static void hand_over(struct process *p, void (*restore)(struct process *))
{
	struct weir_host *host = p->host;
	pthread_t thread;

	p->restore = restore;
	ASSERT_EQ(pthread_create(&thread, NULL, follow, p), 0);
	EXPECT_OK(weir_handover_give(host, p->ends[0], NULL));
	pthread_join(thread, NULL);
	close(p->ends[0]);
}

static void end(struct process *p)
{
	EXPECT_OK(weir_memory_close(p->memory));
	EXPECT_OK(weir_device_close(p->device));
	EXPECT_OK(weir_ioas_close(p->ioas));
	EXPECT_OK(weir_host_close(p->host));
}

/* nvme ----------------------------------------------------------------------------------------------------- */

static void restore_nvme(struct process *p)
{
	if (nvme_controller_restore(p->device, NULL, &p->controller))
		FAIL("nvme_controller_restore: %s", nvme_error());
}

/* Pages are written, and asked for again with the controller hanging: who hands over leaves them in flight. */
static struct nvme_controller *with_reads_in_flight(struct process *p, struct nvme_namespace *ns)
{
	struct nvme_request requests[READS];
	struct nvme_queue *queue;

	ASSERT_EQ(nvme_controller_open(p->device, NULL, &p->controller), 0);
	ASSERT_EQ(nvme_namespace_info(p->controller, 1, ns, sizeof(*ns)), 0);
	ASSERT_EQ(nvme_queue_open(p->controller, DEPTH, &queue), 0);
	for (int i = 0; i < READS * PAGE; i++)
		((unsigned char *)p->buffer.addr)[i] = (unsigned char)(i * 13 + (i >> 9));
	ASSERT_EQ(nvme_queue_write(queue, ns, 0, p->buffer.iova, READS * PAGE, TIMEOUT_MS), 0);
	memset(p->buffer.addr, 0, READS * PAGE);
	weir_sim_hang(weir_sim_find(p->sim, address), true);
	for (uint32_t i = 0; i < READS; i++)
		requests[i] = (struct nvme_request){ .op = NVME_OP_READ,
						     .block = i * PAGE / ns->block_size,
						     .len = PAGE,
						     .iova = p->buffer.iova + i * PAGE,
						     .tag = i };
	ASSERT_EQ(nvme_queue_submit(queue, ns, requests, READS), READS);
	ASSERT_EQ(nvme_controller_pause(p->controller), 0);
	return p->controller;
}

UNIT(sim_handover, nvme_reads_are_the_successors_to_reap)
{
	for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
		struct nvme_completion done[READS];
		struct nvme_controller *before;
		struct nvme_namespace ns;
		struct nvme_queue *queue;
		struct process p;
		int num, left = READS;

		t_note(t, "%s", weir_backend_name(backends[b]));
		begin(t, backends[b], true, &p);
		before = with_reads_in_flight(&p, &ns);
		hand_over(&p, restore_nvme);
		nvme_controller_forget(before);
		ASSERT_EQ(nvme_controller_queue(p.controller, 1, &queue), 0);
		EXPECT_EQ(nvme_queue_in_flight(queue), READS);
		weir_sim_hang(weir_sim_find(p.sim, address), false);
		for (; left > 0; left -= num) {
			num = nvme_queue_wait(queue, done, READS, TIMEOUT_MS);
			if (num <= 0)
				FAIL("waiting: %s", nvme_error());
			for (int i = 0; i < num; i++)
				EXPECT_EQ(done[i].error, 0);
		}
		for (int i = 0; i < READS * PAGE; i++)
			if (((unsigned char *)p.buffer.addr)[i] != (unsigned char)(i * 13 + (i >> 9)))
				FAIL("byte %d is another", i);
		EXPECT_EQ(nvme_queue_read(queue, &ns, 0, p.buffer.iova, PAGE, TIMEOUT_MS), 0);
		EXPECT_EQ(nvme_controller_close(p.controller), 0);
		end(&p);
	}
}

/* edu ------------------------------------------------------------------------------------------------------ */

static void restore_edu(struct process *p)
{
	if (edu_restore(p->device, &p->edu))
		FAIL("edu_restore: %s", edu_error());
}

UNIT(sim_handover, edus_dma_is_the_successors_to_wait_for)
{
	for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
		struct edu_transfer transfer;
		unsigned char *bytes;
		struct edu *before;
		struct process p;
		uint32_t product;

		t_note(t, "%s", weir_backend_name(backends[b]));
		begin(t, backends[b], false, &p);
		bytes = p.buffer.addr;
		ASSERT_EQ(edu_open(p.device, EDU_INTERRUPTS, &p.edu), 0);
		memset(bytes, 0x5a, PAGE);
		ASSERT_EQ(
			edu_dma(p.edu, EDU_FROM_MEMORY, p.buffer.iova, 0, PAGE, EDU_BY_INTERRUPT, TIMEOUT_MS),
			0);
		EXPECT_EQ(edu_dma_pending(p.edu, &transfer), EDU_NOTHING);
		memset(bytes, 0, PAGE);
		weir_sim_hang(weir_sim_find(p.sim, address), true);
		ASSERT_EQ(edu_dma_start(p.edu, EDU_TO_MEMORY, p.buffer.iova, 0, PAGE, EDU_BY_INTERRUPT), 0);
		ASSERT_EQ(edu_pause(p.edu), 0);
		EXPECT_EQ(edu_dma_wait(p.edu, 0), -EBUSY);
		before = p.edu;
		hand_over(&p, restore_edu);
		edu_forget(before);
		EXPECT_EQ(edu_dma_pending(p.edu, &transfer), EDU_PENDING);
		EXPECT_EQ(transfer.iova, p.buffer.iova);
		EXPECT_EQ(transfer.len, PAGE);
		EXPECT_EQ(edu_dma_wait(p.edu, 0), -ETIMEDOUT);
		weir_sim_hang(weir_sim_find(p.sim, address), false);
		EXPECT_EQ(edu_dma_wait(p.edu, TIMEOUT_MS), 0);
		bytes = p.buffer.addr;
		for (int i = 0; i < PAGE; i++)
			if (bytes[i] != 0x5a)
				FAIL("byte %d is another", i);
		EXPECT_EQ(edu_factorial(p.edu, 5, EDU_BY_INTERRUPT, TIMEOUT_MS, &product), 0);
		EXPECT_EQ(edu_close(p.edu), 0);
		end(&p);
	}
}

UNIT(sim_handover, an_edu_of_which_nothing_was_kept_is_opened_anew)
{
	struct process p;
	uint32_t product;

	begin(t, WEIR_BACKEND_IOMMUFD, false, &p);
	EXPECT_EQ(edu_restore(p.device, &p.edu), -ENODATA);
	EXPECT_CONTAINS(edu_error(), "nothing was kept");
	ASSERT_EQ(edu_open(p.device, EDU_INTERRUPTS, &p.edu), 0);
	EXPECT_EQ(edu_factorial(p.edu, 5, EDU_BY_INTERRUPT, TIMEOUT_MS, &product), 0);
	EXPECT_EQ(edu_close(p.edu), 0);
	EXPECT_EQ(edu_restore(p.device, &p.edu), -ENODATA);
	close(p.ends[0]);
	close(p.ends[1]);
	end(&p);
}
