// SPDX-License-Identifier: MIT
/* A virtual function's mailbox: what it asks of its physical function (datasheet 7.10.2.9; spec_vf.h). */
#include <errno.h>

#include "igb/port.h"
#include "igb/virtual.h"

#define POLL_INTERVAL_NS 50000

/* Reading takes some bits away: they are remembered until somebody has done something about them. */
static int look(struct igb_port *port, uint32_t *ret_bits)
{
	uint32_t value;
	int r = igb_read(port, IGB_VF_MAILBOX, &value);

	if (r < 0)
		return r;
	port->mailbox |= value & IGB_VFMB_READ;
	*ret_bits = value | port->mailbox;
	return 0;
}

/* Wait for @bit, and forget it. */
static int await(struct igb_port *port, uint32_t bit, deadline_t deadline)
{
	uint32_t bits = 0;
	bool last_look;
	int r;

	for (;;) {
		last_look = deadline_passed(deadline);
		r = look(port, &bits);
		if (r < 0)
			return r;
		if (bits & bit) {
			port->mailbox &= ~bit;
			return 0;
		}
		if (last_look)
			return fail(-ETIMEDOUT,
				    "the physical function does not answer (mailbox 0x%02x): is its driver "
				    "at work?",
				    bits);
		pause_ns(POLL_INTERVAL_NS);
	}
}

/* Take the memory for this side. */
static int take(struct igb_port *port, deadline_t deadline)
{
	uint32_t bits = 0;
	bool last_look;
	int r;

	for (;;) {
		last_look = deadline_passed(deadline);
		r = igb_write(port, IGB_VF_MAILBOX, IGB_VFMB_VFU);
		if (r == 0)
			r = look(port, &bits);
		if (r < 0 || bits & IGB_VFMB_VFU)
			return r;
		if (last_look)
			return fail(-ETIMEDOUT, "the physical function keeps the mailbox (0x%02x)", bits);
		pause_ns(POLL_INTERVAL_NS);
	}
}

/* Read a message, and say so. */
static int get(struct igb_port *port, uint32_t *ret_words, uint32_t num, deadline_t deadline)
{
	uint32_t i;
	int r = take(port, deadline);

	for (i = 0; i < num && r == 0; i++)
		r = igb_read(port, IGB_VF_MBMEM + 4 * i, &ret_words[i]);
	return r < 0 ? r : igb_write(port, IGB_VF_MAILBOX, IGB_VFMB_ACK);
}

/* The physical function said something of its own accord. */
static void heed(struct igb_port *port, uint32_t word)
{
	if ((word & IGB_MSG_TYPE) == IGB_MSG_CONTROL && !(word & IGB_MSG_CTS))
		port->to_be_reset = true;
}

/* While the memory is ours, nothing comes: what is there is no answer to what is to be said, but may be something that the other side had to say. */
static int clear(struct igb_port *port)
{
	bool is_there = port->mailbox & IGB_VFMB_PFSTS;
	uint32_t word = 0;
	int r;

	port->mailbox &= ~(IGB_VFMB_PFSTS | IGB_VFMB_PFACK);
	if (!is_there)
		return 0;
	r = igb_read(port, IGB_VF_MBMEM, &word);
	if (r == 0)
		heed(port, word);
	return r;
}

static int say(struct igb_port *port, const uint32_t *words, uint32_t num, deadline_t deadline)
{
	uint32_t i;
	int r = take(port, deadline);

	if (r == 0)
		r = clear(port);
	for (i = 0; i < num && r == 0; i++)
		r = igb_write(port, IGB_VF_MBMEM + 4 * i, words[i]);
	if (r == 0)
		r = igb_write(port, IGB_VF_MAILBOX, IGB_VFMB_REQ);
	return r < 0 ? r : await(port, IGB_VFMB_PFACK, deadline);
}

int igb_ask(struct igb_port *port, const uint32_t *words, uint32_t num, uint32_t *ret_words, uint32_t num_ret)
{
	deadline_t deadline = deadline_in((int)port->timeout_ms);
	int r = say(port, words, num, deadline);

	while (r == 0) {
		r = await(port, IGB_VFMB_PFSTS, deadline);
		if (r == 0)
			r = get(port, ret_words, num_ret, deadline);
		if (r == 0 && (ret_words[0] & IGB_MSG_TYPE) == (words[0] & IGB_MSG_TYPE) &&
		    ret_words[0] & (IGB_MSG_ACK | IGB_MSG_NACK))
			return 0;
		/* Two messages may have crossed. */
		if (r == 0)
			heed(port, ret_words[0]);
	}
	return r;
}

int igb_ask_for(struct igb_port *port, const uint32_t *words, uint32_t num, const char *what)
{
	uint32_t answer = 0;
	int r = igb_ask(port, words, num, &answer, 1);

	if (r < 0)
		return r;
	if (!(answer & IGB_MSG_CTS)) {
		port->to_be_reset = true;
		return fail(-ECONNRESET,
			    "the physical function does not know this one any more: igb_port_reset()");
	}
	if (!(answer & IGB_MSG_ACK) || answer & IGB_MSG_NACK)
		return fail(-EPERM, "the physical function refuses %s (answer 0x%08x)", what, answer);
	return 0;
}

int igb_hear(struct igb_port *port)
{
	uint32_t bits = 0, word = 0;
	int r = look(port, &bits);

	if (r == 0 && bits & IGB_VFMB_PFSTS) {
		port->mailbox &= ~IGB_VFMB_PFSTS;
		r = get(port, &word, 1, deadline_in((int)port->timeout_ms));
		if (r == 0)
			heed(port, word);
	}
	if (r < 0)
		return r;
	if (bits & (IGB_VFMB_RSTI | IGB_VFMB_RSTD))
		port->to_be_reset = true;
	return port->to_be_reset
		       ? fail(-ECONNRESET,
			      "the physical function was reset, or wants this one to be: igb_port_reset()")
		       : 0;
}

int igb_forget_mail(struct igb_port *port)
{
	deadline_t deadline = deadline_in((int)port->timeout_ms);
	uint32_t bits = 0;
	bool last_look;
	int r;

	for (;;) {
		last_look = deadline_passed(deadline);
		r = look(port, &bits);
		if (r < 0)
			return r;
		if (!(bits & IGB_VFMB_RSTI))
			break;
		if (last_look)
			return fail(-ETIMEDOUT,
				    "the physical function is being reset, and does not come back");
		pause_ns(POLL_INTERVAL_NS);
	}
	port->mailbox = 0;
	port->to_be_reset = false;
	return 0;
}
