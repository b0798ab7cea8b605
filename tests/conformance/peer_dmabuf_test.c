// SPDX-License-Identifier: MIT
/* dma-bufs that somebody else exported, mapped for devices. Here, somebody else is a window of our own. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "conformance/dma.h"
#include "conformance/target.h"

static int new_dmabuf(struct t *t, struct target *target)
{
	int fd = -1;

	ASSERT_OK(weir_peer_dmabuf(target->peer, &fd));
	return keep_file(t, fd);
}

CONFORMANCE(peer_dmabuf, it_is_mapped_like_any_memory, NEEDS(PEER, EDU1, IOMMUFD))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU1", 0);
	struct target *target = new_target(t, new_ioas(t));
	int fd = new_dmabuf(t, target);
	struct weir_map *map;

	ASSERT_OK(weir_ioas_map_dmabuf(ioas, fd, PAGE, 2 * PAGE, NULL, &map));
	EXPECT_EQ(weir_map_len(map), 2 * PAGE);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory + PAGE, PAGE));
	/* It is none of the window's own mappings, and nobody brings it back. */
	EXPECT_EQ(window_info(target).num_mappings, 0);
	EXPECT_OK(weir_map_close(map));
}

CONFORMANCE(peer_dmabuf, one_that_was_taken_away_is_refused, NEEDS(PEER, EDU1, IOMMUFD))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target = new_target(t, new_ioas(t));
	int fd = new_dmabuf(t, target);
	struct weir_map *map;

	new_edu(t, ioas, "EDU1", 0);
	ASSERT_OK(weir_device_set_memory(target->device, false));
	EXPECT_ERR(-ENODEV, weir_ioas_map_dmabuf(ioas, fd, 0, PAGE, NULL, &map));
	ASSERT_OK(weir_device_set_memory(target->device, true));
	ASSERT_OK(weir_ioas_map_dmabuf(ioas, fd, 0, PAGE, NULL, &map));
	EXPECT_OK(weir_map_close(map));
}

CONFORMANCE(peer_dmabuf, the_container_takes_none, NEEDS(PEER, EDU1, TYPE1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target = new_target(t, new_ioas(t));
	int fd = new_dmabuf(t, target);
	struct weir_map *map;

	new_edu(t, ioas, "EDU1", 0);
	EXPECT_ERR(-EOPNOTSUPP, weir_ioas_map_dmabuf(ioas, fd, 0, PAGE, NULL, &map));
	EXPECT_CONTAINS(weir_error(), "container");
}

CONFORMANCE(peer_dmabuf, what_is_none_is_refused, NEEDS(EDU1, LOCKED_MEMORY))
{
	struct weir_ioas *ioas = new_ioas(t);
	int memory = new_file(t, PAGE), event = keep_file(t, eventfd(0, EFD_CLOEXEC));
	struct weir_map *map;

	new_edu(t, ioas, "EDU1", 0);
	EXPECT_ERR(-EBADF, weir_ioas_map_dmabuf(ioas, -1, 0, PAGE, NULL, &map));
	EXPECT_ERR(-EINVAL, weir_ioas_map_dmabuf(ioas, memory, 0, PAGE, NULL, &map));
	EXPECT_CONTAINS(weir_error(), "weir_ioas_map_file");
	EXPECT_ERR(-EINVAL, weir_ioas_map_dmabuf(ioas, event, 0, 0, NULL, &map));
	EXPECT_ERR(-EINVAL, weir_ioas_map_dmabuf(ioas, event, 1, PAGE, NULL, &map));
	EXPECT_ERR(-EINVAL, weir_ioas_map_dmabuf(ioas, event, 0, PAGE - 1, NULL, &map));
	EXPECT_ERR(-EOVERFLOW, weir_ioas_map_dmabuf(ioas, event, -(uint64_t)PAGE, 2 * PAGE, NULL, &map));
	EXPECT_TRUE(weir_ioas_map_dmabuf(ioas, event, 0, PAGE, NULL, &map) < 0);
}
