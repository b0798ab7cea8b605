// SPDX-License-Identifier: MIT
/*
 * A VFIO program as others write them: straight on the kernel's interface, without weir, and knowing
 * nothing of a simulated host. It drives QEMU's teaching device (edu) by loads and stores, through a
 * container, or with --cdev through an iommufd.
 *
 *     foreign [--cdev|--fork|--segv|--segv-handler|--listing|--dup|--threads] ADDRESS
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"

/* The device (QEMU: docs/specs/edu.rst). */
enum {
	EDU_ID = 0x00,
	EDU_LIVENESS = 0x04,
	EDU_FACTORIAL = 0x08,
	EDU_STATUS = 0x20,
	EDU_BUSY = 1,
	EDU_DMA_SOURCE = 0x80,
	EDU_DMA_TARGET = 0x88,
	EDU_DMA_COUNT = 0x90,
	EDU_DMA_COMMAND = 0x98,
	EDU_DMA_RUN = 1,
	EDU_DMA_TO_MEMORY = 2,
	EDU_DMA_INTERRUPT = 4,
	EDU_BUFFER = 0x40000,
	EDU_BAR_SIZE = 1 << 20,
};

enum { IOVA = 0x100000, LENGTH = 4096, PATIENCE_MS = 5000, COMMAND_OFFSET = 4, COMMAND_MASTER = 4 };

static int device, container, group;
static volatile int *volatile nowhere = (volatile int *)16;

static void need(bool condition, const char *what)
{
	if (condition)
		return;
	printf("foreign: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Opening ------------------------------------------------------------------------------------------------ */

static void map_for_container(void *memory)
{
	struct abi_vfio_iommu_type1_dma_map map = { .argsz = sizeof(map),
						    .flags = ABI_VFIO_DMA_MAP_FLAG_READ |
							     ABI_VFIO_DMA_MAP_FLAG_WRITE,
						    .vaddr = (uintptr_t)memory,
						    .iova = IOVA,
						    .size = LENGTH };

	need(ioctl(container, ABI_VFIO_IOMMU_MAP_DMA, &map) == 0, "VFIO_IOMMU_MAP_DMA");
}

static void open_through_group(const char *address, void *memory)
{
	struct abi_vfio_group_status status = { .argsz = sizeof(status) };
	char path[256], target[256] = "";

	container = open("/dev/vfio/vfio", O_RDWR);
	need(container >= 0, "/dev/vfio/vfio");
	need(ioctl(container, ABI_VFIO_GET_API_VERSION) == 0, "VFIO_GET_API_VERSION");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", address);
	need(readlink(path, target, sizeof(target) - 1) > 0, "iommu_group");
	snprintf(path, sizeof(path), "/dev/vfio%s", strrchr(target, '/'));
	group = open(path, O_RDWR);
	need(group >= 0, path);
	need(ioctl(group, ABI_VFIO_GROUP_GET_STATUS, &status) == 0, "VFIO_GROUP_GET_STATUS");
	need(status.flags & ABI_VFIO_GROUP_FLAGS_VIABLE, "the group is viable");
	need(ioctl(group, ABI_VFIO_GROUP_SET_CONTAINER, &container) == 0, "VFIO_GROUP_SET_CONTAINER");
	need(ioctl(container, ABI_VFIO_SET_IOMMU, ABI_VFIO_TYPE1v2_IOMMU) == 0, "VFIO_SET_IOMMU");
	map_for_container(memory);
	device = ioctl(group, ABI_VFIO_GROUP_GET_DEVICE_FD, address);
	need(device >= 0, "VFIO_GROUP_GET_DEVICE_FD");
}

/* As libraries do it: the character device's name is the one entry of a directory. */
static void find_cdev(const char *address, char *path, size_t size)
{
	const struct dirent *entry;
	DIR *dir;

	snprintf(path, size, "/sys/bus/pci/devices/%s/vfio-dev", address);
	dir = opendir(path);
	need(dir, path);
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, "vfio", 4))
			snprintf(path, size, "/dev/vfio/devices/%.16s", entry->d_name);
	closedir(dir);
}

static void open_through_iommufd(const char *address, void *memory)
{
	struct abi_vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct abi_vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };
	struct abi_iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct abi_iommu_ioas_map map = { .size = sizeof(map),
					  .flags = ABI_IOMMU_IOAS_MAP_FIXED_IOVA |
						   ABI_IOMMU_IOAS_MAP_WRITEABLE | ABI_IOMMU_IOAS_MAP_READABLE,
					  .user_va = (uintptr_t)memory,
					  .length = LENGTH,
					  .iova = IOVA };
	char path[256];

	find_cdev(address, path, sizeof(path));
	device = open(path, O_RDWR);
	need(device >= 0, path);
	bind.iommufd = open("/dev/iommu", O_RDWR);
	need(bind.iommufd >= 0, "/dev/iommu");
	need(ioctl(device, ABI_VFIO_DEVICE_BIND_IOMMUFD, &bind) == 0, "VFIO_DEVICE_BIND_IOMMUFD");
	need(ioctl(bind.iommufd, ABI_IOMMU_IOAS_ALLOC, &ioas) == 0, "IOMMU_IOAS_ALLOC");
	attach.pt_id = map.ioas_id = ioas.out_ioas_id;
	need(ioctl(device, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) == 0, "VFIO_DEVICE_ATTACH_IOMMUFD_PT");
	need(ioctl(bind.iommufd, ABI_IOMMU_IOAS_MAP, &map) == 0, "IOMMU_IOAS_MAP");
}

/* Driving ------------------------------------------------------------------------------------------------ */

static volatile void *map_bar(void)
{
	struct abi_vfio_region_info info = { .argsz = sizeof(info), .index = 0 };
	void *bar;

	need(ioctl(device, ABI_VFIO_DEVICE_GET_REGION_INFO, &info) == 0, "VFIO_DEVICE_GET_REGION_INFO");
	need(info.flags & ABI_VFIO_REGION_INFO_FLAG_MMAP, "BAR 0 can be mapped");
	need(info.size == EDU_BAR_SIZE, "BAR 0 has 1 MiB");
	bar = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t)info.offset);
	need(bar != MAP_FAILED, "mmap");
	return bar;
}

static void enable_mastering(void)
{
	struct abi_vfio_region_info info = { .argsz = sizeof(info),
					     .index = ABI_VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t command;

	need(ioctl(device, ABI_VFIO_DEVICE_GET_REGION_INFO, &info) == 0, "VFIO_DEVICE_GET_REGION_INFO");
	need(pread(device, &command, 2, (off_t)info.offset + COMMAND_OFFSET) == 2, "read COMMAND");
	command |= COMMAND_MASTER;
	need(pwrite(device, &command, 2, (off_t)info.offset + COMMAND_OFFSET) == 2, "write COMMAND");
}

static int enable_interrupt(void)
{
	struct {
		struct abi_vfio_irq_set head;
		int32_t fd;
	} set = { .head = { .argsz = sizeof(set),
			    .flags = ABI_VFIO_IRQ_SET_DATA_EVENTFD | ABI_VFIO_IRQ_SET_ACTION_TRIGGER,
			    .index = ABI_VFIO_PCI_MSI_IRQ_INDEX,
			    .count = 1 },
		  .fd = eventfd(0, EFD_CLOEXEC) };

	need(ioctl(device, ABI_VFIO_DEVICE_SET_IRQS, &set) == 0, "VFIO_DEVICE_SET_IRQS");
	return set.fd;
}

static void compute(volatile void *bar)
{
	volatile uint32_t *registers = bar;

	need(registers[EDU_ID / 4] == 0x010000ed, "the device says who it is");
	registers[EDU_LIVENESS / 4] = 0x12345678;
	need(registers[EDU_LIVENESS / 4] == ~0x12345678u, "it is alive");
	registers[EDU_FACTORIAL / 4] = 10;
	while (registers[EDU_STATUS / 4] & EDU_BUSY)
		usleep(100);
	need(registers[EDU_FACTORIAL / 4] == 3628800, "10! is 3628800");
}

static void transfer(volatile void *bar, uint64_t source, uint64_t target, uint32_t command, int interrupt)
{
	volatile unsigned char *registers = bar;
	struct pollfd wait = { .fd = interrupt, .events = POLLIN };
	uint64_t count;

	*(volatile uint64_t *)(registers + EDU_DMA_SOURCE) = source;
	*(volatile uint64_t *)(registers + EDU_DMA_TARGET) = target;
	*(volatile uint64_t *)(registers + EDU_DMA_COUNT) = LENGTH;
	*(volatile uint64_t *)(registers + EDU_DMA_COMMAND) = command | EDU_DMA_RUN | EDU_DMA_INTERRUPT;
	need(poll(&wait, 1, PATIENCE_MS) == 1, "an interrupt comes");
	need(read(interrupt, &count, sizeof(count)) == sizeof(count) && count == 1, "it comes once");
	need(!(*(volatile uint64_t *)(registers + EDU_DMA_COMMAND) & EDU_DMA_RUN), "the transfer is over");
}

/* Into the device's buffer, and back from there. */
static void copy(volatile void *bar, unsigned char *memory)
{
	int interrupt = enable_interrupt();

	for (unsigned int i = 0; i < LENGTH; i++)
		memory[i] = (unsigned char)(i * 7);
	transfer(bar, IOVA, EDU_BUFFER, 0, interrupt);
	memset(memory, 0, LENGTH);
	transfer(bar, EDU_BUFFER, IOVA, EDU_DMA_TO_MEMORY, interrupt);
	for (unsigned int i = 0; i < LENGTH; i++)
		need(memory[i] == (unsigned char)(i * 7), "what comes back is what was sent");
	close(interrupt);
}

/* Other things that programs do -------------------------------------------------------------------------- */

/* Children are not the parent's business: neither may hang, and the parent's device goes on working. */
static void fork_around(volatile void *bar)
{
	int status;
	pid_t child = fork();

	if (!child) {
		compute(bar);
		_exit(7);
	}
	need(waitpid(child, &status, 0) == child, "waitpid");
	need(WIFEXITED(status) && WEXITSTATUS(status) == 7, "the child works on its copy");
	child = vfork(); /* NOLINT: as old programs do */
	if (!child) {
		close(device); /* NOLINT */
		_exit(8);
	}
	need(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 8, "the child closes and exits");
	need(system("exit 9") == 9 << 8, "a shell runs");
	compute(bar);
}

static sigjmp_buf escape;
static volatile sig_atomic_t handled;

static void on_fault(int number, siginfo_t *info, void *context)
{
	(void)context;
	handled = number == SIGSEGV && info->si_addr == (void *)(uintptr_t)nowhere;
	siglongjmp(escape, 1);
}

/* A fault of the program's own is its own affair, before and after there are registers. */
static void fault_with_handler(volatile void *bar)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO }, before;
	sigset_t all;

	need(sigaction(SIGSEGV, &action, &before) == 0 && before.sa_handler == SIG_DFL, "sigaction");
	if (!sigsetjmp(escape, 1))
		*nowhere = 1;
	need(handled, "the program's handler sees the program's fault");
	need(sigaction(SIGSEGV, NULL, &before) == 0 && before.sa_sigaction == on_fault, "it is still there");
	need(signal(SIGSEGV, SIG_IGN) != SIG_ERR, "signal");
	need(kill(getpid(), SIGSEGV) == 0, "an ignored signal that somebody sends is ignored");
	sigfillset(&all);
	need(sigprocmask(SIG_SETMASK, &all, NULL) == 0, "sigprocmask");
	compute(bar);
}

/* Registers, used by several threads and by a signal handler that interrupts them, also in the middle of calls. */
static volatile uint32_t *seen_by_handler;
static volatile sig_atomic_t ticks;

static void on_tick(int number)
{
	(void)number;
	ticks += seen_by_handler[EDU_ID / 4] == 0x010000ed;
}

static void *read_often(void *bar)
{
	volatile uint32_t *registers = bar;
	struct abi_vfio_device_info info = { .argsz = sizeof(info) };

	for (unsigned int i = 0; i < 3000; i++) {
		need(registers[EDU_ID / 4] == 0x010000ed, "the device says who it is");
		need(ioctl(device, ABI_VFIO_DEVICE_GET_INFO, &info) == 0, "VFIO_DEVICE_GET_INFO");
	}
	return NULL;
}

static void use_threads(volatile void *bar)
{
	struct itimerval often = { { 0, 1000 }, { 0, 1000 } };
	pthread_t threads[3];

	seen_by_handler = bar;
	signal(SIGALRM, on_tick);
	setitimer(ITIMER_REAL, &often, NULL);
	for (unsigned int i = 0; i < 3; i++)
		need(pthread_create(&threads[i], NULL, read_often, (void *)(uintptr_t)bar) == 0, "a thread");
	for (unsigned int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	signal(SIGALRM, SIG_IGN);
	need(ticks > 0, "the handler ran");
	compute(bar);
}

static void duplicate(volatile void *bar)
{
	int second = dup(device), third = fcntl(device, F_DUPFD_CLOEXEC, 100);
	struct abi_vfio_device_info info = { .argsz = sizeof(info) };

	need(second >= 0 && third >= 100, "dup");
	close(device);
	need(ioctl(second, ABI_VFIO_DEVICE_GET_INFO, &info) == 0, "a duplicate works");
	need(dup2(third, second) == second, "dup2");
	close(third);
	need(ioctl(second, ABI_VFIO_DEVICE_GET_INFO, &info) == 0, "and one made by dup2");
	close(second);
	compute(bar); /* a mapping keeps the device open */
	need(munmap((void *)(uintptr_t)bar, EDU_BAR_SIZE) == 0, "munmap");
	device = ioctl(group, ABI_VFIO_GROUP_GET_DEVICE_FD, "no such device");
	need(device < 0 && errno == ENODEV, "no such device");
}

/* What configuration tools do with sysfs. */
static void list(const char *address)
{
	char path[256], text[64] = "", *resolved;
	struct stat status;
	struct dirent **names;
	FILE *file;
	int fd, directory;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
	need(lstat(path, &status) == 0 && S_ISLNK(status.st_mode), "a device is a link");
	need(stat(path, &status) == 0 && S_ISDIR(status.st_mode), "to a directory");
	resolved = realpath(path, NULL);
	need(resolved && !strncmp(resolved, "/sys/devices/pci", 16), "realpath");
	free(resolved);
	directory = open(path, O_RDONLY | O_DIRECTORY);
	need(directory >= 0 && fstat(directory, &status) == 0 && S_ISDIR(status.st_mode), "open a directory");
	fd = openat(directory, "vendor", O_RDONLY);
	need(read(fd, text, sizeof(text)) == 7 && !strcmp(text, "0x1234\n"), "vendor");
	need(lseek(fd, 0, SEEK_SET) == 0 && read(fd, text, 2) == 2, "seek");
	need(write(fd, text, 1) < 0 && errno == EBADF, "it was opened for reading");
	close(fd);
	close(directory);
	strcat(path, "/device");
	need(access(path, R_OK) == 0 && access(path, X_OK) < 0 && errno == EACCES, "access");
	file = fopen(path, "r");
	need(file && fgets(text, sizeof(text), file) && !strcmp(text, "0x11e8\n"), "device");
	fclose(file);
	need(scandir("/sys/bus/pci/devices", &names, NULL, alphasort) == 3, "one device, and two dots");
	need(!strcmp(names[2]->d_name, address), "that is the one");
	need(open("/sys/bus/pci/devices/nothing", O_RDONLY) < 0 && errno == ENOENT, "nothing else");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", address);
	file = fopen(path, "w");
	need(file && fputs("vfio-pci", file) >= 0 && fclose(file) == 0, "write");
	file = fopen(path, "r");
	need(file && fgets(text, sizeof(text), file) && !strcmp(text, "vfio-pci\n"), "it was written");
	fclose(file);
}

int main(int argc, char **argv)
{
	const char *option = argc > 2 ? argv[1] : "", *address = argv[argc - 1];
	unsigned char *memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	volatile void *bar;

	if (!strcmp(option, "--cdev"))
		open_through_iommufd(address, memory);
	else
		open_through_group(address, memory);
	enable_mastering();
	bar = map_bar();
	compute(bar);
	copy(bar, memory);
	if (!strcmp(option, "--listing"))
		list(address);
	if (!strcmp(option, "--fork"))
		fork_around(bar);
	if (!strcmp(option, "--threads"))
		use_threads(bar);
	if (!strcmp(option, "--dup"))
		duplicate(bar);
	if (!strcmp(option, "--segv-handler"))
		fault_with_handler(bar);
	if (!strcmp(option, "--segv"))
		*nowhere = 1;
	puts("foreign: ok");
	return 0;
}
