// SPDX-License-Identifier: MIT
/* Nested domains: a first stage of the program's, described to the kernel as its IOMMU wants it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.h"
#include "domain/nested.h"
#include "error.h"
#include "kernel/iommufd_abi.h"

static int read_options(const struct weir_nested_opts *opts, struct weir_nested_opts *ret_opts)
{
	int error = weir_opts_read(opts, ret_opts, sizeof(*ret_opts));

	if (error)
		return error;
	if (ret_opts->flags & ~WEIR_DOMAIN_PASID)
		return weir_fail(-EINVAL, "unknown flags %#x", ret_opts->flags);
	if (ret_opts->stage1 > WEIR_NESTED_ABORT)
		return weir_fail(-EINVAL, "stage1 is %u, which is nothing that a first stage does",
				 ret_opts->stage1);
	if (ret_opts->stream > UINT32_MAX)
		return weir_fail(-EINVAL, "the stream number %#" PRIx64 " has more than 32 bits",
				 ret_opts->stream);
	if (ret_opts->data && (!ret_opts->data_len || ret_opts->data_len > WEIR_NESTED_DATA_SIZE))
		return weir_fail(-EINVAL, "%u bytes of data; there can be 1 to %u", ret_opts->data_len,
				 WEIR_NESTED_DATA_SIZE);
	if (!ret_opts->data && (ret_opts->data_type || ret_opts->data_len))
		return weir_fail(-EINVAL, "data is NULL, but has a type or a length");
	return 0;
}

static int check_parent(const struct weir_kernel_domain *parent)
{
	if (parent->kind != WEIR_DOMAIN_KIND_PARENT)
		return weir_fail(-EINVAL, "%s is no nesting parent: open it with WEIR_DOMAIN_NEST_PARENT",
				 parent->domain.type->name);
	return 0;
}

/* The space is live: the device is in it. */
static int check_root(const struct weir_kernel_domain *domain, const struct weir_nested_opts *o)
{
	const struct weir_geometry *geometry = &domain->ioas->space.geometry;
	uint64_t last = geometry->num_ranges ? geometry->ranges[geometry->num_ranges - 1].last : 0;

	if (o->data || o->stage1 != WEIR_NESTED_TRANSLATE || domain->vendor->kind == WEIR_IOMMU_MOCK ||
	    o->root <= last)
		return 0;
	return weir_fail(-ERANGE, "the root %#" PRIx64 " is beyond what stage 2 addresses (%#" PRIx64 ")",
			 o->root, last);
}

static int explain(const struct weir_function *function, const struct weir_nested_data *data, int error)
{
	if (error == -EINVAL)
		return weir_fail_within(
			error, "the kernel does not take %u bytes of type %#x for a nested table of %s",
			data->len, data->type, function->address);
	if (error == -EIO)
		return weir_fail_within(error, "bits of the stream table entry are not allowed");
	return error;
}

/* The host's lock is held. */
static int open_nested(struct weir_kernel_domain *domain, struct weir_function *function,
		       const struct weir_nested_opts *o)
{
	struct weir_nested_data data = { .type = o->data_type, .len = o->data_len };
	struct weir_nested_spec spec;
	struct weir_hw_info info;
	int error = check_parent(domain->parent);

	if (!error)
		error = weir_function_hw_info(function, &info);
	if (error)
		return error;
	if (o->data)
		memcpy(data.bytes, o->data, data.len);
	domain->vendor = weir_vendor_of(info.type, o->stream);
	if (!o->data || domain->vendor->command_len)
		error = domain->vendor->describe(&info, o, &data);
	if (!error)
		error = check_root(domain, o);
	if (error)
		return error;
	domain->features = domain->vendor->features ? domain->vendor->features(&info, &data) : 0;
	spec = (struct weir_nested_spec){
		.flags = o->flags & WEIR_DOMAIN_PASID ? ABI_IOMMU_HWPT_ALLOC_PASID : 0,
		.type = data.type,
		.len = data.len,
		.data = data.bytes,
		.viommu_type = domain->vendor->viommu_type,
		.stream = o->stream,
		.hw_type = info.type,
		.features = domain->features,
		.faults = o->faultq,
	};
	error = function->kernel->ops->domains->open_nested(domain->parent->table, function, &spec,
							    &domain->table);
	if (!error)
		domain->table->domain = &domain->domain;
	return error ? explain(function, &data, error) : 0;
}

int weir_domain_make_nested(struct weir_domain *parent, struct weir_function *function,
			    const struct weir_nested_opts *o, struct weir_domain **ret_domain)
{
	struct weir_kernel_domain *own = weir_kernel_domain(parent), *domain = calloc(1, sizeof(*domain));
	int error;

	if (!domain)
		return weir_fail(-ENOMEM, "no memory for a domain");
	domain->domain = (struct weir_domain){ &weir_nested_type, parent->host };
	domain->ioas = own->ioas;
	domain->parent = own;
	domain->kind = WEIR_DOMAIN_KIND_NESTED;
	error = open_nested(domain, function, o);
	if (error) {
		free(domain);
		return error;
	}
	*ret_domain = &domain->domain;
	return 0;
}

int weir_domain_format(struct weir_function *function, uint32_t *ret_format)
{
	static const uint32_t formats[] = { [WEIR_IOMMU_VTD] = WEIR_STAGE1_X86_4,
					    [WEIR_IOMMU_SMMUV3] = WEIR_STAGE1_ARM64_4K,
					    [WEIR_IOMMU_MOCK] = WEIR_STAGE1_MOCK };
	struct weir_hw_info info;
	int error = function->kernel->ops->domains
			    ? weir_function_hw_info(function, &info)
			    : weir_fail(-EOPNOTSUPP,
					"nothing can be nested on the VFIO container: it has one page "
					"table for a space, and no others");
	uint32_t kind = error ? WEIR_IOMMU_UNKNOWN : weir_vendor_of(info.type, 0)->kind;

	if (error)
		return error;
	if (kind >= sizeof(formats) / sizeof(formats[0]) || !formats[kind])
		return weir_fail(-EOPNOTSUPP, "no format of a first stage is known for the IOMMU of %s",
				 function->address);
	*ret_format = formats[kind];
	return 0;
}

int weir_domain_largest_page(struct weir_function *function, uint32_t *ret_bits)
{
	const struct weir_vendor *vendor;
	struct weir_hw_info info;
	int error = weir_function_hw_info(function, &info);

	if (error)
		return error;
	vendor = weir_vendor_of(info.type, 0);
	*ret_bits = vendor->largest_page ? vendor->largest_page(&info) : 0;
	return 0;
}

int weir_domain_open_nested(struct weir_domain *parent, struct weir_device *device,
			    const struct weir_nested_opts *opts, struct weir_domain **ret_domain)
{
	const struct weir_kernel_domain *own = weir_kernel_domain(parent);
	struct weir_nested_opts o;
	int error = read_options(opts, &o);

	if (error)
		return error;
	if (!own)
		return weir_fail(-EINVAL, "%s is no nesting parent", parent->type->name);
	error = weir_check_faultq(o.faultq, device->host);
	if (error)
		return error;
	if (parent->host != device->host)
		return weir_fail(-EXDEV, "the parent belongs to another host than %s",
				 device->function->address);
	pthread_mutex_lock(&parent->host->lock);
	if (own->ioas != device->function->ioas)
		error = weir_fail(-EXDEV, "%s is in another address space than the parent",
				  device->function->address);
	else
		error = weir_domain_make_nested(parent, device->function, &o, ret_domain);
	pthread_mutex_unlock(&parent->host->lock);
	return error;
}
