// SPDX-License-Identifier: MIT
/* The container's ioctls answered by an IOAS (kernel-interface A.15). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/iommufd/ioas.h"
#include "sim/user.h"

static struct sim_ioas *compat_ioas(const struct sim_iommufd *iommufd)
{
	return sim_ioas_find(iommufd, iommufd->compat_ioas);
}

/* Which IOAS serves (0x88) ------------------------------------------------------------------------------- */

int sim_cmd_vfio_ioas(struct sim_call *call)
{
	struct abi_iommu_vfio_ioas *cmd = call->cmd;
	struct sim_iommufd *iommufd = call->iommufd;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	switch (cmd->op) {
	case ABI_IOMMU_VFIO_IOAS_GET:
		if (!iommufd->compat_ioas)
			return -ENODEV;
		cmd->ioas_id = iommufd->compat_ioas;
		return sim_respond(call);
	case ABI_IOMMU_VFIO_IOAS_SET:
		if (!sim_ioas_find(iommufd, cmd->ioas_id))
			return -ENOENT;
		iommufd->compat_ioas = cmd->ioas_id;
		return 0;
	case ABI_IOMMU_VFIO_IOAS_CLEAR:
		iommufd->compat_ioas = 0;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

/* Groups and their devices ------------------------------------------------------------------------------- */

/* The IOAS made here is like those that programs make: it can be destroyed, and outlives the group. */
int sim_compat_add_group(struct sim_iommufd *iommufd, struct sim_group *group)
{
	struct sim_ioas *ioas;
	int error = 0;

	if (!iommufd->compat_ioas) {
		error = sim_ioas_new(iommufd, &ioas);
		if (error)
			return error;
		iommufd->compat_ioas = ioas->object.id;
	}
	group->compat = iommufd;
	sim_file_hold(iommufd->file);
	return 0;
}

void sim_compat_remove_group(struct sim_iommufd *iommufd, struct sim_group *group)
{
	group->compat = NULL;
	sim_file_drop(iommufd->file);
}

int sim_compat_open_device(struct sim_iommufd *iommufd, struct weir_sim_device *device)
{
	uint32_t dev_id, pt_id;
	int error = sim_iommufd_bind(iommufd, device, &dev_id);

	if (error)
		return error;
	pt_id = iommufd->compat_ioas;
	error = pt_id ? sim_iommufd_attach(device, &pt_id) : -ENODEV;
	if (error)
		sim_iommufd_unbind(device);
	return error;
}

void sim_compat_close_device(struct sim_iommufd *iommufd, struct weir_sim_device *device)
{
	(void)iommufd;
	sim_iommufd_unbind(device);
}

/* CHECK_EXTENSION, SET_IOMMU ----------------------------------------------------------------------------- */

/* No page table of QEMU's VT-d makes devices snoop that would not; where there is none, none is in the way. */
static int is_coherent(const struct sim_ioas *ioas)
{
	return ioas ? !ioas->hwpts : -ENODEV;
}

static int check_extension(const struct sim_iommufd *iommufd, uintptr_t extension)
{
	switch (extension) {
	case ABI_VFIO_TYPE1_IOMMU:
	case ABI_VFIO_TYPE1v2_IOMMU:
	case ABI_VFIO_UNMAP_ALL:
		return 1;
	case ABI_VFIO_DMA_CC_IOMMU:
		return is_coherent(compat_ioas(iommufd));
	default:
		return 0;
	}
}

/* Version 1 can unmap parts of mappings: that takes an IOAS without large pages, which do not come apart. */
static int set_iommu(struct sim_iommufd *iommufd, uintptr_t type)
{
	struct sim_ioas *ioas = compat_ioas(iommufd);

	if (type != ABI_VFIO_TYPE1_IOMMU && type != ABI_VFIO_TYPE1v2_IOMMU)
		return -EINVAL;
	if (!ioas)
		return -ENODEV;
	return type == ABI_VFIO_TYPE1_IOMMU ? sim_ioas_set_large_pages(ioas, false) : 0;
}

/* GET_INFO ----------------------------------------------------------------------------------------------- */

enum {
	INFO_MIN = offsetof(struct abi_vfio_iommu_type1_info, cap_offset),
	AVAIL_AT = sizeof(struct abi_vfio_iommu_type1_info),
	AVAIL_SIZE = (sizeof(struct abi_vfio_iommu_type1_info_dma_avail) + 7) / 8 * 8,
	RANGES_AT = AVAIL_AT + AVAIL_SIZE,
};

/* Pages of 4 KiB, 2 MiB and 1 GiB; without a table, whatever there is from the smallest on. */
static uint64_t page_sizes(const struct sim_ioas *ioas)
{
	uint64_t smallest = sim_page_size(), sizes = ioas->hwpts ? 0x40201000 : UINT64_MAX;

	if (sizes & (smallest - 1))
		sizes |= smallest;
	return sizes & ~(smallest - 1);
}

/* The whole answer, malloc'ed: what is copied out of it depends on the room. */
static unsigned char *make_info(const struct sim_ioas *ioas, size_t *ret_size)
{
	uint32_t num = sim_ioas_ranges(ioas, NULL, 0);
	size_t ranges_size = sizeof(struct abi_vfio_iommu_type1_info_cap_iova_range) +
			     num * sizeof(struct abi_vfio_iova_range);
	unsigned char *answer = calloc(1, RANGES_AT + ranges_size);
	struct abi_vfio_iommu_type1_info_dma_avail *avail;
	struct abi_vfio_iommu_type1_info_cap_iova_range *ranges;

	if (!answer)
		return NULL;
	avail = (void *)(answer + AVAIL_AT);
	avail->header =
		(struct abi_vfio_info_cap_header){ ABI_VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 1, RANGES_AT };
	avail->avail = UINT32_MAX; /* there is no limit */
	ranges = (void *)(answer + RANGES_AT);
	ranges->header = (struct abi_vfio_info_cap_header){ ABI_VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1, 0 };
	ranges->nr_iovas = num;
	_Static_assert(sizeof(struct abi_vfio_iova_range) == sizeof(struct abi_iommu_iova_range),
		       "same layout");
	sim_ioas_ranges(ioas, (void *)ranges->iova_ranges, num);
	*ret_size = RANGES_AT + ranges_size;
	return answer;
}

/* Each capability goes out if it fits as a whole, even where the next one does not. */
static int copy_out_info(struct weir_sim *sim, uint64_t arg, const struct abi_vfio_iommu_type1_info *info,
			 uint32_t room, const unsigned char *answer, size_t size)
{
	size_t min = room < sizeof(*info) ? room : sizeof(*info);

	if (room >= RANGES_AT && sim_copy_out(sim, arg + AVAIL_AT, answer + AVAIL_AT, AVAIL_SIZE))
		return -EFAULT;
	if (room >= size && sim_copy_out(sim, arg + RANGES_AT, answer + RANGES_AT, size - RANGES_AT))
		return -EFAULT;
	return sim_copy_out(sim, arg, info, min);
}

static int get_info(struct sim_iommufd *iommufd, uint64_t arg)
{
	struct abi_vfio_iommu_type1_info info;
	const struct sim_ioas *ioas;
	unsigned char *answer;
	uint32_t room;
	size_t size;
	int error;

	memset(&info, 0, sizeof(info));
	if (sim_copy_in(&info, arg, INFO_MIN))
		return -EFAULT;
	room = info.argsz;
	if (room < INFO_MIN)
		return -EINVAL;
	ioas = compat_ioas(iommufd);
	if (!ioas)
		return -ENODEV;
	answer = make_info(ioas, &size);
	if (!answer)
		return -ENOMEM;
	info.flags = ABI_VFIO_IOMMU_INFO_PGSIZES | ABI_VFIO_IOMMU_INFO_CAPS;
	info.iova_pgsizes = page_sizes(ioas);
	info.cap_offset = room >= size ? AVAIL_AT : 0;
	info.argsz = (uint32_t)size;
	error = copy_out_info(iommufd->sim, arg, &info, room, answer, size);
	free(answer);
	return error;
}

/* MAP_DMA, UNMAP_DMA ------------------------------------------------------------------------------------- */

static int map_dma(struct sim_iommufd *iommufd, void *arg)
{
	struct abi_vfio_iommu_type1_dma_map map;
	struct sim_ioas *ioas;
	uint32_t prot = 0;
	int error = sim_argsz_in(arg, &map, sizeof(map), sizeof(map));

	if (error)
		return error;
	if (map.flags & ~(ABI_VFIO_DMA_MAP_FLAG_READ | ABI_VFIO_DMA_MAP_FLAG_WRITE))
		return -EINVAL;
	if (map.flags & ABI_VFIO_DMA_MAP_FLAG_READ)
		prot |= SIM_READ;
	if (map.flags & ABI_VFIO_DMA_MAP_FLAG_WRITE)
		prot |= SIM_WRITE;
	ioas = compat_ioas(iommufd);
	if (!ioas)
		return -ENODEV;
	return sim_ioas_map_memory(ioas, map.vaddr, map.size, true, prot, &map.iova);
}

/* Version 1: what sticks out of the range is cut off first. */
static int cut(struct sim_ioas *ioas, const struct abi_vfio_iommu_type1_dma_unmap *cmd)
{
	int error = 0;

	if (cmd->flags & ABI_VFIO_DMA_UNMAP_FLAG_ALL)
		return cmd->iova || cmd->size ? -EINVAL : 0;
	if (ioas->no_large_pages)
		error = sim_ioas_split(ioas, cmd->iova + cmd->size);
	if (!error && ioas->no_large_pages)
		error = sim_ioas_split(ioas, cmd->iova);
	return error;
}

static int unmap(struct sim_ioas *ioas, const struct abi_vfio_iommu_type1_dma_unmap *cmd, uint64_t *ret_len)
{
	uint64_t last;

	if (cmd->flags & ABI_VFIO_DMA_UNMAP_FLAG_ALL)
		return sim_ioas_unmap(ioas, 0, UINT64_MAX, ret_len);
	if (!cmd->size)
		return -EINVAL;
	if (__builtin_add_overflow(cmd->iova, cmd->size - 1, &last))
		return -EOVERFLOW;
	return sim_ioas_unmap(ioas, cmd->iova, last, ret_len);
}

/* How much is gone is said on failure, too. */
static int unmap_dma(struct sim_iommufd *iommufd, void *arg)
{
	struct abi_vfio_iommu_type1_dma_unmap cmd;
	struct sim_ioas *ioas;
	uint64_t len = 0;
	int error = sim_argsz_in(arg, &cmd, sizeof(cmd), sizeof(cmd));

	if (error)
		return error;
	if (cmd.flags & ~ABI_VFIO_DMA_UNMAP_FLAG_ALL)
		return -EINVAL;
	ioas = compat_ioas(iommufd);
	if (!ioas)
		return -ENODEV;
	error = cut(ioas, &cmd);
	if (error)
		return error;
	error = unmap(ioas, &cmd, &len);
	cmd.size = len;
	if (sim_copy_out(iommufd->sim, (uintptr_t)arg, &cmd, sizeof(cmd)))
		return -EFAULT;
	return error;
}

int sim_compat_ioctl(struct sim_iommufd *iommufd, unsigned long request, void *arg)
{
	switch (request) {
	case ABI_VFIO_GET_API_VERSION:
		return ABI_VFIO_API_VERSION;
	case ABI_VFIO_CHECK_EXTENSION:
		return check_extension(iommufd, (uintptr_t)arg);
	case ABI_VFIO_SET_IOMMU:
		return set_iommu(iommufd, (uintptr_t)arg);
	case ABI_VFIO_IOMMU_GET_INFO:
		return get_info(iommufd, (uintptr_t)arg);
	case ABI_VFIO_IOMMU_MAP_DMA:
		return map_dma(iommufd, arg);
	case ABI_VFIO_IOMMU_UNMAP_DMA:
		return unmap_dma(iommufd, arg);
	default: /* among them DIRTY_PAGES */
		return -ENOTTY;
	}
}
