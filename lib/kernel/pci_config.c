// SPDX-License-Identifier: MIT
/* What a function's configuration space says of its place among the others. */
#include "kernel/pci_config.h"

#include <stdio.h>
#include <string.h>

enum {
	HEADER_SIZE = 64, /* what everybody may read */
	VENDOR = 0x00,
	DEVICE = 0x02,
	STATUS = 0x06,
	HEADER_TYPE = 0x0e,
	FIRST_CAPABILITY = 0x34,

	STATUS_CAPABILITIES = 1 << 4,
	HEADER_BRIDGE = 1,
	CAP_EXPRESS = 0x10,
	EXTENDED = 0x100,
	EXT_CAP_ACS = 0x000d,

	/* As many as fit, so that a chain that bites its own tail ends. */
	MAX_CAPS = (0x100 - HEADER_SIZE) / 4,
	MAX_EXT_CAPS = (0x1000 - EXTENDED) / 8,

	/* These bits must be there only where they can be switched: a port that lacks them always does it. */
	ACS_MAY_BE_WIRED = WEIR_PCI_ACS_REQUEST_REDIRECT | WEIR_PCI_ACS_COMPLETION_REDIRECT |
			   WEIR_PCI_ACS_UPSTREAM_FORWARDING,
};

struct reader {
	const struct weir_sys *sys;
	int fd;
	int error; /* the first of the kernel's */
};

/* All @len bytes of it. Sysfs ends the file where the reader's rights end. */
static bool get(struct reader *reader, unsigned int offset, unsigned char *ret_bytes, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t got = reader->sys->pread(reader->sys->ctx, reader->fd, ret_bytes + done, len - done,
						 offset + done);

		if (got < 0 && !reader->error)
			reader->error = (int)got;
		if (got <= 0 || (size_t)got > len - done)
			return false;
		done += (size_t)got;
	}
	return true;
}

static unsigned int get16(const unsigned char *at)
{
	return at[0] | (unsigned int)at[1] << 8;
}

/* True: it was read to its end. In @ret_at where the capability is, or 0. */
static bool find_express(struct reader *reader, unsigned int at, unsigned int *ret_at)
{
	unsigned char cap[2];

	*ret_at = 0;
	for (unsigned int i = 0; i < MAX_CAPS; i++) {
		at &= 0xfc;
		if (!at)
			return true;
		if (at < HEADER_SIZE || !get(reader, at, cap, sizeof(cap)) || cap[0] == 0xff)
			return false;
		if (cap[0] == CAP_EXPRESS) {
			*ret_at = at;
			return true;
		}
		at = cap[1];
	}
	return false;
}

/* Likewise. A function whose extended space cannot be reached has none, for the kernel either. */
static bool find_acs(struct reader *reader, unsigned int *ret_at)
{
	unsigned char cap[4];
	unsigned int at = EXTENDED;

	*ret_at = 0;
	if (!get(reader, at, cap, sizeof(cap)))
		return !reader->error;
	for (unsigned int i = 0; i < MAX_EXT_CAPS; i++) {
		unsigned int id = get16(cap), next = get16(cap + 2) >> 4 & 0xffc;

		if (at == EXTENDED && (id == 0 || id == 0xffff))
			return true;
		if (id == EXT_CAP_ACS) {
			*ret_at = at;
			return true;
		}
		if (!next)
			return true;
		if (next < EXTENDED || id == 0xffff || !get(reader, next, cap, sizeof(cap)))
			return false;
		at = next;
	}
	return false;
}

static bool read_acs(struct reader *reader, struct weir_pci_config *config)
{
	unsigned char acs[4];
	unsigned int at, capable, control;

	if (!find_acs(reader, &at))
		return false;
	if (!at)
		return true;
	if (!get(reader, at + 4, acs, sizeof(acs)))
		return false;
	capable = get16(acs);
	control = get16(acs + 2);
	config->has_acs = true;
	config->acs = (uint16_t)((control & capable) | (ACS_MAY_BE_WIRED & ~capable));
	return true;
}

static bool read_capabilities(struct reader *reader, const unsigned char *header,
			      struct weir_pci_config *config)
{
	unsigned char flags[2];
	unsigned int at = 0;

	config->kind = WEIR_PCI_CONVENTIONAL;
	if (!(get16(header + STATUS) & STATUS_CAPABILITIES))
		return true;
	if (!find_express(reader, header[FIRST_CAPABILITY], &at))
		return false;
	if (!at)
		return true;
	if (!get(reader, at + 2, flags, sizeof(flags)))
		return false;
	config->kind = get16(flags) >> 4 & 15;
	return read_acs(reader, config);
}

int weir_pci_config_read(const struct weir_sys *sys, const char *address, struct weir_pci_config *ret_config)
{
	struct weir_pci_config config = { .kind = 0 };
	unsigned char header[HEADER_SIZE];
	struct reader reader = { .sys = sys };
	char path[80];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", address);
	reader.fd = sys->open(sys->ctx, path, 0);
	if (reader.fd < 0)
		return reader.fd;
	config.responds = get(&reader, 0, header, sizeof(header)) && get16(header + VENDOR) != 0xffff;
	if (config.responds) {
		config.vendor = (uint16_t)get16(header + VENDOR);
		config.device = (uint16_t)get16(header + DEVICE);
		config.bridge = (header[HEADER_TYPE] & 0x7f) == HEADER_BRIDGE;
		config.complete = read_capabilities(&reader, header, &config);
	}
	sys->close(sys->ctx, reader.fd);
	if (reader.error)
		return reader.error;
	*ret_config = config;
	return 0;
}
