// SPDX-License-Identifier: MIT
/* The configuration space, and what of it takes the device's memory away. */
#include "device/config.h"

#include <endian.h>
#include <errno.h>
#include <stdatomic.h>

#include "device/region.h"

enum {
	PCI_STATUS = 0x06,
	PCI_STATUS_CAPABILITIES = 1 << 4,
	PCI_CAPABILITIES = 0x34,
	PCI_FIRST_CAPABILITY = 0x40,
	MOST_CAPABILITIES = 48, /* that fit */

	CAP_POWER = 0x01,
	POWER_CONTROL = 4,
	POWER_STATE = 3,
	CAP_EXPRESS = 0x10,
	EXPRESS_CONTROL_HIGH = 9,
	EXPRESS_RESET = 1 << 7,
	CAP_FEATURES = 0x13,
	FEATURES_CONTROL = 4,
	FEATURES_RESET = 1 << 0,
};

int weir_config_read16(struct weir_device *device, uint32_t offset, uint16_t *ret_value)
{
	struct weir_region *config;
	int error = weir_device_config(device, &config);

	return error ? error : weir_region_read16(config, offset, ret_value);
}

int weir_config_read32(struct weir_device *device, uint32_t offset, uint32_t *ret_value)
{
	struct weir_region *config;
	int error = weir_device_config(device, &config);

	return error ? error : weir_region_read32(config, offset, ret_value);
}

/* ---- What the registers tell ---- */

/* Without a text, and without looking at what is read. */
static int peek(struct weir_device *device, uint64_t offset, uint16_t *ret_value)
{
	const struct weir_sys *sys = weir_device_sys(device);
	struct weir_region *config;
	int error = weir_device_config(device, &config);
	uint16_t value;
	ssize_t got;

	if (error)
		return error;
	got = sys->pread(sys->ctx, device->function->fd, &value, sizeof(value), config->offset + offset);
	if (got != (ssize_t)sizeof(value))
		return got < 0 ? (int)got : -EIO;
	*ret_value = le16toh(value);
	return 0;
}

static void note_capability(struct weir_config_caps *caps, uint8_t id, uint8_t at)
{
	if (id == CAP_POWER)
		caps->power = (uint8_t)(at + POWER_CONTROL);
	else if (id == CAP_EXPRESS)
		caps->express = (uint8_t)(at + EXPRESS_CONTROL_HIGH);
	else if (id == CAP_FEATURES)
		caps->features = (uint8_t)(at + FEATURES_CONTROL);
}

/* Once; the list stays as it is. */
static int find_caps(struct weir_device *device)
{
	struct weir_config_caps caps = { .known = true };
	uint16_t status, word;
	int error = device->config_caps.known ? 0 : peek(device, PCI_STATUS, &status);
	unsigned int at;

	if (error || device->config_caps.known)
		return error;
	if (status == UINT16_MAX) /* it does not answer */
		return -ENODEV;
	at = PCI_CAPABILITIES;
	error = status & PCI_STATUS_CAPABILITIES ? peek(device, at, &word) : 0;
	at = !error && status & PCI_STATUS_CAPABILITIES ? word & 0xfcu : 0;
	for (int i = 0; !error && at >= PCI_FIRST_CAPABILITY && i < MOST_CAPABILITIES; i++) {
		error = peek(device, at, &word);
		if (error)
			break;
		note_capability(&caps, (uint8_t)word, (uint8_t)at);
		at = word >> 8 & 0xfcu;
	}
	if (error)
		return error;
	device->config_caps = caps;
	atomic_store(&device->power_at, caps.power);
	return 0;
}

static int look_once(struct weir_device *device, uint32_t *ret_seen)
{
	uint16_t command, power = 0;
	uint32_t seen = 0;
	int error = peek(device, PCI_COMMAND, &command);

	if (!error && command != UINT16_MAX)
		error = find_caps(device);
	if (!error && command != UINT16_MAX && device->config_caps.power)
		error = peek(device, device->config_caps.power, &power);
	if (error && error != -ENODEV)
		return error;
	if (error || command == UINT16_MAX || power == UINT16_MAX)
		seen = WEIR_AWAY_GONE;
	else if (!(command & PCI_COMMAND_MEMORY))
		seen = WEIR_AWAY_MEMORY;
	if (!(seen & WEIR_AWAY_GONE) && power & POWER_STATE)
		seen |= WEIR_AWAY_POWER;
	*ret_seen = seen;
	return 0;
}

/* A device that seems to have gone is asked twice: what others have of it may be lost for that answer. */
int weir_config_look(struct weir_device *device, uint32_t *ret_seen)
{
	int error = look_once(device, ret_seen);

	return !error && *ret_seen & WEIR_AWAY_GONE ? look_once(device, ret_seen) : error;
}

/* ---- Reading and writing them ---- */

/* The byte at @at, if it is among those at @offset. */
static const uint8_t *find_byte(uint64_t offset, const void *bytes, size_t len, uint64_t at)
{
	return at && at >= offset && at - offset < len ? (const uint8_t *)bytes + (at - offset) : NULL;
}

void weir_config_was_read(struct weir_device *device, uint64_t offset, const void *bytes, size_t len)
{
	const uint8_t *command = find_byte(offset, bytes, len, PCI_COMMAND);
	const uint8_t *power = find_byte(offset, bytes, len, atomic_load(&device->power_at));
	uint32_t away = weir_device_away(device), told = away;

	/* All ones is the answer of nobody, or worth a second look. */
	if (command)
		told = (told & ~(WEIR_AWAY_GONE | WEIR_AWAY_MEMORY)) |
		       (*command == UINT8_MAX           ? WEIR_AWAY_GONE
			: *command & PCI_COMMAND_MEMORY ? 0
							: WEIR_AWAY_MEMORY);
	if (power && *power != UINT8_MAX)
		told = (told & ~WEIR_AWAY_POWER) | (*power & POWER_STATE ? WEIR_AWAY_POWER : 0);
	if (told != away && !(away & WEIR_AWAY_ASLEEP))
		weir_away_notice(device);
}

/* What a write is about: what it takes away, and what it may end. */
struct effect {
	uint32_t takes, about;
};

static struct effect effect_of(const struct weir_device *device, uint64_t offset, const void *bytes,
			       size_t len)
{
	const struct weir_config_caps *caps = &device->config_caps;
	const uint8_t *command = find_byte(offset, bytes, len, PCI_COMMAND);
	const uint8_t *power = find_byte(offset, bytes, len, caps->power);
	const uint8_t *express = find_byte(offset, bytes, len, caps->express);
	const uint8_t *features = find_byte(offset, bytes, len, caps->features);
	uint32_t away = weir_device_away(device);
	struct effect effect = { 0 };

	/* Memory that is on and stays on is no change. */
	if (command && !(*command & PCI_COMMAND_MEMORY))
		effect.takes |= WEIR_AWAY_MEMORY;
	if (command && away & WEIR_AWAY_MEMORY)
		effect.about |= WEIR_AWAY_MEMORY;
	if (power && *power & POWER_STATE)
		effect.takes |= WEIR_AWAY_POWER;
	if (power && away & WEIR_AWAY_POWER)
		effect.about |= WEIR_AWAY_POWER;
	if ((express && *express & EXPRESS_RESET) || (features && *features & FEATURES_RESET))
		effect.takes |= WEIR_AWAY_RESET;
	effect.about |= effect.takes;
	return effect;
}

int weir_config_write(struct weir_device *device, uint64_t offset, const void *bytes, size_t len)
{
	uint32_t before = weir_device_away(device);
	struct weir_region *config;
	struct effect effect;
	int error = weir_device_config(device, &config);

	if (error)
		return error;
	if (offset + len > PCI_FIRST_CAPABILITY) {
		error = find_caps(device);
		if (error)
			return weir_region_explain(config, "writing the configuration space", error);
	}
	effect = effect_of(device, offset, bytes, len);
	error = effect.takes ? weir_away_begin(&device, 1, effect.takes) : 0;
	if (error)
		return error;
	error = weir_region_put(config, offset, bytes, len);
	if (effect.about)
		weir_away_end(&device, 1, effect.about, (error ? before : effect.takes) & ~WEIR_AWAY_RESET);
	return error;
}
