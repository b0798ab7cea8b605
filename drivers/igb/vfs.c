// SPDX-License-Identifier: MIT
/* A physical function answers its virtual ones: see vfs.h. */
#include "igb/vfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/opts.h"
#include "igb/virtual.h"

#define DEFAULT_FRAME 1522u
#define MIN_FRAME     64u
#define POOL_DROP     0xffffu /* a queue that is not served does not hold up the others */

static uint32_t all_vfs(const struct igb_port *port)
{
	return (1u << port->num_vfs) - 1;
}

/* As it is before it has reset itself. Its address stays. */
static void forget(struct igb_vf *vf)
{
	vf->ready = false;
	vf->max_frame = DEFAULT_FRAME;
	vf->num_groups = 0;
	memset(vf->vlans, 0, sizeof vf->vlans);
}

struct igb_vfs *igb_vfs_create(void)
{
	struct igb_vfs *vfs = calloc(1, sizeof *vfs);
	uint32_t i;

	for (i = 0; vfs && i < IGB_MAX_VFS; i++)
		forget(&vfs->vf[i]);
	return vfs;
}

/*
 * Have it reset itself. If the memory is taken just now, it is about to ask for something; if it has asked and let go of the memory, that is in there: the
 * answer, without CTS, tells it then.
 */
static int call(struct igb_port *port, uint32_t vf)
{
	uint32_t box = IGB_MAILBOX + 4 * vf, bits = 0, requests = 0;
	int r = igb_write(port, box, IGB_PFMB_PFU);

	if (r == 0)
		r = igb_read(port, box, &bits);
	if (r < 0 || !(bits & IGB_PFMB_PFU))
		return r;
	r = igb_read(port, IGB_MBVFICR, &requests);
	if (r < 0 || requests & 1u << vf)
		return r < 0 ? r : igb_write(port, box, 0);
	r = igb_write(port, IGB_MBMEM + 0x40 * vf, IGB_MSG_CONTROL);
	return r < 0 ? r : igb_write(port, box, IGB_PFMB_STS);
}

int igb_vfs_set_up(struct igb_port *port)
{
	uint32_t spoof = all_vfs(port) | all_vfs(port) << 8, ext = 0, i;
	int r;

	for (i = 0; i < port->num_vfs; i++)
		forget(&port->vfs->vf[i]);
	r = igb_write(port, IGB_DTXSWC, IGB_DTXSWC_LOOPBACK | spoof);
	if (r == 0)
		r = igb_write(port, IGB_QDE, POOL_DROP);
	if (r == 0)
		r = igb_write(port, IGB_MBVFIMR, all_vfs(port));
	if (r == 0)
		r = igb_write(port, IGB_VFLRE, all_vfs(port));
	if (r == 0)
		r = igb_vfs_set_up_filters(port);
	if (r == 0)
		r = igb_read(port, IGB_CTRL_EXT, &ext);
	if (r == 0)
		r = igb_write(port, IGB_CTRL_EXT, ext | IGB_CTRL_EXT_PF_READY);
	if (r == 0 && port->irq)
		r = igb_write(port, IGB_IMS, IGB_ICR_MAILBOX);
	for (i = 0; i < port->num_vfs && r == 0; i++)
		r = call(port, i);
	return r;
}

/* Messages ------------------------------------------------------------------------------------------------------ */

bool igb_vfs_have(const struct igb_port *port, const uint8_t mac[6], uint32_t but)
{
	uint32_t i;

	for (i = 0; i < port->num_vfs; i++)
		if (i != but && memcmp(port->vfs->vf[i].mac, mac, 6) == 0)
			return true;
	return false;
}

/* Has anybody but @vf this address? */
static bool is_taken(const struct igb_port *port, uint32_t vf, const uint8_t *mac)
{
	return memcmp(port->mac, mac, 6) == 0 || igb_vfs_have(port, mac, vf);
}

static bool set_mac(struct igb_port *port, uint32_t number, const uint32_t *words)
{
	struct igb_vf *vf = &port->vfs->vf[number];
	uint8_t mac[6];
	uint32_t i;

	for (i = 0; i < 6; i++)
		mac[i] = (uint8_t)(words[1 + i / 4] >> (8 * (i % 4)));
	if (vf->fixed)
		return memcmp(vf->mac, mac, 6) == 0;
	if (!igb_mac_is_station(mac) || is_taken(port, number, mac))
		return false;
	memcpy(vf->mac, mac, 6);
	return true;
}

static bool set_groups(struct igb_vf *vf, const uint32_t *words)
{
	uint32_t num = (words[0] & IGB_MSG_INFO) >> IGB_MSG_INFO_SHIFT, i;

	if (num > IGB_MSG_HASHES)
		return false;
	for (i = 0; i < num; i++)
		vf->groups[i] = (words[1 + i / 2] >> (16 * (i % 2))) & 0xfff;
	vf->num_groups = num;
	return true;
}

static uint32_t num_vlans(const struct igb_vf *vf)
{
	uint32_t num = 0, i;

	for (i = 0; i < IGB_NUM_WORDS; i++)
		num += (uint32_t)__builtin_popcount(vf->vlans[i]);
	return num;
}

/* Each may have its part of the table, and leaves the others theirs. */
static bool set_vlan(struct igb_port *port, struct igb_vf *vf, const uint32_t *words)
{
	uint32_t vlan = words[1], bit = 1u << (vlan & 31);

	if (vlan > 4095)
		return false;
	if (!(words[0] & IGB_MSG_INFO)) {
		vf->vlans[vlan >> 5] &= ~bit;
		return true;
	}
	if (!(vf->vlans[vlan >> 5] & bit) && num_vlans(vf) >= IGB_NUM_VLVF / (port->num_vfs + 1))
		return false;
	if (!igb_vfs_has_room_for(port, (uint16_t)vlan))
		return false;
	vf->vlans[vlan >> 5] |= bit;
	return true;
}

static bool set_length(struct igb_vf *vf, uint32_t len)
{
	if (len < MIN_FRAME || len > IGB_MAX_FRAME)
		return false;
	vf->max_frame = len;
	return true;
}

/* Grant what a message asks for, or do not. */
static bool grant(struct igb_port *port, uint32_t number, const uint32_t *words)
{
	struct igb_vf *vf = &port->vfs->vf[number];
	uint32_t type = words[0] & IGB_MSG_TYPE;

	if (!vf->ready)
		return false;
	switch (type) {
	case IGB_MSG_SET_MAC:
		return set_mac(port, number, words);
	case IGB_MSG_SET_MULTICAST:
		return set_groups(vf, words);
	case IGB_MSG_SET_VLAN:
		return set_vlan(port, vf, words);
	case IGB_MSG_SET_LPE:
		return set_length(vf, words[1]);
	}
	return false;
}

/* Nor has it an address that it chose itself: another function may choose that now. */
static void forget_choice(struct igb_vf *vf)
{
	forget(vf);
	if (!vf->fixed)
		memset(vf->mac, 0, 6);
}

/* It begins anew. Its answer has the address that it is to take; one that it chose itself it can choose again. */
static bool begin(struct igb_vf *vf, uint32_t *words)
{
	forget_choice(vf);
	vf->ready = true;
	words[1] = (uint32_t)vf->mac[0] | (uint32_t)vf->mac[1] << 8 | (uint32_t)vf->mac[2] << 16 |
		   (uint32_t)vf->mac[3] << 24;
	words[2] = (uint32_t)vf->mac[4] | (uint32_t)vf->mac[5] << 8;
	return vf->fixed;
}

static int answer(struct igb_port *port, uint32_t number, uint32_t *words)
{
	struct igb_vf *vf = &port->vfs->vf[number];
	bool is_reset = (words[0] & IGB_MSG_TYPE) == IGB_MSG_RESET;
	bool granted = is_reset ? begin(vf, words) : grant(port, number, words);
	uint32_t i;
	int r = 0;

	vf->messages++;
	vf->refused += !granted && !is_reset;
	if (granted || is_reset)
		r = igb_vfs_set_up_filters(port);
	words[0] = (words[0] & (IGB_MSG_TYPE | IGB_MSG_INFO)) | (granted ? IGB_MSG_ACK : IGB_MSG_NACK) |
		   (vf->ready ? IGB_MSG_CTS : 0);
	for (i = 0; i < (is_reset ? 3u : 1u) && r == 0; i++)
		r = igb_write(port, IGB_MBMEM + 0x40 * number + 4 * i, words[i]);
	return r < 0 ? r : igb_write(port, IGB_MAILBOX + 4 * number, IGB_PFMB_ACK | IGB_PFMB_STS);
}

/* Its function was reset, by its driver or from outside: nothing goes to it until it asks. */
static int leave(struct igb_port *port, uint32_t number)
{
	int r = igb_write(port, IGB_VFLRE, 1u << number);

	forget_choice(&port->vfs->vf[number]);
	return r < 0 ? r : igb_vfs_set_up_filters(port);
}

/* There is a message. One that keeps the memory while it asks for something loses it. */
static int serve(struct igb_port *port, uint32_t number)
{
	uint32_t words[IGB_MSG_WORDS] = { 0 }, box = IGB_MAILBOX + 4 * number, bits = 0, i;
	int r = igb_write(port, IGB_MBVFICR, 1u << number);

	if (r == 0)
		r = igb_write(port, box, IGB_PFMB_PFU);
	if (r == 0)
		r = igb_read(port, box, &bits);
	if (r < 0)
		return r;
	if (!(bits & IGB_PFMB_PFU)) {
		port->vfs->vf[number].messages++;
		port->vfs->vf[number].refused++;
		return igb_write(port, box, IGB_PFMB_RVFU);
	}
	for (i = 0; i < IGB_MSG_WORDS && r == 0; i++)
		r = igb_read(port, IGB_MBMEM + 0x40 * number + 4 * i, &words[i]);
	/* The message may be a later one than was announced, with a reset in between: that is over before it is answered. */
	if (r == 0)
		r = igb_read(port, IGB_VFLRE, &bits);
	if (r == 0 && bits & 1u << number)
		r = leave(port, number);
	return r < 0 ? r : answer(port, number, words);
}

int igb_vfs_serve(struct igb_port *port)
{
	uint32_t resets = 0, requests = 0, value, i;
	int r, num = 0;

	if (!port->vfs)
		return fail(-EINVAL, "the port was opened without num_vfs");
	/* The causes are taken back before one looks for what they stand for, and nothing is missed. */
	r = igb_read(port, IGB_ICR, &value);
	if (r == 0 && port->irq)
		r = igb_write(port, IGB_EIMS, 1u << IGB_LINK_VECTOR);
	/* Requests first: the reset that was before one is seen with it, and does not take back later what it was granted. */
	if (r == 0)
		r = igb_read(port, IGB_MBVFICR, &requests);
	if (r == 0)
		r = igb_read(port, IGB_VFLRE, &resets);
	if (r == 0)
		r = igb_write(port, IGB_MBVFICR, all_vfs(port) << IGB_MBVFICR_ACK_SHIFT);
	for (i = 0; i < port->num_vfs && r == 0; i++) {
		if (resets & 1u << i) {
			r = leave(port, i);
			num++;
		}
		if (r == 0 && requests & 1u << i) {
			r = serve(port, i);
			num++;
		}
	}
	return r < 0 ? r : num;
}

/* What the physical function says ---------------------------------------------------------------------------------- */

static int check_number(const struct igb_port *port, uint32_t vf)
{
	if (vf >= port->num_vfs)
		return fail(-EINVAL, "virtual function %u: the port was opened with %u", vf, port->num_vfs);
	return 0;
}

int igb_vf_set_mac(struct igb_port *port, uint32_t number, const uint8_t *mac)
{
	struct igb_vf *vf;
	int r = check_number(port, number);

	if (r < 0)
		return r;
	if (mac && !igb_mac_is_station(mac))
		return fail(-EINVAL, "%02x:%02x:%02x:%02x:%02x:%02x is no station's address", mac[0], mac[1],
			    mac[2], mac[3], mac[4], mac[5]);
	if (mac && is_taken(port, number, mac))
		return fail(-EADDRINUSE, "%02x:%02x:%02x:%02x:%02x:%02x is another function's", mac[0],
			    mac[1], mac[2], mac[3], mac[4], mac[5]);
	vf = &port->vfs->vf[number];
	vf->fixed = mac;
	if (!mac)
		return 0;
	memcpy(vf->mac, mac, 6);
	if (!vf->ready)
		return 0;
	forget(vf);
	r = igb_vfs_set_up_filters(port);
	return r < 0 ? r : call(port, number);
}

int igb_vf_info(const struct igb_port *port, uint32_t number, struct igb_vf_info *ret_info, size_t size)
{
	struct igb_vf_info info = { 0 };
	const struct igb_vf *vf;
	int r = check_number(port, number);

	if (r < 0)
		return r;
	vf = &port->vfs->vf[number];
	memcpy(info.mac, vf->mac, 6);
	info.fixed = vf->fixed;
	info.ready = vf->ready;
	info.max_frame = vf->max_frame;
	info.num_groups = vf->num_groups;
	info.num_vlans = num_vlans(vf);
	info.messages = vf->messages;
	info.refused = vf->refused;
	info_copy(ret_info, size, &info, sizeof info);
	return 0;
}
