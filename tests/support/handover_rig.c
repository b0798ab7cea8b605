// SPDX-License-Identifier: MIT
/* A process with two drivers on a simulated machine, and one that takes it over. */
#include "support/handover_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "handover/handover.h"

enum { TIMEOUT_MS = 5000, DEPTH = 8, BUFFER = (RIG_READS + 1) * RIG_PAGE };

/* The first that fails, in a function that tells why. */
#define TRY(call, text)                                                                                      \
	do {                                                                                                 \
		if ((call) < 0)                                                                              \
			return text;                                                                         \
	} while (0)

static unsigned char *bytes_of(const struct handover_rig *rig)
{
	return rig->buffer.addr;
}

static unsigned char pattern(size_t at)
{
	return (unsigned char)(at * 13 + (at >> 9));
}

static bool is_pattern(const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != pattern(i))
			return false;
	return true;
}

static bool is_all(const unsigned char *bytes, unsigned char value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

/* Beginning and end ----------------------------------------------------------------------------------------- */

const char *rig_machine(struct handover_rig *rig)
{
	struct weir_sim_nvme_opts nvme = WEIR_OPTS(weir_sim_nvme_opts, .capacity = 1 << 20, .max_queues = 2);

	*rig = (struct handover_rig){ .file = -1 };
	TRY(weir_sim_open(NULL, &rig->sim), weir_error());
	TRY(weir_sim_add_edu(rig->sim, NULL, &WEIR_OPTS(weir_sim_slot, .address = RIG_EDU), NULL),
	    weir_error());
	TRY(weir_sim_add_nvme(rig->sim, &nvme, &WEIR_OPTS(weir_sim_slot, .address = RIG_NVME), NULL),
	    weir_error());
	TRY(weir_sim_start(rig->sim), weir_error());
	rig->file = memfd_create("rig", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	TRY(rig->file, "memfd_create");
	TRY(ftruncate(rig->file, 4 * RIG_PAGE), "ftruncate");
	return NULL;
}

void rig_end_machine(struct handover_rig *rig)
{
	weir_sim_close(rig->sim);
	if (rig->file >= 0)
		close(rig->file);
	*rig = (struct handover_rig){ .file = -1 };
}

static const char *open_drivers(struct handover_rig *rig)
{
	TRY(edu_open(rig->edu_device, EDU_INTERRUPTS, &rig->edu), edu_error());
	TRY(nvme_controller_open(rig->nvme_device, NULL, &rig->controller), nvme_error());
	TRY(nvme_namespace_info(rig->controller, 1, &rig->ns, sizeof(rig->ns)), nvme_error());
	TRY(nvme_queue_open(rig->controller, DEPTH, &rig->queue), nvme_error());
	for (size_t i = 0; i < RIG_READS * RIG_PAGE; i++)
		bytes_of(rig)[i] = pattern(i);
	TRY(nvme_queue_write(rig->queue, &rig->ns, 0, rig->buffer.iova, RIG_READS * RIG_PAGE, TIMEOUT_MS),
	    nvme_error());
	return NULL;
}

const char *rig_begin(struct handover_rig *rig, enum weir_backend backend, const struct weir_sys *sys)
{
	struct weir_device_opts narrow = WEIR_OPTS(weir_device_opts, .address_bits = 28);
	struct weir_memory_opts small =
		WEIR_OPTS(weir_memory_opts, .page_size = RIG_PAGE, .chunk = 64 * RIG_PAGE);

	TRY(weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = backend,
				      .sys = sys ? sys : weir_sim_sys(rig->sim), .flags = WEIR_HOST_JOURNAL,
				      .journal_maps = 512, .journal_blocks = 16384),
			   &rig->host),
	    weir_error());
	TRY(weir_ioas_open(rig->host, NULL, &rig->ioas), weir_error());
	TRY(weir_device_open(rig->ioas, RIG_EDU, &narrow, &rig->edu_device), weir_error());
	TRY(weir_device_open(rig->ioas, RIG_NVME, &narrow, &rig->nvme_device), weir_error());
	TRY(weir_memory_open(rig->ioas, &small, &rig->memory), weir_error());
	TRY(weir_memory_alloc(rig->memory, BUFFER, NULL, &rig->buffer), weir_error());
	TRY(weir_ioas_map_file(rig->ioas, rig->file, RIG_PAGE, 2 * RIG_PAGE, NULL, &rig->map), weir_error());
	rig->map_iova = weir_map_iova(rig->map);
	return open_drivers(rig);
}

/* Driver's state ---------------------------------------------------------------------------------------------- */

static void hang(const struct handover_rig *rig, bool hangs)
{
	weir_sim_hang(weir_sim_find(rig->sim, RIG_EDU), hangs);
	weir_sim_hang(weir_sim_find(rig->sim, RIG_NVME), hangs);
}

const char *rig_busy(struct handover_rig *rig)
{
	struct nvme_request requests[RIG_READS];
	uint64_t iova = rig->buffer.iova;

	memset(bytes_of(rig), 0x5a, BUFFER);
	TRY(edu_dma(rig->edu, EDU_FROM_MEMORY, iova + RIG_READS * RIG_PAGE, 0, RIG_PAGE, EDU_BY_INTERRUPT,
		    TIMEOUT_MS),
	    edu_error());
	memset(bytes_of(rig), 0, BUFFER);
	hang(rig, true);
	rig->busy = true;
	for (uint32_t i = 0; i < RIG_READS; i++)
		requests[i] = (struct nvme_request){ .op = NVME_OP_READ,
						     .block = i * RIG_PAGE / rig->ns.block_size,
						     .len = RIG_PAGE,
						     .iova = iova + i * RIG_PAGE,
						     .tag = i };
	TRY(nvme_queue_submit(rig->queue, &rig->ns, requests, RIG_READS), nvme_error());
	TRY(edu_dma_start(rig->edu, EDU_TO_MEMORY, iova + RIG_READS * RIG_PAGE, 0, RIG_PAGE,
			  EDU_BY_INTERRUPT),
	    edu_error());
	return NULL;
}

const char *rig_settle(struct handover_rig *rig)
{
	struct nvme_completion done[RIG_READS];
	uint32_t seen = 0;

	if (!rig->busy)
		return NULL;
	rig->busy = false;
	hang(rig, false);
	while (seen != (1u << RIG_READS) - 1) {
		int num = nvme_queue_wait(rig->queue, done, RIG_READS, TIMEOUT_MS);

		if (num <= 0)
			return num ? nvme_error() : "reads are missing";
		for (int i = 0; i < num; i++) {
			if (done[i].error || done[i].tag >= RIG_READS || seen & 1u << done[i].tag)
				return "a read failed, or was delivered twice";
			seen |= 1u << done[i].tag;
		}
	}
	TRY(edu_dma_wait(rig->edu, TIMEOUT_MS), edu_error());
	if (!is_pattern(bytes_of(rig), (size_t)RIG_READS * RIG_PAGE))
		return "what was read is not what is on the disk";
	return is_all(bytes_of(rig) + RIG_READS * RIG_PAGE, 0x5a, RIG_PAGE) ? NULL : "the DMA has not come";
}

/* What fails next overwrites the text. */
static void note(const char **first, int error, const char *why)
{
	static _Thread_local char text[512];

	if (error >= 0 || *first)
		return;
	snprintf(text, sizeof(text), "%s", why);
	*first = text;
}

const char *rig_close(struct handover_rig *rig)
{
	const char *why = NULL;

	hang(rig, false);
	note(&why, edu_close(rig->edu), edu_error());
	note(&why, nvme_controller_close(rig->controller), nvme_error());
	note(&why, weir_map_close(rig->map), weir_error());
	note(&why, weir_memory_close(rig->memory), weir_error());
	note(&why, weir_device_close(rig->edu_device), weir_error());
	note(&why, weir_device_close(rig->nvme_device), weir_error());
	note(&why, weir_ioas_close(rig->ioas), weir_error());
	note(&why, weir_host_close(rig->host), weir_error());
	rig->host = NULL;
	return why;
}

const char *rig_pause(struct handover_rig *rig)
{
	TRY(edu_pause(rig->edu), edu_error());
	TRY(nvme_controller_pause(rig->controller), nvme_error());
	return NULL;
}

void rig_resume(struct handover_rig *rig)
{
	edu_resume(rig->edu);
	nvme_controller_resume(rig->controller);
}

void rig_forget_drivers(struct handover_rig *rig)
{
	edu_forget(rig->edu);
	nvme_controller_forget(rig->controller);
	rig->edu = NULL;
	rig->controller = NULL;
	rig->host = NULL;
}

const char *rig_works(struct handover_rig *rig)
{
	unsigned char *page = bytes_of(rig);
	struct weir_map *map;
	const char *why = rig_settle(rig);

	if (why)
		return why;
	TRY(weir_ioas_map_file(rig->ioas, rig->file, 0, RIG_PAGE, NULL, &map), weir_error());
	memset(weir_map_addr(map), 0xc3, RIG_PAGE);
	TRY(edu_dma(rig->edu, EDU_FROM_MEMORY, weir_map_iova(map), 0, RIG_PAGE, EDU_BY_INTERRUPT, TIMEOUT_MS),
	    edu_error());
	TRY(weir_map_close(map), weir_error());
	TRY(edu_dma(rig->edu, EDU_TO_MEMORY, rig->map_iova, 0, RIG_PAGE, EDU_BY_INTERRUPT, TIMEOUT_MS),
	    edu_error());
	if (!is_all(weir_map_addr(rig->map), 0xc3, RIG_PAGE))
		return "a DMA to the file has not come";
	memset(weir_map_addr(rig->map), 0, RIG_PAGE);
	memset(page, 0, RIG_PAGE);
	TRY(nvme_queue_read(rig->queue, &rig->ns, 0, rig->buffer.iova, RIG_PAGE, TIMEOUT_MS), nvme_error());
	return is_pattern(page, RIG_PAGE) ? NULL : "a read has not come";
}

void rig_die(struct handover_rig *rig)
{
	if (rig->host) {
		struct weir_journal *journal = rig->host->kernel.journal;

		journal->stale = true; /* nothing more is written into it */
		if (journal->keeper >= 0)
			close(journal->keeper);
		journal->keeper = -1;
		weir_handover_let_go(rig->host);
	}
	rig_forget_drivers(rig);
}

const char *rig_follow(struct handover_rig *next, const struct handover_rig *was, struct weir_host *host)
{
	struct weir_buffer buffer = was->buffer;

	*next = (struct handover_rig){ .sim = was->sim,
				       .file = was->file,
				       .host = host,
				       .ns = was->ns,
				       .map_iova = was->map_iova,
				       .busy = was->busy };
	TRY(weir_handover_ioas(host, 0, &next->ioas), weir_error());
	TRY(weir_handover_device(host, RIG_EDU, &next->edu_device), weir_error());
	TRY(weir_handover_device(host, RIG_NVME, &next->nvme_device), weir_error());
	TRY(weir_handover_memory(host, 0, &next->memory), weir_error());
	TRY(weir_memory_claim(next->memory, buffer.chunk, buffer.offset, buffer.len, &next->buffer),
	    weir_error());
	TRY(weir_handover_map(next->ioas, was->map_iova, &next->map), weir_error());
	TRY(edu_restore(next->edu_device, &next->edu), edu_error());
	TRY(nvme_controller_restore(next->nvme_device, NULL, &next->controller), nvme_error());
	TRY(nvme_controller_queue(next->controller, 1, &next->queue), nvme_error());
	return NULL;
}
