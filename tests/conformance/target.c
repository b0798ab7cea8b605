// SPDX-License-Identifier: MIT
#include "conformance/target.h"

#include <errno.h>
#include <stdlib.h>

enum { NVME_CMBMSC = 0x50, CMB_ENABLED = 3 };

void enable_buffer(struct target *target)
{
	ASSERT_OK(weir_region_write32(target->registers, NVME_CMBMSC, CMB_ENABLED));
	ASSERT_OK(weir_region_write32(target->registers, NVME_CMBMSC + 4, 0));
}

static void close_target(void *arg)
{
	struct target *target = arg;

	/* The case has failed before it came to that. */
	for (unsigned int i = 0; i < target->num_mapped && window_info(target).num_mappings; i++)
		weir_ioas_unmap(target->mapped[i].ioas, target->mapped[i].iova, WINDOW);
	EXPECT_OK(weir_watch_close(target->watch));
	EXPECT_OK(weir_peer_close(target->peer));
	EXPECT_OK(weir_device_close(target->device));
	free(target);
}

struct target *new_target(struct t *t, struct weir_ioas *ioas)
{
	struct target *target = calloc(1, sizeof(*target));
	void *memory;

	ASSERT_TRUE(target != NULL);
	t_defer(t, close_target, target);
	ASSERT_OK(weir_device_open(ioas, address_of(t, "NVME1"), NULL, &target->device));
	ASSERT_OK(weir_device_region(target->device, WEIR_REGION_BAR0, &target->registers));
	ASSERT_OK(weir_device_region(target->device, CMB_BAR, &target->bar));
	enable_buffer(target);
	ASSERT_OK(weir_region_map(target->bar, &memory, NULL));
	target->memory = memory;
	ASSERT_OK(weir_peer_open(target->bar, 0, WINDOW, &target->peer));
	ASSERT_OK(weir_peer_watch(target->peer, NULL, &target->watch));
	return target;
}

struct weir_map *map_window(struct t *t, struct target *target, struct weir_ioas *ioas, uint32_t flags)
{
	struct weir_map *map = NULL;

	(void)t;
	ASSERT_OK(weir_peer_map(target->peer, ioas, 0, WINDOW, &WEIR_OPTS(weir_map_opts, .flags = flags),
				&map));
	ASSERT_TRUE(target->num_mapped < MOST_MAPPED);
	target->mapped[target->num_mapped].ioas = ioas;
	target->mapped[target->num_mapped++].iova = weir_map_iova(map);
	return map;
}

struct weir_peer_info window_info(struct target *target)
{
	struct weir_peer_info info;

	ASSERT_OK(weir_peer_info(target->peer, &info, sizeof(info)));
	return info;
}

struct weir_peer_event next_event(struct target *target)
{
	struct weir_peer_event event = { .kind = UINT32_MAX };

	ASSERT_OK(weir_watch_next(target->watch, &event, sizeof(event)));
	return event;
}

void expect_no_event(struct target *target)
{
	struct weir_peer_event event;

	EXPECT_ERR(-EAGAIN, weir_watch_next(target->watch, &event, sizeof(event)));
}
