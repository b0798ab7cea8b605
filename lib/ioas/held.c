// SPDX-License-Identifier: MIT
/* What the library holds for the sake of mappings ends with them. */
#include "ioas/held.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "ioas/window.h"
#include "ioas/file.h"

static int close_file(const struct weir_sys *sys, struct weir_held *held)
{
	int error;

	weir_file_forget(held);
	error = sys->munmap(sys->ctx, held->base, held->len);

	if (error)
		error = weir_fail(error,
				  "%#" PRIx64 " bytes of a file stay in this process at %p (%s); "
				  "devices cannot reach them any more",
				  held->len, held->base, strerror(-error));
	sys->close(sys->ctx, held->fd);
	return error;
}

int weir_held_close(const struct weir_sys *sys, struct weir_held *list, int error)
{
	struct weir_first first = { 0 };

	weir_first_note(&first, error);
	while (list) {
		struct weir_held *held = list;

		list = held->next;
		if (held->fd >= 0)
			weir_first_note(&first, close_file(sys, held));
		if (held->window)
			weir_first_note(&first, weir_window_closed(held));
		if (!atomic_load_explicit(&held->parked, memory_order_relaxed))
			free(held);
	}
	return weir_first_error(&first);
}
