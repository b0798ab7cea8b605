// SPDX-License-Identifier: MIT
/*
 * A DMA of an edu that one process begins and another waits for, and what the kernel accounts to whom meanwhile.
 *
 *     weir-handover-edu [--backend NAME] [--broker SOCKET] ADDRESS
 *
 * The device computes a factorial, and is told to copy what it has in its buffer to memory; with that under way, the process hands over to a
 * child. The child finds the DMA in the driver's block, waits for it, and looks: at the memory, and at the factorial, which a reset would
 * have cleared. Both say what is locked and pinned for them. Exit status: 0 when all is as it should be.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <edu/edu.h>
#include <weir/weir.h>

enum { REG_FACTORIAL = 0x08, PRODUCT = 3628800, LEN = 4096, TIMEOUT_MS = 5000 };

/* What the child needs to know, beside what is known anyway. */
struct note {
	uint64_t offset, len;
	uint32_t chunk, pid;
};

static void must(int r, const char *what, const char *why)
{
	if (r >= 0)
		return;
	fprintf(stderr, "weir-handover-edu: %s: %s\n", what, why);
	exit(1);
}

static void expect(bool fine, const char *what)
{
	printf("%s %s\n", fine ? "yes" : "NO ", what);
	if (!fine)
		exit(1);
}

/* A line of /proc/PID/status, in KiB. */
static long kib(pid_t pid, const char *name)
{
	char path[64], line[256];
	long value = -1;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (fgets(line, sizeof line, file))
		if (!strncmp(line, name, strlen(name)))
			sscanf(line + strlen(name), ": %ld", &value);
	fclose(file);
	return value;
}

static long charged(pid_t pid)
{
	return kib(pid, "VmPin") + kib(pid, "VmLck");
}

static unsigned char pattern(size_t i)
{
	return (unsigned char)(i * 31 + (i >> 8));
}

/* The successor -------------------------------------------------------------------------------------------- */

static void check_data(struct weir_host *host, const struct note *note)
{
	struct weir_memory *memory;
	struct weir_buffer buffer;

	must(weir_handover_memory(host, 0, &memory), "memory", weir_error());
	must(weir_memory_claim(memory, note->chunk, note->offset, note->len, &buffer), "buffer",
	     weir_error());
	for (size_t i = 0; i < LEN; i++)
		if (((unsigned char *)buffer.addr)[i] != pattern(i))
			expect(false, "the DMA has arrived");
	expect(true, "the DMA has arrived");
	must(weir_memory_close(memory), "memory", weir_error());
}

static int follow(int socket, const char *address)
{
	struct edu_transfer transfer;
	struct weir_region *registers;
	struct weir_device *device;
	struct weir_ioas *ioas;
	struct weir_host *host;
	struct edu *edu;
	struct note note;
	uint32_t product;
	void *block;

	must(weir_handover_receive(socket, NULL, &host), "receiving", weir_error());
	must(weir_handover_device(host, address, &device), address, weir_error());
	must(weir_block_open(host, "note", sizeof note, &block), "note", weir_error());
	memcpy(&note, block, sizeof note);
	must(edu_restore(device, &edu), address, edu_error());
	expect(edu_dma_pending(edu, &transfer) == EDU_PENDING, "the DMA is pending");
	expect(transfer.direction == EDU_TO_MEMORY && transfer.len == LEN, "and is the one that was begun");
	must(weir_handover_finish(host), "finishing", weir_error());
	printf("    %ld KiB here, %ld there\n", charged(getpid()), charged((pid_t)note.pid));
	/* What somebody with CAP_IPC_LOCK mapped through iommufd, the kernel charges to nobody, and so moves nowhere. */
	if (geteuid() != 0) {
		expect(charged(getpid()) >= 4096, "what is pinned is charged to the successor");
		expect(charged((pid_t)note.pid) <= 0, "and no more to its predecessor");
	}
	must(edu_dma_wait(edu, TIMEOUT_MS), "waiting", edu_error());
	check_data(host, &note);
	must(weir_device_region(device, WEIR_REGION_BAR0, &registers), "BAR 0", weir_error());
	must(weir_region_read32(registers, REG_FACTORIAL, &product), "factorial", weir_error());
	expect(product == PRODUCT, "the factorial is still there: no reset");
	must(edu_factorial(edu, 5, EDU_BY_INTERRUPT, TIMEOUT_MS, &product), "factorial", edu_error());
	expect(product == 120, "the device still works, by interrupt");
	ioas = weir_device_ioas(device);
	must(edu_close(edu), "closing", edu_error());
	must(weir_device_close(device), "closing", weir_error());
	must(weir_ioas_close(ioas), "closing", weir_error());
	must(weir_host_close(host), "closing", weir_error());
	return 0;
}

/* The predecessor ------------------------------------------------------------------------------------------ */

/* The device's buffer has the pattern, the memory has not, and the DMA that brings it back is begun. */
static struct edu *begin(struct weir_host *host, struct weir_device *device, struct weir_memory *memory)
{
	struct weir_buffer buffer;
	struct edu *edu;
	uint32_t product;
	void *block;

	must(edu_open(device, EDU_INTERRUPTS, &edu), "opening", edu_error());
	must(edu_factorial(edu, 10, EDU_BY_POLLING, TIMEOUT_MS, &product), "factorial", edu_error());
	must(weir_memory_alloc(memory, LEN, NULL, &buffer), "buffer", weir_error());
	for (size_t i = 0; i < LEN; i++)
		((unsigned char *)buffer.addr)[i] = pattern(i);
	must(edu_dma(edu, EDU_FROM_MEMORY, buffer.iova, 0, LEN, EDU_BY_INTERRUPT, TIMEOUT_MS), "DMA",
	     edu_error());
	memset(buffer.addr, 0, LEN);
	must(weir_block_open(host, "note", sizeof(struct note), &block), "note", weir_error());
	*(struct note *)block = (struct note){
		.offset = buffer.offset, .len = buffer.len, .chunk = buffer.chunk, .pid = (uint32_t)getpid()
	};
	must(edu_dma_start(edu, EDU_TO_MEMORY, buffer.iova, 0, LEN, EDU_BY_INTERRUPT), "DMA", edu_error());
	return edu;
}

static int lead(const struct weir_host_opts *opts, const char *broker, const char *address, char **argv)
{
	struct weir_device_opts device_opts = WEIR_OPTS(weir_device_opts, .address_bits = 28);
	struct weir_memory_opts memory_opts = WEIR_OPTS(weir_memory_opts, .initial = 4 << 20);
	struct weir_memory *memory;
	struct weir_device *device;
	struct weir_ioas *ioas;
	struct weir_host *host;
	struct edu *edu;
	char text[16];
	int pair[2], status;
	pid_t child;

	must(broker ? weir_host_open_broker(broker, address, opts, &host) : weir_host_open(opts, &host),
	     "host", weir_error());
	must(weir_ioas_open(host, NULL, &ioas), "space", weir_error());
	must(weir_device_open(ioas, address, &device_opts, &device), address, weir_error());
	must(weir_memory_open(ioas, &memory_opts, &memory), "memory", weir_error());
	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), "socket", "none");
	edu = begin(host, device, memory);
	expect(charged(getpid()) >= 4096, "what is pinned is charged to the process that maps it");
	child = fork();
	if (child == 0) {
		close(pair[0]);
		snprintf(text, sizeof text, "%d", pair[1]);
		setenv("WEIR_HANDOVER", text, 1);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	close(pair[1]);
	must(edu_pause(edu), "pausing", edu_error());
	must(weir_handover_give(host, pair[0], NULL), "giving", weir_error());
	edu_forget(edu);
	fflush(stdout);
	while (waitpid(child, &status, 0) < 0)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	static const struct option known[] = { { "backend", required_argument, NULL, 'b' },
					       { "broker", required_argument, NULL, 'r' },
					       { 0 } };
	static const char *const names[] = { "auto", "iommufd", "type1", "compat" };
	struct weir_host_opts opts = WEIR_OPTS(weir_host_opts, .flags = WEIR_HOST_JOURNAL);
	const char *broker = NULL, *handed = getenv("WEIR_HANDOVER");
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
		if (option == 'r')
			broker = optarg;
		for (uint32_t i = 0; option == 'b' && i < 4; i++)
			if (!strcmp(names[i], optarg))
				opts.backend = i;
	}
	if (optind + 1 != argc)
		return 2;
	return handed ? follow(atoi(handed), argv[optind]) : lead(&opts, broker, argv[optind], argv);
}
