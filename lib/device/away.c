// SPDX-License-Identifier: MIT
/* When a device's memory is away: who is told, and how it is found out. */
#include "device/away.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "device/config.h"
#include "device/region.h"
#include "error.h"

uint32_t weir_device_away(const struct weir_device *device)
{
	return atomic_load_explicit(&device->away, memory_order_acquire);
}

static const char *reason_of(uint32_t away)
{
	static const struct {
		uint32_t why;
		const char *text;
	} reasons[] = {
		{ WEIR_AWAY_GONE, "the device is gone" },
		{ WEIR_AWAY_CLOSING, "the device is closed" },
		{ WEIR_AWAY_RESET, "the device is being reset" },
		{ WEIR_AWAY_ASLEEP, "the device sleeps: weir_device_wake()" },
		{ WEIR_AWAY_POWER, "the device's power state is not D0" },
		{ WEIR_AWAY_MEMORY, "the device's memory is switched off: weir_device_set_memory()" },
		{ WEIR_AWAY_REQUESTED, "the kernel wants the device back" },
		{ WEIR_AWAY_RESYNC, "somebody else may have reset the device" },
	};
	size_t i = 0;

	while (i + 1 < sizeof(reasons) / sizeof(reasons[0]) && !(away & reasons[i].why))
		i++;
	return reasons[i].text;
}

static int withdraw(struct weir_window *window, uint32_t away)
{
	return away & WEIR_AWAY_CLOSING ? weir_window_lose(window, reason_of(away))
					: weir_window_withdraw(window, reason_of(away));
}

void weir_away_tell_window(const struct weir_device *device, struct weir_window *window)
{
	uint32_t away = weir_device_away(device);

	if (away)
		withdraw(window, away);
}

static struct weir_window *window_of(struct weir_device *device, uint32_t index)
{
	struct weir_region *region;

	pthread_mutex_lock(&device->lock);
	region = device->regions[index];
	pthread_mutex_unlock(&device->lock);
	return region ? weir_region_window(region) : NULL;
}

/* What others have mapped of the device is taken from them; or they have it back. The first error. */
static int tell_windows(struct weir_device *device, uint32_t away)
{
	struct weir_first first = { 0 };

	for (uint32_t i = 0; i < device->num_regions; i++) {
		struct weir_window *window = window_of(device, i);

		if (!window)
			continue;
		if (away)
			weir_first_note(&first, withdraw(window, away));
		else
			weir_window_restore(window);
		weir_window_put(window);
	}
	return weir_first_error(&first);
}

static int change(struct weir_device *device, uint32_t away)
{
	uint32_t old = atomic_load(&device->away);

	/* If nothing is in the way, a window may be away still that the kernel did not give back before. */
	if (away && away == old)
		return 0;
	pthread_mutex_lock(&device->lock);
	atomic_store_explicit(&device->away, away, memory_order_release);
	weir_device_open_or_shut_regions(device);
	pthread_mutex_unlock(&device->lock);
	return tell_windows(device, away);
}

int weir_away_begin(struct weir_device *const *devices, size_t num, uint32_t why)
{
	struct weir_first first = { 0 };

	for (size_t i = 0; i < num && !first.error; i++) {
		weir_first_note(&first, change(devices[i], atomic_load(&devices[i]->away) | why));
		if (first.error && why != WEIR_AWAY_CLOSING)
			weir_away_end(devices, i + 1, why, 0);
	}
	return weir_first_error(&first);
}

static int end_one(struct weir_device *device, uint32_t why, uint32_t left)
{
	uint32_t away = (atomic_load(&device->away) & ~why) | (left & why), seen;
	int error = 0;

	/* One that sleeps would be woken by the question. */
	if (!(away & WEIR_AWAY_ASLEEP)) {
		error = weir_config_look(device, &seen);
		if (!error)
			away = (away & ~WEIR_AWAY_FROM_REGISTERS) | seen;
	}
	change(device, away);
	return error;
}

int weir_away_end(struct weir_device *const *devices, size_t num, uint32_t why, uint32_t left)
{
	int first = 0;

	for (size_t i = 0; i < num; i++) {
		int error = end_one(devices[i], why, left);

		first = first ? first : error;
	}
	return first;
}

void weir_away_notice(struct weir_device *device)
{
	/* Whoever holds it is in the middle of a change, or does something rare: the next trace will do. */
	if (pthread_mutex_trylock(&device->host->lock))
		return;
	weir_away_end(&device, 1, 0, 0);
	pthread_mutex_unlock(&device->host->lock);
}

int weir_away_refuse(const struct weir_device *device, const char *what)
{
	uint32_t away = weir_device_away(device);

	return weir_fail(away & WEIR_AWAY_GONE ? -ENODEV : -EIO, "%s of %s: %s", what,
			 device->function->address, reason_of(away));
}

/*
 * The host's lock is held. A raw reset leaves nothing to go by, so the windows go and come in any case; unless nothing can be told, which
 * changes nothing. An error without a text, but for one of the windows'.
 */
static int resync(struct weir_device *device, uint32_t requested, bool *ret_unread)
{
	uint32_t seen = 0;
	int error = weir_device_away(device) & WEIR_AWAY_ASLEEP ? 0 : weir_config_look(device, &seen);

	*ret_unread = error;
	if (!error)
		error = weir_away_begin(&device, 1, WEIR_AWAY_RESYNC | seen);
	if (error)
		return error;
	error = weir_away_end(&device, 1, WEIR_AWAY_RESYNC | WEIR_AWAY_REQUESTED, requested);
	*ret_unread = error;
	return error;
}

void weir_away_look(void *ctx, bool taken)
{
	struct weir_device *device = ctx;
	bool unread;

	if (taken)
		resync(device, weir_device_away(device) & WEIR_AWAY_REQUESTED, &unread);
	else
		weir_away_end(&device, 1, 0, 0);
}

int weir_device_resync(struct weir_device *device)
{
	bool requested = false, unread;
	int error = weir_device_is_requested(device, &requested);

	if (error)
		return error;
	pthread_mutex_lock(&device->host->lock);
	error = resync(device, requested ? WEIR_AWAY_REQUESTED : 0, &unread);
	pthread_mutex_unlock(&device->host->lock);
	if (unread)
		return weir_fail(-EIO, "reading COMMAND or the power state of %s: %s",
				 device->function->address, strerror(-error));
	if (!error && weir_device_away(device) & WEIR_AWAY_GONE)
		return weir_away_refuse(device, "looking");
	return error;
}
