// SPDX-License-Identifier: MIT
/*
 * iommufd: an IOAS and page tables (HWPTs) of our own on /dev/iommu, VFIO devices as character devices.
 *
 * Page tables are allocated here, never by the kernel on its own: its automatic ones come and go, and their
 * ids are reused. A space has one for each kind of IOMMU that its functions need, usually one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/faultq.h"
#include "backend/follow.h"
#include "backend/iommufd.h"
#include "error.h"
#include "journal/journal.h"
#include "kernel/iommufd.h"
#include "kernel/vfio_device.h"

static int iommufd_open(struct weir_kernel *kernel)
{
	int fd = weir_node_open(&kernel->nodes, "/dev/iommu");

	if (fd < 0)
		return fd;
	kernel->fd = fd;
	return 0;
}

static void iommufd_close(struct weir_kernel *kernel)
{
	kernel->sys->close(kernel->sys->ctx, kernel->fd);
}

static int iommufd_space_open(struct weir_space *space)
{
	int error = weir_iommufd_ioas_alloc(space->kernel->sys, space->kernel->fd, &space->ioas);

	if (error)
		return weir_fail(error, "IOMMU_IOAS_ALLOC: %s", strerror(-error));
	if (!space->wants_dirty)
		return 0;
	/* Page by page; and Linux 7.2 seems to forget a page of what it joins (generic_pt). */
	error = weir_iommufd_set_huge_pages(space->kernel->sys, space->kernel->fd, space->ioas, false);
	if (!error)
		return 0;
	weir_iommufd_destroy(space->kernel->sys, space->kernel->fd, space->ioas);
	return weir_fail(error, "IOMMU_OPTION_HUGE_PAGES: %s", strerror(-error));
}

static int parse_uuid(const char *text, uint8_t ret_uuid[16])
{
	size_t bytes = 0;

	while (bytes < 16) {
		unsigned int byte;
		int used = 0;

		if (sscanf(text, "%2x%n", &byte, &used) != 1 || used != 2)
			return weir_fail(-EINVAL, "the VF token is no UUID");
		ret_uuid[bytes++] = (uint8_t)byte;
		text += 2;
		if (*text == '-')
			text++;
	}
	return *text ? weir_fail(-EINVAL, "the VF token is no UUID") : 0;
}

static int explain_bind(struct weir_function *function, int error)
{
	const struct weir_sys *sys = function->kernel->sys;
	int owned;

	switch (error) {
	case -EPERM:
		owned = weir_explain_owned(function->kernel, function->group->number, function->address);
		if (owned)
			return owned;
		return weir_fail(error,
				 "%s: this platform does not isolate interrupts, so any device could raise "
				 "any; load iommufd with "
				 "allow_unsafe_interrupts=1 (kernel command line: "
				 "iommufd.allow_unsafe_interrupts=1) to accept that",
				 function->address);
	case -EACCES:
		return weir_fail(error, "%s asks for the VF token of its physical function (vf_token)",
				 function->address);
	case -EBUSY:
	case -EINVAL: /* bound already, among others */
		return weir_explain_busy(sys, function->group->number, function->address, error);
	default:
		return weir_fail(error, "VFIO_DEVICE_BIND_IOMMUFD of %s: %s", function->address,
				 strerror(-error));
	}
}

static int iommufd_function_open(struct weir_function *function)
{
	const struct weir_sys *sys = function->kernel->sys;
	char name[32], path[64];
	uint8_t token[16];
	int error;

	if (*function->token && (error = parse_uuid(function->token, token)))
		return error;
	error = weir_sysfs_vfio_dev(sys, function->address, name, sizeof(name));
	if (error == -ENOENT)
		return weir_explain_unbound(sys, function->address);
	if (error)
		return weir_fail(error, "looking for the VFIO node of %s: %s", function->address,
				 strerror(-error));
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", name);
	function->fd = weir_node_open(&function->kernel->nodes, path);
	if (function->fd < 0)
		return function->fd;
	error = weir_function_note_fd(function, function->fd, WEIR_FD_DEVICE);
	if (!error) {
		error = weir_vfio_device_bind(sys, function->fd, function->kernel->fd,
					      *function->token ? token : NULL, &function->dev_id);
		if (error)
			error = explain_bind(function, error);
	}
	if (error) {
		weir_function_drop_fds(function, WEIR_FD_DEVICE);
		sys->close(sys->ctx, function->fd);
	}
	return error;
}

static void iommufd_function_close(struct weir_function *function)
{
	weir_function_drop_fds(function, WEIR_FD_DEVICE);
	function->kernel->sys->close(function->kernel->sys->ctx, function->fd);
}

static int iommufd_space_close(struct weir_space *space)
{
	struct weir_kernel *kernel = space->kernel;
	int error;

	while (space->undead) {
		struct weir_object *object = space->undead;

		space->undead = object->next;
		weir_iommufd_destroy(kernel->sys, kernel->fd, object->id); /* else the space tells */
		free(object);
	}
	error = weir_iommufd_destroy(kernel->sys, kernel->fd, space->ioas);
	/* To the caller, -EBUSY means that the space is open still. */
	return error ? weir_fail(error == -EBUSY ? -EIO : error, "IOMMU_DESTROY of the address space: %s",
				 strerror(-error))
		     : 0;
}

/* Take all mappings out of the IOAS. Should that fail, it is tried again before anything can come to see what is left. */
static int empty_ioas(struct weir_space *space)
{
	uint64_t len;
	int error = weir_iommufd_ioas_unmap(space->kernel->sys, space->kernel->fd, space->ioas, 0, UINT64_MAX,
					    &len);

	space->leftovers = error != 0;
	return error ? weir_fail(error, "IOMMU_IOAS_UNMAP of the whole space: %s", strerror(-error)) : 0;
}

/*
 * With the last page table gone, take the mappings out of the IOAS too: nobody would check or pin them any more.
 */
static int space_sleep(struct weir_space *space)
{
	struct weir_first first = { 0 };

	/* All of them: one that turned out not to suit the only function is unused, and here still. */
	while (space->hwpts)
		weir_first_note(&first, weir_iommufd_hwpt_free(space, space->hwpts));
	weir_geometry_free(&space->geometry);
	space->live = false;
	weir_first_note(&first, empty_ioas(space));
	return weir_first_error(&first);
}

static int iommufd_enter(struct weir_space *space, struct weir_function *function)
{
	struct weir_hwpt *hwpt;
	int error;

	if (space->live)
		return 0;
	error = space->leftovers ? empty_ioas(space) : 0;
	if (!error)
		error = weir_iommufd_hwpt_make(space, function, &hwpt);
	if (!error)
		space->live = true;
	return error;
}

/* Attach to a page table of the space that suits the function's IOMMU, or else to a new one. */
static int attach(struct weir_space *space, struct weir_function *function, struct weir_hwpt **ret_hwpt)
{
	const struct weir_sys *sys = space->kernel->sys;
	int error = -EINVAL;

	/* A group has one page table: a member that joins others goes where they are, or nowhere. */
	if (function->group->space == space) {
		*ret_hwpt = function->group->hwpt;
		return weir_iommufd_join(function);
	}
	for (struct weir_hwpt *hwpt = space->hwpts; hwpt && error == -EINVAL; hwpt = hwpt->next) {
		error = weir_vfio_device_attach(sys, function->fd, hwpt->object.id);
		if (!error)
			*ret_hwpt = hwpt;
	}
	if (error != -EINVAL)
		return error ? weir_iommufd_explain_attach(function, error) : 0;
	error = weir_iommufd_hwpt_make(space, function, ret_hwpt);
	if (error)
		return error;
	error = weir_vfio_device_attach(sys, function->fd, (*ret_hwpt)->object.id);
	if (!error)
		return 0;
	weir_iommufd_hwpt_free(space, *ret_hwpt);
	return weir_iommufd_explain_attach(function, error);
}

int weir_iommufd_explain_attach(struct weir_function *function, int error)
{
	if (error == -EADDRINUSE)
		return weir_fail(error, "a mapping lies where %s has a reserved window", function->address);
	return weir_fail(error, "VFIO_DEVICE_ATTACH_IOMMUFD_PT of %s: %s", function->address,
			 strerror(-error));
}

static int iommufd_commit(struct weir_space *space, struct weir_function *function)
{
	struct weir_group *group = function->group;
	struct weir_hwpt *hwpt;
	struct weir_first first = { 0 };
	bool joined = !group->space;
	int error = attach(space, function, &hwpt);

	if (error)
		return error;
	if (joined) {
		weir_first_note(&first, weir_iommufd_read_geometry(space));
		if (first.error) {
			weir_vfio_device_detach(space->kernel->sys, function->fd);
			if (!hwpt->num_functions && space->num_functions)
				weir_iommufd_hwpt_free(space, hwpt);
			return weir_first_error(&first);
		}
		group->space = space;
		group->hwpt = hwpt;
	}
	hwpt->num_functions++;
	hwpt->used = true;
	space->num_functions++;
	weir_function_note_place(function, hwpt->number);
	return 0;
}

/* The function is no longer attached to @hwpt of @space. */
static int forget_hwpt(struct weir_space *space, struct weir_hwpt *hwpt, uint32_t functions)
{
	hwpt->num_functions -= functions;
	space->num_functions -= functions;
	if (!space->num_functions)
		return space_sleep(space);
	return hwpt->num_functions ? 0 : weir_iommufd_hwpt_free(space, hwpt);
}

static void iommufd_abandon(struct weir_space *space, struct weir_function *function)
{
	struct weir_first reason = { 0 };

	(void)function;
	if (space->num_functions)
		return;
	/* There is a text already, of why this has to be. */
	weir_first_note(&reason, -ECANCELED);
	space_sleep(space);
	weir_first_error(&reason);
}

static int iommufd_leave(struct weir_space *space, struct weir_function *function)
{
	struct weir_group *group = function->group;
	struct weir_first first = { 0 };

	weir_first_note(&first, weir_iommufd_part(function));
	weir_first_note(&first, forget_hwpt(space, group->hwpt, 1));
	if (!group->functions->next) {
		group->space = NULL;
		group->hwpt = NULL;
		if (space->live)
			weir_first_note(&first, weir_iommufd_read_geometry(space));
	}
	return weir_first_error(&first);
}

static int move_group(struct weir_space *space, struct weir_function *function)
{
	struct weir_group *group = function->group;
	struct weir_space *old_space = group->space;
	struct weir_hwpt *old_hwpt = group->hwpt, *hwpt;
	struct weir_first first = { 0 };
	uint32_t members = 0;
	int error;

	weir_group_note_moving(group, true);
	error = attach(space, function, &hwpt);
	if (error) {
		weir_group_note_moving(group, false);
		return error;
	}
	weir_first_note(&first, weir_iommufd_read_geometry(space));
	if (first.error) {
		weir_vfio_device_attach(space->kernel->sys, function->fd, weir_iommufd_place(group));
		weir_group_note_moving(group, false);
		if (!hwpt->num_functions && space->num_functions)
			weir_iommufd_hwpt_free(space, hwpt);
		return weir_first_error(&first);
	}
	for (struct weir_function *member = group->functions; member; member = member->next) {
		weir_function_note_place(member, hwpt->number);
		members++;
	}
	weir_group_note_moving(group, false);
	weir_iommufd_moved(group);
	group->space = space;
	group->hwpt = hwpt;
	hwpt->num_functions += members;
	hwpt->used = true;
	space->num_functions += members;
	forget_hwpt(old_space, old_hwpt, members);
	if (old_space->live)
		weir_iommufd_read_geometry(old_space);
	return 0;
}

/* One attach moves every member of the group. */
static int iommufd_move(struct weir_space *space, struct weir_function *function)
{
	struct weir_faultq *faults;
	int error = weir_iommufd_begin_move(function, &faults);

	if (error)
		return error;
	error = move_group(space, function);
	weir_faultq_release(faults);
	return error;
}

/* Through the file where the kernel can: such a mapping does not depend on this process. */
static __attribute__((noinline)) int install_file(struct weir_space *space,
						  const struct weir_backing *backing, uint64_t len,
						  uint64_t iova, uint32_t flags)
{
	struct weir_kernel *kernel = space->kernel;
	int error = -ENOTTY;

	if (!atomic_load_explicit(&kernel->no_map_file, memory_order_relaxed))
		error = weir_iommufd_ioas_map_file(kernel->sys, kernel->fd, space->ioas, flags, backing->fd,
						   backing->offset, len, iova);
	if (error != -ENOTTY)
		return error;
	atomic_store_explicit(&kernel->no_map_file, true, memory_order_relaxed);
	return weir_iommufd_ioas_map(kernel->sys, kernel->fd, space->ioas, flags, backing->addr, len, iova);
}

static uint32_t map_flags(uint32_t prot)
{
	uint32_t flags = 0;

	if (prot & WEIR_MAP_READ)
		flags |= ABI_IOMMU_IOAS_MAP_READABLE;
	if (prot & WEIR_MAP_WRITE)
		flags |= ABI_IOMMU_IOAS_MAP_WRITEABLE;
	return flags;
}

static int iommufd_copy(struct weir_space *space, struct weir_space *from, uint64_t from_iova, uint64_t len,
			uint64_t iova, uint32_t prot)
{
	return weir_iommufd_ioas_copy(space->kernel->sys, space->kernel->fd, space->ioas, map_flags(prot),
				      from->ioas, from_iova, len, iova);
}

__attribute__((hot)) static int iommufd_install(struct weir_space *space, const struct weir_backing *backing,
						uint64_t len, uint64_t iova, uint32_t prot)
{
	uint32_t flags = map_flags(prot);

	if (backing->fd >= 0)
		return install_file(space, backing, len, iova, flags);
	return weir_iommufd_ioas_map(space->kernel->sys, space->kernel->fd, space->ioas, flags, backing->addr,
				     len, iova);
}

__attribute__((hot)) static int iommufd_remove(struct weir_space *space, uint64_t iova, uint64_t len)
{
	uint64_t unmapped;

	return weir_iommufd_ioas_unmap(space->kernel->sys, space->kernel->fd, space->ioas, iova, len,
				       &unmapped);
}

static int iommufd_can(struct weir_function *function, enum weir_cap cap)
{
	switch (cap) {
	case WEIR_CAP_MOVE:
	case WEIR_CAP_MANY_MAPS:
	case WEIR_CAP_EXACT_UNMAP:
		return 0;
	case WEIR_CAP_DEVICE_MEMORY:
		return weir_fail_device_memory();
	case WEIR_CAP_PEER:
		if (!weir_vfio_device_probe_feature(function->kernel->sys, function->fd,
						    ABI_VFIO_DEVICE_FEATURE_DMA_BUF,
						    ABI_VFIO_DEVICE_FEATURE_GET))
			return 0;
		return weir_fail(-EOPNOTSUPP,
				 "the kernel exports no memory of %s: that takes vfio-pci of Linux 6.19 with "
				 "CONFIG_VFIO_PCI_DMABUF",
				 function->address);
	default:
		return -ENOTTY;
	}
}

static void iommufd_hot_reset_target(struct weir_function *function,
				     const struct abi_vfio_pci_dependent_device *device,
				     struct weir_hot_reset_target *target)
{
	target->ours = device->devid != ABI_VFIO_PCI_DEVID_NOT_OWNED;
	target->iommu_group = UINT32_MAX;
	weir_sysfs_iommu_group(function->kernel->sys, target->address, &target->iommu_group);
}

static int iommufd_hot_reset(struct weir_function *function)
{
	return weir_vfio_device_hot_reset(function->kernel->sys, function->fd, NULL, 0);
}

static const struct weir_space_ops iommufd_spaces = {
	.open = iommufd_space_open,
	.close = iommufd_space_close,
	.enter = iommufd_enter,
	.commit = iommufd_commit,
	.abandon = iommufd_abandon,
	.leave = iommufd_leave,
	.move = iommufd_move,
	.install = iommufd_install,
	.copy = iommufd_copy,
	.remove = iommufd_remove,
	.tracks = WEIR_DIRTY_IOMMU,
	.track = weir_iommufd_track,
	.dirty = weir_iommufd_dirty,
};

const struct weir_backend_ops weir_backend_iommufd = {
	.kind = WEIR_BACKEND_IOMMUFD,
	.open = iommufd_open,
	.close = iommufd_close,
	.space = &iommufd_spaces,
	.function_open = iommufd_function_open,
	.function_close = iommufd_function_close,
	.can = iommufd_can,
	.hot_reset_target = iommufd_hot_reset_target,
	.hot_reset = iommufd_hot_reset,
	.follow = &weir_iommufd_follow,
	.domains = &weir_iommufd_domains,
};
