// SPDX-License-Identifier: MIT
/* Memory of devices that are not weir's, mapped into the process: refused, or accepted by name on the one interface that maps it. */
#include "conformance/dma.h"
#include "conformance/foreign.h"
#include "conformance/space.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define FLAGS(flags_) (&WEIR_OPTS(weir_map_opts, .flags = (flags_)))
#define DEVICE_MEMORY FLAGS(WEIR_MAP_DEVICE_MEMORY)

enum { PAGES = 4 };

struct mixture {
	unsigned char *memory;
	size_t len;
};

static void free_mixture(void *arg)
{
	struct mixture *mixture = arg;

	foreign_uncover(mixture->memory, mixture->len);
	free(mixture);
}

/* Pages of memory, of which those from @first on are device memory. */
static unsigned char *new_mixture(struct t *t, struct foreign *foreign, uint64_t first, uint64_t pages)
{
	struct mixture *mixture = malloc(sizeof(*mixture));

	ASSERT_TRUE(mixture != NULL);
	mixture->len = pages * PAGE;
	mixture->memory =
		mmap(NULL, mixture->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(mixture->memory != MAP_FAILED);
	t_defer(t, free_mixture, mixture);
	foreign_cover(foreign, mixture->memory + first * PAGE, (pages - first) * PAGE);
	return mixture->memory;
}

/* Does the kernel map it, so that the library has to look? */
static bool maps_device_memory(struct t *t)
{
	return weir_host_backend(host_of(t)) == WEIR_BACKEND_TYPE1;
}

static struct weir_ioas *new_probing(struct t *t)
{
	return new_ioas_with(t, &WEIR_OPTS(weir_ioas_opts, .flags = WEIR_IOAS_PROBE));
}

static void expect_refused(struct t *t, struct weir_ioas *ioas, unsigned char *memory, uint64_t first,
			   uint64_t pages)
{
	static const uint32_t ways[] = { 0, WEIR_MAP_READ, WEIR_MAP_WRITE };
	struct weir_ioas_info before = info_of(ioas);
	struct weir_map *map = NULL;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		EXPECT_ERR(-EFAULT, weir_ioas_map(ioas, memory, pages * PAGE, FLAGS(ways[i]), &map));
		EXPECT_CONTAINS(weir_error(), "it is device memory: ");
		EXPECT_CONTAINS(weir_error(), "vfio");
		EXPECT_CONTAINS(weir_error(), "WEIR_MAP_DEVICE_MEMORY");
		EXPECT_CONTAINS(weir_error(),
				range_text((uintptr_t)memory + first * PAGE, (pages - first) * PAGE));
		if (first)
			EXPECT_CONTAINS(weir_error(), "up to there it is of another kind");
		EXPECT_TRUE(map == NULL);
		expect_unchanged(t, ioas, before);
	}
}

static void check_refused(struct t *t, struct weir_ioas *ioas, bool with_device)
{
	struct foreign *foreign = new_foreign(t, "NVME1", PAGES * PAGE);
	unsigned char *mixed = new_mixture(t, foreign, 3, PAGES);

	if (with_device)
		new_device(t, ioas, "EDU0", 0);
	expect_refused(t, ioas, foreign->registers, 0, PAGES);
	expect_refused(t, ioas, mixed, 3, PAGES);
}

CONFORMANCE(ioas_device_memory, without_a_device_it_is_refused_by_name_and_where_it_begins,
	    NEEDS(DMA_DEVICE, NVME1))
{
	check_refused(t, new_ioas(t), false);
}

CONFORMANCE(ioas_device_memory, with_a_device_it_is_refused_by_a_space_that_asks, NEEDS(DMA_DEVICE, NVME1))
{
	check_refused(t, new_probing(t), true);
}

static bool device_reads_registers(struct t *t, struct edu *edu, uint64_t iova, const struct foreign *foreign)
{
	uint64_t registers = foreign_first(foreign);

	EXPECT_NE(registers, 0);
	return dma_reads(t, edu, iova, &registers, 8);
}

static void check_reached(struct t *t, struct weir_ioas *ioas)
{
	struct foreign *foreign = new_foreign(t, "NVME1", PAGES * PAGE);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_map *map =
		new_map(t, ioas, foreign->registers, PAGES * PAGE,
			&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_READ, .address_bits = EDU0_BITS));

	EXPECT_TRUE(device_reads_registers(t, edu, weir_map_iova(map), foreign));
}

/* A container's kernel maps it. In a nested space nothing is asked of the kernel, and the library looks. */
CONFORMANCE(ioas_device_memory, with_a_device_it_is_unasked_refused_or_reached_as_the_kernel_has_it,
	    NEEDS(DMA_DEVICE, NVME1))
{
	if (maps_device_memory(t) && fixture_of(t)->nested == WEIR_NESTED_AUTO)
		check_reached(t, new_ioas(t));
	else
		check_refused(t, new_ioas(t), true);
}

/* What a map of one system call cannot see. */
CONFORMANCE(ioas_device_memory, unasked_the_kernel_decides, NEEDS(ORDINARY, DMA_DEVICE, NVME1))
{
	struct foreign *foreign = new_foreign(t, "NVME1", PAGES * PAGE);
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_map *map;
	int error;

	new_device(t, ioas, "EDU0", 0);
	error = weir_ioas_map(ioas, foreign->registers, PAGE, NULL, &map);
	EXPECT_EQ(error, maps_device_memory(t) ? 0 : -EFAULT);
}

CONFORMANCE(ioas_device_memory, the_flag_has_it_mapped_or_says_that_it_cannot_be, NEEDS(DMA_DEVICE, NVME1))
{
	struct weir_map_opts opts = WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_DEVICE_MEMORY | WEIR_MAP_READ,
					      .address_bits = EDU0_BITS);
	struct foreign *foreign = new_foreign(t, "NVME1", PAGES * PAGE);
	unsigned char *mixed = new_mixture(t, foreign, 2, PAGES), *page = new_pages(t, 1);
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_map *before, *after, *both, *memory;
	struct edu *edu;

	if (!maps_device_memory(t)) {
		/* Whatever the memory is, with a device and without. */
		EXPECT_ERR(-EOPNOTSUPP, weir_ioas_map(ioas, foreign->registers, PAGE, &opts, &before));
		EXPECT_ERR(-EOPNOTSUPP, weir_ioas_map(ioas, page, PAGE, &opts, &before));
		edu = new_edu(t, ioas, "EDU0", 0);
		EXPECT_ERR(-EOPNOTSUPP, weir_ioas_map(ioas, foreign->registers, PAGE, &opts, &before));
		EXPECT_ERR(-EOPNOTSUPP, weir_caps_check(device_of(t, edu), WEIR_CAP_DEVICE_MEMORY));
		return;
	}
	before = new_map(t, ioas, foreign->registers, PAGES * PAGE, &opts);
	edu = new_edu(t, ioas, "EDU0", 0);
	EXPECT_OK(weir_caps_check(device_of(t, edu), WEIR_CAP_DEVICE_MEMORY));
	after = new_map(t, ioas, foreign->registers, PAGES * PAGE, &opts);
	both = new_map(t, ioas, mixed, PAGES * PAGE, &opts);
	opts.flags = WEIR_MAP_DEVICE_MEMORY;
	memory = new_map(t, ioas, page, PAGE, &opts);
	EXPECT_TRUE(device_reads_registers(t, edu, weir_map_iova(before), foreign));
	EXPECT_TRUE(device_reads_registers(t, edu, weir_map_iova(after), foreign));
	EXPECT_TRUE(device_reads_registers(t, edu, weir_map_iova(both) + 2 * PAGE, foreign));
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(both), mixed, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(memory), page, PAGE));
}

CONFORMANCE(ioas_device_memory, it_is_not_for_files, NEEDS())
{
	struct weir_ioas *ioas = new_ioas(t);
	int fd = new_file(t, PAGE);
	struct weir_map *map;

	EXPECT_ERR(-EINVAL, weir_ioas_map_file(ioas, fd, 0, PAGE, DEVICE_MEMORY, &map));
}

/* What was memory when it was mapped, and is device memory when the first device comes. */
CONFORMANCE(ioas_device_memory, it_does_not_come_in_by_attaching, NEEDS(DMA_DEVICE, NVME1))
{
	struct foreign *foreign = new_foreign(t, "NVME1", PAGES * PAGE);
	unsigned char *memory = new_mixture(t, foreign, 3, PAGES);
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = NULL;
	struct weir_map *map = new_map(t, ioas, memory, 3 * PAGE, AT(MIB));

	foreign_cover(foreign, memory + 2 * PAGE, 2 * PAGE);
	EXPECT_ERR(-EFAULT, weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	EXPECT_CONTAINS(weir_error(), "the mapping at IOVA 0x100000 cannot be put in force");
	EXPECT_CONTAINS(weir_error(), "it is device memory: ");
	EXPECT_CONTAINS(weir_error(), range_text((uintptr_t)memory + 2 * PAGE, PAGE));
	EXPECT_EQ(info_of(ioas).num_mappings, 1);
	ASSERT_OK(weir_map_close(map));
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	ASSERT_OK(weir_device_close(device));
}

CONFORMANCE(ioas_device_memory, a_device_that_does_not_answer_is_named, NEEDS(DMA_DEVICE, NVME1))
{
	struct foreign *foreign = new_foreign(t, "NVME1", PAGES * PAGE);
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_map *map;

	new_device(t, ioas, "EDU0", 0);
	foreign_decode(foreign, false);
	if (maps_device_memory(t)) {
		EXPECT_ERR(-EFAULT, weir_ioas_map(ioas, foreign->registers, PAGE, DEVICE_MEMORY, &map));
		EXPECT_CONTAINS(weir_error(), "does not answer");
	}
	EXPECT_ERR(-EFAULT, weir_ioas_map(ioas, foreign->registers, PAGE, NULL, &map));
	EXPECT_CONTAINS(weir_error(), "it is device memory: ");
	foreign_decode(foreign, true);
}

/* Asking costs a call where the kernel would not say it, and none elsewhere; nor of files, nor of what may be anything. */
CONFORMANCE(ioas_device_memory, asking_is_one_call_more, NEEDS(ORDINARY, DMA_DEVICE))
{
	unsigned int more = maps_device_memory(t);
	struct sys_log *log = &fixture_of(t)->log;
	struct weir_ioas *ioas = new_probing(t);
	unsigned char *memory = new_pages(t, 2);
	int fd = new_file(t, PAGE);
	struct weir_map *map;

	new_device(t, ioas, "EDU0", 0);
	sys_log_clear(log);
	map = new_map(t, ioas, memory, 2 * PAGE, NULL);
	EXPECT_EQ(sys_log_count(log), 1 + more);
	EXPECT_EQ(sys_log_count_call(log, "madvise"), more);
	sys_log_clear(log);
	EXPECT_OK(weir_map_close(map));
	EXPECT_EQ(sys_log_count(log), 1);
	ASSERT_OK(weir_ioas_map_file(ioas, fd, 0, PAGE, NULL, &map));
	EXPECT_EQ(sys_log_count_call(log, "madvise"), 0);
	if (more)
		new_map(t, ioas, memory, 2 * PAGE, DEVICE_MEMORY);
	EXPECT_EQ(sys_log_count_call(log, "madvise"), 0);
}
