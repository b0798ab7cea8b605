// SPDX-License-Identifier: MIT
/*
 * A DMA of an edu that one process begins and another waits for, and what the kernel accounts to whom meanwhile.
 *
 *     weir-handover-edu [--backend NAME] [--broker SOCKET] [--by exec|socket] ADDRESS
 *
 * The device has computed a factorial, and is told to copy what it has in its buffer to memory; with that under way, the process hands over: to
 * itself by exec, or to a child that is ready. The successor says whether the DMA still was under way when all was its ("In flight": chance, for it
 * takes 100 ms), finds it in the driver's block, waits for it, and looks at the memory. Both say what is pinned or locked for them.
 *
 * That the device was not reset cannot be told by its registers: QEMU's edu forgets nothing in a reset. So what could reset it is counted, in the
 * library's table of system calls: resets, and whatever opens the device again, for the kernel resets it after its last close. The count is in
 * a memfd that all have: who begins, the helper that weir_handover_exec() forks, and who follows.
 *
 * Exit status: 0 when all is as it should be.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vfio.h>

#include <edu/edu.h>
#include <weir/weir.h>

static const char ready_variable[] = "WEIR_EDU_READY";

enum { REG_FACTORIAL = 0x08, PRODUCT = 3628800, LEN = 4096, MEMORY = 4 << 20, TIMEOUT_MS = 5000 };

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

/* iommufd pins, the container locks. */
static long charged(struct weir_host *host, pid_t pid)
{
	return kib(pid, weir_host_backend(host) == WEIR_BACKEND_TYPE1 ? "VmLck" : "VmPin");
}

static unsigned char pattern(size_t i)
{
	return (unsigned char)(i * 31 + (i >> 8));
}

/* What could reset the device ------------------------------------------------------------------------------- */

static const char counts_variable[] = "WEIR_EDU_COUNTS";

static struct counts {
	uint32_t calls, resets, opens;
} * counts;

static void count(uint32_t *number)
{
	__atomic_fetch_add(number, 1, __ATOMIC_RELAXED);
}

/* Whose VFIO_IOMMU_MAP_DMA has the number of a hot reset. */
static bool is_container(int fd)
{
	char link[64], path[64];
	ssize_t len;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof path - 1);
	path[len < 0 ? 0 : len] = '\0';
	return !strcmp(path, "/dev/vfio/vfio");
}

static int counting_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	const struct weir_sys *real = weir_sys_real();

	(void)ctx;
	count(&counts->calls);
	if (request == VFIO_DEVICE_RESET || (request == VFIO_DEVICE_PCI_HOT_RESET && !is_container(fd)))
		count(&counts->resets);
	if (request == VFIO_GROUP_GET_DEVICE_FD)
		count(&counts->opens);
	return real->ioctl(real->ctx, fd, request, arg);
}

static int counting_open(void *ctx, const char *path, int flags)
{
	const struct weir_sys *real = weir_sys_real();

	(void)ctx;
	if (!strncmp(path, "/dev/vfio/devices/", strlen("/dev/vfio/devices/")))
		count(&counts->opens);
	return real->open(real->ctx, path, flags);
}

/* A broker opens devices, too. */
static int counting_connect(void *ctx, const char *path)
{
	const struct weir_sys *real = weir_sys_real();

	(void)ctx;
	count(&counts->opens);
	return real->connect(real->ctx, path);
}

/* The real system calls, counted; on from what the predecessor has counted, if there is one. */
static const struct weir_sys *counting(void)
{
	static struct weir_sys sys;
	const char *inherited = getenv(counts_variable);
	int fd = inherited ? atoi(inherited) : memfd_create("counts", 0);
	char text[16];

	if (fd < 0 || (!inherited && ftruncate(fd, sizeof *counts) < 0))
		must(-1, "counting", "no file");
	counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (counts == MAP_FAILED)
		must(-1, "counting", "no memory");
	snprintf(text, sizeof text, "%d", fd);
	setenv(counts_variable, text, 1);
	sys = *weir_sys_real();
	sys.ioctl = counting_ioctl;
	sys.open = counting_open;
	sys.connect = counting_connect;
	return &sys;
}

/* The device was opened, which was counted; from here on nothing of the kind is to be. */
static void begin_to_count(void)
{
	expect(counts->opens > 0, "opening is counted");
	*counts = (struct counts){ 0 };
}

static void check_counts(const struct weir_sys *sys)
{
	expect(counts->calls > 0, "what both did went through the table");
	expect(counts->resets == 0, "nobody has reset the device");
	expect(counts->opens == 0, "nobody has opened it again");
	sys->ioctl(sys->ctx, -1, VFIO_DEVICE_RESET, NULL);
	sys->ioctl(sys->ctx, -1, VFIO_DEVICE_PCI_HOT_RESET, NULL);
	expect(counts->resets == 2, "and resets would have been counted");
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

/* What somebody with CAP_IPC_LOCK mapped through iommufd, the kernel charges to nobody, and so moves nowhere. */
static void check_charges(struct weir_host *host, pid_t predecessor)
{
	printf("    %ld KiB here\n", charged(host, getpid()));
	if (geteuid() == 0 && weir_host_backend(host) != WEIR_BACKEND_TYPE1)
		return;
	expect(charged(host, getpid()) >= MEMORY / 1024, "what is mapped is charged to the successor");
	/* After an exec it is the same process. */
	if (predecessor != getpid())
		expect(charged(host, predecessor) <= 0, "and no more to its predecessor");
}

static void check_device(struct edu *edu, struct weir_device *device)
{
	struct weir_region *registers;
	uint32_t product;

	must(weir_device_region(device, WEIR_REGION_BAR0, &registers), "BAR 0", weir_error());
	must(weir_region_read32(registers, REG_FACTORIAL, &product), "factorial", weir_error());
	expect(product == PRODUCT, "the factorial is as it was");
	must(edu_factorial(edu, 5, EDU_BY_INTERRUPT, TIMEOUT_MS, &product), "factorial", edu_error());
	expect(product == 120, "the device still works, by interrupt");
}

static void take_over(int socket, const char *address, const struct weir_sys *sys, struct note *ret_note,
		      struct weir_device **ret_device, struct edu **ret_edu)
{
	struct weir_handover_opts opts = WEIR_OPTS(weir_handover_opts, .sys = sys);
	struct edu_transfer transfer;
	struct weir_host *host;
	struct edu *edu;
	void *block;

	must(weir_handover_receive(socket, &opts, &host), "receiving", weir_error());
	must(weir_handover_device(host, address, ret_device), address, weir_error());
	must(weir_block_open(host, "note", sizeof *ret_note, &block), "note", weir_error());
	memcpy(ret_note, block, sizeof *ret_note);
	must(edu_restore(*ret_device, &edu), address, edu_error());
	expect(edu_dma_pending(edu, &transfer) == EDU_PENDING, "the DMA is pending");
	expect(transfer.direction == EDU_TO_MEMORY && transfer.len == LEN, "and is the one that was begun");
	must(weir_handover_finish(host), "finishing", weir_error());
	printf("In flight %s\n", edu_dma_running(edu) == 1 ? "still" : "no more");
	*ret_edu = edu;
}

static int follow(int socket, const char *address)
{
	const struct weir_sys *sys = counting();
	struct weir_device *device;
	struct weir_ioas *ioas;
	struct weir_host *host;
	struct edu *edu;
	struct note note;

	take_over(socket, address, sys, &note, &device, &edu);
	host = weir_device_host(device);
	check_charges(host, (pid_t)note.pid);
	must(edu_dma_wait(edu, TIMEOUT_MS), "waiting", edu_error());
	check_data(host, &note);
	check_device(edu, device);
	check_counts(sys);
	ioas = weir_device_ioas(device);
	must(edu_close(edu), "closing", edu_error());
	must(weir_device_close(device), "closing", weir_error());
	must(weir_ioas_close(ioas), "closing", weir_error());
	must(weir_host_close(host), "closing", weir_error());
	return 0;
}

/* The predecessor ------------------------------------------------------------------------------------------ */

/* The device's buffer has the pattern, the memory has not. */
static struct edu *prepare(struct weir_host *host, struct weir_device *device, struct weir_memory *memory,
			   uint64_t *ret_iova)
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
	*ret_iova = buffer.iova;
	return edu;
}

/* The DMA that brings the pattern back is begun, as late as can be. */
static void leave(struct edu *edu, uint64_t iova)
{
	fflush(stdout);
	must(edu_dma_start(edu, EDU_TO_MEMORY, iova, 0, LEN, EDU_BY_INTERRUPT), "DMA", edu_error());
	must(edu_pause(edu), "pausing", edu_error());
}

/* A child that has got as far as it can without the host: it has closed its end of the pipe. */
static pid_t start_successor(char **argv, int socket)
{
	char text[16], byte;
	int ready[2];
	pid_t child;

	must(pipe2(ready, O_CLOEXEC), "pipe", "none");
	fflush(stdout);
	child = fork();
	if (child == 0) {
		snprintf(text, sizeof text, "%d", socket);
		setenv("WEIR_HANDOVER", text, 1);
		snprintf(text, sizeof text, "%d", ready[1]);
		setenv(ready_variable, text, 1);
		fcntl(ready[1], F_SETFD, 0);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	close(ready[1]);
	while (read(ready[0], &byte, 1) > 0)
		;
	close(ready[0]);
	return child;
}

static int hand_to_child(struct weir_host *host, struct edu *edu, uint64_t iova, char **argv)
{
	int pair[2], status;
	pid_t child;

	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), "socket", "none");
	child = start_successor(argv, pair[1]);
	close(pair[1]);
	leave(edu, iova);
	must(weir_handover_give(host, pair[0], NULL), "giving", weir_error());
	edu_forget(edu);
	while (waitpid(child, &status, 0) < 0)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int become_successor(struct weir_host *host, struct edu *edu, uint64_t iova, char **argv)
{
	leave(edu, iova);
	must(weir_handover_exec(host, "/proc/self/exe", argv, NULL, NULL), "exec", weir_error());
	return 1;
}

static int lead(struct weir_host_opts *opts, const char *broker, bool by_exec, char **argv,
		const char *address)
{
	struct weir_device_opts device_opts = WEIR_OPTS(weir_device_opts, .address_bits = 28);
	struct weir_memory_opts memory_opts = WEIR_OPTS(weir_memory_opts, .initial = MEMORY);
	struct weir_memory *memory;
	struct weir_device *device;
	struct weir_ioas *ioas;
	struct weir_host *host;
	struct edu *edu;
	uint64_t iova;

	opts->sys = counting();
	must(broker ? weir_host_open_broker(broker, address, opts, &host) : weir_host_open(opts, &host),
	     "host", weir_error());
	must(weir_ioas_open(host, NULL, &ioas), "space", weir_error());
	must(weir_device_open(ioas, address, &device_opts, &device), address, weir_error());
	must(weir_memory_open(ioas, &memory_opts, &memory), "memory", weir_error());
	edu = prepare(host, device, memory, &iova);
	expect(charged(host, getpid()) >= MEMORY / 1024,
	       "what is mapped is charged to the process that maps it");
	begin_to_count();
	return (by_exec ? become_successor : hand_to_child)(host, edu, iova, argv);
}

static int follow_when_ready(int socket, const char *address)
{
	const char *ready = getenv(ready_variable);

	if (ready)
		close(atoi(ready));
	return follow(socket, address);
}

int main(int argc, char **argv)
{
	static const struct option known[] = { { "backend", required_argument, NULL, 'b' },
					       { "broker", required_argument, NULL, 'r' },
					       { "by", required_argument, NULL, 'y' },
					       { 0 } };
	static const char *const names[] = { "auto", "iommufd", "type1", "compat" };
	struct weir_host_opts opts = WEIR_OPTS(weir_host_opts, .flags = WEIR_HOST_JOURNAL);
	const char *broker = NULL, *handed = getenv("WEIR_HANDOVER");
	bool by_exec = false;
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
		if (option == 'r')
			broker = optarg;
		if (option == 'y')
			by_exec = !strcmp(optarg, "exec");
		for (uint32_t i = 0; option == 'b' && i < 4; i++)
			if (!strcmp(names[i], optarg))
				opts.backend = i;
	}
	if (optind + 1 != argc)
		return 2;
	return handed ? follow_when_ready(atoi(handed), argv[optind])
		      : lead(&opts, broker, by_exec, argv, argv[optind]);
}
