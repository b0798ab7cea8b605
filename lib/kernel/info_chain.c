// SPDX-License-Identifier: MIT
/* VFIO's growing info structs and their capability chains. */
#include "kernel/info_chain.h"

#include <errno.h>
#include <stdlib.h>

#include "kernel/vfio_abi.h"

struct info_head {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
};

/*
 * Room for every chain that today's kernels make, so that one call does; a longer one says its size, and gets a second.
 */
enum { ROOM = 512, MOST_ROOM = 1 << 20 };

int weir_info_get(const struct weir_sys *sys, int fd, unsigned long request, uint32_t size, uint32_t index,
		  void **ret_answer, uint32_t *ret_size)
{
	uint32_t room = size > ROOM ? size : ROOM;

	for (int attempt = 0; attempt < 4; attempt++) {
		struct info_head *head = calloc(1, room);
		int error;

		if (!head)
			return -ENOMEM;
		head->argsz = room;
		head->index = index;
		error = sys->ioctl(sys->ctx, fd, request, head);
		if (error >= 0 && head->argsz <= room) {
			*ret_answer = head;
			*ret_size = room;
			return 0;
		}
		room = error < 0 ? 0 : head->argsz;
		free(head);
		if (error < 0)
			return error;
		if (room > MOST_ROOM)
			break;
	}
	return -EIO;
}

bool weir_info_next(const void *answer, size_t size, uint32_t *next, struct weir_info_cap *ret_cap)
{
	uint32_t at = *next;
	const struct abi_vfio_info_cap_header *header;

	if (!at || at % 4 || at > size || size - at < sizeof(*header))
		return false;
	header = (const void *)((const char *)answer + at);
	*ret_cap = (struct weir_info_cap){
		.id = header->id, .version = header->version, .start = header, .room = size - at
	};
	*next = header->next > at ? header->next : 0;
	return true;
}
