// SPDX-License-Identifier: MIT
/* Domains: page tables over a space, made, attached, asked and closed. Nested ones are in nested.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.h"
#include "domain/nested.h"
#include "error.h"
#include "faultq/queue.h"
#include "kernel/iommufd_abi.h"

enum { ATTACH_TRIES = 3 };

static const struct weir_domain_ops *ops_of(const struct weir_host *host)
{
	return host->kernel.ops->domains;
}

int weir_fail_no_domains(void)
{
	return weir_fail(-EOPNOTSUPP, "the VFIO container has one page table for a space, and no others");
}

int weir_function_hw_info(struct weir_function *function, struct weir_hw_info *ret_info)
{
	const struct weir_domain_ops *ops = function->kernel->ops->domains;

	return ops ? ops->hw_info(function, ret_info)
		   : weir_fail(-EOPNOTSUPP, "the VFIO container does not tell of IOMMUs");
}

int weir_device_iommu_info(struct weir_device *device, struct weir_iommu_info *ret_info, size_t size)
{
	struct weir_iommu_info info = { 0 };
	struct weir_hw_info said;
	int error;

	pthread_mutex_lock(&device->host->lock);
	error = weir_function_hw_info(device->function, &said);
	info.stream = device->function->vdevice ? device->function->vdevice->stream : 0;
	pthread_mutex_unlock(&device->host->lock);
	if (error)
		return error;
	info.kind = weir_vendor_of(said.type, 0)->kind;
	info.pasid_bits = said.pasid_bits;
	info.dirty = said.caps & ABI_IOMMU_HW_CAP_DIRTY_TRACKING ? 1 : 0;
	info.data_len = said.data_len < sizeof(info.data) ? said.data_len : sizeof(info.data);
	memcpy(info.data, said.data, info.data_len);
	weir_result_write(ret_info, size, &info, sizeof(info));
	return 0;
}

/* What domains of the kernel's are ---------------------------------------------------------------------------------- */

static void fill_info(struct weir_domain *domain, struct weir_domain_info *ret_info)
{
	const struct weir_kernel_domain *own = weir_kernel_domain(domain);

	pthread_mutex_lock(&domain->host->lock);
	ret_info->kind = own->kind;
	ret_info->iommu = own->vendor->kind;
	ret_info->num_nested = own->table->num_nested;
	for (const struct weir_attachment *a = own->table->attached; a; a = a->beside) {
		ret_info->num_devices++;
		ret_info->quarantined |= a->blocked;
	}
	pthread_mutex_unlock(&domain->host->lock);
}

/* The host's lock is held. */
static int check_unused(const struct weir_kernel_domain *domain)
{
	const struct weir_table *table = domain->table;

	if (table->attached)
		return weir_fail(-EBUSY, "%s is attached to this domain: detach it first",
				 table->attached->function->address);
	if (table->num_nested)
		return weir_fail(-EBUSY, "%u domains are nested in this one: close them first",
				 table->num_nested);
	if (domain->has_events)
		return weir_fail(-EBUSY,
				 "a queue of events is open that was opened for this domain: close it first");
	return 0;
}

static int close_own(struct weir_domain *domain)
{
	struct weir_kernel_domain *own = weir_kernel_domain(domain);
	int error = check_unused(own);

	if (error)
		return error;
	weir_ioas_begin_transition(own->ioas);
	error = ops_of(domain->host)->close(own->table);
	weir_ioas_end_transition(own->ioas);
	free(own);
	/* That there was something left to close is not to be taken for its being open. */
	return error == -EBUSY ? -EIO : error;
}

const struct weir_domain_type weir_paging_type = { .name = "a paging domain",
						   .close = close_own,
						   .info = fill_info };
const struct weir_domain_type weir_parent_type = { .name = "a nesting parent",
						   .close = close_own,
						   .info = fill_info };
const struct weir_domain_type weir_nested_type = {
	.name = "a nested domain", .run = weir_nested_run, .close = close_own, .info = fill_info
};

struct weir_kernel_domain *weir_kernel_domain(struct weir_domain *domain)
{
	return domain->type->close == close_own ? (struct weir_kernel_domain *)domain : NULL;
}

/* Paging ones ------------------------------------------------------------------------------------------------------ */

static int explain_open(struct weir_ioas *ioas, const struct weir_function *function, uint32_t flags,
			int error)
{
	const char *address = function->address;
	const struct weir_map *map = flags & WEIR_DOMAIN_NEST_PARENT ? weir_ioas_read_only_map(ioas) : NULL;

	switch (error) {
	case -EINVAL:
		if (map)
			return weir_fail(error,
					 "the mapping at IOVA %#" PRIx64
					 " may be read only, which the second stage behind %s "
					 "does not hold",
					 weir_map_start(map), address);
		break;
	case -ENOSPC: /* the journal has said it */
	case -ESTALE:
		return error;
	case -ENOTTY: /* before Linux 6.6 */
	case -EOPNOTSUPP:
		return weir_fail(-EOPNOTSUPP, "the IOMMU of %s, or its driver, has no page tables %s%s",
				 address, flags & WEIR_DOMAIN_NEST_PARENT ? "to nest others in" : "",
				 flags & WEIR_DOMAIN_PASID ? " for PASIDs" : "");
	default:
		break;
	}
	return weir_fail(error, "IOMMU_HWPT_ALLOC for %s: %s", address, strerror(-error));
}

static uint32_t hwpt_flags(uint32_t flags)
{
	return (flags & WEIR_DOMAIN_NEST_PARENT ? ABI_IOMMU_HWPT_ALLOC_NEST_PARENT : 0) |
	       (flags & WEIR_DOMAIN_PASID ? ABI_IOMMU_HWPT_ALLOC_PASID : 0);
}

static int open_paging(struct weir_ioas *ioas, struct weir_function *function, uint32_t flags,
		       struct weir_faultq *faultq, struct weir_kernel_domain *domain)
{
	const struct weir_domain_ops *ops = ops_of(ioas->host);
	struct weir_hw_info info = { 0 };
	int error;

	if (!ops)
		return weir_fail_no_domains();
	/* A kernel that does not tell may have page tables all the same. */
	error = ops->hw_info(function, &info);
	if (error && error != -EOPNOTSUPP)
		return error;
	domain->domain.host = ioas->host;
	domain->ioas = ioas;
	domain->vendor = weir_vendor_of(info.type, 0);
	weir_ioas_begin_transition(domain->ioas);
	error = ops->open(&ioas->space, function, hwpt_flags(flags), info.type, faultq, &domain->table);
	weir_ioas_end_transition(domain->ioas);
	if (!error)
		domain->table->domain = &domain->domain;
	return error ? explain_open(ioas, function, flags, error) : 0;
}

int weir_domain_make(struct weir_ioas *ioas, struct weir_function *function, uint32_t flags,
		     struct weir_faultq *faultq, struct weir_domain **ret_domain)
{
	struct weir_kernel_domain *domain = calloc(1, sizeof(*domain));
	bool parent = flags & WEIR_DOMAIN_NEST_PARENT;
	int error;

	if (!domain)
		return weir_fail(-ENOMEM, "no memory for a domain");
	if (ioas->dirty) {
		free(domain);
		return weir_fail(-EBUSY,
				 "the address space is tracked (weir_dirty), which would miss what goes "
				 "through a domain");
	}
	domain->domain.type = parent ? &weir_parent_type : &weir_paging_type;
	domain->kind = parent ? WEIR_DOMAIN_KIND_PARENT : WEIR_DOMAIN_KIND_PAGING;
	error = open_paging(ioas, function, flags, faultq, domain);
	if (error) {
		free(domain);
		return error;
	}
	*ret_domain = &domain->domain;
	return 0;
}

/* The device's domains are its space's. */
static int fail_nested_space(const struct weir_device *device)
{
	return weir_fail(-EINVAL, "%s is in a nested space, which has the domains that it takes",
			 device->function->address);
}

int weir_check_faultq(const struct weir_faultq *faultq, const struct weir_host *host)
{
	return faultq && faultq->host != host
		       ? weir_fail(-EXDEV, "the queue of page requests belongs to another host")
		       : 0;
}

int weir_domain_open(struct weir_device *device, const struct weir_domain_opts *opts,
		     struct weir_domain **ret_domain)
{
	struct weir_domain_opts o;
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (error)
		return error;
	if ((o.flags & ~(WEIR_DOMAIN_NEST_PARENT | WEIR_DOMAIN_PASID)) || o.reserved)
		return weir_fail(-EINVAL, "unknown flags %#x", o.flags);
	if (o.faultq && o.flags & WEIR_DOMAIN_NEST_PARENT)
		return weir_fail(-EINVAL,
				 "page requests are an affair of the domains that are nested in a parent");
	error = weir_check_faultq(o.faultq, device->host);
	if (error)
		return error;
	pthread_mutex_lock(&device->host->lock);
	error = device->function->ioas->space.layer
			? fail_nested_space(device)
			: weir_domain_make(device->function->ioas, device->function, o.flags, o.faultq,
					   ret_domain);
	pthread_mutex_unlock(&device->host->lock);
	return error;
}

int weir_domain_end(struct weir_domain *domain)
{
	return domain->type->close(domain);
}

int weir_domain_close(struct weir_domain *domain)
{
	struct weir_host *host;
	int error;

	if (!domain)
		return 0;
	host = domain->host;
	pthread_mutex_lock(&host->lock);
	error = weir_domain_end(domain);
	pthread_mutex_unlock(&host->lock);
	return error;
}

int weir_domain_info(struct weir_domain *domain, struct weir_domain_info *ret_info, size_t size)
{
	struct weir_domain_info info = { 0 };

	domain->type->info(domain, &info);
	weir_result_write(ret_info, size, &info, sizeof(info));
	return 0;
}

/* Attaching -------------------------------------------------------------------------------------------------------- */

/* The kernel may say yes to a PASID that the device cannot have, and do nothing. */
static int check_pasid(const struct weir_kernel_domain *domain, struct weir_function *function,
		       uint32_t pasid)
{
	const struct weir_attachment *whole = weir_attachment_find(function, WEIR_NO_PASID);
	struct weir_hw_info info;
	int error = weir_function_hw_info(function, &info);

	if (error)
		return error;
	if (!info.pasid_bits)
		return weir_fail(-EOPNOTSUPP, "%s has no PASIDs", function->address);
	if (info.pasid_bits < 32 && pasid >> info.pasid_bits)
		return weir_fail(-ERANGE, "PASID %u is beyond the %u bits that %s has", pasid,
				 info.pasid_bits, function->address);
	if (!(domain->table->flags & ABI_IOMMU_HWPT_ALLOC_PASID))
		return weir_fail(-EINVAL, "the domain was opened without WEIR_DOMAIN_PASID");
	if (!whole || !(whole->table->flags & ABI_IOMMU_HWPT_ALLOC_PASID))
		return weir_fail(-EINVAL,
				 "%s as a whole is attached to a table that others cannot stand beside: "
				 "attach it to a "
				 "domain with WEIR_DOMAIN_PASID first",
				 function->address);
	return 0;
}

/* What may be remembered of it from before its devices were blocked must not be used again. */
static int freshen(struct weir_kernel_domain *domain)
{
	int error = domain->stale && domain->domain.type->run
			    ? weir_nested_invalidate_all(domain, ATTACH_TRIES)
			    : 0;

	return error ? weir_fail(-EIO, "an invalidation of this domain failed, and does so again: %s",
				 strerror(-error))
		     : 0;
}

static int explain_attach(const struct weir_kernel_domain *domain, const struct weir_function *function,
			  int error)
{
	if (error == -EINVAL)
		return weir_fail_within(
			error,
			"%s does not suit %s: another IOMMU, an address width or a flag that its IOMMU "
			"has not, or PASIDs in use beside a table that has none",
			domain->domain.type->name, function->address);
	if (error == -ENOENT && domain->vendor->viommu_type)
		return weir_fail_within(error,
					"the IOMMU knows each device of the group of %s by a number that "
					"only an open one has: open "
					"the others too",
					function->address);
	return error;
}

/* Of all that move along. */
static int check_pri(struct weir_function *function, uint32_t pasid)
{
	struct weir_function *member = function->group->functions;
	int error = weir_function_check_pri(function);

	for (; member && !error && pasid == WEIR_NO_PASID; member = member->next)
		error = member == function ? 0 : weir_function_check_pri(member);
	return error;
}

int weir_domain_join(struct weir_domain *domain, struct weir_function *function, uint32_t pasid)
{
	struct weir_kernel_domain *own = weir_kernel_domain(domain);
	int error = pasid != WEIR_NO_PASID ? check_pasid(own, function, pasid) : 0;

	if (!error && own->table->faults)
		error = check_pri(function, pasid);
	if (!error)
		error = freshen(own);
	if (error)
		return error;
	error = ops_of(domain->host)->attach(own->table, function, pasid);
	return error ? explain_attach(own, function, error) : 0;
}

int weir_domain_part(struct weir_function *function, uint32_t pasid)
{
	return function->kernel->ops->domains->detach(function, pasid);
}

/* What it leaves may have a rule about leaving. The space is looked at again: the host's lock was given up. */
static int attach_waiting(struct weir_domain *domain, struct weir_device *device, uint32_t pasid)
{
	const struct weir_kernel_domain *own = weir_kernel_domain(domain);
	const struct weir_attachment *old = weir_attachment_find(device->function, pasid);

	if (old && old->table != own->table)
		weir_faultq_wait(device->host, device->function, pasid);
	if (own->ioas != device->function->ioas)
		return weir_fail(-EXDEV, "%s is in another address space than the domain",
				 device->function->address);
	return weir_domain_join(domain, device->function, pasid);
}

int weir_domain_attach(struct weir_domain *domain, struct weir_device *device, uint32_t pasid)
{
	struct weir_kernel_domain *own = weir_kernel_domain(domain);
	int error;

	if (!own)
		return weir_fail(-EOPNOTSUPP, "devices use %s by being opened into its address space",
				 domain->type->name);
	if (domain->host != device->host)
		return weir_fail(-EXDEV, "the domain belongs to another host than %s",
				 device->function->address);
	pthread_mutex_lock(&device->host->lock);
	error = attach_waiting(domain, device, pasid);
	pthread_mutex_unlock(&device->host->lock);
	return error;
}

/* The host's lock is held, and given up while the rule says to wait. */
static int detach_by_rule(struct weir_device *device, uint32_t pasid)
{
	const struct weir_attachment *attachment;
	struct weir_faultq *faults;
	int error;

	weir_faultq_wait(device->host, device->function, pasid);
	attachment = weir_attachment_find(device->function, pasid);
	faults = attachment ? attachment->table->faults : NULL;
	error = weir_faultq_hold(faults, device->function, pasid);
	if (error)
		return error;
	error = ops_of(device->host)->detach(device->function, pasid);
	weir_faultq_release(faults);
	return error;
}

int weir_domain_detach(struct weir_device *device, uint32_t pasid)
{
	int error = 0;

	pthread_mutex_lock(&device->host->lock);
	if (device->function->ioas->space.layer)
		error = fail_nested_space(device);
	else if (ops_of(device->host))
		error = detach_by_rule(device, pasid);
	pthread_mutex_unlock(&device->host->lock);
	return error;
}
