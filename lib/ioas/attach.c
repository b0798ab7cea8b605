// SPDX-License-Identifier: MIT
/*
 * Devices' coming and going: the table of mappings is put in force with the first and taken out of force
 * with the last.
 *
 * Each is a transition: mapping and unmapping wait until it is over, so that no mapping is missed or
 * installed twice.
 */
#include "ioas/ioas.h"

#include <errno.h>
#include <inttypes.h>

#include "error.h"

static void begin_transition(struct weir_ioas *ioas)
{
	pthread_mutex_lock(&ioas->lock);
	weir_ioas_wait_for_calm(ioas);
	ioas->in_transition = true;
	while (ioas->under_way)
		pthread_cond_wait(&ioas->calm, &ioas->lock);
	pthread_mutex_unlock(&ioas->lock);
}

static void end_transition(struct weir_ioas *ioas)
{
	pthread_mutex_lock(&ioas->lock);
	ioas->in_transition = false;
	pthread_cond_broadcast(&ioas->calm);
	pthread_mutex_unlock(&ioas->lock);
}

/* @by devices more have that many address bits. */
static void count_devices(struct weir_ioas *ioas, uint32_t address_bits, int by)
{
	uint32_t bits = 0;

	ioas->narrow_devices[address_bits] += (uint32_t)by;
	while (bits < 64 && !ioas->narrow_devices[bits])
		bits++;
	ioas->device_bits = bits;
}

/* Everything mapped lies below the device's address width. */
static int check_width(const struct weir_ioas *ioas, const struct weir_function *function,
		       uint32_t address_bits)
{
	const struct weir_map *highest =
		(const struct weir_map *)weir_tree_at_or_below(&ioas->maps, UINT64_MAX);

	if (!highest || weir_map_last(highest) <= weir_last_address(address_bits))
		return 0;
	return weir_fail(-ERANGE,
			 "the mapping at IOVA %#" PRIx64 "..%#" PRIx64 " is above the %u address bits of %s",
			 highest->node.key, weir_map_last(highest), address_bits, function->address);
}

static int install_all(struct weir_ioas *ioas, const struct weir_function *function)
{
	const struct weir_backend_ops *ops = ioas->space.kernel->ops;
	uint64_t at = 0;

	for (struct weir_map *map = weir_ioas_next_map(ioas, 0); map; map = weir_ioas_next_map(ioas, at)) {
		int error = ops->install(&ioas->space, map->addr, map->len, map->node.key, map->prot);

		if (error)
			return weir_explain_replay(ioas, map, function->group->number, error);
		at = weir_map_last(map) + 1;
		if (!at)
			break;
	}
	return 0;
}

/* Bring a sleeping space to life with @function, its table in force. */
static int wake(struct weir_ioas *ioas, struct weir_function *function)
{
	const struct weir_backend_ops *ops = ioas->space.kernel->ops;
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
	const struct weir_backend_ops *ops = ioas->space.kernel->ops;
	int error;

	begin_transition(ioas);
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
	end_transition(ioas);
	return error;
}

int weir_ioas_detach(struct weir_ioas *ioas, struct weir_function *function, uint32_t address_bits)
{
	int error;

	begin_transition(ioas);
	error = ioas->space.kernel->ops->leave(&ioas->space, function);
	count_devices(ioas, address_bits, -1);
	end_transition(ioas);
	return error;
}

int weir_ioas_move(struct weir_ioas *from, struct weir_ioas *to, struct weir_function *function,
		   const uint32_t *address_bits, uint32_t num_functions)
{
	const struct weir_backend_ops *ops = to->space.kernel->ops;
	int error = 0;

	if (!ops->move)
		return weir_fail(-EOPNOTSUPP,
				 "on the VFIO container a group cannot leave while its devices are open");
	/* The host's lock is held, so nobody else begins two transitions. */
	begin_transition(from);
	begin_transition(to);
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
	for (uint32_t i = 0; i < num_functions && !error; i++) {
		count_devices(from, address_bits[i], -1);
		count_devices(to, address_bits[i], 1);
	}
	end_transition(to);
	end_transition(from);
	return error;
}
