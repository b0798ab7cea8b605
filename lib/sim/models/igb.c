// SPDX-License-Identifier: MIT
/* The device: see igb.h. */
#include "sim/models/igb_vf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "sim/device/device.h"
#include "sim/machine.h"

#define CTRL_LINK_UP   (1u << 6)
#define CTRL_RESET     (1u << 26)
#define STATUS_UP      (1u << 1 | 1u << 0 | 2u << 6) /* full duplex, 1000 Mb/s */
#define RAH_VALID      (1u << 31)
#define EERD_DONE      (1u << 1)
#define MDIC_READY     (1u << 28)
#define ICR_LINK       (1u << 2)
#define ICR_MAILBOX    (1u << 8)
#define GPIE_AUTO_MASK (1u << 30)
#define IVAR_VALID     0x80u

/* Rings ------------------------------------------------------------------------------------------------------- */

uint32_t sim_igb_available(struct sim_igb *igb, uint32_t base, uint32_t queue)
{
	uint32_t num = *sim_igb_queue(igb, base, queue, SIM_IGB_LEN) / 16,
		 head = *sim_igb_queue(igb, base, queue, SIM_IGB_HEAD),
		 tail = *sim_igb_queue(igb, base, queue, SIM_IGB_TAIL);

	if (!(*sim_igb_queue(igb, base, queue, SIM_IGB_DCTL) & SIM_IGB_DCTL_ENABLE) || head >= num ||
	    tail >= num)
		return 0;
	return tail >= head ? tail - head : num - head + tail;
}

uint64_t sim_igb_descriptor(struct sim_igb *igb, uint32_t base, uint32_t queue)
{
	uint64_t start = *sim_igb_queue(igb, base, queue, SIM_IGB_BASE_LOW) |
			 (uint64_t)*sim_igb_queue(igb, base, queue, SIM_IGB_BASE_HIGH) << 32;

	return start + 16ull * *sim_igb_queue(igb, base, queue, SIM_IGB_HEAD);
}

void sim_igb_advance(struct sim_igb *igb, uint32_t base, uint32_t queue)
{
	uint32_t *head = sim_igb_queue(igb, base, queue, SIM_IGB_HEAD);

	if (++*head >= *sim_igb_queue(igb, base, queue, SIM_IGB_LEN) / 16)
		*head = 0;
}

uint16_t sim_igb_sum(const unsigned char *bytes, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	if (len & 1)
		sum += (uint32_t)bytes[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Interrupts ---------------------------------------------------------------------------------------------------- */

/* Send what is pending and wanted. */
static void send_irqs(struct sim_igb *igb)
{
	uint32_t *pending = sim_igb_reg(igb, SIM_IGB_EICR), *wanted = sim_igb_reg(igb, SIM_IGB_EIMS),
		 send = *pending & *wanted;

	for (uint32_t vector = 0; vector < SIM_IGB_VECTORS; vector++)
		if (send & 1u << vector)
			weir_sim_device_msi(igb->device, vector);
	*pending &= ~(send & *sim_igb_reg(igb, SIM_IGB_EIAC));
	if (*sim_igb_reg(igb, SIM_IGB_GPIE) & GPIE_AUTO_MASK)
		*wanted &= ~(send & *sim_igb_reg(igb, SIM_IGB_EIAM));
}

static void raise_vector(struct sim_igb *igb, uint32_t entry)
{
	if (!(entry & IVAR_VALID))
		return;
	*sim_igb_reg(igb, SIM_IGB_EICR) |= 1u << (entry & 0x1f);
	send_irqs(igb);
}

void sim_igb_raise_queue(struct sim_igb *igb, bool transmit, uint32_t queue)
{
	struct sim_igb_vf *vf = igb->vfs[queue % SIM_IGB_POOLS];

	if (vf) {
		sim_igb_vf_raise_queue(vf, transmit, queue);
		return;
	}
	raise_vector(igb,
		     *sim_igb_reg(igb, SIM_IGB_IVAR + 4 * (queue % 8)) >> (transmit * 8 + queue / 8 * 16) &
			     0xff);
}

/* Link -------------------------------------------------------------------------------------------------------- */

bool sim_igb_is_up(const struct sim_igb *igb)
{
	return igb->link && igb->peer && igb->peer->link && igb->regs[SIM_IGB_CTRL / 4] & CTRL_LINK_UP;
}

static void raise_cause(struct sim_igb *igb, uint32_t cause)
{
	*sim_igb_reg(igb, SIM_IGB_ICR) |= cause;
	if (*sim_igb_reg(igb, SIM_IGB_ICR) & *sim_igb_reg(igb, SIM_IGB_IMS))
		raise_vector(igb, *sim_igb_reg(igb, SIM_IGB_IVAR_MISC) >> 8 & 0xff);
}

void sim_igb_raise_mailbox(struct sim_igb *igb)
{
	raise_cause(igb, ICR_MAILBOX);
}

static void see_link(struct sim_igb *igb)
{
	uint32_t *status = sim_igb_reg(igb, SIM_IGB_STATUS), was = *status;

	*status = sim_igb_is_up(igb) ? STATUS_UP : 0;
	if (*status != was)
		raise_cause(igb, ICR_LINK);
}

/* Registers ----------------------------------------------------------------------------------------------------- */

static void reset(void *state)
{
	struct sim_igb *igb = state;

	memset(igb->regs, 0, sizeof(igb->regs));
	memset(igb->contexts, 0, sizeof(igb->contexts));
	memset(igb->num_bytes, 0, sizeof(igb->num_bytes));
	memset(igb->broken, 0, sizeof(igb->broken));
	sim_igb_forget_frames(igb);
	sim_igb_vfs_lose_pf(igb);
	memcpy(&igb->regs[SIM_IGB_RAL / 4], igb->mac, 4);
	igb->regs[SIM_IGB_RAH / 4] = (uint32_t)igb->mac[4] | (uint32_t)igb->mac[5] << 8 | RAH_VALID;
}

static uint64_t read_register(void *state, unsigned int bar, uint64_t offset, unsigned int width)
{
	struct sim_igb *igb = state;
	uint32_t value;

	if (bar != 0 || width != 4 || offset >= SIM_IGB_REGISTERS)
		return bar == 0 && width == 4 ? 0 : UINT64_MAX;
	if (offset >= SIM_IGB_PF_MAILBOX && offset < SIM_IGB_PF_MAILBOX + 4 * SIM_IGB_POOLS)
		return sim_igb_read_pf_mailbox(igb, (uint32_t)(offset - SIM_IGB_PF_MAILBOX) / 4);
	value = *sim_igb_reg(igb, (uint32_t)offset);
	if (offset == SIM_IGB_ICR || (offset >= SIM_IGB_STATISTICS && offset < 0x5000))
		*sim_igb_reg(igb, (uint32_t)offset) = 0;
	return value;
}

/* A word of the EEPROM: the address is all that it holds. */
static uint32_t eeprom(const struct sim_igb *igb, uint32_t command)
{
	uint32_t word = command >> 2 & 0x3fff, value = 0xffff;

	if (word < 3)
		value = (uint32_t)igb->mac[2 * word] | (uint32_t)igb->mac[2 * word + 1] << 8;
	return (command & 0xfffc) | EERD_DONE | value << 16;
}

static void write_register(void *state, unsigned int bar, uint64_t offset, unsigned int width, uint64_t value)
{
	struct sim_igb *igb = state;
	uint32_t v = (uint32_t)value, *reg;

	if (bar != 0 || width != 4 || offset >= SIM_IGB_REGISTERS)
		return;
	reg = sim_igb_reg(igb, (uint32_t)offset);
	if (offset >= SIM_IGB_PF_MAILBOX && offset < SIM_IGB_PF_MAILBOX + 4 * SIM_IGB_POOLS) {
		sim_igb_write_pf_mailbox(igb, (uint32_t)(offset - SIM_IGB_PF_MAILBOX) / 4, v);
		return;
	}
	switch (offset) {
	case SIM_IGB_CTRL:
		if (v & CTRL_RESET)
			reset(igb);
		*reg = v & ~CTRL_RESET;
		see_link(igb);
		if (igb->peer)
			see_link(igb->peer);
		return;
	case SIM_IGB_STATUS:
		return;
	case SIM_IGB_EERD:
		*reg = eeprom(igb, v);
		return;
	case SIM_IGB_MDIC:
		*reg = v | MDIC_READY;
		return;
	case SIM_IGB_IMC:
		*sim_igb_reg(igb, SIM_IGB_IMS) &= ~v;
		return;
	case SIM_IGB_EIMC:
		*sim_igb_reg(igb, SIM_IGB_EIMS) &= ~v;
		return;
	case SIM_IGB_CTRL_EXT:
		*reg = v;
		if (v & SIM_IGB_PF_READY)
			sim_igb_vfs_have_pf(igb);
		return;
	case SIM_IGB_ICR:
	case SIM_IGB_EICR:
	case SIM_IGB_MBVFICR:
	case SIM_IGB_VFLRE:
		*reg &= ~v;
		return;
	case SIM_IGB_IMS:
		*reg |= v;
		return;
	case SIM_IGB_EIMS:
		*reg |= v;
		send_irqs(igb);
		return;
	}
	*reg = v;
}

static bool step(void *state)
{
	struct sim_igb *igb = state;

	return sim_igb_transmit(igb) || sim_igb_receive(igb);
}

/* Coming and going ---------------------------------------------------------------------------------------------- */

static void destroy(void *state)
{
	struct sim_igb *igb = state;

	if (!igb)
		return;
	if (igb->peer) {
		igb->peer->peer = NULL;
		see_link(igb->peer);
	}
	sim_igb_forget_frames(igb);
	for (int i = 0; i < SIM_IGB_POOLS; i++)
		if (igb->vfs[i])
			igb->vfs[i]->pf = NULL;
	for (int i = 0; i < SIM_IGB_QUEUES; i++)
		free(igb->pieces[i]);
	free(igb);
}

static int create(struct weir_sim_device *device, const void *config, void **ret_state)
{
	const struct weir_sim_igb_opts *opts = config;
	static const uint8_t nobody[6];
	struct sim_igb *igb = calloc(1, sizeof(*igb));

	if (!igb)
		return weir_fail(-ENOMEM, "no memory for an igb");
	igb->device = device;
	igb->link = true;
	igb->end = &igb->first;
	memcpy(igb->mac, opts->mac, 6);
	if (memcmp(igb->mac, nobody, 6) == 0)
		memcpy(igb->mac, (const uint8_t[6]){ 0x52, 0x54, 0x00, 0x69, 0x67, 0x62 }, 6);
	reset(igb);
	*ret_state = igb;
	return 0;
}

int weir_sim_add_igb(struct weir_sim *sim, const struct weir_sim_igb_opts *callers_opts,
		     const struct weir_sim_slot *slot, struct weir_sim_device **ret_device)
{
	static const struct weir_sim_model model = {
		.size = sizeof(model),
		.name = "igb",
		.vendor_id = 0x8086,
		.device_id = 0x10c9,
		.class_code = 0x020000,
		.flags = WEIR_SIM_FLR | WEIR_SIM_PCIE,
		.msix_vectors = SIM_IGB_VECTORS,
		.msix_bar = 3,
		.bars = { [0] = { .len = SIM_IGB_BAR_SIZE }, [3] = { .len = 0x4000 } },
		.create = create,
		.destroy = destroy,
		.read = read_register,
		.write = write_register,
		.reset = reset,
		.step = step,
	};
	struct weir_sim_igb_opts opts;
	int r = weir_opts_read(callers_opts, &opts, sizeof(opts));

	return r < 0 ? r : weir_sim_add(sim, &model, slot, &opts, ret_device);
}

struct sim_igb *sim_igb_of(struct weir_sim_device *device)
{
	return device->model->step == step && !device->gone ? device->state : NULL;
}

/* The state of a device if it is an igb, with its machine locked; or an error. */
static int lock(struct weir_sim_device *device, struct sim_igb **ret_igb)
{
	int r = sim_lock(device->sim);

	if (r < 0)
		return r;
	*ret_igb = sim_igb_of(device);
	if (!*ret_igb) {
		sim_unlock(device->sim);
		return weir_fail(-EINVAL, "%s is a %s, not an igb, or gone", device->address,
				 device->model->name);
	}
	return 0;
}

int weir_sim_igb_connect(struct weir_sim_device *one, struct weir_sim_device *other)
{
	struct sim_igb *a, *b;
	int r = lock(one, &a);

	if (r < 0)
		return r;
	b = other->state;
	if (other->sim != one->sim || one == other || other->model->step != step || other->gone)
		r = weir_fail(-EINVAL, "a wire is between two igbs of a machine");
	else if (a->peer || b->peer)
		r = weir_fail(-EBUSY, "there is a wire in one of them");
	else {
		a->peer = b;
		b->peer = a;
		see_link(a);
		see_link(b);
	}
	sim_unlock(one->sim);
	return r;
}

int weir_sim_igb_set_link(struct weir_sim_device *device, bool up)
{
	struct sim_igb *igb;
	int r = lock(device, &igb);

	if (r < 0)
		return r;
	igb->link = up;
	see_link(igb);
	if (igb->peer)
		see_link(igb->peer);
	sim_unlock(device->sim);
	return 0;
}
