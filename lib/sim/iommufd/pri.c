// SPDX-License-Identifier: MIT
/*
 * Devices that request pages: those that their DMA does not find, and on request. A request goes to the queue of the page table that the DMA went through, or is refused
 * where there is none. The records that make up a group are gathered until the last, as the kernel does.
 */
#include "sim/iommufd/fault.h"

#include <errno.h>
#include <stdlib.h>

#include "error.h"
#include "sim/device/device.h"

struct sim_request {
	struct sim_request *next;
	uint32_t pasid, grpid;
	struct sim_fault_page page;
};

/* Groups --------------------------------------------------------------------------------------------------------- */

static bool is_in(const struct sim_request *request, uint32_t pasid, uint32_t grpid)
{
	return request->pasid == pasid && request->grpid == grpid;
}

static uint32_t count(const struct weir_sim_device *device, uint32_t pasid, uint32_t grpid)
{
	uint32_t num = 0;

	for (const struct sim_request *request = device->requests; request; request = request->next)
		num += is_in(request, pasid, grpid);
	return num;
}

/* The device keeps its requests latest first. */
static struct sim_fault_group *gather(struct weir_sim_device *device, uint32_t pasid, uint32_t grpid)
{
	uint32_t at = count(device, pasid, grpid);
	struct sim_fault_group *group = calloc(1, sizeof(*group) + at * sizeof(group->pages[0]));
	struct sim_request *request, **link = &device->requests;

	if (group)
		*group = (struct sim_fault_group){
			.device = device, .dev_id = device->dev_id, .pasid = pasid, .grpid = grpid, .num = at
		};
	while ((request = *link)) {
		if (!is_in(request, pasid, grpid)) {
			link = &request->next;
			continue;
		}
		*link = request->next;
		if (group)
			group->pages[--at] = request->page;
		free(request);
	}
	return group;
}

static int request_page(struct weir_sim_device *device, struct sim_fault_queue *queue,
			const struct weir_sim_page_request *asked, uint32_t through)
{
	struct sim_request *request = calloc(1, sizeof(*request));
	struct sim_fault_group *group;

	if (!request)
		return -ENOMEM;
	*request = (struct sim_request){ .next = device->requests,
					 .pasid = asked->pasid,
					 .grpid = asked->group,
					 .page = { asked->iova & ~(uint64_t)(SIM_IOMMU_PAGE - 1),
						   asked->perm } };
	device->requests = request;
	if (!asked->last)
		return 0;
	group = gather(device, asked->pasid, asked->group);
	if (!group)
		return -ENOMEM;
	group->through = through;
	sim_fault_queue_add(queue, group);
	return 0;
}

/* What it came through: the attachment of the PASID, or the device's, if its PASIDs are the program's tables' affair. */
static struct sim_domain *domain_of(const struct weir_sim_device *device, uint32_t pasid,
				    uint32_t *ret_through)
{
	struct sim_domain *domain = pasid ? sim_pasid_domain(device->group, pasid) : NULL;

	*ret_through = domain ? pasid : SIM_NO_PASID;
	return domain ? domain : device->group->domain;
}

/* Answers -------------------------------------------------------------------------------------------------------- */

void sim_device_answered(struct weir_sim_device *device, uint32_t pasid, uint32_t grpid, uint32_t code)
{
	for (size_t i = 0; i < SIM_MOST_ASKS; i++) {
		struct sim_ask *ask = &device->asks[i];

		if (ask->state != SIM_ASK_WAITS || i != grpid || ask->pasid != pasid)
			continue;
		ask->state = code == ABI_IOMMUFD_PAGE_RESP_SUCCESS ? SIM_ASK_FREE : SIM_ASK_REFUSED;
	}
	if (device->answered)
		device->answered(device->answered_ctx, pasid, grpid, code);
	sim_wake(device->sim);
}

void sim_device_forget_asks(struct weir_sim_device *device)
{
	struct sim_request *request;

	while ((request = device->requests)) {
		device->requests = request->next;
		free(request);
	}
	for (size_t i = 0; i < SIM_MOST_ASKS; i++)
		device->asks[i].state = SIM_ASK_FREE;
}

/* DMA ------------------------------------------------------------------------------------------------------------ */

static struct sim_ask *find_ask(struct weir_sim_device *device, uint32_t pasid, uint64_t page, bool write)
{
	for (size_t i = 0; i < SIM_MOST_ASKS; i++) {
		struct sim_ask *ask = &device->asks[i];

		if (ask->state != SIM_ASK_FREE && ask->pasid == pasid && ask->page == page &&
		    ask->write == write)
			return ask;
	}
	return NULL;
}

/* As many as it has credits for. */
static struct sim_ask *free_ask(struct weir_sim_device *device)
{
	for (size_t i = 0; i < SIM_MOST_ASKS; i++)
		if (device->asks[i].state == SIM_ASK_FREE)
			return &device->asks[i];
	return NULL;
}

int sim_device_ask(struct weir_sim_device *device, struct sim_domain *domain, uint32_t pasid, uint64_t iova,
		   bool write)
{
	const uint64_t page = iova & ~(uint64_t)(SIM_IOMMU_PAGE - 1);
	struct sim_ask *ask = find_ask(device, pasid, page, write);
	struct weir_sim_page_request request = { .pasid = pasid,
						 .iova = page,
						 .perm = write ? ABI_IOMMU_PGFAULT_PERM_WRITE
							       : ABI_IOMMU_PGFAULT_PERM_READ,
						 .last = true };
	uint32_t through;

	if (ask && ask->state == SIM_ASK_REFUSED) {
		ask->state = SIM_ASK_FREE;
		return -EFAULT;
	}
	if (ask || !(ask = free_ask(device)))
		return -EAGAIN;
	domain_of(device, pasid, &through);
	request.group = (uint32_t)(ask - device->asks);
	if (request_page(device, domain->faults, &request, through))
		return -EFAULT;
	*ask = (struct sim_ask){ .state = SIM_ASK_WAITS, .pasid = pasid, .page = page, .write = write };
	return -EAGAIN;
}

/* On request ----------------------------------------------------------------------------------------------------- */

static int request_now(struct weir_sim_device *device, const struct weir_sim_page_request *request)
{
	const struct sim_domain *domain;
	uint32_t through;
	int error;

	if (!device->page_requests || !device->iommufd)
		return weir_fail(-EINVAL, "%s requests no pages: it is not plugged in so, or not open",
				 device->address);
	domain = domain_of(device, request->pasid, &through);
	if (!domain || !domain->faults || !domain->faults->file) {
		sim_device_answered(device, request->pasid, request->group, ABI_IOMMUFD_PAGE_RESP_INVALID);
		return 0;
	}
	error = request_page(device, domain->faults, request, through);
	return error ? weir_fail(error, "no memory for a page request") : 0;
}

int weir_sim_page_request(struct weir_sim_device *device, const struct weir_sim_page_request *request)
{
	int error = sim_lock(device->sim);

	if (error)
		return error;
	error = request_now(device, request);
	sim_unlock(device->sim);
	return error;
}

void weir_sim_page_answers(struct weir_sim_device *device, weir_sim_page_answer *answered, void *ctx)
{
	if (sim_lock(device->sim))
		return;
	device->answered = answered;
	device->answered_ctx = ctx;
	sim_unlock(device->sim);
}
