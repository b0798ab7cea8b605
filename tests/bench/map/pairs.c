// SPDX-License-Identifier: MIT
/*
 * Maps and unmaps on a table of no-op calls, for callgrind to count what the library itself does: see `instructions`.
 *
 *     weir-bench-map-pairs iommufd|type1 LENGTH MAPPINGS PAIRS
 *
 * makes MAPPINGS mappings that stay, and then maps and unmaps LENGTH bytes PAIRS times in bench_pairs().
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/weir.h>

#include "support/yes_kernel.h"

/* Its name is what callgrind is told to look for. */
void bench_pairs(struct weir_ioas *ioas, void *memory, size_t len, unsigned int pairs);

static void map_and_unmap(struct weir_ioas *ioas, void *memory, size_t len)
{
	struct weir_map *map;

	if (weir_ioas_map(ioas, memory, len, NULL, &map) || weir_map_close(map))
		errx(1, "%s", weir_error());
}

__attribute__((noinline)) void bench_pairs(struct weir_ioas *ioas, void *memory, size_t len,
					   unsigned int pairs)
{
	while (pairs--)
		map_and_unmap(ioas, memory, len);
}

int main(int argc, char **argv)
{
	enum { WARM_UP = 100, PAGE = 4096, ALIGN = 2 << 20 };
	static struct yes_kernel yes;
	struct weir_host_opts opts = WEIR_OPTS(weir_host_opts, .sys = &yes.table);
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	size_t len;
	void *memory;

	if (argc != 5)
		errx(2, "usage: weir-bench-map-pairs iommufd|type1 LENGTH MAPPINGS PAIRS");
	len = strtoul(argv[2], NULL, 0);
	opts.backend = strcmp(argv[1], "type1") ? WEIR_BACKEND_IOMMUFD : WEIR_BACKEND_TYPE1;
	memory = aligned_alloc(ALIGN, (len + ALIGN - 1) / ALIGN * ALIGN);
	yes_kernel_init(&yes);
	if (!memory || weir_host_open(&opts, &host) || weir_ioas_open(host, NULL, &ioas) ||
	    weir_device_open(ioas, YES_ADDRESS_0, NULL, &device))
		errx(1, "%s", weir_error());
	for (unsigned long i = strtoul(argv[3], NULL, 0); i; i--) {
		struct weir_map *map;

		if (weir_ioas_map(ioas, memory, PAGE, NULL, &map))
			errx(1, "%s", weir_error());
	}
	for (int i = 0; i < WARM_UP; i++)
		map_and_unmap(ioas, memory, len);
	bench_pairs(ioas, memory, len, (unsigned int)strtoul(argv[4], NULL, 0));
	weir_device_close(device);
	weir_ioas_close(ioas);
	weir_host_close(host);
	yes_kernel_finish(&yes);
	free(memory);
	return 0;
}
