// SPDX-License-Identifier: MIT
/*
 * I/O address spaces: made, asked and closed. Mappings are in map.c, devices' coming and going in attach.c.
 */
#include "ioas/ioas.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"

/*
 * Where IOVAs are chosen before a device has told what it can reach: clear of the interrupt windows
 * (0xfee00000 on x86, 0x08000000 on Arm), and below the 39 bits that every IOMMU in use translates.
 */
static const struct weir_iova_range cautious[] = {
	{ 0x100000, 0x7ffffff },
	{ 0x100000000, 0x7fffffffff },
};

const struct weir_iova_range *weir_ioas_allowed(const struct weir_ioas *ioas, uint32_t *ret_num)
{
	if (ioas->space.live) {
		*ret_num = ioas->space.geometry.num_ranges;
		return ioas->space.geometry.ranges;
	}
	*ret_num = sizeof(cautious) / sizeof(cautious[0]);
	return cautious;
}

void weir_ioas_wait_for_calm(struct weir_ioas *ioas)
{
	while (ioas->in_transition)
		pthread_cond_wait(&ioas->calm, &ioas->lock);
}

uint32_t weir_ioas_address_bits(const struct weir_ioas *ioas)
{
	return ioas->device_bits < ioas->address_bits ? ioas->device_bits : ioas->address_bits;
}

int weir_ioas_open(struct weir_host *host, const struct weir_ioas_opts *opts, struct weir_ioas **ret_ioas)
{
	struct weir_ioas_opts o;
	struct weir_ioas *ioas;
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (error)
		return error;
	if (o.reserved || (o.address_bits && (o.address_bits < 12 || o.address_bits > 64)))
		return weir_fail(-EINVAL, "address_bits is %u; it can be 12 to 64", o.address_bits);
	ioas = calloc(1, sizeof(*ioas));
	if (!ioas || weir_iova_init(&ioas->iova)) {
		free(ioas);
		return weir_fail(-ENOMEM, "no memory for an address space");
	}
	ioas->host = host;
	ioas->address_bits = o.address_bits ? o.address_bits : 64;
	ioas->device_bits = 64;
	ioas->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	ioas->space.kernel = &host->kernel;
	error = host->kernel.ops->space_open(&ioas->space);
	if (error) {
		weir_iova_finish(&ioas->iova);
		free(ioas);
		return error;
	}
	pthread_mutex_init(&ioas->lock, NULL);
	pthread_cond_init(&ioas->calm, NULL);
	pthread_mutex_lock(&host->lock);
	host->num_spaces++;
	pthread_mutex_unlock(&host->lock);
	*ret_ioas = ioas;
	return 0;
}

static const char *attached_device(const struct weir_ioas *ioas)
{
	for (const struct weir_group *group = ioas->host->kernel.groups; group; group = group->next)
		if (group->space == &ioas->space)
			return group->functions->address;
	return "a device";
}

static void free_maps(struct weir_tree_node *node)
{
	if (!node)
		return;
	free_maps(node->left);
	free_maps(node->right);
	free(node);
}

int weir_ioas_close(struct weir_ioas *ioas)
{
	struct weir_host *host;
	int error = 0;

	if (!ioas)
		return 0;
	host = ioas->host;
	pthread_mutex_lock(&host->lock);
	if (ioas->space.num_functions)
		error = weir_fail(-EBUSY, "%s is attached to this address space: close it first",
				  attached_device(ioas));
	pthread_mutex_unlock(&host->lock);
	if (error)
		return error;
	/* Not live, so the kernel holds none of the mappings. */
	host->kernel.ops->space_close(&ioas->space);
	free_maps(ioas->maps.root);
	weir_iova_finish(&ioas->iova);
	weir_geometry_free(&ioas->space.geometry);
	pthread_cond_destroy(&ioas->calm);
	pthread_mutex_destroy(&ioas->lock);
	free(ioas);
	/* Last of all: from here on the host may be closed. */
	pthread_mutex_lock(&host->lock);
	host->num_spaces--;
	pthread_mutex_unlock(&host->lock);
	return 0;
}

int weir_ioas_ranges(struct weir_ioas *ioas, struct weir_iova_range *ranges, size_t *num)
{
	const struct weir_iova_range *allowed;
	size_t room = *num, found = 0;
	uint32_t num_allowed;
	uint64_t limit;

	pthread_mutex_lock(&ioas->lock);
	weir_ioas_wait_for_calm(ioas);
	allowed = weir_ioas_allowed(ioas, &num_allowed);
	limit = weir_last_address(weir_ioas_address_bits(ioas));
	for (uint32_t i = 0; i < num_allowed && allowed[i].start <= limit; i++, found++) {
		if (found >= room)
			continue;
		ranges[found] = allowed[i];
		if (ranges[found].last > limit)
			ranges[found].last = limit;
	}
	pthread_mutex_unlock(&ioas->lock);
	*num = found;
	if (found > room)
		return weir_fail(-ENOSPC, "there are %zu ranges, and room for %zu", found, room);
	return 0;
}

int weir_ioas_info(struct weir_ioas *ioas, struct weir_ioas_info *ret_info, size_t size)
{
	struct weir_ioas_info info = { 0 };

	pthread_mutex_lock(&ioas->lock);
	weir_ioas_wait_for_calm(ioas);
	info.alignment = ioas->space.live ? ioas->space.geometry.alignment : ioas->page_size;
	info.num_mappings = ioas->num_maps;
	info.mapped_bytes = ioas->mapped_bytes;
	info.lost_bytes = ioas->lost_bytes;
	info.max_mappings = ioas->space.live ? ioas->space.geometry.max_mappings : UINT64_MAX;
	info.num_devices = ioas->space.num_functions;
	info.address_bits = weir_ioas_address_bits(ioas);
	pthread_mutex_unlock(&ioas->lock);
	weir_result_write(ret_info, size, &info, sizeof(info));
	return 0;
}
