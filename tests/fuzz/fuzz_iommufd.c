// SPDX-License-Identifier: MIT
/*
 * /dev/iommu of the simulated machine against a plain model of it: after each command, both must have ended alike, and what the
 * devices find at some address is what the model says.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuzz/ioas_model.h"
#include "fuzz/iommufd_frames.h"
#include "fuzz/iommufd_numbers.h"
#include "fuzz/iommufd_queues.h"
#include "fuzz/rig.h"
#include "kernel/vfio_abi.h"

enum { MOST_STEPS = 200, HIGH_BIT = 48 };

struct program {
	struct input in;
	struct rig rig;
	struct model model;
	int iommufd, null;
	int cdevs[RIG_DEVICES]; /* -1: closed */
	struct queues queues;
	bool mute; /* the next answer cannot be copied back */
	uint64_t last_iova;
};

/* Now and then exactly what is mapped in a space, or a part of it. */
static void an_area(struct program *p, uint32_t ioas, uint64_t *iova, uint64_t *length)
{
	const struct model_object *object = &p->model.objects[ioas < MODEL_IDS ? ioas : 0];
	const struct model_area *area;
	uint8_t byte = in_u8(&p->in);

	*iova = iommufd_iova(&p->in, p->last_iova);
	*length = iommufd_length(&p->in);
	if (byte < 96 || !object->num_areas)
		return;
	area = &object->areas[byte % object->num_areas];
	*iova = area->iova;
	*length = area->last - area->iova + 1;
	if (byte < 128 && *length > PAGE) {
		*iova += PAGE;
		*length -= PAGE;
	}
}

/* Calls ---------------------------------------------------------------------------------------------------- */

static void answers_nothing(struct program *p)
{
	if (p->mute)
		weir_sim_fail_call(p->rig.sim, 1, 0, true);
}

static int ioctl_at_end(struct program *p, int fd, unsigned long request, void *cmd, size_t len)
{
	void *there = arena_struct(len);
	int result;

	memcpy(there, cmd, len);
	answers_nothing(p);
	result = rig_ioctl(&p->rig, fd, request, there);
	memcpy(cmd, there, len);
	p->mute = false;
	say("  %#lx: %d", request, result);
	return result;
}

static void compare(const struct verdict *verdict, int result, unsigned long request)
{
	if (!verdict_allows(verdict, result))
		fail("%#lx ended with %d; the model says %d (or one of %u)", request, result,
		     verdict->num ? verdict->errors[0] : 0, verdict->num);
}

/*
 * Both do it, and both answers must be the same; an answer that does not get out is -EFAULT, and what was done has been done. What
 * failed has not touched the struct.
 */
static void check_answer(bool mute, const struct verdict *verdict, int result, unsigned long request,
			 const void *cmd, const void *expected, const void *before, size_t len)
{
	if (mute && !verdict->num) {
		CHECK(result == -EFAULT);
		return;
	}
	compare(verdict, result, request);
	if (memcmp(cmd, result ? before : expected, len) != 0)
		fail("%#lx answered something else", request);
}

/* @judge is the model's part, which fills in &expected. */
#define RUN(p, request, cmd, judge)                                                                          \
	do {                                                                                                 \
		__typeof__(cmd) before = (cmd), expected = (cmd);                                            \
		bool mute = (p)->mute;                                                                       \
		struct verdict verdict = (judge);                                                            \
		int result = ioctl_at_end(p, (p)->iommufd, request, &(cmd), sizeof(cmd));                    \
                                                                                                             \
		check_answer(mute, &verdict, result, request, &(cmd), &expected, &before, sizeof(cmd));      \
	} while (0)

/* DMA ------------------------------------------------------------------------------------------------------ */

/* What the device finds there must be what the process has there. */
static void check_bytes(const struct model_area *area, uint64_t iova, const unsigned char bytes[4])
{
	uint64_t address = area->address + (iova - area->iova);
	unsigned char there[4] = { 0 };

	if (!area->file)
		memcpy(there, (void *)(uintptr_t)address, 4);
	else if (pread(arena_file(), there, 4, (off_t)address) < 0)
		fail("the file cannot be read");
	CHECK(memcmp(bytes, there, 4) == 0);
}

static void probe_at(struct program *p, unsigned int device, uint64_t iova, bool write,
		     unsigned char bytes[4])
{
	const struct model_area *area = model_reach(&p->model, device, iova);
	bool window = iova >= 0xfee00000 && iova <= 0xfeefffff;
	int error = write ? weir_sim_device_dma_write(p->rig.devices[device], iova, bytes, 4)
			  : weir_sim_device_dma_read(p->rig.devices[device], iova, bytes, 4);

	say("  dma %s %#lx: %d", write ? "write" : "read", iova, error);
	if (p->cdevs[device] < 0) {
		CHECK(error);
		return;
	}
	if (window && write) /* an interrupt, whatever the tables say; or nothing at all */
		return;
	CHECK(error == (area && (write ? area->writable : area->readable) ? 0 : -EFAULT));
	if (!error && (!write || area->readable))
		check_bytes(area, iova, bytes);
}

/* Where something has just been changed. */
static void probe_all(struct program *p)
{
	unsigned char bytes[4];

	for (unsigned int device = 0; device < RIG_DEVICES; device++)
		if (p->cdevs[device] >= 0)
			probe_at(p, device, p->last_iova & ~3ull, false, bytes);
}

static void probe(struct program *p)
{
	unsigned int device = in_below(&p->in, RIG_DEVICES);
	uint64_t iova = iommufd_iova(&p->in, p->last_iova) & ~3ull;
	bool write = in_u8(&p->in) & 1;
	unsigned char bytes[4];

	in_bytes(&p->in, bytes, sizeof(bytes));
	probe_at(p, device, iova, write, bytes);
}

/* Commands ------------------------------------------------------------------------------------------------- */

static void ioas_alloc(struct program *p)
{
	struct abi_iommu_ioas_alloc cmd = { .size = sizeof(cmd), .flags = in_u8(&p->in) == 255 };

	if (p->mute) { /* made, and destroyed again */
		answers_nothing(p);
		p->mute = false;
		CHECK(rig_ioctl(&p->rig, p->iommufd, ABI_IOMMU_IOAS_ALLOC, &cmd) ==
		      (cmd.flags ? -EOPNOTSUPP : -EFAULT));
		return;
	}
	RUN(p, ABI_IOMMU_IOAS_ALLOC, cmd, model_ioas_alloc(&p->model, &expected));
}

static void destroy(struct program *p)
{
	struct abi_iommu_destroy cmd = { sizeof(cmd), iommufd_id(&p->in) };

	p->mute = false; /* there is no answer */
	RUN(p, ABI_IOMMU_DESTROY, cmd, model_destroy(&p->model, &expected));
}

static void map(struct program *p)
{
	struct abi_iommu_ioas_map cmd = { .size = sizeof(cmd),
					  .flags = iommufd_map_flags(&p->in),
					  .ioas_id = iommufd_id(&p->in) };
	int pin_error;

	cmd.__reserved = in_u8(&p->in) == 255;
	cmd.user_va = arena_address(&p->in);
	cmd.length = iommufd_length(&p->in);
	cmd.iova = iommufd_iova(&p->in, p->last_iova);
	pin_error = arena_can_pin(cmd.user_va, cmd.length, cmd.flags & ABI_IOMMU_IOAS_MAP_WRITEABLE)
			    ? 0
			    : -EFAULT;
	RUN(p, ABI_IOMMU_IOAS_MAP, cmd, model_map(&p->model, &expected, pin_error));
	p->last_iova = cmd.iova;
}

static void map_file(struct program *p)
{
	struct abi_iommu_ioas_map_file cmd = { .size = sizeof(cmd),
					       .flags = iommufd_map_flags(&p->in),
					       .ioas_id = iommufd_id(&p->in) };
	unsigned int kind = in_below(&p->in, 8);
	int pin_error = 0;

	cmd.fd = kind == 7 ? 1000000 : kind == 6 ? p->null : arena_file();
	cmd.start = in_below(&p->in, 10) * (uint64_t)PAGE;
	if (kind == 5)
		cmd.start = iommufd_iova(&p->in, p->last_iova);
	cmd.length = iommufd_length(&p->in);
	cmd.iova = iommufd_iova(&p->in, p->last_iova);
	if (kind == 6 || cmd.start > FILE_SIZE || cmd.length > FILE_SIZE - cmd.start)
		pin_error = -EINVAL;
	RUN(p, ABI_IOMMU_IOAS_MAP_FILE, cmd,
	    model_map_file(&p->model, &expected, kind == 7 ? -EBADF : 0, pin_error));
	p->last_iova = cmd.iova;
}

static void copy(struct program *p)
{
	struct abi_iommu_ioas_copy cmd = { .size = sizeof(cmd),
					   .flags = iommufd_map_flags(&p->in),
					   .dst_ioas_id = iommufd_id(&p->in) };

	cmd.src_ioas_id = iommufd_id(&p->in);
	cmd.dst_iova = iommufd_iova(&p->in, p->last_iova);
	an_area(p, cmd.src_ioas_id, &cmd.src_iova, &cmd.length);
	RUN(p, ABI_IOMMU_IOAS_COPY, cmd, model_copy(&p->model, &expected));
	p->last_iova = cmd.dst_iova;
}

static void unmap(struct program *p)
{
	struct abi_iommu_ioas_unmap cmd = { .size = sizeof(cmd), .ioas_id = iommufd_id(&p->in) };

	an_area(p, cmd.ioas_id, &cmd.iova, &cmd.length);
	p->last_iova = cmd.iova;
	probe_all(p); /* so that there is a translation to be forgotten */
	RUN(p, ABI_IOMMU_IOAS_UNMAP, cmd, model_unmap(&p->model, &expected));
}

static void allow(struct program *p)
{
	struct abi_iommu_ioas_allow_iovas cmd = { .size = sizeof(cmd), .ioas_id = iommufd_id(&p->in) };
	struct abi_iommu_iova_range ranges[MODEL_ALLOWED - 1];

	cmd.num_iovas = in_below(&p->in, MODEL_ALLOWED);
	cmd.__reserved = in_u8(&p->in) == 255;
	for (uint32_t i = 0; i < cmd.num_iovas; i++) {
		ranges[i].start = iommufd_iova(&p->in, p->last_iova);
		ranges[i].last = ranges[i].start + iommufd_length(&p->in) - 1;
	}
	cmd.allowed_iovas = (uintptr_t)ranges;
	p->mute = false;
	RUN(p, ABI_IOMMU_IOAS_ALLOW_IOVAS, cmd, model_allow(&p->model, &expected, ranges));
}

static void option(struct program *p)
{
	struct abi_iommu_option cmd = { .size = sizeof(cmd), .option_id = ABI_IOMMU_OPTION_HUGE_PAGES };

	cmd.op = in_u8(&p->in) % 3;
	cmd.object_id = iommufd_id(&p->in);
	cmd.val64 = in_below(&p->in, 3);
	RUN(p, ABI_IOMMU_OPTION, cmd, model_option(&p->model, &expected));
}

static void hwpt_alloc(struct program *p)
{
	struct abi_iommu_hwpt_alloc cmd = { .size = sizeof(cmd), .dev_id = iommufd_id(&p->in) };
	uint8_t how = in_u8(&p->in);

	cmd.pt_id = iommufd_id(&p->in);
	if (how & 1)
		cmd.dev_id = p->model.devices[how / 2 % MODEL_DEVICES].id;
	if (how >= 128) {
		cmd.flags = ABI_IOMMU_HWPT_FAULT_ID_VALID;
		cmd.fault_id = how >= 240 ? iommufd_id(&p->in) : p->queues.ids[how / 4 % MOST_QUEUES];
	}
	p->mute = false;
	RUN(p, ABI_IOMMU_HWPT_ALLOC, cmd, model_hwpt_alloc(&p->model, &expected));
}

static void check_ranges(struct program *p, uint32_t id, uint32_t room)
{
	struct abi_iommu_iova_range got[4], expected[4];
	struct abi_iommu_ioas_iova_ranges cmd = { .size = sizeof(cmd), .ioas_id = id, .num_iovas = room };
	uint64_t alignment;
	uint32_t num = 0;
	int error = model_ranges(&p->model, id, expected, &num, &alignment), result;

	p->mute = false;
	cmd.allowed_iovas = (uintptr_t)got;
	result = ioctl_at_end(p, p->iommufd, ABI_IOMMU_IOAS_IOVA_RANGES, &cmd, sizeof(cmd));
	if (error) {
		CHECK(result == error);
		return;
	}
	CHECK(result == (num > room ? -EMSGSIZE : 0));
	CHECK(cmd.num_iovas == num && cmd.out_iova_alignment == alignment);
	CHECK(memcmp(got, expected, (num < room ? num : room) * sizeof(got[0])) == 0);
}

static void ask_ranges(struct program *p)
{
	check_ranges(p, iommufd_id(&p->in), in_below(&p->in, 5));
}

/* Devices ------------------------------------------------------------------------------------------------- */

static void bind_device(struct program *p)
{
	unsigned int device = in_below(&p->in, RIG_DEVICES);
	struct abi_vfio_device_bind_iommufd cmd = { .argsz = sizeof(cmd), .iommufd = p->iommufd };

	p->mute = false;
	if (p->cdevs[device] >= 0)
		return;
	p->cdevs[device] = rig_cdev(&p->rig, device);
	CHECK(p->cdevs[device] >= 0);
	CHECK(ioctl_at_end(p, p->cdevs[device], ABI_VFIO_DEVICE_BIND_IOMMUFD, &cmd, sizeof(cmd)) == 0);
	rig_enable(&p->rig, p->cdevs[device]);
	model_bind(&p->model, device);
	CHECK(cmd.out_devid == p->model.devices[device].id);
}

static void close_device(struct program *p)
{
	unsigned int device = in_below(&p->in, RIG_DEVICES);

	if (p->cdevs[device] < 0)
		return;
	rig_fd_close(&p->rig, p->cdevs[device]);
	p->cdevs[device] = -1;
	model_close(&p->model, device);
}

static void attach(struct program *p)
{
	unsigned int device = in_below(&p->in, RIG_DEVICES);
	uint32_t pt_id = iommufd_id(&p->in);
	struct abi_vfio_device_attach_iommufd_pt cmd = { .argsz = sizeof(cmd), .pt_id = pt_id };
	struct verdict verdict;
	bool mute = p->mute;
	int result;

	if (p->cdevs[device] < 0)
		return;
	result = ioctl_at_end(p, p->cdevs[device], ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd, sizeof(cmd));
	verdict = model_attach(&p->model, device, &pt_id);
	if (mute && !verdict.num) {
		CHECK(result == -EFAULT);
		model_detach(&p->model, device);
		return;
	}
	compare(&verdict, result, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT);
	CHECK(cmd.pt_id == pt_id);
}

static void detach(struct program *p)
{
	unsigned int device = in_below(&p->in, RIG_DEVICES);
	struct abi_vfio_device_detach_iommufd_pt cmd = { .argsz = sizeof(cmd) };

	p->mute = false;
	if (p->cdevs[device] < 0)
		return;
	CHECK(ioctl_at_end(p, p->cdevs[device], ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd, sizeof(cmd)) == 0);
	model_detach(&p->model, device);
}

static void use_queue(struct program *p)
{
	p->mute = false;
	queues_step(&p->queues, &p->rig, p->iommufd, &p->model, &p->in);
}

/* Frames ---------------------------------------------------------------------------------------------- */

static void bad_frame(struct program *p)
{
	iommufd_bad_frame(&p->rig, p->iommufd, &p->in);
}

static void other_command(struct program *p)
{
	iommufd_other_command(&p->rig, p->iommufd, &p->in);
	p->mute = false;
}

/* ---- */

/* At the end, each area is there, for itself, and nothing else is. */
static void take_apart(struct program *p)
{
	for (uint32_t id = 1; id < MODEL_IDS; id++) {
		const struct model_object *ioas = &p->model.objects[id];
		struct abi_iommu_ioas_unmap cmd = { sizeof(cmd), id, 0, UINT64_MAX };

		if (ioas->kind != MODEL_IOAS)
			continue;
		check_ranges(p, id, 4);
		for (unsigned int i = 0; i < ioas->num_areas; i++) {
			uint64_t len = ioas->areas[i].last - ioas->areas[i].iova + 1;
			struct abi_iommu_ioas_unmap one = { sizeof(one), id, ioas->areas[i].iova, len };

			CHECK(ioctl_at_end(p, p->iommufd, ABI_IOMMU_IOAS_UNMAP, &one, sizeof(one)) == 0);
			CHECK(one.length == len);
		}
		CHECK(ioctl_at_end(p, p->iommufd, ABI_IOMMU_IOAS_UNMAP, &cmd, sizeof(cmd)) == 0);
		CHECK(cmd.length == 0);
	}
}

static void run(struct program *p)
{
	static void (*const steps[])(struct program *) = {
		ioas_alloc, destroy,    map,           map_file,    copy,         unmap,  allow,
		option,     hwpt_alloc, ask_ranges,    bind_device, close_device, attach, detach,
		probe,      bad_frame,  other_command, map,         attach,       probe,  use_queue
	};

	for (unsigned int i = 0; i < MOST_STEPS && !in_empty(&p->in) && !model_is_full(&p->model); i++) {
		uint8_t byte = in_u8(&p->in);

		/* A struct that cannot be written, now and then. */
		p->mute = byte >= 240;
		say("step %u%s", byte % 21, p->mute ? ", mute" : "");
		steps[byte % 21](p);
		p->mute = false;
		weir_sim_fail_call(p->rig.sim, 0, 0, false);
		probe_all(p);
	}
	take_apart(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_sim_slot slots[RIG_DEVICES] = { WEIR_OPTS(weir_sim_slot, .group = 1),
						    WEIR_OPTS(weir_sim_slot, .group = 2) };
	static struct program p;
	uint8_t ways;

	p = (struct program){ .in = { data, data + size }, .cdevs = { -1, -1 } };
	ways = in_u8(&p.in);
	p.model.address_bits = ways & 1 ? HIGH_BIT : HIGH_BIT - 9;
	p.model.one_group = ways & 2;
	if (p.model.one_group)
		slots[1].group = 1;
	rig_open(&p.rig, &WEIR_OPTS(weir_sim_opts, .address_bits = p.model.address_bits), slots, RIG_DEVICES);
	queues_init(&p.queues);
	p.iommufd = rig_node(&p.rig, "/dev/iommu");
	p.null = open("/dev/null", O_RDWR | O_CLOEXEC);
	CHECK(p.iommufd >= 0 && p.null >= 0);
	run(&p);
	for (unsigned int i = 0; i < RIG_DEVICES; i++)
		if (p.cdevs[i] >= 0)
			rig_fd_close(&p.rig, p.cdevs[i]);
	queues_close(&p.queues, &p.rig);
	rig_fd_close(&p.rig, p.iommufd);
	close(p.null);
	rig_close(&p.rig);
	return 0;
}
