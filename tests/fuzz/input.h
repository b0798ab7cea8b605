/* SPDX-License-Identifier: MIT */
/* A fuzzer's input, taken from the front; what is past its end is zero. And what a fuzzer says when something is wrong. */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct input {
	const uint8_t *at, *end;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline bool in_empty(const struct input *in)
{
	return in->at == in->end;
}

static inline void in_bytes(struct input *in, void *to, size_t len)
{
	size_t left = (size_t)(in->end - in->at), part = len < left ? len : left;

	memset(to, 0, len);
	if (part)
		memcpy(to, in->at, part);
	in->at += part;
}

static inline uint8_t in_u8(struct input *in)
{
	return in_empty(in) ? 0 : *in->at++;
}

static inline uint16_t in_u16(struct input *in)
{
	uint16_t value;

	in_bytes(in, &value, sizeof(value));
	return value;
}

static inline uint32_t in_u32(struct input *in)
{
	uint32_t value;

	in_bytes(in, &value, sizeof(value));
	return value;
}

static inline uint64_t in_u64(struct input *in)
{
	uint64_t value;

	in_bytes(in, &value, sizeof(value));
	return value;
}

/* Below @num. */
static inline unsigned int in_below(struct input *in, unsigned int num)
{
	return in_u8(in) % num;
}

/* One of a pool, so that collisions are frequent. */
#define in_pick(in, pool) ((pool)[in_below((in), sizeof(pool) / sizeof((pool)[0]))])

/* The rest of @in after its first @len bytes, which stay. */
static inline struct input in_split(struct input *in, size_t len)
{
	struct input rest = *in;

	if (len < (size_t)(in->end - in->at))
		in->end = in->at + len;
	rest.at = in->end;
	return rest;
}

/* Says what is wrong and ends the program: a finding. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition))                                                                            \
			fail("%s:%d: %s", __FILE__, __LINE__, #condition);                                   \
	} while (0)

/* FUZZ_VERBOSE in the environment: each step is told, to read a finding by. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
