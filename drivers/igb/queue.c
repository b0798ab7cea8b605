// SPDX-License-Identifier: MIT
/* What receive and transmit queues have in common. */
#include "igb/queue.h"

#include <errno.h>

int igb_queue_explain(const struct igb_queue *q, const char *kind)
{
	switch (q->failed) {
	case -EPROTO:
		return fail(-EPROTO,
			    "%s queue %u has failed: the controller broke the rules (igb_port_reset())", kind,
			    q->index);
	case -EINVAL:
		return fail(-EINVAL, "%s queue %u has failed: its pool was given more buffers than it lent",
			    kind, q->index);
	case -ECONNRESET:
		return fail(-EIO, "%s queue %u has failed: its port was not reset", kind, q->index);
	}
	return fail(q->failed, "%s queue %u has failed: its doorbell could not be rung", kind, q->index);
}

int igb_queue_ring_otherwise(struct igb_queue *q, uint32_t value)
{
	/* The region says why it cannot be done, and makes the library look. */
	int r = weir_region_write32(q->doorbell.region, q->doorbell.offset, value);

	return r < 0 ? igb_queue_fail(q, r) : 0;
}
