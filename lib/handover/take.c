// SPDX-License-Identifier: MIT
/* What is charged for mappings, and to whom; and forgetting a host that is somebody else's. */
#include "backend/follow.h"
#include "error.h"
#include "faultq/queue.h"
#include "handover/handover.h"

static int take_maps(struct weir_ioas *ioas)
{
	const struct weir_follow_ops *ops = ioas->host->kernel.ops->follow;
	int error = 0;

	for (struct weir_map *map = NULL; !error && (map = weir_ioas_next_map(ioas, map));)
		if (weir_handover_is_carried(map))
			error = ops->take_map(&ioas->space, &map->backing, weir_map_size(map),
					      weir_map_start(map));
	return error;
}

int weir_handover_take(struct weir_host *host)
{
	const struct weir_follow_ops *ops = host->kernel.ops->follow;
	int error = ops->take ? ops->take(&host->kernel) : 0;

	for (struct weir_ioas *ioas = host->spaces; ioas && ops->take_map && !error; ioas = ioas->next)
		if (ioas->space.live)
			error = take_maps(ioas);
	return error;
}

void weir_handover_let_go(struct weir_host *host)
{
	/* What is freed gives nothing back in the journal, which the other one reads. */
	pthread_mutex_lock(&host->lock);
	weir_faultqs_forget(host);
	pthread_mutex_unlock(&host->lock);
	/* Without the lock, which is taken under a memory's. */
	while (host->memories)
		weir_memory_let_go(host->memories);
	pthread_mutex_lock(&host->lock);
	while (host->kernel.groups)
		weir_device_let_go(host->kernel.groups->functions->device);
	while (host->spaces)
		weir_ioas_let_go(host->spaces);
	weir_faultqs_let_go(host);
	pthread_mutex_unlock(&host->lock);
	weir_host_let_go(host);
}
