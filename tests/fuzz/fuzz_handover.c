// SPDX-License-Identifier: MIT
/*
 * A successor that is sent a description which is not what it should be. It begins as a true one, of a host with an edu and an NVMe controller whose work is in
 * flight; the input changes it, and says which descriptors come with it. (So seeds are changes, and stay seeds when the layout changes.) What is
 * received goes through the library's own reader, and if that takes it, through the drivers'.
 *
 * Whatever comes, it is refused with a text, or makes a host that can be looked at and let go of; no descriptor is left; and a sum that is not
 * that of the description is refused before anything is done. The giver can take back what was charged.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuzz/input.h"
#include "handover/handover.h"
#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"
#include "support/handover_rig.h"

enum { MOST_CHANGES = 100, REGIONS = WEIR_JOURNAL_TABLES + 2 };

static struct bench {
	struct handover_rig rig;
	struct rig_description description;
	struct weir_sys successors;
	bool is_open;
	bool spoilt; /* the kernel was told something that the giver does not know of */
} benches[2];

static struct bench *now;
static int without_benches; /* the lowest descriptor before any was opened */
static const struct weir_sys *below;

/* The machine ------------------------------------------------------------------------------------------------ */

static bool changes(unsigned long request, const void *arg)
{
	switch (request) {
	case ABI_IOMMU_DESTROY:
	case ABI_IOMMU_HWPT_ALLOC:
	case ABI_IOMMU_IOAS_UNMAP:
	case ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT:
	case ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT:
	case ABI_VFIO_DEVICE_SET_IRQS:
		return true;
	case ABI_VFIO_IOMMU_UNMAP_DMA:
		return !(((const struct abi_vfio_iommu_type1_dma_unmap *)arg)->flags &
			 ABI_VFIO_DMA_UNMAP_FLAG_VADDR);
	default:
		return false;
	}
}

static int watched_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	int result = below->ioctl(ctx, fd, request, arg);

	/* An unmap that fails may have unmapped something before. */
	now->spoilt |= (result >= 0 || request == ABI_IOMMU_IOAS_UNMAP) && changes(request, arg);
	return result;
}

static void must(const char *why)
{
	if (why)
		fail("%s", why);
}

static int lowest_fd(void)
{
	int fd = dup(0);

	CHECK(fd >= 0);
	close(fd);
	return fd;
}

static void open_bench(enum weir_backend backend)
{
	if (!benches[0].is_open && !benches[1].is_open)
		without_benches = lowest_fd();
	must(rig_machine(&now->rig));
	must(rig_begin(&now->rig, backend, NULL));
	must(rig_busy(&now->rig));
	must(rig_pause(&now->rig));
	must(rig_describe(&now->rig, &now->description));
	below = weir_sim_sys_of(now->rig.sim, 1);
	now->successors = *below;
	now->successors.ioctl = watched_ioctl;
	now->rig.successors = &now->successors;
	now->is_open = true;
	now->spoilt = false;
}

/*
 * Of what was spoilt, not all can be closed in order: it is let go of, and its devices do no more, for their DMA may go where a successor's memory
 * was. The other one goes, too: a fuzzer opens descriptors of its own between inputs, and none of them is to be where one of the other's was.
 */
static void close_benches(void)
{
	for (int i = 0; i < 2; i++) {
		now = &benches[i];
		if (!now->is_open)
			continue;
		weir_handover_let_go(now->rig.host);
		rig_forget_drivers(&now->rig);
		rig_drop(&now->description);
		rig_end_machine(&now->rig);
		now->is_open = false;
	}
	CHECK(lowest_fd() == without_benches);
}

/* What is changed --------------------------------------------------------------------------------------------- */

/* Where a part of the description lies in its bytes: the header, the slots of a table, the blocks. */
static void find_region(unsigned int region, size_t *ret_from, size_t *ret_len, size_t *ret_slot)
{
	const struct weir_journal_header *header = &now->description.header;

	*ret_slot = sizeof(uint64_t);
	*ret_from = 0;
	*ret_len = sizeof(*header);
	for (unsigned int table = 0; table < region && table < WEIR_JOURNAL_TABLES; table++) {
		*ret_from += *ret_len;
		*ret_slot = header->tables[table].size;
		*ret_len = header->used[table] * *ret_slot;
	}
	if (region <= WEIR_JOURNAL_TABLES)
		return;
	*ret_from = now->description.blocks;
	*ret_len = now->description.len - now->description.blocks;
}

static void change_value(struct input *in, unsigned char *at, size_t room)
{
	static const uint64_t odd[] = { 0,         1,          2,          3,          4,
					0xfff,     0x1000,     0x7fffffff, UINT32_MAX, 1ull << 32,
					INT64_MAX, UINT64_MAX, ~0xfffull };
	static const size_t widths[] = { 1, 2, 4, 8 };
	uint8_t how = in_u8(in);
	size_t len = widths[how & 3] < room ? widths[how & 3] : room;
	uint64_t value = 0;

	memcpy(&value, at, len);
	switch (how >> 2 & 3) {
	case 0:
		value ^= in_u64(in);
		break;
	case 1:
		value = in_pick(in, odd);
		break;
	case 2:
		value += (uint64_t)(int64_t)(int8_t)in_u8(in) << (how >> 4);
		break;
	case 3:
		value ^= 1ull << (in_u8(in) & 63);
		break;
	}
	memcpy(at, &value, len);
}

static void change(struct input *in, unsigned char *bytes)
{
	unsigned int what = in_u8(in), region = what % REGIONS;
	size_t from, len, slot, at, other;

	find_region(region, &from, &len, &slot);
	if (!len)
		return;
	at = in_u16(in) % len;
	say("part %u, byte %zu", region, at);
	if (what < 8 * REGIONS) {
		change_value(in, bytes + from + at, len - at);
		return;
	}
	/* One slot as another. */
	other = in_u8(in) % (len / slot + (len < slot)) * slot;
	at -= at % slot;
	if (at + slot <= len && other + slot <= len)
		memmove(bytes + from + at, bytes + from + other, slot);
}

/* Which descriptors come, under which numbers. */
struct descriptors {
	int fds[RIG_MOST_FDS];
	uint32_t numbers[RIG_MOST_FDS];
};

static void change_fds(struct input *in, struct descriptors *descriptors, struct rig_sending *sending)
{
	unsigned int first = in_u8(in) % sending->num, second = in_u8(in) % sending->num;
	int fd = descriptors->fds[first];

	switch (in_u8(in) % 6) {
	case 0:
		sending->num--;
		break;
	case 1:
		descriptors->fds[first] = descriptors->fds[second];
		descriptors->fds[second] = fd;
		break;
	case 2:
		descriptors->fds[first] = descriptors->fds[second];
		break;
	case 3:
		descriptors->numbers[first] = in_u32(in);
		break;
	case 4:
		descriptors->fds[first] = now->description.sent;
		break;
	case 5:
		sending->announced += in_u8(in);
		break;
	}
}

/* What comes of it --------------------------------------------------------------------------------------------- */

static void look_at_edu(struct weir_host *host)
{
	struct edu_transfer transfer;
	struct weir_device *device;
	struct edu *edu;

	if (weir_handover_device(host, RIG_EDU, &device))
		return;
	if (edu_restore(device, &edu)) {
		CHECK(edu_error()[0]);
		return;
	}
	edu_dma_pending(edu, &transfer);
	edu_forget(edu);
}

static void look_at_nvme(struct weir_host *host, bool reap)
{
	struct nvme_controller *controller;
	struct nvme_completion done[16];
	struct weir_device *device;
	struct nvme_queue *queue;
	uint64_t tags[16];

	if (weir_handover_device(host, RIG_NVME, &device))
		return;
	if (nvme_controller_restore(device, NULL, &controller)) {
		CHECK(nvme_error()[0]);
		return;
	}
	if (nvme_controller_queue(controller, 1, &queue) == 0) {
		nvme_queue_pending(queue, tags, 16);
		/* This rings doorbells. */
		if (reap) {
			now->spoilt = true;
			nvme_queue_reap(queue, done, 16);
		}
	}
	nvme_controller_forget(controller);
}

static void look_at(struct weir_host *host, bool reap)
{
	struct weir_memory *memory;
	struct weir_ioas *ioas;
	struct weir_buffer buffer;
	struct weir_map *map;

	if (!weir_handover_ioas(host, 0, &ioas))
		weir_handover_map(ioas, now->rig.map_iova, &map);
	if (!weir_handover_memory(host, 0, &memory))
		weir_memory_claim(memory, now->rig.buffer.chunk, now->rig.buffer.offset, now->rig.buffer.len,
				  &buffer);
	look_at_edu(host);
	look_at_nvme(host, reap);
	weir_handover_refuse(host, "it is another");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	struct descriptors descriptors;
	struct rig_sending sending;
	struct weir_host *host;
	unsigned char *bytes;
	uint8_t how = in_u8(&in);
	uint64_t sum;
	int error, fd;

	now = &benches[how & 1];
	if (!now->is_open)
		open_bench(how & 1 ? WEIR_BACKEND_TYPE1 : WEIR_BACKEND_IOMMUFD);
	below = weir_sim_sys_of(now->rig.sim, 1);
	fd = lowest_fd();
	bytes = malloc(now->description.len);
	CHECK(bytes);
	memcpy(bytes, now->description.bytes, now->description.len);
	memcpy(descriptors.fds, now->description.fds, sizeof(descriptors.fds));
	memcpy(descriptors.numbers, now->description.numbers, sizeof(descriptors.numbers));
	sending = rig_as_it_is(&now->description);
	sending.fds = descriptors.fds;
	sending.numbers = descriptors.numbers;
	sending.bytes = bytes;
	sum = sending.sum;
	if (how & 2)
		change_fds(&in, &descriptors, &sending);
	for (int i = 0; i < MOST_CHANGES && !in_empty(&in); i++)
		change(&in, bytes);
	/* Mostly its sender knows what it says. */
	if ((how >> 2 & 7) != 7)
		rig_announce(&now->description, &sending);
	error = rig_receive(&now->rig, &now->description, &sending, &host);
	say("%d, %s", error, error ? weir_error() : "taken");
	CHECK(!error || weir_error()[0]);
	if (sending.sum == sum && memcmp(bytes, now->description.bytes, now->description.blocks) != 0)
		CHECK(error && !now->spoilt);
	if (!error)
		look_at(host, how >> 5 == 7);
	/* As the giver does who finds that nobody follows. */
	CHECK(now->spoilt || weir_handover_take(now->rig.host) == 0);
	free(bytes);
	/* A kernel that was told to unmap closes files of its own. */
	CHECK(now->spoilt || lowest_fd() == fd);
	if (now->spoilt)
		close_benches();
	return 0;
}
