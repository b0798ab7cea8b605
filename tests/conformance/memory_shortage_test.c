// SPDX-License-Identifier: MIT
/* DMA memory when there is not enough: of large pages, of nodes, of what its limit leaves. */
#include "conformance/dma.h"
#include "conformance/memory.h"
#include "conformance/os.h"

#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A machine's large pages --------------------------------------------------------------------------------------------- */

#define LARGE (2 * MIB)

/*
 * What the kernel has of large pages, as it would say so: none of that size, none reserved, none left on the node; or as many as one
 * likes, which are small ones in truth.
 */
enum pages { UNKNOWN, NOT_RESERVED, NOT_ON_THE_NODE, PLENTY };

static const struct weir_sys *below;
static enum pages pages;
static bool large; /* the last file is one of large pages */

static int some_memfd_create(void *ctx, const char *name, unsigned int flags)
{
	large = flags & MFD_HUGETLB;
	if (large && pages == UNKNOWN)
		return -ENODEV;
	return below->memfd_create(ctx, name, flags & (MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

static int some_mmap(void *ctx, void *addr, size_t len, int prot, int flags, int fd, uint64_t offset,
		     void **ret_addr)
{
	if (large && pages == NOT_RESERVED)
		return -ENOMEM;
	return below->mmap(ctx, addr, len, prot, flags, fd, offset, ret_addr);
}

static int some_madvise(void *ctx, void *addr, size_t len, int advice)
{
	if (large && pages == NOT_ON_THE_NODE)
		return -EFAULT;
	return below->madvise(ctx, addr, len, advice);
}

static void close_host(void *host)
{
	EXPECT_OK(weir_host_close(host));
}

static void close_ioas(void *ioas)
{
	EXPECT_OK(weir_ioas_close(ioas));
}

/* A space on a host whose kernel has such pages. */
static struct weir_ioas *ioas_with_pages(struct t *t, enum pages first)
{
	static struct weir_sys table;
	struct weir_host *host;
	struct weir_ioas *ioas;

	below = sys_of(t);
	table = *below;
	table.memfd_create = some_memfd_create;
	table.mmap = some_mmap;
	table.madvise = some_madvise;
	pages = first;
	ASSERT_OK(weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = fixture_of(t)->backend, .sys = &table),
				 &host));
	t_defer(t, close_host, host);
	ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
	t_defer(t, close_ioas, ioas);
	return ioas;
}

CONFORMANCE(memory, large_pages_that_are_missing_are_replaced_or_refused, NEEDS(LOCKED_MEMORY))
{
	static const struct {
		enum pages pages;
		int error;
		const char *why;
	} rows[] = {
		{ UNKNOWN, -EOPNOTSUPP, "this machine has no pages of 2048 KiB" },
		{ NOT_RESERVED, -ENOMEM,
		  "1 free pages of 2048 KiB are needed: reserve them in /sys/kernel/mm" },
		{ NOT_ON_THE_NODE, -ENOMEM, "1 free pages of 2048 KiB are needed" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct weir_ioas *ioas = ioas_with_pages(t, rows[i].pages);
		struct weir_memory *memory;

		t_note(t, "row %zu", i);
		EXPECT_ERR(rows[i].error,
			   weir_memory_open(ioas,
					    &WEIR_OPTS(weir_memory_opts, .page_size = LARGE, .initial = PAGE,
						       .flags = WEIR_MEMORY_EXACT_PAGES),
					    &memory));
		EXPECT_CONTAINS(weir_error(), rows[i].why);
		memory = new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, .initial = PAGE));
		EXPECT_EQ(memory_info(memory).page_size, PAGE);
		EXPECT_CONTAINS(memory_info(memory).fell_back, rows[i].why);
		new_buffer(t, memory, 3 * PAGE, NULL);
	}
}

CONFORMANCE(memory, it_grows_by_smaller_pages_when_the_large_ones_are_used_up, NEEDS(LOCKED_MEMORY))
{
	struct weir_ioas *ioas = ioas_with_pages(t, PLENTY);
	struct weir_memory *memory = new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, .initial = PAGE)),
			   *exact = new_dma_memory(t, ioas,
						   &WEIR_OPTS(weir_memory_opts, .page_size = LARGE,
							      .flags = WEIR_MEMORY_EXACT_PAGES));
	struct weir_memory_chunk chunk;
	struct weir_buffer buffer;

	EXPECT_EQ(memory_info(memory).page_size, LARGE);
	EXPECT_STREQ(memory_info(memory).fell_back, "");
	new_buffer(t, memory, PAGE, NULL);
	new_buffer(t, exact, PAGE, NULL);
	pages = NOT_RESERVED;
	buffer = new_buffer(t, memory, LARGE, NULL);
	EXPECT_EQ(memory_info(memory).page_size, PAGE);
	EXPECT_CONTAINS(memory_info(memory).fell_back, "pages of 2048 KiB are needed");
	ASSERT_OK(weir_memory_chunk(memory, 0, &chunk));
	EXPECT_EQ(chunk.page_size, LARGE);
	ASSERT_OK(weir_memory_chunk(memory, buffer.chunk, &chunk));
	EXPECT_EQ(chunk.page_size, PAGE);
	EXPECT_ERR(-ENOMEM, weir_memory_alloc(exact, LARGE, NULL, &buffer));
	EXPECT_EQ(memory_info(exact).num_chunks, 1);
}

/* The machine's own, as far as it has some ---------------------------------------------------------------------------- */

static long meminfo(const char *what)
{
	char *text = os_read_file("/proc/meminfo"), *line = text ? strstr(text, what) : NULL;
	long number = line ? strtol(line + strlen(what), NULL, 10) : -1;

	free(text);
	return number;
}

/* The virtual machines have 300 pages of 2 MiB reserved. */
CONFORMANCE(memory, large_pages_are_taken_reached_and_given_back, NEEDS(DMA_DEVICE, REAL_SYSTEM, ROOT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_memory_opts opts = WEIR_OPTS(weir_memory_opts, .page_size = LARGE, .initial = 8 * MIB,
						 .address_bits = EDU0_BITS, .flags = WEIR_MEMORY_EXACT_PAGES);
	long before = meminfo("HugePages_Free:");
	struct weir_memory *memory, *too_much;
	struct weir_buffer buffer;

	ASSERT_GE(before, 8);
	ASSERT_OK(weir_memory_open(ioas, &opts, &memory));
	EXPECT_EQ(before - meminfo("HugePages_Free:"), 4);
	EXPECT_EQ(memory_info(memory).page_size, LARGE);
	buffer = new_buffer(t, memory, LARGE, &WEIR_OPTS(weir_buffer_opts, .align = LARGE));
	EXPECT_EQ(buffer.iova % LARGE, 0);
	EXPECT_TRUE(
		dma_reaches(t, edu, buffer.iova + LARGE - PAGE, (char *)buffer.addr + LARGE - PAGE, PAGE));
	opts.initial = (uint64_t)before * LARGE;
	EXPECT_ERR(-ENOMEM, weir_memory_open(ioas, &opts, &too_much));
	EXPECT_CONTAINS(weir_error(), "hugepages-2048kB/nr_hugepages");
	EXPECT_EQ(before - meminfo("HugePages_Free:"), 4);
	ASSERT_OK(weir_memory_close(memory));
	EXPECT_EQ(meminfo("HugePages_Free:"), before);
}

/* Nodes ----------------------------------------------------------------------------------------------------------------- */

static void check_nodes(struct t *t, struct weir_ioas *ioas)
{
	static const uint32_t nodes[] = { 1000, INT32_MAX, (uint32_t)INT32_MAX + 1, UINT32_MAX };
	struct weir_memory *memory;
	char text[48];

	(void)t;
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		EXPECT_ERR(-EINVAL, weir_memory_open(ioas,
						     &WEIR_OPTS(weir_memory_opts, SMALL, .initial = PAGE,
								.flags = WEIR_MEMORY_NODE, .node = nodes[i]),
						     &memory));
		snprintf(text, sizeof(text), "there is no NUMA node %u", nodes[i]);
		EXPECT_CONTAINS(weir_error(), text);
	}
}

CONFORMANCE(memory, a_node_that_is_not_there_is_refused, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_nodes);
}

/* The node that a page is of; or a negative errno. */
static int node_of(void *page)
{
	int node = -1;

	return get_mempolicy(&node, NULL, 0, page, MPOL_F_NODE | MPOL_F_ADDR) ? -errno : node;
}

/* Not every kernel and container lets one ask for it. */
static void check_pages_of(struct weir_ioas *ioas, uint32_t node)
{
	enum { PAGES = 64 };
	struct weir_memory *memory;
	struct weir_buffer buffer;
	char name[32];

	snprintf(name, sizeof(name), "NUMA node %u", node);
	if (weir_memory_open(ioas,
			     &WEIR_OPTS(weir_memory_opts, SMALL, .initial = PAGE, .flags = WEIR_MEMORY_NODE,
					.node = node),
			     &memory)) {
		if (!strstr(weir_error(), name))
			FAIL("%s", weir_error());
		return;
	}
	/* More than there is to begin with, so that some of it is of a chunk that came later. */
	if (weir_memory_alloc(memory, (uint64_t)PAGES * PAGE, NULL, &buffer))
		FAIL("%s", weir_error());
	for (size_t i = 0; i < PAGES; i++) {
		int is = node_of((char *)buffer.addr + i * PAGE);

		if (is != (int)node)
			FAIL("page %zu is of node %d, not of node %u", i, is, node);
	}
	if (weir_memory_close(memory))
		FAIL("%s", weir_error());
}

/* Every machine has node 0. */
CONFORMANCE(memory, it_is_of_the_node_that_was_asked_for, NEEDS(LOCKED_MEMORY))
{
	struct weir_ioas *ioas = new_ioas(t);

	record_no_calls(t);
	for (uint32_t node = 0; (int)node <= numa_max_node(); node++)
		check_pages_of(ioas, node);
}

/* Its limit --------------------------------------------------------------------------------------------------------------- */

static void check_limit(struct t *t, struct weir_ioas *ioas)
{
	struct weir_memory *memory =
		new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL, .limit = 4 * MIB));
	struct weir_buffer first = new_buffer(t, memory, 2 * MIB, NULL),
			   second = new_buffer(t, memory, 2 * MIB, NULL), third;

	EXPECT_ERR(-ENOSPC, weir_memory_alloc(memory, PAGE, NULL, &third));
	EXPECT_CONTAINS(weir_error(), "the memory has 4194304 of 4194304 bytes; 4096 more");
	EXPECT_EQ(memory_info(memory).bytes, 4 * MIB);
	EXPECT_EQ(memory_info(memory).num_chunks, 2);
	ASSERT_OK(weir_memory_free(memory, &first));
	third = new_buffer(t, memory, PAGE, NULL);
	EXPECT_TRUE(second.iova >= third.iova + PAGE || third.iova >= second.iova + 2 * MIB);
}

CONFORMANCE(memory, it_grows_up_to_its_limit, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_limit);
}

/* Whole pages never go beyond it: smaller ones are taken, or none. */
CONFORMANCE(memory, a_limit_that_is_no_multiple_of_a_page_holds, NEEDS(LOCKED_MEMORY))
{
	struct weir_ioas *ioas = ioas_with_pages(t, PLENTY);
	struct weir_memory *memory = new_dma_memory(t, ioas,
						    &WEIR_OPTS(weir_memory_opts, .limit = 3 * MIB + 100)),
			   *none;
	struct weir_buffer buffer;

	new_buffer(t, memory, 2 * MIB, NULL);
	new_buffer(t, memory, PAGE, NULL);
	EXPECT_EQ(memory_info(memory).bytes, 3 * MIB);
	EXPECT_EQ(memory_info(memory).page_size, PAGE);
	EXPECT_CONTAINS(memory_info(memory).fell_back, "beyond its limit");
	EXPECT_ERR(-ENOSPC, weir_memory_alloc(memory, MIB, NULL, &buffer));
	EXPECT_ERR(-ENOSPC, weir_memory_open(ioas,
					     &WEIR_OPTS(weir_memory_opts, .page_size = LARGE, .initial = PAGE,
							.limit = MIB, .flags = WEIR_MEMORY_EXACT_PAGES),
					     &none));
	EXPECT_ERR(-ENOSPC,
		   weir_memory_open(ioas, &WEIR_OPTS(weir_memory_opts, SMALL, .initial = 6000, .limit = 6000),
				    &none));
	EXPECT_ERR(-EINVAL,
		   weir_memory_open(ioas, &WEIR_OPTS(weir_memory_opts, SMALL, .initial = 6001, .limit = 6000),
				    &none));
}

static void check_impossible(struct t *t, struct weir_ioas *ioas)
{
	struct weir_memory *memory = new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL)), *none;
	struct weir_buffer buffer;

	EXPECT_ERR(-ENOMEM, weir_memory_alloc(memory, UINT64_MAX, NULL, &buffer));
	EXPECT_ERR(-ENOMEM, weir_memory_alloc(memory, (uint64_t)1 << 62, NULL, &buffer));
	EXPECT_ERR(-ENOMEM,
		   weir_memory_open(ioas, &WEIR_OPTS(weir_memory_opts, SMALL, .initial = UINT64_MAX), &none));
	EXPECT_ERR(-EINVAL,
		   weir_memory_open(ioas, &WEIR_OPTS(weir_memory_opts, SMALL, .chunk = UINT64_MAX), &none));
	EXPECT_EQ(memory_info(memory).num_chunks, 0);
}

CONFORMANCE(memory, more_than_there_can_be_is_refused, NEEDS(EDU0))
{
	in_both_states(t, check_impossible);
}
