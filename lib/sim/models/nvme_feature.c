// SPDX-License-Identifier: MIT
/*
 * Get Features and Set Features (Base 2.0, 5.15 and 5.27). None can be saved: a reset brings the defaults
 * back.
 */
#include <string.h>

#include "sim/models/nvme.h"

#define INVALID_FIELD SIM_NVME_GENERIC(NVME_SC_INVALID_FIELD)

enum {
	SAVE = 1u << 31,        /* dword 10 of Set Features */
	CHANGEABLE = 1 << 2,    /* what Get Features says about a feature's capabilities */
	OVER_TEMPERATURE = 343, /* default: the warning threshold of the identify data */
	WRITE_CACHE_ON = 1,
	EVENTS_KNOWN = 0x1ff, /* the critical warnings of the SMART log, and namespaces */
};

void sim_nvme_default_features(struct sim_nvme *n)
{
	n->features = (struct sim_nvme_features){ .write_cache = WRITE_CACHE_ON,
						  .over_temperature = OVER_TEMPERATURE };
}

/* Features that are one word without consequences here; NULL: it is none of those. */
static uint32_t *plain(struct sim_nvme_features *features, uint32_t id, uint32_t *ret_mask)
{
	*ret_mask = UINT32_MAX;
	switch (id) {
	case NVME_FEAT_FID_ARBITRATION:
		return &features->arbitration;
	case NVME_FEAT_FID_ERR_RECOVERY:
		*ret_mask = 0xffff; /* DULBE: the namespace does not know it */
		return &features->error_recovery;
	case NVME_FEAT_FID_VOLATILE_WC:
		*ret_mask = 1;
		return &features->write_cache;
	case NVME_FEAT_FID_IRQ_COALESCE:
		*ret_mask = 0xffff;
		return &features->coalescing;
	case NVME_FEAT_FID_WRITE_ATOMIC:
		*ret_mask = 1;
		return &features->write_atomicity;
	case NVME_FEAT_FID_ASYNC_EVENT:
		*ret_mask = EVENTS_KNOWN;
		return &features->events;
	}
	return NULL;
}

/* Temperature Threshold (5.27.1.3): one sensor, the composite one, with an upper and a lower threshold. */
static uint16_t *threshold(struct sim_nvme_features *features, uint32_t cdw11)
{
	uint32_t sensor = cdw11 >> 16 & 0xf, kind = cdw11 >> 20 & 3;

	if (sensor != 0 || kind > 1)
		return NULL;
	return kind == 0 ? &features->over_temperature : &features->under_temperature;
}

static uint16_t set_threshold(struct sim_nvme *n, uint32_t cdw11)
{
	struct sim_nvme_features *features = &n->features;
	uint32_t all_sensors = cdw11 >> 16 & 0xf;
	uint16_t *which = threshold(features, all_sensors == 0xf ? cdw11 & ~0xf0000u : cdw11);

	if (!which)
		return INVALID_FIELD;
	*which = (uint16_t)cdw11;
	if ((SIM_NVME_TEMPERATURE >= features->over_temperature ||
	     SIM_NVME_TEMPERATURE <= features->under_temperature) &&
	    features->events & NVME_SMART_CRIT_TEMPERATURE)
		sim_nvme_event(n, NVME_AER_SMART, NVME_AER_SMART_TEMPERATURE_THRESHOLD, NVME_LOG_LID_SMART);
	return NVME_SC_SUCCESS;
}

static uint32_t num_queues(const struct sim_nvme *n)
{
	return (n->max_queues - 1) << 16 | (n->max_queues - 1);
}

/*
 * Number of Queues (5.27.1.5): as many as there are, whatever was asked for; not any more once there is
 * one.
 */
static uint16_t set_num_queues(const struct sim_nvme *n, uint32_t cdw11, uint32_t *result)
{
	uint32_t i;

	if ((cdw11 & 0xffff) == 0xffff || cdw11 >> 16 == 0xffff)
		return INVALID_FIELD;
	for (i = 1; i <= n->max_queues; i++)
		if (n->cqs[i].entries != 0)
			return SIM_NVME_GENERIC(NVME_SC_CMD_SEQ_ERROR);
	*result = num_queues(n);
	return NVME_SC_SUCCESS;
}

/* Interrupt Vector Configuration (5.27.1.7): which vectors are not to be coalesced. */
static uint16_t set_vector(struct sim_nvme *n, uint32_t cdw11)
{
	uint32_t vector = cdw11 & 0xffff;
	uint8_t *byte, bit = (uint8_t)(1 << vector % 8);

	if (vector > n->max_queues)
		return INVALID_FIELD;
	byte = &n->features.no_coalescing[vector / 8];
	*byte = (uint8_t)(cdw11 >> 16 & 1 ? *byte | bit : *byte & ~bit);
	return NVME_SC_SUCCESS;
}

/* Power Management (5.27.1.2): there is power state 0. */
static uint16_t set_power(struct sim_nvme *n, uint32_t cdw11)
{
	if (cdw11 & 0x1f)
		return INVALID_FIELD;
	n->features.power = cdw11 & 0xff;
	return NVME_SC_SUCCESS;
}

uint16_t sim_nvme_set_feature(struct sim_nvme *n, const struct sim_nvme_command *c, uint32_t *result)
{
	uint32_t id = c->cdw10 & 0xff, mask, *word = plain(&n->features, id, &mask);

	if (c->cdw10 & SAVE)
		return SIM_NVME_SPECIFIC(NVME_SC_FEATURE_NOT_SAVEABLE);
	if (c->nsid != 0 && c->nsid != UINT32_MAX)
		return c->nsid > SIM_NVME_NUM_NSIDS ? SIM_NVME_GENERIC(NVME_SC_INVALID_NS)
						    : SIM_NVME_SPECIFIC(NVME_SC_FEATURE_NOT_PER_NS);
	if (word) {
		*word = c->cdw11 & mask;
		return NVME_SC_SUCCESS;
	}
	switch (id) {
	case NVME_FEAT_FID_POWER_MGMT:
		return set_power(n, c->cdw11);
	case NVME_FEAT_FID_TEMP_THRESH:
		return set_threshold(n, c->cdw11);
	case NVME_FEAT_FID_NUM_QUEUES:
		return set_num_queues(n, c->cdw11, result);
	case NVME_FEAT_FID_IRQ_CONFIG:
		return set_vector(n, c->cdw11);
	}
	return INVALID_FIELD;
}

static uint16_t get_value(struct sim_nvme *n, struct sim_nvme_features *features,
			  const struct sim_nvme_command *c, uint32_t *result)
{
	uint32_t id = c->cdw10 & 0xff, vector = c->cdw11 & 0xffff, mask, *word = plain(features, id, &mask);
	const uint16_t *which;

	if (word) {
		*result = *word;
		return NVME_SC_SUCCESS;
	}
	switch (id) {
	case NVME_FEAT_FID_POWER_MGMT:
		*result = features->power;
		return NVME_SC_SUCCESS;
	case NVME_FEAT_FID_TEMP_THRESH:
		which = threshold(features, c->cdw11);
		*result = which ? *which : 0;
		return which ? NVME_SC_SUCCESS : INVALID_FIELD;
	case NVME_FEAT_FID_NUM_QUEUES:
		*result = num_queues(n);
		return NVME_SC_SUCCESS;
	case NVME_FEAT_FID_IRQ_CONFIG:
		if (vector > n->max_queues)
			return INVALID_FIELD;
		*result = vector | (uint32_t)(features->no_coalescing[vector / 8] >> vector % 8 & 1) << 16;
		return NVME_SC_SUCCESS;
	}
	return INVALID_FIELD;
}

/* What is saved is the default, for nothing can be. */
uint16_t sim_nvme_get_feature(struct sim_nvme *n, const struct sim_nvme_command *c, uint32_t *result)
{
	struct sim_nvme_features current = n->features, defaults;
	uint32_t select = c->cdw10 >> 8 & 7;
	uint16_t status;

	if (select > NVME_GET_FEATURES_SEL_SUPPORTED)
		return INVALID_FIELD;
	sim_nvme_default_features(n);
	defaults = n->features;
	n->features = current;
	status = get_value(n, select == NVME_GET_FEATURES_SEL_CURRENT ? &current : &defaults, c, result);
	if (status == NVME_SC_SUCCESS && select == NVME_GET_FEATURES_SEL_SUPPORTED)
		*result = CHANGEABLE;
	return status;
}
