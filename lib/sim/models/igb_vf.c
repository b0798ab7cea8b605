// SPDX-License-Identifier: MIT
/* Virtual functions: their registers, their interrupts, and both ends of the mailbox. See igb.h. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "sim/device/device.h"
#include "sim/models/igb_vf.h"

enum {
	VECTORS = 3,
	BAR_SIZE = 0x4000,
	MBMEM = 0x0800,
	MBMEM_SIZE = 0x40,
	VF_MAILBOX = 0x0c40,
	VF_IVAR = 0x1700,
	VF_IVAR_MISC = 0x1740,
	VF_RX = 0x2800,
	VF_TX = 0x3800,
};

#define CTRL_RESET (1u << 26)
#define IVAR_VALID 0x80u

/* VFMailbox. */
#define REQ   (1u << 0)
#define ACK   (1u << 1)
#define VFU   (1u << 2)
#define PFU   (1u << 3)
#define PFSTS (1u << 4)
#define PFACK (1u << 5)
#define RSTI  (1u << 6)
#define RSTD  (1u << 7)

/* PFMailbox: the first two, and what follows, as there. */
#define PF_STS  (1u << 0)
#define PF_RVFU (1u << 4)

/* Interrupts ------------------------------------------------------------------------------------------------------ */

static void send_irqs(struct sim_igb_vf *vf)
{
	uint32_t send = vf->eicr & vf->eims;

	for (uint32_t vector = 0; vector < VECTORS; vector++)
		if (send & 1u << vector)
			weir_sim_device_msi(vf->device, vector);
	vf->eicr &= ~(send & vf->eiac);
	vf->eims &= ~(send & vf->eiam);
}

static void raise_vector(struct sim_igb_vf *vf, uint32_t entry)
{
	if (!(entry & IVAR_VALID))
		return;
	vf->eicr |= 1u << (entry & 3);
	send_irqs(vf);
}

void sim_igb_vf_raise_queue(struct sim_igb_vf *vf, bool transmit, uint32_t queue)
{
	raise_vector(vf, vf->ivar >> (queue / 8 * 16 + transmit * 8) & 0xff);
}

/* Mailbox --------------------------------------------------------------------------------------------------------- */

void sim_igb_write_pf_mailbox(struct sim_igb *igb, uint32_t number, uint32_t value)
{
	struct sim_igb_vf *vf = igb->vfs[number];

	if (!vf)
		return;
	if (!(value & PFU))
		vf->mailbox &= ~PFU;
	else if (!(vf->mailbox & VFU))
		vf->mailbox |= PFU;
	if (value & PF_RVFU) {
		vf->mailbox &= ~VFU;
		*sim_igb_reg(igb, SIM_IGB_MBVFICR) &= ~(0x10001u << number);
	}
	vf->mailbox |= (value & PF_STS ? PFSTS : 0) | (value & ACK ? PFACK : 0);
	if (value & (PF_STS | ACK))
		raise_vector(vf, vf->ivar_misc);
}

uint32_t sim_igb_read_pf_mailbox(const struct sim_igb *igb, uint32_t number)
{
	return igb->vfs[number] ? igb->vfs[number]->mailbox & (VFU | PFU) : 0;
}

static void write_mailbox(struct sim_igb_vf *vf, uint32_t value)
{
	uint32_t causes = (value & REQ ? 1u << vf->number : 0) | (value & ACK ? 0x10000u << vf->number : 0);

	if (!(value & VFU))
		vf->mailbox &= ~VFU;
	else if (!(vf->mailbox & PFU))
		vf->mailbox |= VFU;
	*sim_igb_reg(vf->pf, SIM_IGB_MBVFICR) |= causes;
	if (causes)
		sim_igb_raise_mailbox(vf->pf);
}

static uint32_t read_mailbox(struct sim_igb_vf *vf)
{
	uint32_t value = vf->mailbox;

	vf->mailbox &= ~(PFSTS | PFACK | RSTD);
	return value;
}

void sim_igb_vfs_lose_pf(struct sim_igb *igb)
{
	for (uint32_t i = 0; i < SIM_IGB_POOLS; i++)
		if (igb->vfs[i])
			igb->vfs[i]->mailbox = RSTI;
}

void sim_igb_vfs_have_pf(struct sim_igb *igb)
{
	for (uint32_t i = 0; i < SIM_IGB_POOLS; i++)
		if (igb->vfs[i])
			igb->vfs[i]->mailbox = (igb->vfs[i]->mailbox & ~RSTI) | RSTD;
}

/* Registers ------------------------------------------------------------------------------------------------------- */

static void reset(void *state)
{
	struct sim_igb_vf *vf = state;
	uint32_t pool = 1u << vf->number;

	vf->eims = vf->eiac = vf->eiam = vf->eicr = vf->ivar = vf->ivar_misc = 0;
	vf->mailbox &= RSTI | RSTD;
	if (!vf->pf)
		return;
	for (uint32_t queue = vf->number; queue < SIM_IGB_QUEUES; queue += SIM_IGB_POOLS) {
		*sim_igb_queue(vf->pf, SIM_IGB_RX, queue, SIM_IGB_DCTL) &= ~SIM_IGB_DCTL_ENABLE;
		*sim_igb_queue(vf->pf, SIM_IGB_TX, queue, SIM_IGB_DCTL) &= ~SIM_IGB_DCTL_ENABLE;
		vf->pf->num_bytes[queue] = 0;
		vf->pf->broken[queue] = false;
	}
	*sim_igb_reg(vf->pf, SIM_IGB_VFRE) &= ~pool;
	*sim_igb_reg(vf->pf, SIM_IGB_VFTE) &= ~pool;
	*sim_igb_reg(vf->pf, SIM_IGB_VFLRE) |= pool;
	sim_igb_raise_mailbox(vf->pf);
}

/* Where the physical function has one of its queues' registers, or its part of the mailbox' memory; NULL: that is none of them. */
static uint32_t *shared(struct sim_igb_vf *vf, uint64_t offset)
{
	uint32_t in = (uint32_t)offset & 0xff,
		 queue = vf->number + ((uint32_t)offset >> 8 & 1) * SIM_IGB_POOLS;

	if (offset >= MBMEM && offset < MBMEM + MBMEM_SIZE)
		return sim_igb_reg(vf->pf, (uint32_t)offset + vf->number * MBMEM_SIZE);
	if (in >= 0x40)
		return NULL;
	if ((offset & ~0x1ffull) == VF_RX)
		return sim_igb_queue(vf->pf, SIM_IGB_RX, queue, in);
	if ((offset & ~0x1ffull) == VF_TX)
		return sim_igb_queue(vf->pf, SIM_IGB_TX, queue, in);
	return NULL;
}

static uint32_t *own(struct sim_igb_vf *vf, uint64_t offset)
{
	switch (offset) {
	case SIM_IGB_EIMS:
		return &vf->eims;
	case SIM_IGB_EIAC:
		return &vf->eiac;
	case SIM_IGB_EIAM:
		return &vf->eiam;
	case SIM_IGB_EICR:
		return &vf->eicr;
	case VF_IVAR:
		return &vf->ivar;
	case VF_IVAR_MISC:
		return &vf->ivar_misc;
	case 0x0f10:
		return &vf->counters[SIM_IGB_VF_GPRC];
	case 0x0f14:
		return &vf->counters[SIM_IGB_VF_GPTC];
	case 0x0f18:
		return &vf->counters[SIM_IGB_VF_GORC];
	case 0x0f34:
		return &vf->counters[SIM_IGB_VF_GOTC];
	case 0x0f3c:
		return &vf->counters[SIM_IGB_VF_MPRC];
	}
	return NULL;
}

static uint64_t read_register(void *state, unsigned int bar, uint64_t offset, unsigned int width)
{
	struct sim_igb_vf *vf = state;
	uint32_t *reg;

	if (!vf->pf || vf->pf->device->gone || bar != 0 || width != 4)
		return UINT64_MAX;
	if (offset == SIM_IGB_STATUS)
		return *sim_igb_reg(vf->pf, SIM_IGB_STATUS);
	if (offset == VF_MAILBOX)
		return read_mailbox(vf);
	reg = own(vf, offset);
	reg = reg ? reg : shared(vf, offset);
	return reg ? *reg : 0;
}

static void write_register(void *state, unsigned int bar, uint64_t offset, unsigned int width, uint64_t value)
{
	struct sim_igb_vf *vf = state;
	uint32_t v = (uint32_t)value, *reg;

	if (!vf->pf || bar != 0 || width != 4)
		return;
	switch (offset) {
	case SIM_IGB_CTRL:
		if (v & CTRL_RESET)
			reset(vf);
		return;
	case VF_MAILBOX:
		write_mailbox(vf, v);
		return;
	case SIM_IGB_EIMC:
		vf->eims &= ~v;
		return;
	case SIM_IGB_EIMS:
		vf->eims |= v & ((1u << VECTORS) - 1);
		send_irqs(vf);
		return;
	case SIM_IGB_EICR:
		vf->eicr &= ~v;
		return;
	}
	reg = shared(vf, offset);
	if (!reg && offset >= SIM_IGB_EIAC)
		reg = own(vf, offset);
	if (reg)
		*reg = v;
}

/* Coming and going -------------------------------------------------------------------------------------------------- */

struct config {
	struct sim_igb *pf;
	uint32_t number;
};

static void destroy(void *state)
{
	struct sim_igb_vf *vf = state;

	if (vf && vf->pf) {
		reset(vf);
		vf->pf->vfs[vf->number] = NULL;
	}
	free(vf);
}

static int create(struct weir_sim_device *device, const void *callers_config, void **ret_state)
{
	const struct config *config = callers_config;
	struct sim_igb_vf *vf;

	if (config->number >= SIM_IGB_POOLS - 1)
		return weir_fail(-EINVAL, "virtual function %u of an igb: there are %u", config->number,
				 SIM_IGB_POOLS - 1);
	if (config->pf->vfs[config->number])
		return weir_fail(-EBUSY, "virtual function %u of the igb is there", config->number);
	vf = calloc(1, sizeof(*vf));
	if (!vf)
		return weir_fail(-ENOMEM, "no memory for a virtual function");
	vf->device = device;
	vf->pf = config->pf;
	vf->number = config->number;
	vf->mailbox = *sim_igb_reg(vf->pf, SIM_IGB_CTRL_EXT) & SIM_IGB_PF_READY ? RSTD : RSTI;
	config->pf->vfs[config->number] = vf;
	*ret_state = vf;
	return 0;
}

int weir_sim_add_igb_vf(struct weir_sim_device *igb, uint32_t number, const struct weir_sim_slot *slot,
			struct weir_sim_device **ret_device)
{
	static const struct weir_sim_model model = {
		.size = sizeof(model),
		.name = "igbvf",
		.vendor_id = 0x8086,
		.device_id = 0x10ca,
		.class_code = 0x020000,
		.flags = WEIR_SIM_FLR | WEIR_SIM_PCIE,
		.msix_vectors = VECTORS,
		.msix_bar = 3,
		.bars = { [0] = { .len = BAR_SIZE }, [3] = { .len = 0x4000 } },
		.create = create,
		.destroy = destroy,
		.read = read_register,
		.write = write_register,
		.reset = reset,
	};
	struct config config = { .number = number };

	config.pf = sim_igb_of(igb);
	if (!config.pf)
		return weir_fail(-EINVAL, "%s is a %s, not an igb, or gone", igb->address, igb->model->name);
	return weir_sim_add(igb->sim, &model, slot, &config, ret_device);
}
