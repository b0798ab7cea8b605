// SPDX-License-Identifier: MIT
/* Hand-over: how what somebody else has set up becomes this process's, and how it is let go of without a trace. */
#include "backend/follow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/iommufd.h"
#include "error.h"
#include "kernel/iommufd.h"
#include "kernel/type1.h"

/* ---- iommufd ---- */

/* All of the iommufd's address spaces at once; it is a mistake to ask while there is memory of a process in them. */
static int change_process(struct weir_kernel *kernel)
{
	int error = weir_iommufd_change_process(kernel->sys, kernel->fd);

	switch (error) {
	case 0:
		return 0;
	case -ENOTTY:
		return weir_fail(
			-EOPNOTSUPP,
			"this kernel cannot charge mappings to another process: IOMMU_IOAS_CHANGE_PROCESS "
			"came with Linux 6.13");
	case -ENOMEM:
		return weir_fail(
			error,
			"what devices have mapped is more than this process's RLIMIT_MEMLOCK: raise it or "
			"grant CAP_IPC_LOCK");
	default:
		return weir_fail(error, "IOMMU_IOAS_CHANGE_PROCESS: %s", strerror(-error));
	}
}

/* Its own mappings stay its own: that shows whether the call is there. Something that is no file is somebody else's to complain of. */
static int check_iommufd(struct weir_kernel *kernel)
{
	int error = change_process(kernel);

	return error == -EOPNOTSUPP ? error : 0;
}

static int adopt_bound(struct weir_space *space, struct weir_function *function, const struct weir_left *left)
{
	struct weir_hwpt *hwpt = space->hwpts;

	while (hwpt && hwpt->number != left->hwpt)
		hwpt = hwpt->next;
	if (!hwpt) {
		hwpt = calloc(1, sizeof(*hwpt));
		if (!hwpt)
			return weir_fail(-ENOMEM, "no memory for a page table");
		hwpt->object.id = left->hwpt_id;
		hwpt->tracks = left->tracks;
		hwpt->number = left->hwpt;
		hwpt->next = space->hwpts;
		space->hwpts = hwpt;
	}
	function->dev_id = left->dev_id;
	function->group->hwpt = hwpt;
	hwpt->num_functions++;
	return 0;
}

static void clear_ioas(struct weir_space *space)
{
	uint64_t len;

	weir_iommufd_ioas_unmap(space->kernel->sys, space->kernel->fd, space->ioas, 0, UINT64_MAX, &len);
}

const struct weir_follow_ops weir_iommufd_follow = {
	.check = check_iommufd,
	.take = change_process,
	.adopt = adopt_bound,
	.look = weir_iommufd_read_geometry,
	.clear = clear_ioas,
};

/* ---- The container ---- */

/* Asked of a container without groups, the kernel says no in any case; then what came with the same version is asked for. */
static int check_container(struct weir_kernel *kernel)
{
	const struct weir_sys *sys = kernel->sys;
	int answer = 1;

	if (kernel->fd >= 0)
		answer = weir_type1_check_extension(sys, kernel->fd, ABI_VFIO_UNMAP_ALL);
	for (const struct weir_group *group = kernel->groups; group && answer > 0; group = group->next)
		answer = weir_type1_check_extension(sys, group->space->container, ABI_VFIO_UPDATE_VADDR);
	if (answer > 0)
		return 0;
	return weir_fail(
		-EOPNOTSUPP,
		"this kernel cannot tell a container that memory is in another process: VFIO_UPDATE_VADDR "
		"came with Linux 5.12, and /dev/iommu's containers do not have it");
}

/* An address that nobody has given again since it was taken back is no reason to stop: that is what this mends. */
static int take_mapping(struct weir_space *space, const struct weir_backing *backing, uint64_t len,
			uint64_t iova)
{
	const struct weir_sys *sys = space->kernel->sys;
	int error = weir_type1_unmap_vaddr(sys, space->container, iova, len);

	if (!error || error == -EINVAL)
		error = weir_type1_map_vaddr(sys, space->container, backing->addr, len, iova);
	if (error == -ENOMEM)
		return weir_fail(
			error,
			"the mapping of %#" PRIx64 " bytes at IOVA %#" PRIx64
			" is more than this process's RLIMIT_MEMLOCK leaves: raise it or grant CAP_IPC_LOCK",
			len, iova);
	return error ? weir_fail(error, "VFIO_IOMMU_MAP_DMA of a new address for IOVA %#" PRIx64 ": %s", iova,
				 strerror(-error))
		     : 0;
}

static int adopt_opened(struct weir_space *space, struct weir_function *function,
			const struct weir_left *left)
{
	space->container = left->container;
	function->group->fd = left->group_fd;
	return 0;
}

static int look_at_container(struct weir_space *space)
{
	struct weir_type1_info info;
	int error = weir_type1_get_info(space->kernel->sys, space->container, &info);

	if (error)
		return weir_fail(error, "VFIO_IOMMU_GET_INFO: %s", strerror(-error));
	if (!info.ranges) {
		info.ranges = malloc(sizeof(*info.ranges));
		if (!info.ranges)
			return weir_fail(-ENOMEM, "no memory for the IOVA ranges");
		info.ranges[0] = (struct weir_iova_range){ 0, UINT64_MAX };
		info.num_ranges = 1;
	}
	weir_geometry_free(&space->geometry);
	space->geometry = (struct weir_geometry){
		.ranges = info.ranges,
		.num_ranges = info.num_ranges,
		.alignment = info.page_sizes ? info.page_sizes & -info.page_sizes : 4096,
		.max_mappings = info.mappings_left, /* the floor above adds what there is */
	};
	return 0;
}

static void leave_container(struct weir_space *space)
{
	(void)space; /* it goes with its descriptor */
}

const struct weir_follow_ops weir_container_follow = {
	.check = check_container,
	.take_map = take_mapping,
	.adopt = adopt_opened,
	.look = look_at_container,
	.clear = leave_container,
};

/* ---- Both ---- */

int weir_function_adopt(struct weir_kernel *kernel, struct weir_space *space, const struct weir_left *left,
			struct weir_function **ret_function)
{
	struct weir_function *function;
	int error;

	if (weir_function_find(kernel, left->address))
		return weir_fail(-EPROTO, "%s is described twice", left->address);
	function = calloc(1, sizeof(*function));
	if (!function)
		return weir_fail(-ENOMEM, "no memory for a device");
	function->kernel = kernel;
	function->fd = left->fd;
	function->number = left->number;
	memcpy(function->address, left->address, sizeof(function->address));
	memcpy(function->token, left->token, sizeof(function->token));
	function->group = weir_group_get(kernel, left->group);
	if (!function->group) {
		free(function);
		return weir_fail(-ENOMEM, "no memory for an IOMMU group");
	}
	if (!function->group->functions)
		function->group->space = space;
	function->next = function->group->functions;
	function->group->functions = function;
	if (function->group->space != space)
		error = weir_fail(-EPROTO, "IOMMU group %" PRIu32 " is described in two spaces", left->group);
	else
		error = kernel->ops->follow->adopt(space, function, left);
	if (error) {
		function->fd = -1; /* the caller's still */
		weir_function_let_go(function);
		return error;
	}
	space->num_functions++;
	space->live = true;
	*ret_function = function;
	return 0;
}

void weir_function_let_go(struct weir_function *function)
{
	struct weir_kernel *kernel = function->kernel;
	struct weir_group *group = function->group, **link = &kernel->groups;
	struct weir_function **of = &group->functions;

	weir_function_let_go_tables(function);
	while (*of != function)
		of = &(*of)->next;
	*of = function->next;
	if (function->fd >= 0)
		kernel->sys->close(kernel->sys->ctx, function->fd);
	free(function);
	if (group->functions)
		return;
	if (group->fd >= 0)
		kernel->sys->close(kernel->sys->ctx, group->fd);
	while (*link != group)
		link = &(*link)->next;
	*link = group->next;
	free(group);
}

void weir_space_let_go(struct weir_space *space)
{
	struct weir_kernel *kernel = space->kernel;

	if (space->ops->let_go) {
		space->ops->let_go(space);
		return;
	}
	weir_space_let_go_tables(space);
	while (space->hwpts) {
		struct weir_hwpt *hwpt = space->hwpts;

		space->hwpts = hwpt->next;
		free(hwpt);
	}
	while (space->undead) {
		struct weir_object *object = space->undead;

		space->undead = object->next;
		free(object);
	}
	if (kernel->ops->kind != WEIR_BACKEND_IOMMUFD && space->container >= 0)
		kernel->sys->close(kernel->sys->ctx, space->container);
}

void weir_kernel_let_go(struct weir_kernel *kernel)
{
	if (kernel->fd >= 0)
		kernel->sys->close(kernel->sys->ctx, kernel->fd);
	weir_nodes_finish(&kernel->nodes, true);
}

void weir_kernel_adopt(struct weir_kernel *kernel, enum weir_backend kind, const struct weir_sys *sys,
		       uint32_t iommu_type, int fd)
{
	*kernel = (struct weir_kernel){ .sys = sys, .fd = fd, .iommu_type = iommu_type };
	kernel->ops = kind == WEIR_BACKEND_IOMMUFD ? &weir_backend_iommufd : &weir_backend_type1;
	weir_nodes_init(&kernel->nodes, sys, NULL, 0); /* none are given: it cannot fail */
}
