// SPDX-License-Identifier: MIT
/*
 * Memory that can be mapped for DMA.
 *
 * The machine cannot keep pages in memory as the kernel does when it pins them. Pinning here checks that they
 * are there; what the process unmaps later is out of the devices' reach too (-EIO), where on hardware they
 * would go on with pages that nobody sees any more. What a file loses is kept for them (kept.c).
 */
#include "sim/iommu/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "sim/device/dmabuf.h"
#include "sim/process.h"
#include "sim/user.h"

#ifndef MADV_POPULATE_READ /* Linux 5.14 */
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

uint64_t sim_page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t round_down(uint64_t value, uint64_t grain)
{
	return value & ~(grain - 1);
}

static uint64_t round_up(uint64_t value, uint64_t grain)
{
	return round_down(value + grain - 1, grain);
}

/* Making and releasing ----------------------------------------------------------------------------------- */

static int new_pages(struct weir_sim *sim, enum sim_pages_kind kind, uint64_t len,
		     struct sim_pages **ret_pages)
{
	struct sim_pages *pages = calloc(1, sizeof(*pages));

	if (!pages)
		return -ENOMEM;
	*pages = (struct sim_pages){
		.kind = kind, .sim = sim, .refs = 1, .len = len, .fd = -1, .process = sim_process_now()
	};
	*ret_pages = pages;
	return 0;
}

int sim_pages_memory(struct weir_sim *sim, uint64_t addr, uint64_t len, bool writable, enum sim_charge charge,
		     struct sim_pages **ret_pages)
{
	int error = new_pages(sim, SIM_PAGES_MEMORY, len, ret_pages);

	if (error)
		return error;
	(*ret_pages)->addr = (unsigned char *)(uintptr_t)addr;
	(*ret_pages)->writable = writable;
	(*ret_pages)->charge = charge;
	return 0;
}

int sim_pages_file(struct weir_sim *sim, int fd, uint64_t offset, uint64_t len, bool writable,
		   enum sim_charge charge, struct sim_pages **ret_pages)
{
	struct sim_pages *pages;
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int error;

	if (own < 0)
		return -errno;
	error = new_pages(sim, SIM_PAGES_FILE, len, &pages);
	if (error) {
		close(own);
		return error;
	}
	pages->fd = own;
	pages->offset = offset;
	pages->writable = writable;
	pages->charge = charge;
	*ret_pages = pages;
	return 0;
}

int sim_pages_bar(struct weir_sim_device *device, unsigned int bar, uint64_t offset, uint64_t len,
		  struct sim_pages **ret_pages)
{
	int error = new_pages(device->sim, SIM_PAGES_BAR, len, ret_pages);

	if (error)
		return error;
	(*ret_pages)->device = device;
	(*ret_pages)->bar = bar;
	(*ret_pages)->offset = offset;
	(*ret_pages)->writable = true;
	return 0;
}

int sim_pages_dma_buf(struct sim_dma_buf *buf, uint64_t offset, uint64_t len, struct sim_pages **ret_pages)
{
	int error;

	if (offset > buf->len || len > buf->len - offset)
		return -EINVAL;
	if (buf->revoked)
		return -ENODEV;
	if (buf->num_ranges > 1)
		return -EOPNOTSUPP;
	error = sim_pages_bar(buf->device, buf->bar, buf->offset + offset, len, ret_pages);
	if (error)
		return error;
	sim_dma_buf_hold(buf);
	(*ret_pages)->dma_buf = buf;
	return 0;
}

void sim_pages_hold(struct sim_pages *pages)
{
	pages->refs++;
}

void sim_pages_put(struct sim_pages *pages)
{
	if (--pages->refs)
		return;
	if (pages->fd >= 0)
		close(pages->fd);
	if (pages->dma_buf)
		sim_dma_buf_drop(pages->dma_buf);
	free(pages);
}

uint64_t sim_pages_address(const struct sim_pages *pages, uint64_t offset)
{
	if (pages->kind == SIM_PAGES_MEMORY)
		return (uintptr_t)pages->addr + offset;
	return pages->offset - (pages->dma_buf ? pages->dma_buf->offset : 0) + offset;
}

/* Accounting --------------------------------------------------------------------------------------------- */

bool sim_capable(unsigned int capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return syscall(SYS_capget, &header, data) == 0 &&
	       (data[capability / 32].effective >> capability % 32 & 1);
}

enum sim_charge sim_charge_now(const struct weir_sim *sim, enum sim_charge otherwise)
{
	if (!sim_capable(CAP_IPC_LOCK) || sim->processes[sim_process_now()].memlock)
		return otherwise;
	return otherwise == SIM_CHARGE_CONTAINER ? SIM_CHARGE_CONTAINER_FREE : SIM_CHARGE_NONE;
}

/* Whole pages are pinned and charged. */
static uint64_t pinned_size(const struct sim_pages *pages)
{
	uint64_t start = sim_pages_address(pages, 0);

	return round_up(start % sim_page_size() + pages->len, sim_page_size());
}

static uint64_t *counter(const struct sim_pages *pages)
{
	struct sim_process *process = &pages->sim->processes[pages->process];

	return pages->charge == SIM_CHARGE_USER ? &process->user_locked_bytes : &process->locked_bytes;
}

static bool of_container(const struct sim_pages *pages)
{
	return pages->charge == SIM_CHARGE_CONTAINER || pages->charge == SIM_CHARGE_CONTAINER_FREE;
}

static bool exceeds_limit(const struct sim_pages *pages, uint64_t size)
{
	uint64_t memlock = pages->sim->processes[pages->process].memlock;
	struct rlimit limit;

	if (memlock)
		return *counter(pages) + size > memlock;
	return pages->charge != SIM_CHARGE_CONTAINER_FREE && getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
	       limit.rlim_cur != RLIM_INFINITY && *counter(pages) + size > limit.rlim_cur;
}

static int charge(const struct sim_pages *pages)
{
	uint64_t size = pinned_size(pages);

	if (pages->kind == SIM_PAGES_BAR)
		return 0;
	if (pages->charge != SIM_CHARGE_NONE) {
		if (exceeds_limit(pages, size))
			return -ENOMEM;
		*counter(pages) += size;
	}
	if (!of_container(pages))
		pages->sim->processes[pages->process].pinned_bytes += size;
	return 0;
}

static void discharge(const struct sim_pages *pages)
{
	uint64_t size = pinned_size(pages);

	if (pages->kind == SIM_PAGES_BAR)
		return;
	if (pages->charge != SIM_CHARGE_NONE)
		*counter(pages) -= size;
	if (!of_container(pages))
		pages->sim->processes[pages->process].pinned_bytes -= size;
}

int sim_pages_move(struct sim_pages *pages, unsigned int process)
{
	unsigned int before = pages->process;
	int error = 0;

	if (before == process || !pages->pins) {
		pages->process = process;
		return 0;
	}
	pages->process = process;
	error = charge(pages);
	pages->process = before;
	if (error)
		return error;
	discharge(pages);
	pages->process = process;
	return 0;
}

/* Pinning ------------------------------------------------------------------------------------------------ */

/* Before Linux 5.14: reading one byte of each page shows holes, but not what cannot be written. */
static int touch(uint64_t start, uint64_t end)
{
	char byte;
	int error = 0;

	for (uint64_t at = start; !error && at < end; at += sim_page_size())
		error = sim_copy_in(&byte, at, sizeof(byte));
	return error;
}

/* The kernel brings the pages in as to pin them, and says whether all are there and may be used so. */
static int populate(uint64_t start, uint64_t end, bool writable)
{
	int advice = writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
	void *addr = (void *)(uintptr_t)start;
	int done;

	do
		done = madvise(addr, end - start, advice);
	while (done < 0 && errno == EAGAIN);
	if (done == 0)
		return 0;
	/* For nothing at all, only a kernel that does not know the advice refuses. */
	if (errno == EINVAL && madvise(addr, 0, advice) < 0)
		return touch(start, end);
	return -EFAULT;
}

static int pin_memory(const struct sim_pages *pages)
{
	uint64_t addr = (uintptr_t)pages->addr, page = sim_page_size();
	uint64_t start = round_down(addr, page), end = round_up(addr + pages->len, page);

	if (end <= start)
		return -EFAULT;
	/* A BAR in the process is no memory with pages to pin (VM_PFNMAP; kernel-interface B.10). */
	if (sim_mapping_find(pages->sim, addr, pages->len))
		return -EFAULT;
	return populate(start, end, pages->writable);
}

/* Another descriptor of the file, for @flags. */
static int reopen(int fd, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

static void *map_as(int fd, size_t len, int prot, uint64_t offset)
{
	return mmap(NULL, len, prot, MAP_SHARED, fd, (off_t)offset);
}

/*
 * Neither how the descriptor was opened nor seals matter to DMA (kernel-interface A.6), but they do to us.
 * What a seal keeps from being written can only be mapped for reading: there, writes by devices fail.
 */
static void *map_shared(int fd, size_t len, uint64_t offset)
{
	static const struct {
		int flags, prot;
	} ways[] = { { O_RDWR, PROT_READ | PROT_WRITE }, { O_RDONLY, PROT_READ } };
	void *mapping = map_as(fd, len, PROT_READ | PROT_WRITE, offset);

	for (size_t i = 0; i < 2 && mapping == MAP_FAILED && errno != ENOMEM; i++) {
		int again = reopen(fd, ways[i].flags);

		if (again < 0)
			continue;
		mapping = map_as(again, len, ways[i].prot, offset);
		close(again);
	}
	return mapping;
}

static int pin_file(struct sim_pages *pages)
{
	struct statfs fs;
	struct stat status;
	uint64_t grain, start;

	if (fstatfs(pages->fd, &fs) < 0 || fstat(pages->fd, &status) < 0 || !S_ISREG(status.st_mode))
		return -EINVAL;
	if (fs.f_type != TMPFS_MAGIC && fs.f_type != HUGETLBFS_MAGIC)
		return -EINVAL;
	if (pages->len > (uint64_t)status.st_size || pages->offset > (uint64_t)status.st_size - pages->len)
		return -EINVAL;
	grain = fs.f_type == HUGETLBFS_MAGIC ? (uint64_t)fs.f_bsize : sim_page_size();
	start = round_down(pages->offset, grain);
	pages->mapping_len = round_up(pages->offset + pages->len, grain) - start;
	pages->mapping = map_shared(pages->fd, pages->mapping_len, start);
	if (pages->mapping == MAP_FAILED)
		return errno == ENOMEM ? -ENOMEM : -EFAULT;
	/* Holes are filled. Where that fails, there is no memory for it. */
	if (madvise(pages->mapping, pages->mapping_len, MADV_POPULATE_READ) < 0 && errno != EINVAL) {
		munmap(pages->mapping, pages->mapping_len);
		return -ENOMEM;
	}
	pages->addr = (unsigned char *)pages->mapping + (pages->offset - start);
	return 0;
}

static void unpin_file(struct sim_pages *pages)
{
	munmap(pages->mapping, pages->mapping_len);
	pages->mapping = NULL;
	pages->addr = NULL;
}

static int pin_bar(const struct sim_pages *pages)
{
	if (pages->revoked)
		return -ENODEV;
	return sim_device_memory_enabled(pages->device) ? 0 : -EFAULT;
}

static int pin_first(struct sim_pages *pages)
{
	switch (pages->kind) {
	case SIM_PAGES_MEMORY:
		return pin_memory(pages);
	case SIM_PAGES_FILE:
		return pin_file(pages);
	case SIM_PAGES_BAR:
		return pin_bar(pages);
	}
	return -EINVAL;
}

int sim_pages_pin(struct sim_pages *pages)
{
	int error;

	if (pages->pins) {
		pages->pins++;
		return 0;
	}
	error = pin_first(pages);
	if (error)
		return error;
	error = charge(pages);
	if (error) {
		if (pages->kind == SIM_PAGES_FILE)
			unpin_file(pages);
		return error;
	}
	pages->pins = 1;
	pages->next_pinned = pages->sim->pinned;
	pages->pinned_link = &pages->sim->pinned;
	if (pages->next_pinned)
		pages->next_pinned->pinned_link = &pages->next_pinned;
	pages->sim->pinned = pages;
	return 0;
}

void sim_pages_unpin(struct sim_pages *pages)
{
	if (--pages->pins)
		return;
	*pages->pinned_link = pages->next_pinned;
	if (pages->next_pinned)
		pages->next_pinned->pinned_link = pages->pinned_link;
	sim_kept_drop(pages);
	discharge(pages);
	if (pages->kind == SIM_PAGES_FILE)
		unpin_file(pages);
}

/* DMA ---------------------------------------------------------------------------------------------------- */

/* Where the machine finds what is at @offset, which is no BAR. */
static uint64_t place_of(const struct sim_pages *pages, uint64_t offset)
{
	const unsigned char *kept = pages->kept ? sim_kept_find(pages, offset) : NULL;

	return (uintptr_t)(kept ? kept : pages->addr + offset);
}

int sim_pages_read(struct sim_pages *pages, uint64_t offset, void *buf, size_t len)
{
	if (pages->kind == SIM_PAGES_BAR)
		return sim_bar_read(pages->device, pages->bar, pages->offset + offset, buf, len);
	return sim_copy_in(buf, place_of(pages, offset), len);
}

int sim_pages_write(struct sim_pages *pages, uint64_t offset, const void *buf, size_t len)
{
	struct sim_trouble *trouble = &pages->sim->trouble;
	bool fails = trouble->copy_back_fails;
	int error;

	if (pages->kind == SIM_PAGES_BAR)
		return sim_bar_write(pages->device, pages->bar, pages->offset + offset, buf, len);
	/* What is asked to fail is the answer to a call, and not the DMA that may be done in it. */
	trouble->copy_back_fails = false;
	error = sim_copy_out(pages->sim, place_of(pages, offset), buf, len);
	trouble->copy_back_fails = fails;
	return error;
}

/* Looked at through the kernel first, since it may not be there; and by the machine itself then, since that is not cut in halves. */
int sim_pages_load(struct sim_pages *pages, uint64_t offset, uint64_t *ret_value)
{
	int error = sim_pages_read(pages, offset, ret_value, sizeof(*ret_value));

	if (!error && pages->kind != SIM_PAGES_BAR)
		*ret_value = __atomic_load_n((uint64_t *)place_of(pages, offset), __ATOMIC_ACQUIRE);
	return error;
}

/* Or-ing nothing to a word, by the kernel, shows whether it can be written. */
static bool is_writable(uint64_t place)
{
	uint32_t *word = (uint32_t *)place;

	return syscall(SYS_futex, word, FUTEX_WAKE_OP_PRIVATE, 0, NULL, word,
		       FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0)) >= 0;
}

int sim_pages_exchange(struct sim_pages *pages, uint64_t offset, uint64_t old, uint64_t new)
{
	uint64_t now, place;
	int error;

	if (pages->kind == SIM_PAGES_BAR) {
		error = sim_pages_read(pages, offset, &now, sizeof(now));
		if (error || now != old)
			return error ? error : -EAGAIN;
		return sim_pages_write(pages, offset, &new, sizeof(new));
	}
	place = place_of(pages, offset);
	if (!is_writable(place))
		return -EFAULT;
	return __atomic_compare_exchange_n((uint64_t *)place, &old, new, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED)
		       ? 0
		       : -EAGAIN;
}
