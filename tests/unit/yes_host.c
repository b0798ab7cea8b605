// SPDX-License-Identifier: MIT
/* A host on the kernel that says yes. */
#include "unit/yes_host.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const enum weir_backend all_backends[NUM_BACKENDS] = { WEIR_BACKEND_IOMMUFD, WEIR_BACKEND_TYPE1,
						       WEIR_BACKEND_COMPAT };

static void finish_kernel(void *arg)
{
	static const struct yes_state nothing;
	struct yes_kernel *yes = arg;
	struct yes_state state = yes_kernel_state(yes);

	EXPECT_MEMEQ(&nothing, &state, sizeof(state));
	yes_kernel_finish(yes);
	free(yes);
}

struct yes_kernel *new_yes_kernel(struct t *t)
{
	struct yes_kernel *yes = malloc(sizeof(*yes));

	ASSERT_TRUE(yes);
	yes_kernel_init(yes);
	t_defer(t, finish_kernel, yes);
	return yes;
}

static void close_host(void *arg)
{
	EXPECT_OK(weir_host_close(arg));
}

struct weir_host *new_host(struct t *t, struct yes_kernel *yes, enum weir_backend backend)
{
	struct weir_host *host;

	ASSERT_OK(weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = backend, .sys = &yes->table), &host));
	t_defer(t, close_host, host);
	return host;
}

static void close_ioas(void *arg)
{
	EXPECT_OK(weir_ioas_close(arg));
}

struct weir_ioas *new_ioas(struct t *t, struct weir_host *host)
{
	struct weir_ioas *ioas;

	ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
	t_defer(t, close_ioas, ioas);
	return ioas;
}

static void close_device(void *arg)
{
	EXPECT_OK(weir_device_close(arg));
}

struct weir_device *new_device(struct t *t, struct weir_ioas *ioas, const char *address)
{
	struct weir_device *device;

	ASSERT_OK(weir_device_open(ioas, address, NULL, &device));
	t_defer(t, close_device, device);
	return device;
}

void *new_memory(struct t *t, size_t align, size_t len)
{
	void *memory = aligned_alloc(align, len);

	ASSERT_TRUE(memory);
	memset(memory, 0x5a, len);
	t_defer(t, free, memory);
	return memory;
}

unsigned int threads_of_a_kind(void)
{
	long num = sysconf(_SC_NPROCESSORS_ONLN);

	if (num < 2)
		return 2;
	return num > MOST_OF_A_KIND ? MOST_OF_A_KIND : (unsigned int)num;
}
