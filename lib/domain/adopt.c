// SPDX-License-Identifier: MIT
/* Domains that a predecessor has made. */
#include <errno.h>
#include <stdlib.h>

#include "backend/follow.h"
#include "domain/nested.h"
#include "error.h"
#include "kernel/iommufd_abi.h"

static void fill_in(struct weir_kernel_domain *domain, const struct weir_slot_domain *slot)
{
	domain->vendor = weir_vendor_of(slot->hw_type, slot->viommu);
	domain->features = slot->features;
	domain->stale = atomic_load(&slot->stale);
	if (domain->parent) {
		domain->domain.type = &weir_nested_type;
		domain->kind = WEIR_DOMAIN_KIND_NESTED;
	} else if (slot->flags & ABI_IOMMU_HWPT_ALLOC_NEST_PARENT) {
		domain->domain.type = &weir_parent_type;
		domain->kind = WEIR_DOMAIN_KIND_PARENT;
	} else {
		domain->domain.type = &weir_paging_type;
		domain->kind = WEIR_DOMAIN_KIND_PAGING;
	}
}

int weir_domain_adopt(struct weir_ioas *ioas, const struct weir_slot_domain *slot, uint32_t number,
		      struct weir_domain *parent, struct weir_faultq *faultq, struct weir_domain **ret_domain)
{
	struct weir_kernel_domain *above = parent ? weir_kernel_domain(parent) : NULL;
	struct weir_kernel_domain *domain = calloc(1, sizeof(*domain));
	int error = 0;

	if (!domain)
		return weir_fail(-ENOMEM, "no memory for a domain");
	domain->domain.host = ioas->host;
	domain->ioas = ioas;
	domain->parent = above;
	fill_in(domain, slot);
	if (above && !domain->vendor->viommu_type != !slot->viommu)
		error = weir_fail(-EPROTO,
				  "a nested domain has a virtual IOMMU that its kind has not, or none");
	if (!error)
		error = weir_table_adopt(&ioas->space, slot, number, above ? above->table : NULL, faultq,
					 &domain->table);
	if (error) {
		free(domain);
		return error;
	}
	domain->table->domain = &domain->domain;
	*ret_domain = &domain->domain;
	return 0;
}
