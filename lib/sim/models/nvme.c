// SPDX-License-Identifier: MIT
/* The controller as a PCI device: what it is made of, its properties (Base 2.0, 3.1.3), its life. */
#include "sim/models/nvme.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "sim/device/device.h"

enum {
	DEFAULT_QUEUES = 64,
	DEFAULT_MDTS = 7,
	MAX_CMB_MIB = 1024,
	READY_TIMEOUT = 15, /* CAP.TO: 7.5 s, though a step is all it takes */
	VERSION = 0x00010400,
	CC_WRITABLE = 0x00fffff1,
};

/* Enabling and disabling -------------------------------------------------------------------------------- */

void sim_nvme_fatal(struct sim_nvme *n)
{
	n->csts |= NVME_CSTS_CFS_MASK << NVME_CSTS_CFS_SHIFT;
}

static void set_shutdown(struct sim_nvme *n, uint32_t status)
{
	n->csts &= ~(uint32_t)(NVME_CSTS_SHST_MASK << NVME_CSTS_SHST_SHIFT);
	n->csts |= status << NVME_CSTS_SHST_SHIFT;
}

/*
 * Controller reset (Base 2.0, 3.7.2): all queues are gone at once, as are features; what the admin queue
 * is made of stays.
 */
static void stop(struct sim_nvme *n)
{
	memset(n->sqs, 0, sizeof(n->sqs));
	memset(n->cqs, 0, sizeof(n->cqs));
	memset(n->events, 0, sizeof(n->events));
	n->num_aers = 0;
	n->num_aborted = 0;
	n->num_held = 0;
	n->next_sq = 0;
	n->shadows = 0;
	n->interrupt_mask = 0;
	n->starts = false;
	n->csts &= ~(uint32_t)(NVME_CSTS_CFS_MASK << NVME_CSTS_CFS_SHIFT);
	set_shutdown(n, NVME_CSTS_SHST_NORMAL);
	sim_nvme_default_features(n);
	sim_nvme_drive_pin(n);
}

/* What CAP does not offer, and queues of one entry, end in a fatal status (Base 2.0, 3.5.1). */
static bool can_start(const struct sim_nvme *n)
{
	return NVME_CC_CSS(n->cc) == NVME_CC_CSS_NVM && NVME_CC_MPS(n->cc) <= SIM_NVME_MAX_MPS &&
	       NVME_CC_AMS(n->cc) == NVME_CC_AMS_RR && NVME_AQA_ASQS(n->aqa) > 0 &&
	       NVME_AQA_ACQS(n->aqa) > 0 && ((n->asq | n->acq) & (sim_nvme_page_size(n) - 1)) == 0;
}

static void start(struct sim_nvme *n)
{
	n->starts = false;
	if (!can_start(n)) {
		sim_nvme_fatal(n);
		return;
	}
	n->sqs[0] = (struct sim_nvme_sq){ .iova = n->asq, .entries = NVME_AQA_ASQS(n->aqa) + 1 };
	n->cqs[0] = (struct sim_nvme_cq){ .iova = n->acq,
					  .entries = NVME_AQA_ACQS(n->aqa) + 1,
					  .num_sqs = 1,
					  .phase = 1,
					  .interrupts = true };
	n->csts |= NVME_CSTS_RDY_MASK;
}

/*
 * Status follows a change of CC in the next step: a controller that hangs never gets there. True:
 * something changed.
 */
static bool follow(struct sim_nvme *n)
{
	uint32_t before = n->csts;

	if (n->starts)
		start(n);
	if (!NVME_CC_EN(n->cc))
		n->csts &= ~(uint32_t)NVME_CSTS_RDY_MASK;
	if (NVME_CSTS_SHST(n->csts) == NVME_CSTS_SHST_OCCUR) {
		sim_nvme_disk_flush(&n->disk);
		set_shutdown(n, NVME_CSTS_SHST_CMPLT);
	}
	return n->csts != before;
}

static void write_cc(struct sim_nvme *n, uint32_t value)
{
	uint32_t before = n->cc;

	n->cc = value & CC_WRITABLE;
	if (NVME_CC_EN(before) && !NVME_CC_EN(value)) {
		stop(n);
	} else if (!NVME_CC_EN(before) && NVME_CC_EN(value)) {
		n->csts &= ~(uint32_t)NVME_CSTS_RDY_MASK;
		n->starts = true;
	}
	if (NVME_CC_SHN(value) && !NVME_CC_SHN(before))
		set_shutdown(n, NVME_CSTS_SHST_OCCUR);
	else if (!NVME_CC_SHN(value) && !NVME_CC_EN(value))
		set_shutdown(n, NVME_CSTS_SHST_NORMAL);
}

static bool serves(const struct sim_nvme *n)
{
	return NVME_CSTS_RDY(n->csts) && !NVME_CSTS_CFS(n->csts) && NVME_CC_EN(n->cc) &&
	       NVME_CSTS_SHST(n->csts) == NVME_CSTS_SHST_NORMAL;
}

/* The host may write a shadow, and look whether to ring, while we ask to be rung: so look once more. */
static bool has_new_shadows(struct sim_nvme *n)
{
	if (!serves(n) || n->shadows == 0)
		return false;
	sim_nvme_ask_to_be_rung(n);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return sim_nvme_look_at_shadows(n);
}

static bool step(void *state)
{
	struct sim_nvme *n = state;
	bool worked = follow(n);
	unsigned int i;

	if (serves(n))
		worked |= sim_nvme_look_at_shadows(n);
	for (i = 0; i < SIM_NVME_STEP; i++) {
		if (!serves(n))
			break;
		if (!sim_nvme_report_events(n) && !sim_nvme_serve(n))
			break;
		worked = true;
	}
	if (worked)
		sim_nvme_interrupt(n);
	return worked || has_new_shadows(n);
}

/* Properties -------------------------------------------------------------------------------------------- */

/* Where and how large the CMB is shows only when the host has asked to be shown (CMBMSC.CRE). */
static uint32_t read_cmb(const struct sim_nvme *n, uint32_t offset)
{
	if (n->cmb_size == 0 || !NVME_CMBMSC_CRE(n->cmbmsc))
		return 0;
	if (offset == NVME_REG_CMBLOC)
		return NVME_SET(SIM_NVME_CMB_BAR, CMBLOC_BIR) | NVME_SET(1, CMBLOC_CQMMS) |
		       NVME_SET(1, CMBLOC_CQPDS) | NVME_SET(1, CMBLOC_CDPLMS) | NVME_SET(1, CMBLOC_CDPCILS) |
		       NVME_SET(1, CMBLOC_CDMMMS) | NVME_SET(1, CMBLOC_CQDA);
	return NVME_SET(1, CMBSZ_SQS) | NVME_SET(1, CMBSZ_CQS) | NVME_SET(1, CMBSZ_LISTS) |
	       NVME_SET(1, CMBSZ_RDS) | NVME_SET(1, CMBSZ_WDS) | NVME_SET(NVME_CMBSZ_SZU_1M, CMBSZ_SZU) |
	       NVME_SET((uint32_t)(n->cmb_size >> 20), CMBSZ_SZ);
}

static bool cmb_address_invalid(const struct sim_nvme *n)
{
	uint64_t base = n->cmbmsc & (NVME_CMBMSC_CBA_MASK << NVME_CMBMSC_CBA_SHIFT);

	return n->cmb_size > 0 && NVME_CMBMSC_CMSE(n->cmbmsc) && base > UINT64_MAX - n->cmb_size;
}

static uint32_t read_property(const struct sim_nvme *n, uint32_t offset)
{
	switch (offset) {
	case NVME_REG_CAP:
		return (uint32_t)n->cap;
	case NVME_REG_CAP + 4:
		return (uint32_t)(n->cap >> 32);
	case NVME_REG_VS:
		return VERSION;
	case NVME_REG_INTMS:
	case NVME_REG_INTMC:
		return n->interrupt_mask;
	case NVME_REG_CC:
		return n->cc;
	case NVME_REG_CSTS:
		return n->csts;
	case NVME_REG_AQA:
		return n->aqa;
	case NVME_REG_ASQ:
		return (uint32_t)n->asq;
	case NVME_REG_ASQ + 4:
		return (uint32_t)(n->asq >> 32);
	case NVME_REG_ACQ:
		return (uint32_t)n->acq;
	case NVME_REG_ACQ + 4:
		return (uint32_t)(n->acq >> 32);
	case NVME_REG_CMBLOC:
	case NVME_REG_CMBSZ:
		return read_cmb(n, offset);
	case NVME_REG_CMBMSC:
		return (uint32_t)n->cmbmsc;
	case NVME_REG_CMBMSC + 4:
		return (uint32_t)(n->cmbmsc >> 32);
	case NVME_REG_CMBSTS:
		return cmb_address_invalid(n);
	}
	return 0;
}

static void set_low(uint64_t *value, uint32_t half)
{
	*value = (*value & ~(uint64_t)UINT32_MAX) | half;
}

static void set_high(uint64_t *value, uint32_t half)
{
	*value = (*value & UINT32_MAX) | (uint64_t)half << 32;
}

static void write_property(struct sim_nvme *n, uint32_t offset, uint32_t value)
{
	switch (offset) {
	case NVME_REG_INTMS:
		n->interrupt_mask |= value;
		sim_nvme_drive_pin(n);
		break;
	case NVME_REG_INTMC:
		n->interrupt_mask &= ~value;
		sim_nvme_drive_pin(n);
		break;
	case NVME_REG_CC:
		write_cc(n, value);
		break;
	case NVME_REG_AQA:
		n->aqa = value & (NVME_AQA_ACQS_MASK << NVME_AQA_ACQS_SHIFT | NVME_AQA_ASQS_MASK);
		break;
	case NVME_REG_ASQ:
		set_low(&n->asq, value & ~(SIM_NVME_PAGE - 1u));
		break;
	case NVME_REG_ASQ + 4:
		set_high(&n->asq, value);
		break;
	case NVME_REG_ACQ:
		set_low(&n->acq, value & ~(SIM_NVME_PAGE - 1u));
		break;
	case NVME_REG_ACQ + 4:
		set_high(&n->acq, value);
		break;
	case NVME_REG_CMBMSC:
		if (n->cmb_size > 0)
			set_low(&n->cmbmsc, value & ~0xffcu);
		break;
	case NVME_REG_CMBMSC + 4:
		if (n->cmb_size > 0)
			set_high(&n->cmbmsc, value);
		break;
	}
}

static uint64_t read_register(void *state, unsigned int bar, uint64_t offset, unsigned int width)
{
	const struct sim_nvme *n = state;
	uint32_t at = (uint32_t)offset & ~7u;
	uint64_t value;

	if (bar != 0 || offset >= SIM_NVME_DOORBELLS)
		return 0; /* doorbells are for writing */
	value = read_property(n, at) | (uint64_t)read_property(n, at + 4) << 32;
	value >>= 8 * (offset & 7);
	return width == 8 ? value : value & ((1ull << 8 * width) - 1);
}

/* Narrower accesses than 32 bits are for nothing that can be written (Base 2.0, 3.1.3). */
static void write_register(void *state, unsigned int bar, uint64_t offset, unsigned int width, uint64_t value)
{
	struct sim_nvme *n = state;
	uint32_t at = (uint32_t)offset, end = at + width;

	if (bar != 0 || width < 4)
		return;
	for (; at < end; at += 4, value >>= 32) {
		if (at < SIM_NVME_DOORBELLS)
			write_property(n, at, (uint32_t)value);
		else if (at < SIM_NVME_MSIX_TABLE)
			sim_nvme_doorbell(n, at - SIM_NVME_DOORBELLS, (uint32_t)value);
	}
}

/* Function level reset: as after power on. */
static void reset(void *state)
{
	struct sim_nvme *n = state;

	n->cc = n->csts = n->aqa = 0;
	n->asq = n->acq = n->cmbmsc = 0;
	memset(n->errors, 0, sizeof(n->errors));
	n->num_errors = 0;
	stop(n);
}

/* Making one -------------------------------------------------------------------------------------------- */

static void destroy(void *state)
{
	struct sim_nvme *n = state;

	if (!n)
		return;
	sim_nvme_disk_close(&n->disk);
	free(n->segments);
	free(n->buffer);
	free(n);
}

/* FNV-1a: identifiers differ between controllers, and are the same in every run. */
static uint64_t hash(uint64_t seed, const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len && text[i]; i++)
		seed = (seed ^ (unsigned char)text[i]) * 0x100000001b3;
	return seed;
}

/* @config: struct sim_nvme **, taken over. */
static int create(struct weir_sim_device *device, const void *config, void **ret_state)
{
	struct sim_nvme **made = *(struct sim_nvme * *const *)config, *n = *made;
	const char *address = weir_sim_device_address(device);

	*made = NULL;
	n->device = device;
	n->unique = hash(hash(0xcbf29ce484222325, n->serial, sizeof(n->serial)), address, strlen(address));
	*ret_state = n;
	return 0;
}

static int check_opts(struct weir_sim_nvme_opts *opts)
{
	size_t i;

	opts->max_queues = opts->max_queues ? opts->max_queues : DEFAULT_QUEUES;
	opts->mdts = opts->mdts ? opts->mdts : DEFAULT_MDTS;
	opts->serial = opts->serial ? opts->serial : "weir-sim";
	if (opts->max_queues > SIM_NVME_MAX_QUEUES)
		return weir_fail(-EINVAL, "%u I/O queue pairs: at most %u", opts->max_queues,
				 SIM_NVME_MAX_QUEUES);
	if (opts->mdts > SIM_NVME_MAX_MDTS)
		return weir_fail(-EINVAL, "transfers of 2^%u pages: at most 2^%u", opts->mdts,
				 SIM_NVME_MAX_MDTS);
	if (opts->cmb_mib > MAX_CMB_MIB || opts->cmb_mib & (opts->cmb_mib - 1))
		return weir_fail(-EINVAL, "a controller memory buffer of %u MiB: a power of two, at most %u",
				 opts->cmb_mib, MAX_CMB_MIB);
	for (i = 0; opts->serial[i]; i++)
		if (i == sizeof(((struct sim_nvme *)NULL)->serial) || opts->serial[i] < ' ' ||
		    opts->serial[i] > '~')
			return weir_fail(-EINVAL, "serial number \"%s\": at most 20 characters of ASCII",
					 opts->serial);
	return 0;
}

static int make(const struct weir_sim_nvme_opts *opts, struct sim_nvme **ret_nvme)
{
	struct sim_nvme *n = calloc(1, sizeof(*n));
	uint64_t most = (uint64_t)SIM_NVME_PAGE << opts->mdts;
	int r;

	if (!n)
		return weir_fail(-ENOMEM, "no memory for a controller");
	n->disk.fd = -1;
	n->buffer = malloc(most);
	n->max_segments = (uint32_t)(most / SIM_NVME_PAGE) + 2;
	if (n->max_segments < SIM_NVME_MAX_DESCRIPTORS)
		n->max_segments = SIM_NVME_MAX_DESCRIPTORS;
	n->segments = calloc(n->max_segments, sizeof(*n->segments));
	r = n->buffer && n->segments
		    ? sim_nvme_disk_open(&n->disk, opts)
		    : weir_fail(-ENOMEM, "no memory for transfers of %ju bytes", (uintmax_t)most);
	if (r < 0) {
		destroy(n);
		return r;
	}
	memset(n->serial, ' ', sizeof(n->serial));
	memcpy(n->serial, opts->serial, strlen(opts->serial));
	n->max_queues = opts->max_queues;
	n->mdts = opts->mdts;
	n->cmb_size = (uint64_t)opts->cmb_mib << 20;
	n->cap = (SIM_NVME_MAX_ENTRIES - 1) | 1ull << NVME_CAP_CQR_SHIFT |
		 (uint64_t)READY_TIMEOUT << NVME_CAP_TO_SHIFT |
		 (uint64_t)NVME_CAP_CSS_NVM << NVME_CAP_CSS_SHIFT |
		 (uint64_t)SIM_NVME_MAX_MPS << NVME_CAP_MPSMAX_SHIFT |
		 (uint64_t)(opts->cmb_mib > 0) << NVME_CAP_CMBS_SHIFT;
	sim_nvme_default_features(n);
	*ret_nvme = n;
	return 0;
}

int weir_sim_add_nvme(struct weir_sim *sim, const struct weir_sim_nvme_opts *callers_opts,
		      const struct weir_sim_slot *slot, struct weir_sim_device **ret_device)
{
	struct weir_sim_nvme_opts opts;
	struct sim_nvme *n, **config = &n;
	int r = weir_opts_read(callers_opts, &opts, sizeof(opts));

	if (r == 0)
		r = check_opts(&opts);
	if (r == 0)
		r = make(&opts, &n);
	if (r < 0)
		return r;

	/* As QEMU's controller, whose identity this one has. */
	const struct weir_sim_model model = {
		.size = sizeof(model),
		.name = "nvme",
		.vendor_id = 0x1b36,
		.device_id = 0x0010,
		.class_code = 0x010802,
		.flags = WEIR_SIM_FLR | WEIR_SIM_PCIE | WEIR_SIM_INTX | WEIR_SIM_WAITS,
		.msix_vectors = opts.max_queues + 1,
		.msix_bar = 0,
		.msix_offset = SIM_NVME_MSIX_TABLE,
		.bars = { [0] = { .len = SIM_NVME_BAR_SIZE, .flags = WEIR_SIM_BAR_64BIT },
			  [SIM_NVME_CMB_BAR] = { .len = (uint64_t)opts.cmb_mib << 20,
						 .flags = opts.cmb_mib ? WEIR_SIM_BAR_64BIT |
										 WEIR_SIM_BAR_PREFETCHABLE |
										 WEIR_SIM_BAR_RAM
								       : 0 } },
		.create = create,
		.destroy = destroy,
		.read = read_register,
		.write = write_register,
		.reset = reset,
		.step = step,
	};
	r = weir_sim_add(sim, &model, slot, &config, ret_device);
	destroy(n); /* NULL when the device has it */
	return r;
}

int sim_nvme_of(struct weir_sim_device *device, struct sim_nvme **ret_nvme)
{
	if (device->model->step != step)
		return weir_fail(-EINVAL, "%s is a %s, not an NVMe controller", device->address,
				 device->model->name);
	if (device->gone)
		return -ENODEV;
	*ret_nvme = device->state;
	return 0;
}
