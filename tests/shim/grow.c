/* SPDX-License-Identifier: MIT */
/* Arrays that grow. */
#include "run.h"

#include <stdlib.h>

void *t_grow(void *array, size_t count, size_t *room, size_t element)
{
	void *grown;

	if (count < *room)
		return array;
	*room = *room ? 2 * *room : 16;
	grown = reallocarray(array, *room, element);
	if (!grown)
		abort();
	return grown;
}
