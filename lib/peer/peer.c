// SPDX-License-Identifier: MIT
/* Peer windows: pieces of a region's window (ioas/window.h), as programs see them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <weir/peer.h>

#include "device/region.h"
#include "error.h"
#include "ioas/map.h"
#include "ioas/watch.h"

struct weir_peer {
	struct weir_window *window;
	uint64_t offset, len; /* in the window */
};
