// SPDX-License-Identifier: MIT
/* DMA memory for RDMA devices: what others reach, and what is left when something fails. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unit/rdma_fake.h"
#include "unit/sim_host.h"

enum { CHUNK = 2 << 20, READ = IBV_ACCESS_REMOTE_READ, WRITE = IBV_ACCESS_REMOTE_WRITE };

struct setting {
	struct fake_rdma *fake;
	struct weir_rdma *rdma;
	struct weir_memory *memory;
	struct weir_rdma_memory *shown;
};

static void end(void *arg)
{
	struct setting *s = arg;

	EXPECT_OK(weir_rdma_memory_close(s->shown));
	EXPECT_OK(weir_memory_close(s->memory));
	EXPECT_OK(weir_rdma_close(s->rdma));
	EXPECT_EQ(fake_rdma_mrs(s->fake), 0);
	free(s);
}

/* Memory of small pages and chunks of 2 MiB, not registered yet. */
static struct setting *begin(struct t *t)
{
	struct sim_host *host = sim_host_open(t, WEIR_BACKEND_IOMMUFD);
	struct fake_rdma *fake = fake_rdma_new(t, FAKE_REFUSES, "rdma_rxe");
	struct setting *s = calloc(1, sizeof(*s));

	ASSERT_TRUE(s != NULL);
	t_defer(t, end, s);
	s->fake = fake;
	ASSERT_OK(weir_rdma_open(&fake->pd, &WEIR_OPTS(weir_rdma_opts, .verbs = &fake->verbs), &s->rdma));
	ASSERT_OK(weir_memory_open(
		host->ioas, &WEIR_OPTS(weir_memory_opts, .page_size = 4096, .chunk = CHUNK), &s->memory));
	return s;
}

static struct weir_buffer buffer_of(struct setting *s, uint64_t len)
{
	struct weir_buffer buffer;

	ASSERT_OK(weir_memory_alloc(s->memory, len, NULL, &buffer));
	return buffer;
}

UNIT(rdma_memory, a_buffer_is_reached_at_its_address)
{
	struct setting *s = begin(t);
	struct weir_buffer buffer;
	struct weir_rdma_range range;

	buffer_of(s, 100);
	buffer = buffer_of(s, 10000);
	ASSERT_OK(weir_rdma_memory_open(s->rdma, s->memory, READ, &s->shown));
	ASSERT_OK(weir_rdma_memory_range(s->shown, &buffer, 10, 20, &range));
	EXPECT_EQ(range.addr, (uintptr_t)buffer.addr + 10);
	EXPECT_EQ(range.len, 20);
	EXPECT_NE(range.lkey, range.rkey);
	EXPECT_OK(fake_rdma_reach(s->fake, range.rkey, range.addr, range.len, READ));
	EXPECT_ERR(-EKEYREJECTED, fake_rdma_reach(s->fake, range.rkey, range.addr, range.len, WRITE));
	EXPECT_EQ(fake_rdma_mrs(s->fake), 1);
}

UNIT(rdma_memory, what_it_grows_by_is_registered_when_it_is_asked_for)
{
	struct setting *s = begin(t);
	struct weir_rdma_range range[3];
	struct weir_buffer buffer;

	ASSERT_OK(weir_rdma_memory_open(s->rdma, s->memory, READ, &s->shown));
	EXPECT_EQ(fake_rdma_mrs(s->fake), 0);
	for (uint32_t i = 0; i < 3; i++) {
		buffer = buffer_of(s, CHUNK);
		ASSERT_OK(weir_rdma_memory_range(s->shown, &buffer, 0, CHUNK, &range[i]));
		EXPECT_EQ(fake_rdma_mrs(s->fake), i + 1);
		EXPECT_OK(fake_rdma_reach(s->fake, range[i].rkey, range[i].addr, CHUNK, READ));
	}
	EXPECT_NE(range[0].rkey, range[1].rkey);
	EXPECT_ERR(-EKEYREJECTED, fake_rdma_reach(s->fake, range[0].rkey, range[1].addr, 1, READ));
}

UNIT(rdma_memory, a_key_is_refused_when_the_registration_has_ended)
{
	struct setting *s = begin(t);
	struct weir_buffer buffer = buffer_of(s, 4096);
	struct weir_rdma_range range;

	ASSERT_OK(weir_rdma_memory_open(s->rdma, s->memory, READ, &s->shown));
	ASSERT_OK(weir_rdma_memory_range(s->shown, &buffer, 0, 4096, &range));
	EXPECT_ERR(-EBUSY, weir_rdma_close(s->rdma));
	EXPECT_CONTAINS(weir_error(), "still registered");
	EXPECT_OK(weir_rdma_memory_close(s->shown));
	s->shown = NULL;
	EXPECT_ERR(-EKEYREJECTED, fake_rdma_reach(s->fake, range.rkey, range.addr, 1, READ));
}

UNIT(rdma_memory, a_shortage_on_the_way_leaves_nothing_registered)
{
	struct setting *s = begin(t);

	for (uint32_t i = 0; i < 3; i++)
		buffer_of(s, CHUNK);
	for (uint32_t good = 0; good < 3; good++) {
		t_note(t, "%u registered before", good);
		s->fake->reg_error = ENOMEM;
		s->fake->calls_until_error = good;
		EXPECT_ERR(-ENOMEM, weir_rdma_memory_open(s->rdma, s->memory, READ, &s->shown));
		EXPECT_CONTAINS(weir_error(), "RLIMIT_MEMLOCK");
		EXPECT_EQ(fake_rdma_mrs(s->fake), 0);
		EXPECT_TRUE(s->shown == NULL);
	}
	ASSERT_OK(weir_rdma_memory_open(s->rdma, s->memory, READ, &s->shown));
	EXPECT_EQ(fake_rdma_mrs(s->fake), 3);
}

UNIT(rdma_memory, a_new_chunk_that_cannot_be_registered_can_be_asked_for_again)
{
	struct setting *s = begin(t);
	struct weir_rdma_range range = { .addr = 7 };
	struct weir_buffer buffer;

	ASSERT_OK(weir_rdma_memory_open(s->rdma, s->memory, READ, &s->shown));
	buffer = buffer_of(s, CHUNK);
	s->fake->reg_error = EIO;
	EXPECT_ERR(-EIO, weir_rdma_memory_range(s->shown, &buffer, 0, 1, &range));
	EXPECT_EQ(range.addr, 7);
	EXPECT_OK(weir_rdma_memory_range(s->shown, &buffer, 0, 1, &range));
}

UNIT(rdma_memory, a_region_that_cannot_be_deregistered_does_not_keep_the_others)
{
	struct setting *s = begin(t);

	buffer_of(s, CHUNK);
	buffer_of(s, CHUNK);
	ASSERT_OK(weir_rdma_memory_open(s->rdma, s->memory, READ, &s->shown));
	s->fake->dereg_error = EBUSY;
	EXPECT_ERR(-EBUSY, weir_rdma_memory_close(s->shown));
	EXPECT_CONTAINS(weir_error(), "others may still reach");
	s->shown = NULL;
	EXPECT_EQ(fake_rdma_mrs(s->fake), 1);
	memset(s->fake->mrs, 0, sizeof(s->fake->mrs));
}

UNIT(rdma_memory, an_access_that_cannot_be_given_is_refused)
{
	static const int refused[] = { WRITE, IBV_ACCESS_REMOTE_ATOMIC, IBV_ACCESS_ON_DEMAND,
				       IBV_ACCESS_MW_BIND, 1 << 30 };
	struct setting *s = begin(t);

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		EXPECT_ERR(-EINVAL, weir_rdma_memory_open(s->rdma, s->memory, refused[i], &s->shown));
	EXPECT_OK(weir_rdma_memory_open(s->rdma, s->memory, WRITE | IBV_ACCESS_LOCAL_WRITE, &s->shown));
}

UNIT(rdma_memory, what_is_no_part_of_a_buffer_has_no_address)
{
	struct setting *s = begin(t);
	struct weir_buffer buffer = buffer_of(s, 4096), other = buffer;
	struct weir_rdma_range range;

	ASSERT_OK(weir_rdma_memory_open(s->rdma, s->memory, READ, &s->shown));
	EXPECT_OK(weir_rdma_memory_range(s->shown, &buffer, 4096, 0, &range));
	EXPECT_ERR(-ERANGE, weir_rdma_memory_range(s->shown, &buffer, 4096, 1, &range));
	EXPECT_ERR(-ERANGE, weir_rdma_memory_range(s->shown, &buffer, 1, UINT64_MAX, &range));
	other.chunk = 1;
	EXPECT_ERR(-ENOENT, weir_rdma_memory_range(s->shown, &other, 0, 1, &range));
	other.chunk = 0;
	other.addr = (char *)buffer.addr + 64;
	EXPECT_ERR(-ENOENT, weir_rdma_memory_range(s->shown, &other, 0, 1, &range));
	EXPECT_CONTAINS(weir_error(), "no buffer of this memory");
	other.addr = (char *)buffer.addr + CHUNK - 1;
	other.offset = CHUNK - 1;
	EXPECT_ERR(-ENOENT, weir_rdma_memory_range(s->shown, &other, 0, 1, &range));
}
