// SPDX-License-Identifier: MIT
/*
 * Devices' coming and going: the table of mappings is put in force with the first and taken out of force
 * with the last.
 *
 * Each is a transition: mapping and unmapping wait until it is over, so that no mapping is missed or
 * installed twice.
 */
#include <errno.h>
#include <inttypes.h>

#include "error.h"
#include "ioas/flaw.h"
#include "ioas/window.h"

void weir_ioas_begin_transition(struct weir_ioas *ioas)
{
	weir_gate_lock_calm(&ioas->gate);
	weir_gate_hold_up(&ioas->gate);
	weir_gate_unlock(&ioas->gate);
	weir_gate_wait_for_none(&ioas->gate);
	weir_ioas_sync_under_way(ioas);
}

static bool is_plain(const struct weir_ioas *ioas)
{
	return ioas->space.live && !ioas->space.ops->sync && !ioas->space.kernel->journal &&
	       !ioas->addresses && !ioas->followers && !ioas->probes && !ioas->leaving.most;
}

void weir_ioas_end_transition(struct weir_ioas *ioas)
{
	weir_gate_lock(&ioas->gate);
	weir_ioas_follow_geometry(ioas);
	ioas->plain = is_plain(ioas);
	weir_gate_let_go(&ioas->gate);
	weir_gate_unlock(&ioas->gate);
}

/* @by devices more have that many address bits. */
static void count_devices(struct weir_ioas *ioas, uint32_t address_bits, int by)
{
	uint32_t bits = 0;

	ioas->narrow_devices[address_bits] += (uint32_t)by;
	while (bits < 64 && !ioas->narrow_devices[bits])
		bits++;
	ioas->device_bits = bits;
	ioas->limit = weir_last_address(weir_ioas_address_bits(ioas));
}

void weir_ioas_adopt_function(struct weir_ioas *ioas, uint32_t address_bits)
{
	count_devices(ioas, address_bits, 1);
}

/* Everything mapped lies below the device's address width. */
static int check_width(const struct weir_ioas *ioas, const struct weir_function *function,
		       uint32_t address_bits)
{
	const struct weir_map *highest = weir_ioas_highest_map(ioas);

	if (!highest || weir_map_last(highest) <= weir_last_address(address_bits))
		return 0;
	return weir_fail(-ERANGE,
			 "the mapping at IOVA %#" PRIx64 "..%#" PRIx64 " is above the %u address bits of %s",
			 weir_map_start(highest), weir_map_last(highest), address_bits, function->address);
}

/* What a device that comes now writes would be missed. */
static int check_stay(const struct weir_ioas *ioas)
{
	return ioas->devices_stay
		       ? weir_fail(-EBUSY, "the address space is tracked by its devices (weir_dirty), "
					   "and no other may come")
		       : 0;
}

/* What is no device memory is to stay none: the memory may be another than when it was mapped, and the kernel would take it. */
static int install_memory(struct weir_ioas *ioas, const struct weir_function *function,
			  const struct weir_map *map)
{
	int error = weir_would_take_any(ioas, map) ? weir_probe_memory(ioas, map) : 0;

	if (error)
		return weir_fail_within(error, "the mapping at IOVA %#" PRIx64 " cannot be put in force",
					weir_map_start(map));
	error = ioas->space.ops->install(&ioas->space, &map->backing, weir_map_size(map), weir_map_start(map),
					 map->prot);
	return error ? weir_explain_replay(ioas, map, function->group->number, error) : 0;
}

static int install_all(struct weir_ioas *ioas, const struct weir_function *function)
{
	int error = 0;

	for (struct weir_map *map = NULL; !error && (map = weir_ioas_next_map(ioas, map));) {
		if (!map->held || !map->held->window) {
			error = install_memory(ioas, function, map);
			continue;
		}
		error = weir_window_replay(map);
		if (error)
			error = weir_explain_replay(ioas, map, function->group->number, error);
	}
	return error;
}

/* Bring a sleeping space to life with @function, its table in force. */
static int wake(struct weir_ioas *ioas, struct weir_function *function)
{
	const struct weir_space_ops *ops = ioas->space.ops;
	bool slept = !ioas->space.live;
	int error = ops->enter(&ioas->space, function);

	if (error == -EADDRINUSE)
		return weir_explain_reserved(ioas, function->group->number, error);
	if (error || !slept)
		return error;
	error = install_all(ioas, function);
	if (error)
		ops->abandon(&ioas->space, function);
	return error;
}

int weir_ioas_attach(struct weir_ioas *ioas, struct weir_function *function, uint32_t address_bits)
{
	const struct weir_space_ops *ops = ioas->space.ops;
	int error;

	weir_ioas_begin_transition(ioas);
	error = check_stay(ioas);
	if (!error)
		error = check_width(ioas, function, address_bits);
	if (!error)
		error = wake(ioas, function);
	if (!error) {
		error = ops->commit(&ioas->space, function);
		if (error == -EADDRINUSE)
			error = weir_explain_reserved(ioas, function->group->number, error);
		if (error)
			ops->abandon(&ioas->space, function);
	}
	if (!error)
		count_devices(ioas, address_bits, 1);
	weir_ioas_end_transition(ioas);
	return error;
}

int weir_ioas_detach(struct weir_ioas *ioas, struct weir_function *function, uint32_t address_bits)
{
	int error;

	weir_ioas_begin_transition(ioas);
	error = ioas->space.ops->leave(&ioas->space, function);
	/* What it logged has gone with it. */
	if (ioas->devices_stay)
		ioas->space.dirt_lost = true;
	count_devices(ioas, address_bits, -1);
	weir_ioas_end_transition(ioas);
	return error;
}

int weir_ioas_move(struct weir_ioas *from, struct weir_ioas *to, struct weir_function *function,
		   const uint32_t *address_bits, uint32_t num_functions)
{
	const struct weir_space_ops *ops = to->space.ops;
	int error = 0;

	if (from->space.ops != ops || from->space.layer || to->space.layer)
		return weir_fail(-EOPNOTSUPP,
				 "devices stay in a nested space, and come into it by being opened there");
	if (!ops->move)
		return weir_fail(-EOPNOTSUPP,
				 "on the VFIO container a group cannot leave while its devices are open");
	/* The host's lock is held, so nobody else begins two transitions. */
	weir_ioas_begin_transition(from);
	weir_ioas_begin_transition(to);
	error = check_stay(to);
	for (uint32_t i = 0; i < num_functions && !error; i++)
		error = check_width(to, function, address_bits[i]);
	if (!error)
		error = wake(to, function);
	if (!error) {
		error = ops->move(&to->space, function);
		if (error == -EADDRINUSE)
			error = weir_explain_reserved(to, function->group->number, error);
		if (error)
			ops->abandon(&to->space, function);
	}
	if (!error && from->devices_stay)
		from->space.dirt_lost = true;
	for (uint32_t i = 0; i < num_functions && !error; i++) {
		count_devices(from, address_bits[i], -1);
		count_devices(to, address_bits[i], 1);
	}
	weir_ioas_end_transition(to);
	weir_ioas_end_transition(from);
	return error;
}
