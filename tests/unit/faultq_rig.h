/* SPDX-License-Identifier: MIT */
/* A simulated machine whose devices request pages, with weir on it; who was answered, and how often. Everything ends with the case. */
#ifndef UNIT_FAULTQ_RIG_H
#define UNIT_FAULTQ_RIG_H

#include <pthread.h>
#include <stdatomic.h>

#include <weir/sim.h>
#include <weir/weir.h>

#include "test.h"

enum { RIG_DEVICES = 4, RIG_IDS = 1 << 16, RIG_FIRST_ID = 512, RIG_PASID_BITS = 8 };

struct faultq_rig {
	struct weir_sim *sim;
	struct weir_sys table; /* the machine's, and what is written is counted: */
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_faultq *queue;
	struct weir_sim_device *sims[RIG_DEVICES];
	struct weir_device *devices[RIG_DEVICES];
	struct weir_domain *domains[RIG_DEVICES]; /* with the queue, for each; not attached */
	atomic_uint answers[RIG_IDS];             /* by group index */
	atomic_uint codes[RIG_IDS];               /* how many of these were success */
};

/* Devices that use PASIDs as well, on an IOMMU of @iommu (enum weir_sim_iommu). */
struct faultq_rig *faultq_rig_open(struct t *t, uint32_t iommu, const struct weir_faultq_opts *opts);

/* Another queue, and another domain with a queue (NULL: with none) for a device; closed with the case. */
struct weir_faultq *rig_queue(struct t *t, struct faultq_rig *rig, const struct weir_faultq_opts *opts);
struct weir_domain *rig_domain(struct t *t, struct faultq_rig *rig, unsigned int device,
			       struct weir_faultq *queue);

/* Attach device @device to its domain; and back again with the case. */
void rig_attach(struct t *t, struct faultq_rig *rig, unsigned int device);
void rig_detach_later(struct t *t, struct weir_device *device);

/* How many answers the kernel was given, and how many of these it did not take, since the rig was opened. */
unsigned int rig_writes(void);
unsigned int rig_bad_writes(void);
/* How often an answer had a number of the kernel's that another one to the same queue had before. */
unsigned int rig_cookies_again(void);

/* The device requests a page: as one group. */
void rig_request(struct faultq_rig *rig, unsigned int device, uint32_t pasid, uint32_t id, uint64_t iova);

/* The next group, which there has to be; freed with the case. Its token. */
struct weir_fault *rig_read(struct t *t, struct weir_faultq *queue);

struct weir_faultq_info rig_info(struct weir_faultq *queue);

#endif
