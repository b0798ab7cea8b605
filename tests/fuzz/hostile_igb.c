/* SPDX-License-Identifier: MIT */
#include "fuzz/hostile_igb.h"

#include <errno.h>
#include <time.h>

#include <weir/irq.h>
#include <weir/region.h>

enum { TICK_MS = 5, MOST_CALLS = 2000000 };

struct card card;

static int64_t now_ms;

static bool lies(void)
{
	if (++card.calls > MOST_CALLS)
		fail("more than %d calls", MOST_CALLS);
	return !card.is_honest && !in_empty(&card.in) && in_u8(&card.in) >= 240;
}

/* One call in many fails. */
static bool fails(void)
{
	return lies() && in_u8(&card.in) >= 192;
}

void card_begin(struct input in)
{
	uint8_t ways;

	card = (struct card){ .in = in };
	ways = in_u8(&card.in);
	card.mapped = ways & 1;
	card.is_vf = ways & 2;
	stub = (struct stub){ .fails = fails,
			      .class_code = 0x020000,
			      .vendor_id = 0x8086,
			      .device_id = card.is_vf ? 0x10ca : 0x10c9,
			      .bar_size = sizeof(card.registers),
			      .num_msix = ways & 4 ? 10 : 3,
			      .irq_error = -ENOSPC };
	card.registers[IGB_RAL / 4] = 0x00005452;
	card.registers[IGB_RAH / 4] = 0x80000201;
}

void card_end(void)
{
	CHECK(stub_is_clean());
}

/* Queues ----------------------------------------------------------------------------------------------------------- */

/* Where the registers of a queue are: the first two of its kind that somebody has enabled are used. */
static uint32_t *queue_registers(bool transmits, unsigned int index)
{
	uint32_t base = transmits ? IGB_TX_QUEUE : IGB_RX_QUEUE, stride = IGB_QUEUE_STRIDE;

	if (card.is_vf) {
		base = transmits ? IGB_VF_TX_QUEUE : IGB_VF_RX_QUEUE;
		stride = IGB_VF_QUEUE_STRIDE;
	}
	return &card.registers[(base + stride * index) / 4];
}

/* NULL: there is none. */
static uint64_t (*ring_of(const uint32_t *queue, uint32_t *ret_entries))[2]
{
	uint64_t iova = queue[IGB_Q_BASE_LOW / 4] | (uint64_t)queue[IGB_Q_BASE_HIGH / 4] << 32;
	uint32_t len = queue[IGB_Q_LEN / 4];
	void *ring = (void *)(uintptr_t)iova;

	*ret_entries = len / 16;
	if (!stub.bus_master || !(queue[IGB_Q_DCTL / 4] & IGB_DCTL_ENABLE) || len < 16 ||
	    !stub_reaches(ring, len))
		return NULL;
	return ring;
}

/* A packet, or what no packet can be. */
static void receive(uint64_t *descriptor)
{
	uint64_t word = IGB_RX_DONE | IGB_RX_END, len = 60 + in_u8(&card.in) * 4u;

	descriptor[0] = htole64(in_u32(&card.in));
	if (lies())
		in_bytes(&card.in, &word, sizeof(word));
	else if (in_u8(&card.in) >= 192)
		word |= in_pick(&card.in,
				((const uint64_t[]){ IGB_RX_L4_WRONG, IGB_RX_BAD, IGB_RX_VLAN, IGB_RX_END }));
	descriptor[1] = htole64(word | len << IGB_RXD_LEN_SHIFT);
}

static void work(bool transmits, unsigned int index)
{
	uint32_t *queue = queue_registers(transmits, index), entries, num = 40 - in_below(&card.in, 40);
	uint64_t(*ring)[2] = ring_of(queue, &entries);
	uint32_t *head = &card.heads[transmits][index];

	if (!ring)
		return;
	if (lies())
		*head = in_u16(&card.in);
	for (; num > 0 && (*head % entries != queue[IGB_Q_TAIL / 4] % entries || lies()); num--, ++*head) {
		uint64_t *descriptor = ring[*head % entries];

		if (!transmits)
			receive(descriptor);
		else if (le64toh(descriptor[1]) & IGB_TXD_REPORT || lies())
			descriptor[1] = htole64(IGB_TXD_DONE);
	}
	queue[IGB_Q_HEAD / 4] = lies() ? in_u32(&card.in) : *head % entries;
}

/* A virtual function asks for something: a message as it should be, or words that are none. */
void card_ask(void)
{
	uint32_t number = in_below(&card.in, 3), *memory = &card.registers[(IGB_MBMEM + 0x40 * number) / 4];

	memory[0] = in_pick(&card.in, ((const uint32_t[]){ IGB_MSG_RESET, IGB_MSG_RESET, IGB_MSG_SET_MAC,
							   IGB_MSG_SET_MULTICAST, IGB_MSG_SET_VLAN,
							   IGB_MSG_SET_LPE, 6 }));
	memory[0] |= (uint32_t)in_below(&card.in, 40) << IGB_MSG_INFO_SHIFT;
	for (uint32_t i = 1; i < 3; i++)
		memory[i] = in_u32(&card.in);
	if (lies())
		in_bytes(&card.in, memory, 64);
	card.registers[IGB_MBVFICR / 4] |= 1u << number;
	if (in_u8(&card.in) >= 200)
		card.registers[IGB_VFLRE / 4] |= in_u8(&card.in);
}

void card_act(void)
{
	unsigned int what = in_below(&card.in, 8);

	if (what < 6)
		work(what & 1, what == 4 || what == 5);
	else if (!card.is_vf)
		card_ask();
	else
		card.registers[IGB_VF_MAILBOX / 4] |= in_u8(&card.in);
}

/* Time ------------------------------------------------------------------------------------------------------------- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_now)
{
	(void)clock;
	now_ms += TICK_MS;
	*ret_now = (struct timespec){ .tv_sec = now_ms / 1000, .tv_nsec = now_ms % 1000 * 1000000 };
	return 0;
}

int __wrap_nanosleep(const struct timespec *wanted, struct timespec *ret_left);
int __wrap_nanosleep(const struct timespec *wanted, struct timespec *ret_left)
{
	(void)wanted;
	(void)ret_left;
	now_ms++;
	return 0;
}

ssize_t __wrap_getrandom(void *buffer, size_t len, unsigned int flags);
ssize_t __wrap_getrandom(void *buffer, size_t len, unsigned int flags)
{
	(void)flags;
	memset(buffer, 0x42, len);
	return (ssize_t)len;
}

/* Registers -------------------------------------------------------------------------------------------------------- */

/* The physical function answers what it is asked for: with an address, or yes. */
static void answer(void)
{
	uint32_t *memory = &card.registers[IGB_VF_MBMEM / 4];

	if ((memory[0] & IGB_MSG_TYPE) == IGB_MSG_RESET) {
		memory[1] = 0x00005452;
		memory[2] = 0x0301;
	}
	memory[0] |= lies() ? IGB_MSG_NACK : IGB_MSG_ACK | IGB_MSG_CTS;
	if (lies())
		in_bytes(&card.in, memory, 12);
	card.registers[IGB_VF_MAILBOX / 4] = IGB_VFMB_PFACK | IGB_VFMB_PFSTS;
}

static uint32_t honest(uint32_t offset)
{
	uint32_t value = card.registers[offset / 4];

	if (card.is_vf && offset == IGB_VF_MAILBOX)
		card.registers[offset / 4] &= ~IGB_VFMB_READ;
	if (offset == IGB_STATUS)
		value = IGB_STATUS_LINK_UP | 2u << IGB_STATUS_SPEED_SHIFT;
	if (offset == IGB_CTRL)
		value &= ~IGB_CTRL_RESET;
	if (offset == IGB_EERD)
		value = IGB_EERD_DONE | 0x5452u << IGB_EERD_DATA_SHIFT;
	if (offset == IGB_MDIC)
		value |= IGB_MDIC_READY;
	return value;
}

int weir_region_read32(struct weir_region *region, uint64_t offset, uint32_t *ret_value)
{
	(void)region;
	CHECK(offset <= (card.is_vf ? IGB_VF_REGISTERS : IGB_REGISTERS) - 4 && offset % 4 == 0);
	if (fails())
		return -EIO;
	if (card.gone)
		*ret_value = UINT32_MAX;
	else
		*ret_value = lies() ? in_u32(&card.in) : honest((uint32_t)offset);
	return 0;
}

/* All queues have been forgotten. */
static void reset(void)
{
	uint32_t low = card.registers[IGB_RAL / 4], high = card.registers[IGB_RAH / 4];

	memset(card.registers, 0, sizeof(card.registers));
	memset(card.heads, 0, sizeof(card.heads));
	card.registers[IGB_RAL / 4] = low;
	card.registers[IGB_RAH / 4] = high;
}

int weir_region_write32(struct weir_region *region, uint64_t offset, uint32_t value)
{
	(void)region;
	CHECK(offset <= (card.is_vf ? IGB_VF_REGISTERS : IGB_REGISTERS) - 4 && offset % 4 == 0);
	if (fails())
		return -EIO;
	if (offset == IGB_CTRL && value & IGB_CTRL_RESET)
		reset();
	if (!card.is_vf && (offset == IGB_MBVFICR || offset == IGB_VFLRE))
		card.registers[offset / 4] &= ~value;
	else
		card.registers[offset / 4] = value;
	if (card.is_vf && offset == IGB_VF_MAILBOX && value & IGB_VFMB_REQ)
		answer();
	for (unsigned int i = 0; i < 2 * CARD_QUEUES; i++)
		if (&card.registers[offset / 4] == queue_registers(i & 1, i >> 1) + IGB_Q_HEAD / 4)
			card.heads[i & 1][i >> 1] = value;
	return 0;
}

int weir_region_write64(struct weir_region *region, uint64_t offset, uint64_t value)
{
	(void)region;
	fail("64 bits (%#jx) to %#jx", (uintmax_t)value, (uintmax_t)offset);
}

int weir_region_map(struct weir_region *region, void **ret_addr, uint64_t *ret_len)
{
	(void)region;
	if (!card.mapped)
		return -EOPNOTSUPP;
	*ret_addr = card.registers;
	*ret_len = sizeof(card.registers);
	return 0;
}

int weir_irq_wait(struct weir_irq *irq, uint32_t vector, int timeout_ms, uint64_t *ret_count)
{
	(void)irq;
	(void)ret_count;
	CHECK(vector < stub.num_vectors);
	if (fails())
		return -EIO;
	now_ms += timeout_ms > 0 ? timeout_ms : 0;
	return lies() ? 0 : -ETIMEDOUT;
}
