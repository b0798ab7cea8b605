// SPDX-License-Identifier: MIT
/*
 * The VFIO container: groups put into containers, a container being one address space.
 *
 * A container takes no mapping before it has a group, and drops all with its last. So a space has a
 * container only while it is live. /dev/iommu answers the same ioctls (compat); there the page table only
 * comes with the first device descriptor, which is why a function is opened completely before anything is
 * installed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/follow.h"
#include "backend/type1_dirty.h"
#include "error.h"
#include "journal/journal.h"
#include "kernel/type1.h"
#include "kernel/vfio_device.h"
#include "kernel/vfio_group.h"

static const char *container_path(const struct weir_kernel *kernel)
{
	return kernel->ops->kind == WEIR_BACKEND_COMPAT ? "/dev/iommu" : "/dev/vfio/vfio";
}

static int check_container(struct weir_kernel *kernel, int container)
{
	const struct weir_sys *sys = kernel->sys;
	int version = weir_type1_api_version(sys, container), v2;

	if (version != ABI_VFIO_API_VERSION)
		return weir_fail(-EOPNOTSUPP, "%s speaks VFIO API %d, not %d", container_path(kernel),
				 version, ABI_VFIO_API_VERSION);
	v2 = weir_type1_check_extension(sys, container, ABI_VFIO_TYPE1v2_IOMMU);
	/* Not to be taken for a kernel that has the first version only. */
	if (v2 < 0)
		return weir_fail(-EOPNOTSUPP, "VFIO_CHECK_EXTENSION of %s: %s", container_path(kernel),
				 strerror(-v2));
	if (v2)
		kernel->iommu_type = ABI_VFIO_TYPE1v2_IOMMU;
	else if (weir_type1_check_extension(sys, container, ABI_VFIO_TYPE1_IOMMU) > 0)
		kernel->iommu_type = ABI_VFIO_TYPE1_IOMMU;
	else
		return weir_fail(-EOPNOTSUPP, "%s has no type1 IOMMU: load the vfio_iommu_type1 module",
				 container_path(kernel));
	return 0;
}

static int container_open(struct weir_kernel *kernel)
{
	int container = weir_node_open(&kernel->nodes, container_path(kernel));
	int error;

	if (container < 0)
		return container;
	error = check_container(kernel, container);
	if (error) {
		/* One that was handed over stays the caller's. */
		if (!kernel->nodes.given)
			kernel->sys->close(kernel->sys->ctx, container);
		return error;
	}
	kernel->fd = container;
	return 0;
}

static void container_close(struct weir_kernel *kernel)
{
	if (kernel->fd >= 0)
		kernel->sys->close(kernel->sys->ctx, kernel->fd);
}

static int container_space_open(struct weir_space *space)
{
	space->container = -1;
	return 0;
}

static int container_space_close(struct weir_space *space)
{
	(void)space;
	return 0;
}

static int read_status(struct weir_function *function, const char *path)
{
	const struct weir_sys *sys = function->kernel->sys;
	uint32_t flags;
	int error = weir_vfio_group_status(sys, function->group->fd, &flags);

	if (error)
		return weir_fail(error, "VFIO_GROUP_GET_STATUS of %s: %s", path, strerror(-error));
	if (!(flags & ABI_VFIO_GROUP_FLAGS_VIABLE))
		return weir_explain_busy(sys, function->group->number, function->address, -EPERM);
	return 0;
}

static int container_function_open(struct weir_function *function)
{
	struct weir_kernel *kernel = function->kernel;
	struct weir_group *group = function->group;
	char path[32];
	int error;

	if (group->fd >= 0)
		return 0;
	snprintf(path, sizeof(path), "/dev/vfio/%" PRIu32, group->number);
	group->fd = weir_node_open(&kernel->nodes, path);
	if (group->fd == -ENOENT)
		return kernel->nodes.given ? group->fd : weir_explain_unbound(kernel->sys, function->address);
	if (group->fd == -EBUSY)
		return weir_explain_busy(kernel->sys, group->number, function->address, -EBUSY);
	if (group->fd < 0)
		return group->fd;
	error = weir_function_note_fd(function, group->fd, WEIR_FD_GROUP);
	if (!error)
		error = read_status(function, path);
	if (error) {
		weir_function_drop_fds(function, WEIR_FD_GROUP);
		kernel->sys->close(kernel->sys->ctx, group->fd);
		group->fd = -1;
	}
	return error;
}

static void container_function_close(struct weir_function *function)
{
	const struct weir_sys *sys = function->kernel->sys;

	if (function->fd >= 0) {
		weir_function_drop_fds(function, WEIR_FD_DEVICE);
		sys->close(sys->ctx, function->fd);
	}
	if (!function->group->functions) {
		weir_function_drop_fds(function, WEIR_FD_GROUP);
		sys->close(sys->ctx, function->group->fd);
	}
}

static int read_geometry(struct weir_space *space)
{
	struct weir_type1_info info;
	int error = weir_type1_get_info(space->kernel->sys, space->container, &info);

	if (error)
		return weir_fail(error, "VFIO_IOMMU_GET_INFO: %s", strerror(-error));
	if (!info.ranges) { /* before Linux 5.4 the kernel does not say */
		info.ranges = malloc(sizeof(*info.ranges));
		if (!info.ranges)
			return weir_fail(-ENOMEM, "no memory for the IOVA ranges");
		info.ranges[0] = (struct weir_iova_range){ 0, UINT64_MAX };
		info.num_ranges = 1;
	}
	/*
	 * What is left now is the limit as long as nothing is installed; later answers say what is left of that.
	 */
	if (!space->num_functions)
		space->geometry.max_mappings = info.mappings_left;
	free(space->geometry.ranges);
	space->geometry.ranges = info.ranges;
	space->geometry.num_ranges = info.num_ranges;
	space->geometry.alignment = info.page_sizes ? info.page_sizes & -info.page_sizes : 4096;
	return 0;
}

static int explain_join(struct weir_space *space, struct weir_function *function, int error)
{
	const char *module = space->kernel->ops->kind == WEIR_BACKEND_COMPAT ? "iommufd" : "vfio_iommu_type1";

	switch (error) {
	case -EPERM:
		return weir_fail(error,
				 "%s: this platform does not isolate interrupts, so any device could raise "
				 "any; load %s with allow_unsafe_interrupts=1 (kernel command line: "
				 "%s.allow_unsafe_interrupts=1) to accept that",
				 function->address, module, module);
	case -EBUSY:
		return weir_explain_busy(space->kernel->sys, function->group->number, function->address,
					 error);
	case -EINVAL:
	case -EADDRINUSE:
		if (space->num_functions)
			return weir_fail(-EADDRINUSE, "a mapping lies where %s has a reserved window",
					 function->address);
		break;
	default:
		break;
	}
	return weir_fail(error, "putting IOMMU group %" PRIu32 " (%s) into a container: %s",
			 function->group->number, function->address, strerror(-error));
}

static int set_container(const struct weir_function *function, int container, bool tracking)
{
	const struct weir_kernel *kernel = function->kernel;
	int error = weir_vfio_group_set_container(kernel->sys, function->group->fd, container);

	if (error)
		return error;
	error = weir_type1_set_iommu(kernel->sys, container, kernel->iommu_type);
	if (!error && tracking)
		error = weir_type1_track(kernel->sys, container, true);
	if (error)
		weir_vfio_group_unset_container(kernel->sys, function->group->fd);
	return error;
}

static void drop_container(struct weir_space *space)
{
	if (space->kernel->journal)
		weir_journal_drop_fds(space->kernel->journal, WEIR_FD_CONTAINER, space->number);
}

/* Give the space a container with the function's group in it. */
static int wake_container(struct weir_space *space, struct weir_function *function)
{
	struct weir_kernel *kernel = space->kernel;
	const struct weir_sys *sys = kernel->sys;
	int container = kernel->fd, error;

	if (container < 0)
		container = weir_node_open(&kernel->nodes, container_path(kernel));
	if (container < 0)
		return container;
	error = kernel->journal
			? weir_journal_add_fd(kernel->journal, container, WEIR_FD_CONTAINER, space->number, 0)
			: 0;
	if (!error) {
		error = set_container(function, container, space->tracking);
		if (error)
			error = explain_join(space, function, error);
	}
	if (error) {
		drop_container(space);
		if (container != kernel->fd)
			sys->close(sys->ctx, container);
		return error;
	}
	kernel->fd = -1;
	space->container = container;
	space->live = true;
	return 0;
}

/*
 * The last group has gone, and with it the container's mappings. If it went in good order, the container is as good as new
 * and kept for the next space that needs one: handed-over ones do not grow back. /dev/iommu would keep the mappings.
 */
static void sleep_container(struct weir_space *space, bool in_order)
{
	struct weir_kernel *kernel = space->kernel;

	drop_container(space);
	if (in_order && kernel->fd < 0 && kernel->ops->kind == WEIR_BACKEND_TYPE1)
		kernel->fd = space->container;
	else
		kernel->sys->close(kernel->sys->ctx, space->container);
	space->container = -1;
	space->live = false;
	weir_geometry_free(&space->geometry);
}

static int join(struct weir_space *space, struct weir_function *function)
{
	int error;

	if (!space->live)
		return wake_container(space, function);
	error = weir_vfio_group_set_container(space->kernel->sys, function->group->fd, space->container);
	return error ? explain_join(space, function, error) : 0;
}

static int unjoin(struct weir_space *space, struct weir_function *function)
{
	int error = weir_vfio_group_unset_container(space->kernel->sys, function->group->fd);

	/* It is in none: the kernel wanted the device back, and took the group out when it was closed. */
	if (error == -EINVAL)
		error = 0;
	if (error)
		weir_error_set("VFIO_GROUP_UNSET_CONTAINER of IOMMU group %" PRIu32 ": %s",
			       function->group->number, strerror(-error));
	if (!space->num_functions)
		sleep_container(space, !error);
	return error;
}

static int open_device(struct weir_space *space, struct weir_function *function)
{
	char name[80];
	int fd;

	if (*function->token)
		snprintf(name, sizeof(name), "%s vf_token=%s", function->address, function->token);
	else
		snprintf(name, sizeof(name), "%s", function->address);
	fd = weir_vfio_group_device(space->kernel->sys, function->group->fd, name);
	if (fd == -ENODEV)
		return weir_explain_unbound(space->kernel->sys, function->address);
	if (fd == -EACCES)
		return weir_fail(fd, "%s asks for the VF token of its physical function (vf_token)",
				 function->address);
	if (fd < 0)
		return explain_join(space, function, fd);
	function->fd = fd;
	return weir_function_note_fd(function, fd, WEIR_FD_DEVICE);
}

static int container_enter(struct weir_space *space, struct weir_function *function)
{
	bool joins = !function->group->space;
	struct weir_first first = { 0 };
	int error = joins ? join(space, function) : 0;

	if (error)
		return error;
	error = open_device(space, function);
	if (!error && joins)
		error = read_geometry(space);
	if (!error)
		return 0;
	weir_first_note(&first, error);
	if (function->fd >= 0) {
		weir_function_drop_fds(function, WEIR_FD_DEVICE);
		space->kernel->sys->close(space->kernel->sys->ctx, function->fd);
		function->fd = -1;
	}
	if (joins)
		unjoin(space, function);
	return weir_first_error(&first);
}

static int container_commit(struct weir_space *space, struct weir_function *function)
{
	function->group->space = space;
	space->num_functions++;
	weir_function_note_place(function, space->number);
	return 0;
}

/* The function's descriptor goes, and its group leaves the container if it was the group's last. */
static int drop_function(struct weir_space *space, struct weir_function *function)
{
	struct weir_group *group = function->group;
	struct weir_first first = { 0 };
	int error;

	weir_function_drop_fds(function, WEIR_FD_DEVICE);
	error = space->kernel->sys->close(space->kernel->sys->ctx, function->fd);
	if (error)
		weir_error_set("closing %s: %s", function->address, strerror(-error));
	weir_first_note(&first, error);
	function->fd = -1;
	if (group->functions == function && !function->next) {
		group->space = NULL;
		weir_first_note(&first, unjoin(space, function));
	}
	return weir_first_error(&first);
}

static void container_abandon(struct weir_space *space, struct weir_function *function)
{
	struct weir_first reason = { 0 };

	/* There is a text already, of why this has to be. */
	weir_first_note(&reason, -ECANCELED);
	drop_function(space, function);
	weir_first_error(&reason);
}

static int container_leave(struct weir_space *space, struct weir_function *function)
{
	struct weir_first first = { 0 };

	space->num_functions--;
	weir_first_note(&first, drop_function(space, function));
	space->dirt_lost = space->dirt_lost || !space->live;
	if (space->live)
		weir_first_note(&first, read_geometry(space));
	return weir_first_error(&first);
}

__attribute__((hot)) static int container_install(struct weir_space *space,
						  const struct weir_backing *backing, uint64_t len,
						  uint64_t iova, uint32_t prot)
{
	uint32_t flags = 0;

	if (prot & WEIR_MAP_READ)
		flags |= ABI_VFIO_DMA_MAP_FLAG_READ;
	if (prot & WEIR_MAP_WRITE)
		flags |= ABI_VFIO_DMA_MAP_FLAG_WRITE;
	return weir_type1_map_dma(space->kernel->sys, space->container, flags, backing->addr, len, iova);
}

__attribute__((hot)) static int container_remove(struct weir_space *space, uint64_t iova, uint64_t len)
{
	uint64_t unmapped = 0;
	int error = weir_type1_unmap_dma(space->kernel->sys, space->container, iova, len, &unmapped);

	/* Where iommufd says -ENOENT, the container says that it unmapped nothing. */
	return error || unmapped ? error : -ENOENT;
}

static int container_can(struct weir_function *function, enum weir_cap cap)
{
	struct weir_kernel *kernel = function->kernel;

	switch (cap) {
	case WEIR_CAP_MOVE:
		return weir_fail(-EOPNOTSUPP,
				 "on the VFIO container a group cannot leave while its devices are open");
	case WEIR_CAP_MANY_MAPS:
		if (function->group->space->geometry.max_mappings == UINT64_MAX)
			return 0;
		return weir_fail(-EOPNOTSUPP,
				 "the VFIO container takes %" PRIu64
				 " mappings (vfio_iommu_type1.dma_entry_limit)",
				 function->group->space->geometry.max_mappings);
	case WEIR_CAP_EXACT_UNMAP:
		if (kernel->iommu_type == ABI_VFIO_TYPE1v2_IOMMU)
			return 0;
		return weir_fail(
			-EOPNOTSUPP,
			"this kernel has type1 v1 only, which unmaps more or less than it was asked to");
	case WEIR_CAP_DEVICE_MEMORY:
		return kernel->ops->device_memory ? 0 : weir_fail_device_memory();
	case WEIR_CAP_PEER:
		if (kernel->ops->device_memory)
			return 0;
		return weir_fail(
			-EOPNOTSUPP,
			"the container's ioctls on /dev/iommu do not map devices' memory: iommufd's own do");
	default:
		return -ENOTTY;
	}
}

static void container_hot_reset_target(struct weir_function *function,
				       const struct abi_vfio_pci_dependent_device *device,
				       struct weir_hot_reset_target *target)
{
	target->iommu_group = device->group_id;
	target->ours = weir_group_find(function->kernel, device->group_id) != NULL;
}

/*
 * The kernel wants the descriptors of all groups in reach as proof that nobody else uses them; more do no harm.
 */
static int container_hot_reset(struct weir_function *function)
{
	struct weir_kernel *kernel = function->kernel;
	struct weir_hot_reset_target targets[64];
	size_t num = 64;
	int groups[64];
	uint32_t num_groups = 0;
	int error = weir_hot_reset_targets(function, targets, &num);

	if (error)
		return error;
	for (size_t i = 0; i < num; i++) {
		const struct weir_group *group = weir_group_find(kernel, targets[i].iommu_group);
		bool listed = !group;

		for (uint32_t j = 0; j < num_groups && !listed; j++)
			listed = groups[j] == group->fd;
		if (!listed)
			groups[num_groups++] = group->fd;
	}
	return weir_vfio_device_hot_reset(kernel->sys, function->fd, groups, num_groups);
}

static const struct weir_space_ops container_spaces = {
	.open = container_space_open,
	.close = container_space_close,
	.enter = container_enter,
	.commit = container_commit,
	.abandon = container_abandon,
	.leave = container_leave,
	.install = container_install,
	.remove = container_remove,
	.tracks = WEIR_DIRTY_PINNED,
	.can_track = weir_container_can_track,
	.track = weir_container_track,
	.dirty = weir_container_dirty,
};

#define CONTAINER_OPS                                                                                        \
	.open = container_open, .close = container_close, .space = &container_spaces,                        \
	.function_open = container_function_open, .function_close = container_function_close,                \
	.can = container_can, .hot_reset_target = container_hot_reset_target,                                \
	.hot_reset = container_hot_reset

const struct weir_backend_ops weir_backend_type1 = {
	.kind = WEIR_BACKEND_TYPE1, .device_memory = true, .follow = &weir_container_follow, CONTAINER_OPS
};
const struct weir_backend_ops weir_backend_compat = { .kind = WEIR_BACKEND_COMPAT, CONTAINER_OPS };
