// SPDX-License-Identifier: MIT
#include "sim_host.h"

#include <stdlib.h>
#include <sys/mman.h>

const enum weir_backend sim_backends[3] = { WEIR_BACKEND_IOMMUFD, WEIR_BACKEND_TYPE1, WEIR_BACKEND_COMPAT };

static void close_machine(void *sim)
{
	EXPECT_OK(weir_sim_close(sim));
}

static void close_host(void *host)
{
	EXPECT_OK(weir_host_close(host));
}

static void close_ioas(void *ioas)
{
	EXPECT_OK(weir_ioas_close(ioas));
}

static void close_device(void *device)
{
	EXPECT_OK(weir_device_close(device));
}

struct sim_host *sim_host_open(struct t *t, enum weir_backend backend)
{
	struct sim_host *host = calloc(1, sizeof(*host));

	ASSERT_TRUE(host);
	t_defer(t, free, host);
	ASSERT_OK(weir_sim_open(NULL, &host->sim));
	t_defer(t, close_machine, host->sim);
	ASSERT_OK(weir_sim_start(host->sim));
	ASSERT_OK(weir_host_open(
		&WEIR_OPTS(weir_host_opts, .backend = backend, .sys = weir_sim_sys(host->sim)), &host->host));
	t_defer(t, close_host, host->host);
	ASSERT_OK(weir_ioas_open(host->host, NULL, &host->ioas));
	t_defer(t, close_ioas, host->ioas);
	return host;
}

struct weir_device *sim_host_device(struct t *t, struct sim_host *host, const char *address,
				    uint32_t address_bits)
{
	ASSERT_OK(weir_device_open(host->ioas, address ? address : "0000:00:01.0",
				   &WEIR_OPTS(weir_device_opts, .address_bits = address_bits),
				   &host->device));
	t_defer(t, close_device, host->device);
	return host->device;
}

struct memory {
	void *addr;
	size_t len;
	struct weir_map *map;
};

static void free_memory(void *arg)
{
	struct memory *memory = arg;

	weir_map_close(memory->map);
	munmap(memory->addr, memory->len);
	free(memory);
}

void *sim_host_memory(struct t *t, struct sim_host *host, size_t len, uint64_t *ret_iova)
{
	struct memory *memory = calloc(1, sizeof(*memory));

	ASSERT_TRUE(memory);
	memory->len = len;
	memory->addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(memory->addr != MAP_FAILED);
	t_defer(t, free_memory, memory);
	ASSERT_OK(weir_ioas_map(host->ioas, memory->addr, len, NULL, &memory->map));
	*ret_iova = weir_map_iova(memory->map);
	return memory->addr;
}

uint64_t sim_host_nowhere(struct t *t, struct sim_host *host)
{
	static _Alignas(4096) char page[4096];
	struct weir_map *map;
	uint64_t iova;

	(void)t;
	ASSERT_OK(weir_ioas_map(host->ioas, page, sizeof(page), NULL, &map));
	iova = weir_map_iova(map);
	ASSERT_OK(weir_map_close(map));
	return iova;
}
