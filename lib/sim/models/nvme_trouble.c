// SPDX-License-Identifier: MIT
/* I/O commands that get lost on request, and who is told what became of each. */
#include <errno.h>
#include <string.h>

#include "sim/device/device.h"
#include "sim/models/nvme.h"

static void tell(struct sim_nvme *n, const struct sim_nvme_command *c, enum weir_sim_nvme_fate fate,
		 uint16_t status)
{
	struct weir_sim_nvme_taken taken = { .block = c->cdw10 | (uint64_t)c->cdw11 << 32,
					     .fate = fate,
					     .status = status,
					     .opcode = c->opcode };

	if (n->watcher)
		n->watcher(n->watcher_ctx, &taken);
}

bool sim_nvme_is_lost(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	if (n->to_swallow > 0) {
		n->to_swallow--;
		tell(n, c, WEIR_SIM_NVME_SWALLOWED, 0);
		return true;
	}
	if (n->to_hold > 0 && n->num_held < SIM_NVME_MAX_HELD) {
		n->to_hold--;
		n->held[n->num_held++] = (struct sim_nvme_held){ .sqid = c->sqid, .cid = c->cid };
		tell(n, c, WEIR_SIM_NVME_HELD, 0);
		return true;
	}
	return false;
}

/* The watcher comes first: once there is a completion, the host may look for what the watcher has noted. */
bool sim_nvme_is_reported(struct sim_nvme *n, const struct sim_nvme_command *c, uint16_t status)
{
	if (n->to_leave_unreported > 0) {
		n->to_leave_unreported--;
		tell(n, c, WEIR_SIM_NVME_UNREPORTED, status);
		return false;
	}
	tell(n, c, WEIR_SIM_NVME_COMPLETED, status);
	return true;
}

static void take_out(struct sim_nvme *n, uint32_t i)
{
	n->num_held--;
	memmove(&n->held[i], &n->held[i + 1], (n->num_held - i) * sizeof(n->held[0]));
}

bool sim_nvme_abort_held(struct sim_nvme *n, uint16_t sqid, uint16_t cid)
{
	uint32_t i = 0;

	while (i < n->num_held && (n->held[i].sqid != sqid || n->held[i].cid != cid))
		i++;
	if (i == n->num_held || sim_nvme_cq_full(&n->cqs[n->sqs[sqid].cqid]))
		return false;
	take_out(n, i);
	sim_nvme_complete(n, sqid, cid, 0, NVME_SC_ABORT_REQ);
	return true;
}

void sim_nvme_forget_held(struct sim_nvme *n, uint16_t sqid)
{
	uint32_t i = n->num_held;

	while (i-- > 0)
		if (n->held[i].sqid == sqid)
			take_out(n, i);
}

/* On request -------------------------------------------------------------------------------------------- */

/* Lock the machine of @device, and find the controller: it stays locked if that is there. A device that is gone loses nothing more, which is no error. */
static int begin(struct weir_sim_device *device, struct sim_nvme **ret_nvme)
{
	int r = sim_lock(device->sim);

	*ret_nvme = NULL;
	if (r < 0)
		return r;
	r = sim_nvme_of(device, ret_nvme);
	if (r < 0)
		sim_unlock(device->sim);
	return r == -ENODEV ? 0 : r;
}

int weir_sim_nvme_swallow(struct weir_sim_device *device, uint32_t num)
{
	struct sim_nvme *n;
	int r = begin(device, &n);

	if (!n)
		return r;
	n->to_swallow = num;
	sim_unlock(device->sim);
	return 0;
}

int weir_sim_nvme_hold(struct weir_sim_device *device, uint32_t num)
{
	struct sim_nvme *n;
	int r = begin(device, &n);

	if (!n)
		return r;
	n->to_hold = num;
	sim_unlock(device->sim);
	return 0;
}

int weir_sim_nvme_leave_unreported(struct weir_sim_device *device, uint32_t num)
{
	struct sim_nvme *n;
	int r = begin(device, &n);

	if (!n)
		return r;
	n->to_leave_unreported = num;
	sim_unlock(device->sim);
	return 0;
}

int weir_sim_nvme_watch(struct weir_sim_device *device, weir_sim_nvme_watcher *watcher, void *ctx)
{
	struct sim_nvme *n;
	int r = begin(device, &n);

	if (!n)
		return r;
	n->watcher = watcher;
	n->watcher_ctx = ctx;
	sim_unlock(device->sim);
	return 0;
}
