// SPDX-License-Identifier: MIT
/*
 * Objects made of a description. They come in the order in which they depend on each other, and are the host's as soon as they are there: whoever
 * fails lets go of the host. What is described but not in force is not made; adopt_rest.c takes it out of the kernel.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handover/adopt.h"
#include "error.h"
#include "kernel/iommufd.h"
#include "nested/nested.h"

int weir_adoption_take_fd(const struct adoption *adoption, enum weir_fd_kind kind, uint32_t owner,
			  uint32_t index, const char *what, int *ret_fd)
{
	int *fd = weir_described_fd(adoption->description, kind, owner, index);

	if (!fd)
		return weir_fail(-EPROTO, "no descriptor came for %s", what);
	*ret_fd = *fd;
	*fd = -1;
	return 0;
}

bool weir_adoption_is_anon(const struct adoption *adoption, int fd, const char *name)
{
	const struct weir_sys *sys = adoption->host->kernel.sys;
	char path[64], link[64] = { 0 }, wanted[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	snprintf(wanted, sizeof(wanted), "anon_inode:%s", name);
	return sys->readlink(sys->ctx, path, link, sizeof(link) - 1) > 0 && !strcmp(link, wanted);
}

/* ---- Spaces ---- */

static int adopt_spaces(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	int error = 0;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_SPACES] && !error; number++) {
		const struct weir_slot_space *slot =
			weir_described_in_force(description, WEIR_JOURNAL_SPACES, number);

		if (slot && slot->kind != WEIR_SLOT_SPACE_NESTED)
			error = weir_ioas_adopt(adoption->host,
						&WEIR_OPTS(weir_ioas_opts, .flags = slot->flags,
							   .address_bits = slot->address_bits),
						number, slot->ioas, &adoption->spaces[number]);
	}
	return error ? error : weir_adoption_nested_spaces(adoption);
}

struct weir_ioas *weir_adoption_space(const struct adoption *adoption, uint32_t number)
{
	return number && number <= adoption->description->used[WEIR_JOURNAL_SPACES] ? adoption->spaces[number]
										    : NULL;
}

static int look_at_spaces(struct adoption *adoption)
{
	int error = 0;

	for (struct weir_ioas *ioas = adoption->host->spaces; ioas && !error; ioas = ioas->next)
		error = weir_ioas_adopted(ioas);
	return error;
}

/* ---- Devices ---- */

/* The space that the device is in, and what it needs there. NULL: there is none such. */
static struct weir_ioas *place_of(const struct adoption *adoption, const struct weir_slot_device *slot,
				  struct weir_left *left)
{
	const struct weir_slot_hwpt *hwpt;
	uint32_t place = atomic_load(&slot->place);

	if (adoption->description->header.backend != WEIR_BACKEND_IOMMUFD)
		return weir_adoption_space(adoption, place);
	hwpt = weir_described_in_force(adoption->description, WEIR_JOURNAL_HWPTS, place);
	if (!hwpt)
		return NULL;
	left->hwpt = place;
	left->hwpt_id = hwpt->id;
	left->tracks = hwpt->tracks == 1;
	return weir_adoption_space(adoption, hwpt->space);
}

/* Containers: the first function of a group, or of a space, brings the descriptor. */
static int take_container(const struct adoption *adoption, struct weir_ioas *ioas, struct weir_left *left)
{
	const struct weir_group *group = weir_group_find(&adoption->host->kernel, left->group);
	int error = 0;

	left->container = ioas->space.container;
	if (left->container < 0) {
		error = weir_adoption_take_fd(adoption, WEIR_FD_CONTAINER, ioas->space.number, 0,
					      "a container", &left->container);
		ioas->space.container = left->container;
	}
	left->group_fd = group ? group->fd : -1;
	if (!error && !group)
		error = weir_adoption_take_fd(adoption, WEIR_FD_GROUP, left->group + 1, 0, "an IOMMU group",
					      &left->group_fd);
	return error;
}

/* The iommufd has to know the device by this id. */
static int check_id(const struct weir_function *function)
{
	const struct weir_kernel *kernel = function->kernel;
	struct abi_iommu_hw_info info;
	int error;

	if (kernel->ops->kind != WEIR_BACKEND_IOMMUFD)
		return 0;
	error = weir_iommufd_hw_info(kernel->sys, kernel->fd, function->dev_id, NULL, 0, &info);
	return error == -ENOENT ? weir_fail(-EPROTO, "the iommufd has no device %u, as which %s is described",
					    function->dev_id, function->address)
				: 0;
}

/* No function came of it, and perhaps no group. */
static void close_left(struct weir_kernel *kernel, const struct weir_left *left)
{
	if (left->fd >= 0)
		kernel->sys->close(kernel->sys->ctx, left->fd);
	if (left->group_fd >= 0 && !weir_group_find(kernel, left->group))
		kernel->sys->close(kernel->sys->ctx, left->group_fd);
}

static int adopt_device(struct adoption *adoption, uint32_t number, const struct weir_slot_device *slot)
{
	struct weir_left left = {
		.group = slot->group, .number = number, .dev_id = slot->dev_id, .fd = -1, .group_fd = -1
	};
	struct weir_ioas *ioas = place_of(adoption, slot, &left);
	struct weir_ioas *outer = ioas ? weir_adoption_outer(adoption, ioas) : NULL;
	struct weir_function *function;
	char normal[WEIR_PCI_ADDRESS_SIZE];
	int error;

	memcpy(left.token, slot->token, sizeof(left.token));
	memcpy(left.address, slot->address, sizeof(left.address));
	if (!outer || weir_pci_address(left.address, normal) || strcmp(normal, left.address) != 0)
		return weir_fail(-EPROTO, "device %u is in no space, or at no address", number);
	if (adoption->description->header.backend != WEIR_BACKEND_IOMMUFD) {
		error = take_container(adoption, ioas, &left);
		if (error)
			return error;
	}
	error = weir_adoption_take_fd(adoption, WEIR_FD_DEVICE, number, 0, left.address, &left.fd);
	if (!error)
		error = weir_function_adopt(&adoption->host->kernel, &ioas->space, &left, &function);
	if (error) {
		close_left(&adoption->host->kernel, &left);
		return error;
	}
	error = check_id(function);
	if (!error && outer != ioas)
		weir_nested_space_adopt_function(outer);
	if (!error)
		error = weir_device_adopt(outer, function, slot->address_bits, &adoption->devices[number]);
	if (error)
		weir_function_let_go(function);
	return error;
}

static int adopt_devices(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	int error = 0;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_DEVICES] && !error; number++) {
		const struct weir_slot_device *slot =
			weir_described_in_force(description, WEIR_JOURNAL_DEVICES, number);

		if (slot)
			error = adopt_device(adoption, number, slot);
	}
	return error;
}

/* ---- Interrupts ---- */

static int adopt_irq(struct adoption *adoption, uint32_t number, const struct weir_slot_irq *slot)
{
	const struct weir_description *description = adoption->description;
	struct weir_device *device = slot->device && slot->device <= description->used[WEIR_JOURNAL_DEVICES]
					     ? adoption->devices[slot->device]
					     : NULL;
	struct weir_irq *irq;
	int error;

	/* Of a device that is not carried: its interrupts are not either. */
	if (!device)
		return 0;
	error = weir_irq_adopt(device, slot->kind, slot->count, number, &irq);
	for (uint32_t i = 0; i < slot->count && !error; i++) {
		int fd = -1;

		error = weir_adoption_take_fd(adoption, WEIR_FD_EVENT, number, i, "an interrupt", &fd);
		if (error)
			break;
		weir_irq_adopt_fd(irq, fd);
		if (!weir_adoption_is_anon(adoption, fd, "[eventfd]"))
			error = weir_fail(-EPROTO, "what came for an interrupt is no eventfd");
	}
	return error;
}

static int adopt_irqs(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	int error = 0;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_IRQS] && !error; number++) {
		const struct weir_slot_irq *slot =
			weir_described_in_force(description, WEIR_JOURNAL_IRQS, number);

		if (slot)
			error = adopt_irq(adoption, number, slot);
	}
	return error;
}

/* ---- The whole ---- */

static int begin(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;

	adoption->spaces =
		(struct weir_ioas **)calloc(description->used[WEIR_JOURNAL_SPACES] + 1, sizeof(void *));
	adoption->devices =
		(struct weir_device **)calloc(description->used[WEIR_JOURNAL_DEVICES] + 1, sizeof(void *));
	adoption->memories =
		(struct weir_memory **)calloc(description->used[WEIR_JOURNAL_MEMORIES] + 1, sizeof(void *));
	adoption->files = calloc(description->used[WEIR_JOURNAL_FILES] + 1, sizeof(*adoption->files));
	adoption->domains =
		(struct weir_domain **)calloc(description->used[WEIR_JOURNAL_DOMAINS] + 1, sizeof(void *));
	adoption->faultqs =
		(struct weir_faultq **)calloc(description->used[WEIR_JOURNAL_FAULTQS] + 1, sizeof(void *));
	if (!adoption->spaces || !adoption->devices || !adoption->memories || !adoption->files ||
	    !adoption->domains || !adoption->faultqs)
		return weir_fail(-ENOMEM, "no memory for what is handed over");
	return 0;
}

static void end(struct adoption *adoption)
{
	weir_adoption_end_files(adoption);
	free((void *)adoption->spaces);
	free((void *)adoption->devices);
	free((void *)adoption->memories);
	free(adoption->files);
	free((void *)adoption->domains);
	free((void *)adoption->faultqs);
}

/* The host, with the kernel's interface, and a journal of its own. */
static int adopt_host(struct adoption *adoption, const struct weir_sys *sys, int fd)
{
	struct weir_description *description = adoption->description;
	struct weir_journal *journal;
	int iommufd = -1;
	int error = weir_journal_adopt(sys, fd, &description->header, description->tables, &journal);

	if (error)
		return error;
	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_FDS]; number++)
		journal->fds[number] = description->fds[number];
	if (description->header.backend == WEIR_BACKEND_IOMMUFD)
		error = weir_adoption_take_fd(adoption, WEIR_FD_IOMMUFD, 0, 0, "/dev/iommu", &iommufd);
	if (!error) {
		adoption->host = weir_host_adopt(description->header.backend, sys,
						 description->header.iommu_type, iommufd, journal);
		if (!adoption->host) {
			error = weir_fail(-ENOMEM, "no memory for a host");
			if (iommufd >= 0)
				sys->close(sys->ctx, iommufd);
		}
	}
	if (error)
		weir_journal_close(journal);
	return error;
}

int weir_handover_adopt(struct weir_description *description, const struct weir_sys *sys, int fd,
			struct weir_host **ret_host)
{
	struct adoption adoption = { .description = description };
	int error;

	if (atomic_load(&description->header.not_carried))
		return weir_fail(-EPROTO,
				 "%u objects are open over what is handed over that nobody can take: "
				 "queues of events, dirty trackings",
				 atomic_load(&description->header.not_carried));
	error = begin(&adoption);
	if (!error)
		error = adopt_host(&adoption, sys, fd);
	if (!error)
		error = weir_adoption_faultqs(&adoption);
	if (!error)
		error = adopt_spaces(&adoption);
	if (!error)
		error = adopt_devices(&adoption);
	if (!error)
		error = weir_adoption_domains(&adoption);
	if (!error)
		error = weir_adoption_requests(&adoption);
	if (!error)
		error = look_at_spaces(&adoption);
	if (!error)
		error = weir_adoption_maps(&adoption);
	if (!error)
		error = weir_adoption_nested_tables(&adoption);
	if (!error)
		error = adopt_irqs(&adoption);
	if (!error)
		weir_adoption_clear_rest(&adoption);
	if (error && adoption.host) {
		struct weir_first first = { 0 };

		weir_first_note(&first, error);
		weir_adoption_end_files(&adoption);
		weir_handover_let_go(adoption.host);
		adoption.host = NULL;
		error = weir_first_error(&first);
	}
	end(&adoption);
	if (!error)
		*ret_host = adoption.host;
	return error;
}
