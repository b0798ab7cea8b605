// SPDX-License-Identifier: MIT
/* An NVMe controller that requests pages: the driver, which knows nothing of that, reads and writes what was never mapped. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <nvme/nvme.h>
#include <weir/sim.h>
#include <weir/weir.h>

#include "test.h"

enum { PAGE = 4096, PAGES = 16, LEN = PAGES * PAGE, TIMEOUT_MS = 5000, DEPTH = 8 };

#define IOVA ((uint64_t)1 << 30)

static const char address[] = "0000:00:01.0";

/* A controller on a domain with a queue, and a file that is mapped on demand; who serves that, while it is not stopped. */
struct rig {
	struct weir_sim *sim;
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_faultq *queue;
	struct weir_domain *domain;
	struct weir_demand *demand;
	struct nvme_controller *controller;
	struct nvme_namespace ns;
	struct nvme_queue *commands;
	unsigned char *file;
	int fd;
	pthread_t thread;
	_Atomic bool stop;
};

static void *serve(void *arg)
{
	struct rig *rig = arg;

	while (!rig->stop) {
		EXPECT_GE(weir_faultq_run(rig->queue, weir_demand_handle, rig->demand), 0);
		usleep(100);
	}
	return NULL;
}

static void begin_to_serve(struct rig *rig)
{
	rig->stop = false;
	ASSERT_EQ(pthread_create(&rig->thread, NULL, serve, rig), 0);
}

static void end_to_serve(struct rig *rig)
{
	rig->stop = true;
	pthread_join(rig->thread, NULL);
}

static void close_machine(struct rig *rig)
{
	EXPECT_OK(weir_domain_detach(rig->device, WEIR_NO_PASID));
	EXPECT_OK(weir_demand_close(rig->demand));
	EXPECT_OK(weir_domain_close(rig->domain));
	EXPECT_OK(weir_faultq_close(rig->queue));
	EXPECT_OK(weir_device_close(rig->device));
	EXPECT_OK(weir_ioas_close(rig->ioas));
	EXPECT_OK(weir_host_close(rig->host));
	EXPECT_OK(weir_sim_close(rig->sim));
}

static void end_rig(void *arg)
{
	struct rig *rig = arg;

	nvme_controller_close(rig->controller);
	munmap(rig->file, LEN);
	close(rig->fd);
	close_machine(rig);
}

static void open_machine(struct rig *rig)
{
	const struct weir_sim_slot slot = WEIR_OPTS(weir_sim_slot, .address = address, .page_requests = 1);

	ASSERT_OK(weir_sim_open(&WEIR_OPTS(weir_sim_opts, .iommu = WEIR_SIM_IOMMU_VTD), &rig->sim));
	ASSERT_OK(weir_sim_add_nvme(rig->sim, NULL, &slot, NULL));
	ASSERT_OK(weir_sim_start(rig->sim));
	ASSERT_OK(weir_host_open(
		&WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD, .sys = weir_sim_sys(rig->sim)),
		&rig->host));
	ASSERT_OK(weir_ioas_open(rig->host, NULL, &rig->ioas));
	ASSERT_OK(weir_device_open(rig->ioas, address, NULL, &rig->device));
	ASSERT_OK(weir_faultq_open(rig->host, NULL, &rig->queue));
	ASSERT_OK(weir_domain_open(rig->device, &WEIR_OPTS(weir_domain_opts, .faultq = rig->queue),
				   &rig->domain));
	ASSERT_OK(weir_domain_attach(rig->domain, rig->device, WEIR_NO_PASID));
}

static struct rig *new_rig(struct t *t)
{
	static struct rig the_rig;
	struct rig *rig = &the_rig;

	memset(rig, 0, sizeof(*rig));
	open_machine(rig);
	rig->fd = memfd_create("file", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_EQ(ftruncate(rig->fd, LEN), 0);
	rig->file = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, rig->fd, 0);
	ASSERT_TRUE(rig->file != MAP_FAILED);
	ASSERT_OK(weir_demand_open(rig->ioas, &WEIR_OPTS(weir_demand_opts, .ahead = 4 * PAGE), &rig->demand));
	ASSERT_OK(weir_demand_add_file(rig->demand, IOVA, LEN, rig->fd, 0, 0));
	ASSERT_EQ(nvme_controller_open(rig->device, &WEIR_OPTS(nvme_controller_opts, .num_queues = 2),
				       &rig->controller),
		  0);
	t_defer(t, end_rig, rig);
	ASSERT_EQ(nvme_namespace_info(rig->controller, 1, &rig->ns, sizeof(rig->ns)), 0);
	ASSERT_EQ(nvme_queue_open(rig->controller, DEPTH, &rig->commands), 0);
	for (int i = 0; i < LEN; i++)
		rig->file[i] = (unsigned char)(i * 7 + (i >> 10));
	return rig;
}

static struct weir_demand_info info_of(struct rig *rig)
{
	struct weir_demand_info info = { 0 };

	EXPECT_OK(weir_demand_info(rig->demand, &info, sizeof(info)));
	return info;
}

UNIT(sim_nvme_waits, what_was_never_mapped_is_written_and_read)
{
	struct rig *rig = new_rig(t);
	static unsigned char before[LEN];

	begin_to_serve(rig);
	memcpy(before, rig->file, LEN);
	EXPECT_EQ(nvme_queue_write(rig->commands, &rig->ns, 0, IOVA, LEN, TIMEOUT_MS), 0);
	EXPECT_EQ(info_of(rig).num_maps, PAGES / 4);
	memset(rig->file, 0, LEN);
	EXPECT_EQ(nvme_queue_read(rig->commands, &rig->ns, 0, IOVA, LEN, TIMEOUT_MS), 0);
	EXPECT_EQ(memcmp(rig->file, before, LEN), 0);
	EXPECT_EQ(info_of(rig).num_maps, PAGES / 4);
	end_to_serve(rig);
}

UNIT(sim_nvme_waits, a_page_that_is_refused_fails_its_command_alone)
{
	struct rig *rig = new_rig(t);

	begin_to_serve(rig);
	EXPECT_TRUE(nvme_queue_read(rig->commands, &rig->ns, 0, IOVA + LEN, PAGE, TIMEOUT_MS) != 0);
	EXPECT_EQ(info_of(rig).num_refused, 1);
	EXPECT_EQ(nvme_queue_read(rig->commands, &rig->ns, 0, IOVA, PAGE, TIMEOUT_MS), 0);
	end_to_serve(rig);
}

/* Nobody serves for a while. */
UNIT(sim_nvme_waits, who_waits_holds_up_no_other_queue)
{
	struct rig *rig = new_rig(t);
	struct nvme_request request = { .op = NVME_OP_READ, .len = PAGE, .iova = IOVA, .tag = 1 };
	struct nvme_completion done;
	struct weir_memory *memory;
	struct weir_buffer buffer;
	struct nvme_queue *other;

	ASSERT_OK(weir_memory_open(rig->ioas, NULL, &memory));
	ASSERT_OK(weir_memory_alloc(memory, PAGE, NULL, &buffer));
	ASSERT_EQ(nvme_queue_open(rig->controller, DEPTH, &other), 0);
	ASSERT_EQ(nvme_queue_submit(rig->commands, &rig->ns, &request, 1), 1);
	for (int i = 0; i < 20; i++)
		if (nvme_queue_read(other, &rig->ns, 0, buffer.iova, PAGE, TIMEOUT_MS))
			FAIL("%s", nvme_error());
	EXPECT_EQ(nvme_queue_reap(rig->commands, &done, 1), 0);
	begin_to_serve(rig);
	ASSERT_EQ(nvme_queue_wait(rig->commands, &done, 1, TIMEOUT_MS), 1);
	EXPECT_EQ(done.error, 0);
	EXPECT_EQ(done.tag, 1);
	end_to_serve(rig);
	EXPECT_EQ(nvme_queue_close(other), 0);
	EXPECT_OK(weir_memory_free(memory, &buffer));
	EXPECT_OK(weir_memory_close(memory));
}
