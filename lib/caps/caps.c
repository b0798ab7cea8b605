// SPDX-License-Identifier: MIT
/* What can be done here. */
#include <weir/caps.h>
#include <weir/faultq.h>
#include <weir/migration.h>

#include "device/device.h"
#include "dirty/dirty.h"
#include "domain/nested.h"

#include <errno.h>

#include "error.h"
#include "kernel/vfio_abi.h"

const char *weir_cap_name(enum weir_cap cap)
{
	switch (cap) {
	case WEIR_CAP_MOVE:
		return "move";
	case WEIR_CAP_RESET:
		return "reset";
	case WEIR_CAP_HOT_RESET:
		return "hot-reset";
	case WEIR_CAP_MANY_MAPS:
		return "many-maps";
	case WEIR_CAP_EXACT_UNMAP:
		return "exact-unmap";
	case WEIR_CAP_DEVICE_MEMORY:
		return "device-memory";
	case WEIR_CAP_PEER:
		return "peer";
	case WEIR_CAP_DOMAIN:
		return "domain";
	case WEIR_CAP_NEST:
		return "nest";
	case WEIR_CAP_PASID:
		return "pasid";
	case WEIR_CAP_DIRTY:
		return "dirty";
	case WEIR_CAP_DIRTY_PAGES:
		return "dirty-pages";
	case WEIR_CAP_FAULT:
		return "fault";
	case WEIR_CAP_MIGRATION:
		return "migration";
	}
	return "unknown";
}

static int check_hot_reset(struct weir_device *device)
{
	struct weir_hot_reset_target targets[64];
	size_t num = 64;
	int error = weir_device_hot_reset_targets(device, targets, &num);

	if (error)
		return error == -EOPNOTSUPP ? error : weir_fail_within(-EOPNOTSUPP, "hot reset");
	for (size_t i = 0; i < num; i++)
		if (!targets[i].ours)
			return weir_fail(-EOPNOTSUPP,
					 "a hot reset of %s also resets %s, which is not open on this host",
					 device->function->address, targets[i].address);
	return 0;
}

/* With flags as given, and gone again: how that goes is no part of the answer. */
static int try_domain(struct weir_device *device, uint32_t flags)
{
	struct weir_domain *domain;
	int error = weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .flags = flags), &domain);

	if (!error)
		weir_domain_close(domain);
	return error;
}

static int check_domain(struct weir_device *device)
{
	struct weir_ioas *ioas = weir_device_ioas(device);

	if (!device->host->kernel.ops->domains)
		return weir_fail_no_domains();
	if (ioas && ioas->space.layer)
		return weir_fail(-EOPNOTSUPP, "a nested space has its own domains, and takes no others");
	return 0;
}

static int try_nested(struct weir_device *device, uint32_t format)
{
	struct weir_domain *parent, *nested;
	struct weir_first first = { 0 };
	int error = weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .flags = WEIR_DOMAIN_NEST_PARENT),
				     &parent);

	if (error)
		return error;
	weir_first_note(&first,
			weir_domain_open_nested(parent, device,
						&WEIR_OPTS(weir_nested_opts, .format = format), &nested));
	if (!first.error)
		weir_domain_close(nested);
	weir_domain_close(parent);
	return weir_first_error(&first);
}

/* Whether a kernel nests is only known when it has: of AMD's it makes all that comes before. */
static int check_nest(struct weir_device *device)
{
	static const uint32_t formats[] = {
		[WEIR_IOMMU_UNKNOWN] = WEIR_STAGE1_X86_4,   [WEIR_IOMMU_VTD] = WEIR_STAGE1_X86_4,
		[WEIR_IOMMU_SMMUV3] = WEIR_STAGE1_ARM64_4K, [WEIR_IOMMU_AMD] = WEIR_STAGE1_X86_4,
		[WEIR_IOMMU_MOCK] = WEIR_STAGE1_MOCK,
	};
	struct weir_iommu_info info;
	int error = check_domain(device);

	if (!error)
		error = weir_device_iommu_info(device, &info, sizeof(info));
	if (!error)
		error = try_nested(device, formats[info.kind]);
	if (!error || error == -EOPNOTSUPP)
		return error;
	return weir_fail_within(-EOPNOTSUPP, "nesting was tried");
}

static int check_pasid(struct weir_device *device)
{
	struct weir_iommu_info info;
	int error = check_domain(device);

	if (!error)
		error = weir_device_iommu_info(device, &info, sizeof(info));
	if (error)
		return error == -EOPNOTSUPP ? error : weir_fail_within(-EOPNOTSUPP, "PASIDs");
	if (!info.pasid_bits)
		return weir_fail(-EOPNOTSUPP, "%s has no PASIDs", device->function->address);
	error = try_domain(device, WEIR_DOMAIN_PASID);
	return !error || error == -EOPNOTSUPP ? error : weir_fail_within(-EOPNOTSUPP, "PASIDs");
}

/* The device has to ask, and the kernel to have a queue. Whether the IOMMU goes along is known when a device is attached. */
static int check_fault(struct weir_device *device)
{
	struct weir_faultq *queue;
	int error = check_domain(device);

	pthread_mutex_lock(&device->host->lock);
	if (!error)
		error = weir_function_check_pri(device->function);
	pthread_mutex_unlock(&device->host->lock);
	if (!error)
		error = weir_faultq_open(device->host, NULL, &queue);
	if (error)
		return error == -EOPNOTSUPP ? error : weir_fail_within(-EOPNOTSUPP, "page requests");
	weir_faultq_close(queue);
	return 0;
}

int weir_caps_check(struct weir_device *device, enum weir_cap cap)
{
	int error;

	if (cap == WEIR_CAP_MOVE && weir_device_ioas(device)->space.layer)
		return weir_fail(-EOPNOTSUPP, "devices stay in a nested space until they are closed");
	switch (cap) {
	case WEIR_CAP_RESET:
		if (device->flags & ABI_VFIO_DEVICE_FLAGS_RESET)
			return 0;
		return weir_fail(-EOPNOTSUPP, "%s has no reset of its own", device->function->address);
	case WEIR_CAP_HOT_RESET:
		return check_hot_reset(device);
	case WEIR_CAP_DOMAIN:
		return check_domain(device);
	case WEIR_CAP_NEST:
		return check_nest(device);
	case WEIR_CAP_PASID:
		return check_pasid(device);
	case WEIR_CAP_MIGRATION:
		return weir_migration_info(device, &(struct weir_migration_info){ 0 },
					   sizeof(struct weir_migration_info));
	case WEIR_CAP_DIRTY:
	case WEIR_CAP_DIRTY_PAGES:
		pthread_mutex_lock(&device->host->lock);
		error = weir_dirty_can(device->function->ioas, device->function, cap == WEIR_CAP_DIRTY_PAGES);
		pthread_mutex_unlock(&device->host->lock);
		return error;
	case WEIR_CAP_FAULT:
		return check_fault(device);
	default:
		pthread_mutex_lock(&device->host->lock);
		error = device->host->kernel.ops->can(device->function, cap);
		pthread_mutex_unlock(&device->host->lock);
		if (error == -ENOTTY)
			return weir_fail(-EINVAL, "there is no capability %d", (int)cap);
		return error;
	}
}
