// SPDX-License-Identifier: MIT
/* Devices that log what they write. A space is tracked by them when all of its devices do. */
#include <errno.h>
#include <string.h>

#include "dirty/dirty.h"
#include "error.h"
#include "kernel/vfio_device.h"

static struct weir_function *next_function(const struct weir_ioas *ioas, struct weir_function *function)
{
	const struct weir_group *group = function ? function->group : NULL;

	if (function && function->next)
		return function->next;
	for (group = group ? group->next : ioas->host->kernel.groups; group; group = group->next)
		if (group->space == &ioas->space && group->functions)
			return group->functions;
	return NULL;
}

int weir_dirty_devices_can(struct weir_function *function)
{
	return weir_vfio_device_probe_feature(function->kernel->sys, function->fd,
					      ABI_VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
					      ABI_VFIO_DEVICE_FEATURE_SET);
}

static int log_of(struct weir_ioas *ioas, struct weir_function *function)
{
	enum { MOST = 16 }; /* more of them say little more */
	struct abi_vfio_device_feature_dma_logging_range ranges[MOST];
	struct abi_vfio_device_feature_dma_logging_control control = { .page_size = ioas->grain,
								       .ranges = (uintptr_t)ranges };
	const struct weir_geometry *geometry = &ioas->space.geometry;

	for (uint32_t i = 0; i < geometry->num_ranges && i < MOST; i++) {
		uint64_t len = geometry->ranges[i].last - geometry->ranges[i].start;

		/* The last range takes in what there is no room for; and 2^64 is no length. */
		if (i == MOST - 1)
			len = geometry->ranges[geometry->num_ranges - 1].last - geometry->ranges[i].start;
		ranges[i].iova = geometry->ranges[i].start;
		ranges[i].length = len == UINT64_MAX ? len - ioas->grain + 1 : len + 1;
		control.num_ranges++;
	}
	return weir_vfio_device_set_feature(ioas->host->kernel.sys, function->fd,
					    ABI_VFIO_DEVICE_FEATURE_DMA_LOGGING_START, &control,
					    sizeof(control));
}

static int stop_before(struct weir_ioas *ioas, const struct weir_function *end)
{
	struct weir_first first = { 0 };

	for (struct weir_function *function = NULL;
	     (function = next_function(ioas, function)) && function != end;) {
		int error = weir_vfio_device_set_feature(ioas->host->kernel.sys, function->fd,
							 ABI_VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, NULL, 0);

		if (error)
			weir_error_set("VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP of %s: %s", function->address,
				       strerror(-error));
		weir_first_note(&first, error);
	}
	return weir_first_error(&first);
}

int weir_dirty_devices_start(struct weir_ioas *ioas)
{
	struct weir_function *function = NULL;
	struct weir_first first = { 0 };
	int error = 0;

	while ((function = next_function(ioas, function)))
		if (weir_dirty_devices_can(function))
			return weir_fail(-EOPNOTSUPP, "%s does not log its DMA", function->address);
	while ((function = next_function(ioas, function))) {
		error = log_of(ioas, function);
		if (!error)
			continue;
		weir_error_set("VFIO_DEVICE_FEATURE_DMA_LOGGING_START of %s: %s", function->address,
			       strerror(-error));
		weir_first_note(&first, error);
		stop_before(ioas, function);
		return weir_first_error(&first);
	}
	ioas->devices_stay = true;
	return 0;
}

int weir_dirty_devices_stop(struct weir_ioas *ioas)
{
	ioas->devices_stay = false;
	return stop_before(ioas, NULL);
}

int weir_dirty_devices_ask(struct weir_ioas *ioas, uint64_t iova, uint64_t len, uint64_t page, uint64_t *bits)
{
	struct abi_vfio_device_feature_dma_logging_report report = {
		.iova = iova, .length = len, .page_size = page, .bitmap = (uintptr_t)bits
	};
	int error = 0;

	/* Each, also after an error: they forget what they tell. */
	for (struct weir_function *function = NULL; (function = next_function(ioas, function));) {
		int said = weir_vfio_device_get_feature(ioas->host->kernel.sys, function->fd,
							ABI_VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, &report,
							sizeof(report));

		error = error ? error : said;
	}
	return error;
}
