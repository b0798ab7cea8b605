/* SPDX-License-Identifier: MIT */
/*
 * Looking after an NVMe controller: which namespaces there are, what happens to it, and how to go on when something has gone wrong.
 *
 *     for (;;) {
 *             int num = nvme_queue_wait(queue, done, 32, 5000);
 *             if (num == -ETIMEDOUT && nvme_queue_abort(queue, tag) == 0)
 *                     continue;                            // it completes, most likely with -ECANCELED
 *             if (num < 0 && nvme_controller_reset(controller) < 0)
 *                     ...                                  // it cannot be helped
 *             for (int i = 0; i < num; i++)
 *                     if (done[i].error == -ECONNRESET)
 *                             ...                          // in doubt: carried out, or not
 *     }
 *
 * The life of a request. It is submitted once, and its completion is reported once, whatever happens: from the controller, or, when the
 * controller has been reset while it was on its way, with -ECONNRESET: it was carried out, or it was not, or in part. Reads, flushes
 * and writes of the same data may be submitted again; whether anything else may, only the caller knows. Until its completion has
 * been reported, its buffer is the device's. A time-out of nvme_queue_wait() ends nothing: the request is still on its way.
 *
 * As in nvme.h: calls on a controller by one thread at a time. Errors there, too.
 */
#ifndef NVME_MANAGE_H
#define NVME_MANAGE_H

#include <nvme/nvme.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Namespaces --------------------------------------------------------------------------------------------- */

/*
 * The identifiers of active namespaces that are greater than @after (0: all), in ascending order, at most @max of them (at most 1024 are
 * given in one call).
 *
 * Returns how many; or an error as nvme_namespace_info(), -EPROTO also when the list is not in order. Base 2.0, 5.17.2.2.
 */
int nvme_namespace_list(struct nvme_controller *controller, uint32_t after, uint32_t *ret_nsids, size_t max);

/*
 * Which namespaces have changed since this was asked last: come, gone, or other than nvme_namespace_info() said. Lets the next such event
 * come. Returns how many, up to @max; INT_MAX when there were more, or too many to be listed: look at all. Errors as above, -EOPNOTSUPP when the
 * controller keeps no such list. Base 2.0, 5.16.1.5.
 */
int nvme_namespace_changes(struct nvme_controller *controller, uint32_t *ret_nsids, size_t max);

/* Events ------------------------------------------------------------------------------------------------- */

/* Something that the controller has to tell: as it is in dword 0 of the completion (Base 2.0, 5.2). */
struct nvme_event {
	uint8_t type; /* 0: error, 1: health, 2: notice, 6: of the command set, 7: of the vendor's */
	uint8_t info;
	uint8_t log;     /* the log page to read, which lets the next event of this kind come */
	bool namespaces; /* notice that namespaces have changed: nvme_namespace_changes() */
};

/*
 * Take events that have been reported. Never waits. The controller was opened with NVME_EVENTS.
 *
 * Returns how many, up to @max; or -EOPNOTSUPP without NVME_EVENTS, -EIO, -ENODEV, -EPROTO.
 */
int nvme_controller_events(struct nvme_controller *controller, struct nvme_event *ret_events, size_t max);

/*
 * Read @len bytes (a multiple of 4, at most 4096) from the start of log page @log, of namespace @nsid (UINT32_MAX: of the controller).
 *
 * Returns 0 or -EINVAL, an errno of the status that the controller gave, -ETIMEDOUT, -ENODEV, -EIO. Base 2.0, 5.16.
 */
int nvme_controller_log(struct nvme_controller *controller, uint8_t log, uint32_t nsid, void *ret_data,
			size_t len);

/* Other commands ----------------------------------------------------------------------------------------- */

/* An admin command as the specification has it, which this driver has no call of its own for. */
struct nvme_admin_request {
	uint8_t opcode; /* bit 0: there is data for the controller; bit 1: from it */
	uint32_t nsid;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15; /* command dwords */
};

/*
 * Carry out an admin command: a feature set, a namespace attached or formatted, firmware. @len bytes of data at @data (a multiple of 4, at most
 * 4096; 0 for none) are copied to where the controller reaches them, and back. It may take as long as any admin command (admin_timeout_ms).
 *
 * What the command does to namespaces and data is the caller's affair, and that its dwords name no more data than 4096 bytes: there is memory
 * for that much only. What the driver itself lives by is refused.
 *
 * Returns 0, with dword 0 of the completion in @ret_result (NULL: not wanted); or, with @data as it was,
 *   -EINVAL  @len is not as above; data, but the opcode has none
 *   -EPERM   it makes or deletes queues, aborts, asks for events, moves doorbells, or sets the feature Number of Queues or Host Memory Buffer;
 *            nothing was sent
 * an errno of the status that the controller gave, -ETIMEDOUT, -ENODEV, -EIO, -EPROTO. Base 2.0, 5.
 */
int nvme_controller_admin(struct nvme_controller *controller, const struct nvme_admin_request *request,
			  void *data, size_t len, uint32_t *ret_result);

/* When something goes wrong ------------------------------------------------------------------------------ */

/*
 * Have the controller abort the request with @tag, the first one on its way that has it.
 *
 * Returns 0 when it was aborted, or is about to be: its completion comes, with -ECANCELED unless it was faster; or
 *   -ENOENT  no such request is on its way
 *   -EBUSY   the controller could not abort it: it may be too late, or out of reach
 * and the errors of admin commands. Base 2.0, 5.1.
 */
int nvme_queue_abort(struct nvme_queue *queue, uint64_t tag);

/*
 * Reset the controller and go on with the same queues: after a fatal status, a time-out, a queue that has failed, or a reset of the device
 * (weir_device_reset()) that took everything away. Nobody uses a queue meanwhile.
 *
 * Each queue then reports first what had completed before, and after it every request that was on its way, with -ECONNRESET; until that
 * has been reaped, nvme_queue_submit() is -EAGAIN. Requests that nobody waits for any more (nvme_queue_read() and the like that
 * timed out) just end. The memory of what was on its way is the caller's again. Namespaces may have changed; a memory buffer that
 * was enabled is so again, at its address.
 *
 * Returns 0; or
 *   -ETIMEDOUT, -ENODEV, -EIO, -EPROTO  as nvme_controller_open(): the controller is off or gone. Queues report the same, and then only the error;
 *            if it could not be stopped, what was on its way stays the device's until nvme_controller_close().
 *
 * Takes as long as disabling and enabling. Base 2.0, 3.7.2 (controller level reset).
 */
int nvme_controller_reset(struct nvme_controller *controller);

#ifdef __cplusplus
}
#endif

#endif
