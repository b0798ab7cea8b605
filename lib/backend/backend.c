// SPDX-License-Identifier: MIT
/* Which backend serves a host, and what all backends do alike. */
#include "backend/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "journal/journal.h"
#include "kernel/iommufd_abi.h"

const char *weir_backend_name(enum weir_backend backend)
{
	switch (backend) {
	case WEIR_BACKEND_AUTO:
		return "auto";
	case WEIR_BACKEND_IOMMUFD:
		return "iommufd";
	case WEIR_BACKEND_TYPE1:
		return "type1";
	case WEIR_BACKEND_COMPAT:
		return "compat";
	}
	return "unknown";
}

int weir_backend_choose(uint32_t asked, enum weir_backend *ret_kind)
{
	const char *wish = asked == WEIR_BACKEND_AUTO ? secure_getenv("WEIR_BACKEND") : NULL;

	if (asked > WEIR_BACKEND_COMPAT)
		return weir_fail(-EINVAL, "there is no backend number %u", asked);
	*ret_kind = asked;
	if (!wish || !*wish)
		return 0;
	for (unsigned int kind = WEIR_BACKEND_AUTO; kind <= WEIR_BACKEND_COMPAT; kind++)
		if (!strcmp(wish, weir_backend_name(kind))) {
			*ret_kind = kind;
			return 0;
		}
	return weir_fail(-EINVAL, "WEIR_BACKEND is '%s'; it can be auto, iommufd, type1 or compat", wish);
}

void weir_geometry_free(struct weir_geometry *geometry)
{
	free(geometry->ranges);
	*geometry = (struct weir_geometry){ 0 };
}

/*
 * iommufd serves only with VFIO's character devices beside it, and a kernel may have the one and not the other (6.2 to 6.5; later ones
 * by configuration). Their directory appears with the first device that is bound; so if nothing else will do, iommufd is tried
 * without it too.
 */
static int open_best(struct weir_kernel *kernel)
{
	const bool devices = weir_nodes_have_cdevs(&kernel->nodes);
	const struct weir_backend_ops *const order[] = {
		devices ? &weir_backend_iommufd : &weir_backend_type1,
		devices ? &weir_backend_type1 : &weir_backend_compat,
		devices ? &weir_backend_compat : &weir_backend_iommufd,
	};
	char said[256] = "";
	int error = -ENOENT;

	for (size_t i = 0; (error == -ENOENT || error == -EACCES) && i < 3; i++) {
		int first = error;

		snprintf(said, sizeof(said), "%s", weir_error());
		kernel->ops = order[i];
		error = kernel->ops->open(kernel);
		/* That something may not be used says more than that something else does not exist. */
		if (error == -ENOENT && first != -ENOENT)
			error = weir_fail(first, "%s", said);
	}
	if (error == -ENOENT)
		return weir_fail(
			error,
			"this machine has neither /dev/iommu nor /dev/vfio/vfio: load the vfio-pci module");
	return error;
}

int weir_kernel_open(struct weir_kernel *kernel, enum weir_backend kind, const struct weir_sys *sys,
		     const struct weir_node *nodes, uint32_t num_nodes)
{
	static const struct weir_backend_ops *const named[] = {
		[WEIR_BACKEND_IOMMUFD] = &weir_backend_iommufd,
		[WEIR_BACKEND_TYPE1] = &weir_backend_type1,
		[WEIR_BACKEND_COMPAT] = &weir_backend_compat,
	};
	int error;

	*kernel = (struct weir_kernel){ .sys = sys, .fd = -1 };
	error = weir_nodes_init(&kernel->nodes, sys, nodes, num_nodes);
	if (error)
		return error;
	if (kind == WEIR_BACKEND_AUTO) {
		error = open_best(kernel);
	} else {
		kernel->ops = named[kind];
		error = kernel->ops->open(kernel);
	}
	if (error)
		weir_nodes_finish(&kernel->nodes, false);
	return error;
}

void weir_kernel_enter(struct weir_kernel *kernel)
{
	struct weir_journal *journal = kernel->journal;

	journal->header->backend = kernel->ops->kind;
	journal->header->iommu_type = kernel->iommu_type;
	/* A container belongs to the space that it becomes. There is room, and no keeper yet. */
	if (kernel->ops->kind == WEIR_BACKEND_IOMMUFD)
		weir_journal_add_fd(journal, kernel->fd, WEIR_FD_IOMMUFD, 0, 0);
}

void weir_kernel_close(struct weir_kernel *kernel)
{
	if (kernel->journal)
		weir_journal_drop_fds(kernel->journal, WEIR_FD_IOMMUFD, 0);
	kernel->ops->close(kernel);
	weir_nodes_finish(&kernel->nodes, true);
}

const struct weir_table *weir_space_parent(const struct weir_space *space)
{
	const struct weir_table *table = space->tables;

	while (table && !(table->flags & ABI_IOMMU_HWPT_ALLOC_NEST_PARENT))
		table = table->next;
	return table;
}

const char *weir_space_table(const struct weir_space *space)
{
	const struct weir_table *table = space->tables;

	if (!table)
		return NULL;
	if (table->parent)
		return "a nested domain";
	return table->flags & ABI_IOMMU_HWPT_ALLOC_NEST_PARENT ? "a nesting parent" : "a paging domain";
}

int weir_fail_device_memory(void)
{
	return weir_fail(-EOPNOTSUPP, "only the VFIO container (type1) maps device memory by its address");
}
