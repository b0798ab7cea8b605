/* SPDX-License-Identifier: MIT */
/*
 * Virtual functions of an NVMe controller, from the side of its physical function: which secondary controllers there are, and which of the
 * queues and interrupts that they share each one gets.
 *
 *     nvme_controller_open(physical_function, NULL, &controller);
 *     nvme_secondary_keep(controller, 0, 0);
 *     weir_device_reset(physical_function);
 *     nvme_controller_reset(controller);
 *     ...                                       // echo 2 >/sys/bus/pci/devices/ADDRESS/sriov_numvfs
 *     num = nvme_secondary_list(controller, 0, secondaries, 2);
 *     nvme_secondary_start(controller, secondaries[0].controller_id, 3, 3);
 *     ...                                       // somebody opens the virtual function, with nvme_controller_open() as well
 *     nvme_secondary_stop(controller, secondaries[0].controller_id);
 *
 * A virtual function is an NVMe controller like any other, once its secondary controller is online; until then it reports a fatal status, or can do
 * nothing (-EIO or -EOPNOTSUPP from nvme_controller_open()). When the physical function's controller is reset or closed, its secondary controllers may go offline, as QEMU's
 * do, and so may they when the number of virtual functions is changed.
 *
 * As in nvme.h: calls on a controller by one thread at a time. Errors there, too. Base 2.0, 8.26 (Virtualization Enhancements).
 */
#ifndef NVME_SECONDARY_H
#define NVME_SECONDARY_H

#include <nvme/nvme.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NVME_SECONDARIES 127 /* at most, in one answer */

struct nvme_secondary {
	uint16_t controller_id;
	uint16_t vf;          /* number of its virtual function, from 1 on; 0: it is none */
	uint16_t num_queues;  /* that it has been given: queue pairs, that for admin commands counted */
	uint16_t num_vectors; /* and interrupt vectors, the first of which is the admin queue's */
	bool online;
};

/*
 * The secondary controllers whose identifiers are greater than @after (0: all), in ascending order, at most @max of them (NVME_SECONDARIES are
 * given in one call).
 *
 * Returns how many; or
 *   -EOPNOTSUPP  the controller has no secondary ones
 *   -EPROTO      the list is too long, or not in order
 *   -ETIMEDOUT, -ENODEV, -EIO  as for nvme_controller_open(); after a time-out every admin command is -EIO
 *
 * Base 2.0, 5.17.2.18 (Identify, Secondary Controller List).
 */
int nvme_secondary_list(struct nvme_controller *controller, uint16_t after,
			struct nvme_secondary *ret_secondaries, size_t max);

/*
 * How many of the queues and vectors to be shared the controller itself has, beyond those that are its own. Some begin with all of them, and can
 * give none to others then. It counts from the next reset on: nvme_controller_reset(), and QEMU's only from that of the function
 * (weir_device_reset() before it).
 *
 * Returns 0; -EINVAL, there are not that many, or others have them; -EOPNOTSUPP, and the errors of nvme_secondary_list().
 *
 * Base 2.0, 5.28 (Primary Controller Flexible Allocation).
 */
int nvme_secondary_keep(struct nvme_controller *controller, uint32_t num_queues, uint32_t num_vectors);

/*
 * Give secondary controller @controller_id @num_queues queue pairs and @num_vectors interrupt vectors, instead of those that it had, and take
 * it online. Both count the admin queue's; so a function that is to use one I/O queue by interrupt needs 2 of each. Who uses it meanwhile loses it.
 *
 * Returns 0; or, with the secondary controller offline and without either (unless the controller takes no commands any more),
 *   -EINVAL      less than two queues or no vector, or more than 65535; the controller does not know @controller_id, or has not that many left, or
 *                more than a function may have (nvme_error() has its words)
 *   -EOPNOTSUPP  the controller does not manage virtual functions
 *   -EIO         it gave fewer than asked for
 * and as above.
 *
 * Base 2.0, 5.28 (Virtualization Management).
 */
int nvme_secondary_start(struct nvme_controller *controller, uint16_t controller_id, uint32_t num_queues,
			 uint32_t num_vectors);

/*
 * Take secondary controller @controller_id offline, and what it was given back. Who uses its function loses it.
 *
 * Goes on after an error, and returns 0 or the first, as above.
 */
int nvme_secondary_stop(struct nvme_controller *controller, uint16_t controller_id);

#ifdef __cplusplus
}
#endif

#endif
