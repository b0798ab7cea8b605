// SPDX-License-Identifier: MIT
/*
 * Reads of 4 KiB through a simulated controller, stepped: each read is submitted, carried out and reaped before the next. For
 * callgrind to count what the driver does with a command: see `instructions`.
 *
 *     weir-bench-nvme-reads READS
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nvme/nvme.h>
#include <weir/sim.h>
#include <weir/weir.h>

enum { LENGTH = 4096, WARM_UP = 64 };

struct setup {
	struct weir_sim *sim;
	struct nvme_queue *queue;
	struct nvme_namespace ns;
	uint64_t iova;
};

/* Its name is what callgrind is told to look for. */
void bench_reads(struct setup *setup, unsigned int reads);

static void must(int result, const char *what)
{
	if (result < 0)
		errx(1, "%s: %s; %s", what, nvme_error(), weir_error());
}

__attribute__((noinline)) void bench_reads(struct setup *setup, unsigned int reads)
{
	for (unsigned int i = 0; i < reads; i++) {
		struct nvme_request request = {
			.block = i * (LENGTH / setup->ns.block_size) % setup->ns.num_blocks,
			.iova = setup->iova,
			.len = LENGTH,
			.op = NVME_OP_READ,
			.tag = i,
		};
		struct nvme_completion completion;

		must(nvme_queue_submit(setup->queue, &setup->ns, &request, 1), "submitting");
		while (weir_sim_step(setup->sim) > 0)
			;
		if (nvme_queue_reap(setup->queue, &completion, 1) != 1 || completion.error ||
		    completion.tag != i)
			errx(1, "read %u did not complete", i);
	}
}

int main(int argc, char **argv)
{
	struct setup setup;
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_memory *memory;
	struct weir_buffer buffer;
	struct nvme_controller *controller;

	if (argc != 2)
		errx(2, "usage: weir-bench-nvme-reads READS");
	must(weir_sim_open(NULL, &setup.sim), "simulated host");
	must(weir_sim_add_nvme(setup.sim, NULL, NULL, NULL), "controller");
	must(weir_sim_start(setup.sim), "its thread");
	must(weir_host_open(&WEIR_OPTS(weir_host_opts, .sys = weir_sim_sys(setup.sim)), &host), "host");
	must(weir_ioas_open(host, NULL, &ioas), "address space");
	must(weir_device_open(ioas, "0000:00:01.0", NULL, &device), "device");
	must(weir_memory_open(ioas, NULL, &memory), "memory");
	must(weir_memory_alloc(memory, LENGTH, NULL, &buffer), "buffer");
	setup.iova = buffer.iova;
	must(nvme_controller_open(device, &WEIR_OPTS(nvme_controller_opts, .wait = NVME_WAIT_POLLING),
				  &controller),
	     "opening the controller");
	must(nvme_namespace_info(controller, 1, &setup.ns, sizeof(setup.ns)), "namespace");
	must(nvme_queue_open(controller, 32, &setup.queue), "queue");

	must(weir_sim_stop(setup.sim), "stepping");
	bench_reads(&setup, WARM_UP);
	bench_reads(&setup, (unsigned int)strtoul(argv[1], NULL, 0));
	must(weir_sim_start(setup.sim), "its thread");

	must(nvme_queue_close(setup.queue), "closing the queue");
	must(nvme_controller_close(controller), "closing the controller");
	must(weir_memory_close(memory), "closing the memory");
	must(weir_device_close(device), "closing the device");
	must(weir_ioas_close(ioas), "closing the space");
	must(weir_host_close(host), "closing the host");
	return weir_sim_close(setup.sim) ? 1 : 0;
}
