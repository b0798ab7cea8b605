// SPDX-License-Identifier: MIT
/* Get Log Page (Base 2.0, 5.16): errors, health, firmware. */
#include <string.h>

#include "sim/models/nvme.h"

#define KEEP_EVENT (1u << 15) /* RAE: the event is not answered by this */

/* The parameter that was wrong is not told: 0xffff (5.16.1.2). */
void sim_nvme_note_error(struct sim_nvme *n, const struct sim_nvme_command *c, uint16_t status)
{
	struct nvme_error_log_page *entry = &n->errors[n->num_errors++ % SIM_NVME_NUM_ERRORS];

	*entry = (struct nvme_error_log_page){
		.error_count = htole64(n->num_errors),
		.sqid = htole16(c->sqid),
		.cmdid = htole16(c->cid),
		.status_field = htole16((uint16_t)(status << 1)), /* with room for the phase */
		.parm_error_location = htole16(0xffff),
		.lba = htole64(c->sqid != 0 ? c->cdw10 | (uint64_t)c->cdw11 << 32 : 0),
		.nsid = htole32(c->nsid),
	};
}

/* The newest first. */
static void fill_errors(const struct sim_nvme *n, struct nvme_error_log_page log[SIM_NVME_NUM_ERRORS])
{
	uint64_t i;

	for (i = 0; i < SIM_NVME_NUM_ERRORS && i < n->num_errors; i++)
		log[i] = n->errors[(n->num_errors - 1 - i) % SIM_NVME_NUM_ERRORS];
}

static void put64(unsigned char field[16], uint64_t value)
{
	value = htole64(value);
	memcpy(field, &value, sizeof(value));
}

/* Data units are thousands of 512 bytes, rounded up (5.16.1.3). */
static uint64_t data_units(const struct sim_nvme *n, uint64_t blocks)
{
	return (blocks * (n->disk.block_size / 512) + 999) / 1000;
}

static void fill_health(const struct sim_nvme *n, struct nvme_smart_log *log)
{
	if (SIM_NVME_TEMPERATURE >= n->features.over_temperature ||
	    SIM_NVME_TEMPERATURE <= n->features.under_temperature)
		log->critical_warning |= NVME_SMART_CRIT_TEMPERATURE;
	log->temperature[0] = SIM_NVME_TEMPERATURE & 0xff;
	log->temperature[1] = SIM_NVME_TEMPERATURE >> 8;
	log->avail_spare = 100;
	log->spare_thresh = 10;
	put64(log->data_units_read, data_units(n, n->blocks_read));
	put64(log->data_units_written, data_units(n, n->blocks_written));
	put64(log->host_reads, n->reads);
	put64(log->host_writes, n->writes);
	put64(log->power_cycles, 1);
	put64(log->num_err_log_entries, n->num_errors);
}

static void fill_firmware(struct nvme_firmware_slot *log)
{
	log->afi = 1;
	memcpy(log->frs[0], "1.0     ", sizeof(log->frs[0]));
}

/* Reading a log to its end, so to say, lets the next event of its kind come (unless RAE is set). */
static void clear_event(struct sim_nvme *n, const struct sim_nvme_command *c, unsigned int type)
{
	if (!(c->cdw10 & KEEP_EVENT))
		n->events[type].masked = false;
}

/* As much of the log as there is room for; what is asked for beyond its end is not written. */
static uint16_t answer_part(struct sim_nvme *n, const struct sim_nvme_command *c, const void *log,
			    uint64_t size)
{
	uint64_t len = (((uint64_t)(c->cdw11 & 0xffff) << 16 | c->cdw10 >> 16) + 1) * 4;
	uint64_t offset = (uint64_t)c->cdw13 << 32 | c->cdw12;

	if (offset % 4 != 0 || offset >= size)
		return SIM_NVME_GENERIC(NVME_SC_INVALID_FIELD);
	return sim_nvme_answer(n, c, (const char *)log + offset, len < size - offset ? len : size - offset);
}

/* Reading it is what forgets them, as with the event. */
static uint16_t answer_changes(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	struct nvme_ns_list list = { .ns[0] = htole32(n->changed ? SIM_NVME_NSID : 0) };
	uint16_t status = answer_part(n, c, &list, sizeof(list));

	if (status == NVME_SC_SUCCESS && !(c->cdw10 & KEEP_EVENT)) {
		clear_event(n, c, NVME_AER_NOTICE);
		n->changed = false;
	}
	return status;
}

uint16_t sim_nvme_get_log(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	struct nvme_error_log_page errors[SIM_NVME_NUM_ERRORS] = { 0 };
	struct nvme_firmware_slot firmware = { 0 };
	struct nvme_smart_log health = { 0 };
	uint16_t status;

	/* Logs are the controller's; LPA says that there are none of a namespace's own. */
	if (c->nsid != 0 && c->nsid != UINT32_MAX && c->nsid != SIM_NVME_NSID)
		return SIM_NVME_GENERIC(c->nsid > SIM_NVME_NUM_NSIDS ? NVME_SC_INVALID_NS
								     : NVME_SC_INVALID_FIELD);
	switch (c->cdw10 & 0xff) {
	case NVME_LOG_LID_ERROR:
		fill_errors(n, errors);
		status = answer_part(n, c, errors, sizeof(errors));
		if (status == NVME_SC_SUCCESS)
			clear_event(n, c, NVME_AER_ERROR);
		return status;
	case NVME_LOG_LID_SMART:
		fill_health(n, &health);
		status = answer_part(n, c, &health, sizeof(health));
		if (status == NVME_SC_SUCCESS)
			clear_event(n, c, NVME_AER_SMART);
		return status;
	case NVME_LOG_LID_CHANGED_NS:
		return answer_changes(n, c);
	case NVME_LOG_LID_FW_SLOT:
		fill_firmware(&firmware);
		return answer_part(n, c, &firmware, sizeof(firmware));
	}
	return SIM_NVME_SPECIFIC(NVME_SC_INVALID_LOG_PAGE);
}
