// SPDX-License-Identifier: MIT
/* Registers of a port one by one; reset, EEPROM and PHY by way of them. */
#include <errno.h>

#include "igb/port.h"
#include "igb/virtual.h"

#define POLL_INTERVAL_NS  100000
#define RESET_PAUSE_NS    2000000 /* nothing is read for 1 ms after a reset is asked for (4.3.1) */
#define PHY_TIMEOUT_MS    100u
#define EEPROM_TIMEOUT_MS 100u

int igb_read(struct igb_port *port, uint32_t offset, uint32_t *ret_value)
{
	uint32_t value = 0, status = 0;
	int r = weir_region_read32(port->bar, offset, &value);

	if (r == 0 && value == UINT32_MAX)
		r = weir_region_read32(port->bar, IGB_STATUS, &status);
	if (r < 0)
		return fail(r, "register 0x%05x cannot be read: %s", offset, weir_error());
	if (status == UINT32_MAX)
		return fail(-ENODEV, "the controller is gone: its status reads as ones");
	*ret_value = value;
	return 0;
}

int igb_write(struct igb_port *port, uint32_t offset, uint32_t value)
{
	int r = weir_region_write32(port->bar, offset, value);

	return r < 0 ? fail(r, "register 0x%05x cannot be written: %s", offset, weir_error()) : 0;
}

int igb_await(struct igb_port *port, uint32_t offset, uint32_t mask, uint32_t wanted, uint32_t timeout_ms,
	      const char *what)
{
	deadline_t deadline = deadline_in(timeout_ms);
	uint32_t value;
	bool last_look;
	int r;

	for (;;) {
		last_look = deadline_passed(deadline);
		r = igb_read(port, offset, &value);
		if (r < 0 || (value & mask) == wanted)
			return r;
		if (last_look)
			return fail(-ETIMEDOUT,
				    "%s did not come to its end within %u ms (register 0x%05x is 0x%08x)",
				    what, timeout_ms, offset, value);
		pause_ns(POLL_INTERVAL_NS);
	}
}

static int mask_interrupts(struct igb_port *port)
{
	uint32_t value;
	int r = igb_write(port, IGB_IMC, UINT32_MAX);

	if (r == 0)
		r = igb_write(port, IGB_EIMC, UINT32_MAX);
	return r < 0 ? r : igb_read(port, IGB_ICR, &value);
}

/* Datasheet 4.3.1 and 4.5.3: quiet first, so that no request is on its way when everything is forgotten. */
int igb_reset_function(struct igb_port *port)
{
	uint32_t ctrl = 0;
	int r;

	if (port->is_vf)
		return igb_virtual_reset(port);
	r = igb_read(port, IGB_CTRL, &ctrl);
	if (r == 0)
		r = mask_interrupts(port);
	if (r == 0)
		r = igb_write(port, IGB_RCTL, 0);
	if (r == 0)
		r = igb_write(port, IGB_TCTL, IGB_TCTL_PAD);
	if (r == 0)
		r = igb_write(port, IGB_CTRL, ctrl | IGB_CTRL_MASTER_DISABLE);
	if (r == 0) {
		/* One that has requests on its way for ever is reset all the same. */
		r = igb_await(port, IGB_STATUS, IGB_STATUS_MASTER, 0, PHY_TIMEOUT_MS, "what was on its way");
		r = r == -ETIMEDOUT ? 0 : r;
	}
	if (r == 0)
		r = igb_write(port, IGB_CTRL, ctrl | IGB_CTRL_RESET);
	if (r < 0)
		return r;
	pause_ns(RESET_PAUSE_NS);
	r = igb_await(port, IGB_CTRL, IGB_CTRL_RESET, 0, port->timeout_ms, "the reset");
	return r < 0 ? r : mask_interrupts(port);
}

/* Address --------------------------------------------------------------------------------------------------- */

bool igb_mac_is_station(const uint8_t mac[6])
{
	return !(mac[0] & 1) && (mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]) != 0;
}

/* A word of the EEPROM (8.4.2). */
static int read_eeprom(struct igb_port *port, uint32_t word, uint16_t *ret_value)
{
	uint32_t value = 0;
	int r = igb_write(port, IGB_EERD, word << IGB_EERD_ADDRESS_SHIFT | IGB_EERD_START);

	if (r == 0)
		r = igb_await(port, IGB_EERD, IGB_EERD_DONE, IGB_EERD_DONE, EEPROM_TIMEOUT_MS,
			      "reading the EEPROM");
	if (r == 0)
		r = igb_read(port, IGB_EERD, &value);
	if (r == 0)
		*ret_value = (uint16_t)(value >> IGB_EERD_DATA_SHIFT);
	return r;
}

static int read_mac_from_eeprom(struct igb_port *port)
{
	uint16_t word = 0;
	uint32_t i;
	int r;

	for (i = 0; i < 3; i++) {
		r = read_eeprom(port, i, &word);
		if (r < 0)
			return r;
		port->mac[2 * i] = (uint8_t)word;
		port->mac[2 * i + 1] = (uint8_t)(word >> 8);
	}
	return 0;
}

int igb_read_mac(struct igb_port *port)
{
	uint32_t low = 0, high = 0, i;
	int r = igb_read(port, IGB_RAL, &low);

	if (r == 0)
		r = igb_read(port, IGB_RAH, &high);
	for (i = 0; i < 6; i++)
		port->mac[i] = (uint8_t)(i < 4 ? low >> (8 * i) : high >> (8 * (i - 4)));
	if (r == 0 && (!(high & IGB_RAH_VALID) || !igb_mac_is_station(port->mac)))
		r = read_mac_from_eeprom(port);
	if (r < 0)
		return r;
	if (!igb_mac_is_station(port->mac))
		return fail(
			-EPROTO, "the address in the EEPROM is no station's: %02x:%02x:%02x:%02x:%02x:%02x",
			port->mac[0], port->mac[1], port->mac[2], port->mac[3], port->mac[4], port->mac[5]);
	return 0;
}

/* PHY ------------------------------------------------------------------------------------------------------- */

/* One access of a PHY register (8.2.4). */
static int phy_access(struct igb_port *port, uint32_t command, uint32_t *ret_value)
{
	int r = igb_write(port, IGB_MDIC, IGB_MDIC_PHY | command);

	if (r == 0)
		r = igb_await(port, IGB_MDIC, IGB_MDIC_READY, IGB_MDIC_READY, PHY_TIMEOUT_MS,
			      "an access to the PHY");
	if (r == 0)
		r = igb_read(port, IGB_MDIC, ret_value);
	if (r == 0 && *ret_value & IGB_MDIC_ERROR)
		return fail(-EIO, "the PHY does not answer (MDIC 0x%08x)", *ret_value);
	return r;
}

int igb_wake_phy(struct igb_port *port)
{
	uint32_t status = 0, control = 0;
	int r = igb_read(port, IGB_STATUS, &status);

	if (r < 0 || status & IGB_STATUS_LINK_UP)
		return r;
	r = phy_access(port, IGB_MDIC_READ | IGB_PHY_CONTROL << IGB_MDIC_REGISTER_SHIFT, &control);
	if (r < 0)
		return r;
	control = (control & 0xffff & ~IGB_PHY_POWER_DOWN) | IGB_PHY_NEGOTIATE | IGB_PHY_RESTART;
	return phy_access(port, IGB_MDIC_WRITE | IGB_PHY_CONTROL << IGB_MDIC_REGISTER_SHIFT | control,
			  &status);
}
