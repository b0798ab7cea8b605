/* SPDX-License-Identifier: MIT */
/* A first program: open a device, let it reach one page of this program's memory, and say where it finds it. */
#include <err.h>
#include <stdio.h>
#include <weir/weir.h>

int main(int argc, char **argv)
{
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_memory *memory;
	struct weir_buffer buffer;

	if (argc != 2)
		errx(2, "usage: %s 0000:01:00.0", argv[0]);
	if (weir_host_open(NULL, &host) || weir_ioas_open(host, NULL, &ioas) ||
	    weir_device_open(ioas, argv[1], NULL, &device) || weir_memory_open(ioas, NULL, &memory) ||
	    weir_memory_alloc(memory, 4096, NULL, &buffer))
		errx(1, "%s", weir_error());
	printf("Through %s, %s can reach one page of our memory: %p, which it sees at %#llx.\n",
	       weir_backend_name(weir_host_backend(host)), argv[1], buffer.addr,
	       (unsigned long long)buffer.iova);

	weir_memory_close(memory);
	weir_device_close(device);
	weir_ioas_close(ioas);
	weir_host_close(host);
}
