// SPDX-License-Identifier: MIT
/* Loops over random queries. */
#include "bench/memory/loops.h"
#include "bench/memory/yardstick.h"

#include <err.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { SLICE = 1 << 13, SLICES = QUERIES / SLICE, ROUNDS = 9, MOST_LOOPS = 8, HUGE = 2 << 20 };

static volatile uint64_t sink;

void *huge_memory(size_t len)
{
	char *memory = mmap(NULL, len + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "no memory");
	memory += -(uintptr_t)memory % HUGE;
	madvise(memory, len, MADV_HUGEPAGE);
	return memory;
}

void loop_search(const struct field *field, size_t from, size_t end)
{
	uint64_t sum = 0;

	for (size_t i = from; i < end; i++)
		sum += yardstick_find(field->addresses, field->num, field->by_address[i]);
	sink = sum;
}

void loop_iova(const struct field *field, size_t from, size_t end)
{
	const struct weir_ioas *ioas = field->ioas;
	const uint64_t *queries = field->by_address;
	uint64_t sum = 0, iova = 0;

	for (size_t i = from; i < end; i++) {
		if (weir_ioas_iova(ioas, (void *)(uintptr_t)queries[i], 1, &iova, NULL))
			errx(1, "%s", weir_error());
		sum += iova;
	}
	sink = sum;
}

void loop_iova_left(const struct field *field, size_t from, size_t end)
{
	const struct weir_ioas *ioas = field->ioas;
	const uint64_t *queries = field->by_address;
	uint64_t sum = 0, iova = 0, left = 0;

	for (size_t i = from; i < end; i++) {
		if (weir_ioas_iova(ioas, (void *)(uintptr_t)queries[i], 1, &iova, &left))
			errx(1, "%s", weir_error());
		sum += iova + left;
	}
	sink = sum;
}

void loop_memory(const struct field *field, size_t from, size_t end)
{
	const struct weir_ioas *ioas = field->ioas;
	const uint64_t *queries = field->by_iova;
	uint64_t sum = 0;
	void *addr = NULL;

	for (size_t i = from; i < end; i++) {
		if (weir_ioas_memory(ioas, queries[i], 1, &addr, NULL))
			errx(1, "%s", weir_error());
		sum += (uintptr_t)addr;
	}
	sink = sum;
}

void loop_buffer(const struct field *field, size_t from, size_t end)
{
	uint64_t sum = 0, iova = 0;

	for (size_t i = from; i < end; i++) {
		if (weir_buffer_iova(&field->buffer, field->offsets[i], 64, &iova))
			errx(1, "beyond the buffer");
		sum += iova;
	}
	sink = sum;
}

void time_loops(const struct field *field, loop *const *loops, size_t num, double *ret_ns)
{
	double least[MOST_LOOPS][SLICES];

	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < num; i++)
			for (size_t slice = 0; slice < SLICES; slice++) {
				double begin = yardstick_now(), took;

				loops[i](field, slice * SLICE, (slice + 1) * SLICE);
				took = yardstick_now() - begin;
				if (!round || took < least[i][slice])
					least[i][slice] = took;
			}
	for (size_t i = 0; i < num; i++) {
		ret_ns[i] = 0;
		for (size_t slice = 0; slice < SLICES; slice++)
			ret_ns[i] += least[i][slice] / QUERIES;
	}
}

struct one {
	const struct field *field;
	loop *const *loops;
	size_t num;
	pthread_barrier_t *together;
	double ns[MOST_LOOPS];
};

/* One loop after the other, each begun together, so that both threads do the same. */
static void *run_one(void *arg)
{
	struct one *one = arg;

	for (size_t i = 0; i < one->num; i++) {
		pthread_barrier_wait(one->together);
		time_loops(one->field, &one->loops[i], 1, &one->ns[i]);
	}
	return NULL;
}

void time_loops_twice(const struct field *field, loop *const *loops, size_t num, double *ret_ns)
{
	pthread_barrier_t together;
	struct one ones[2];
	pthread_t threads[2];

	pthread_barrier_init(&together, NULL, 2);
	for (int i = 0; i < 2; i++) {
		ones[i] = (struct one){ .field = field, .loops = loops, .num = num, .together = &together };
		if (pthread_create(&threads[i], NULL, run_one, &ones[i]))
			errx(1, "no thread");
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&together);
	for (size_t i = 0; i < num; i++)
		ret_ns[i] = (ones[0].ns[i] + ones[1].ns[i]) / 2;
}
