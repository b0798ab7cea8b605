// SPDX-License-Identifier: MIT
#include "unit/rdma_fake.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAGE = 4096 };

static struct fake_rdma *fake_of(struct ibv_pd *pd)
{
	return (struct fake_rdma *)((char *)pd - offsetof(struct fake_rdma, pd));
}

static struct weir_peer_info info_of(struct weir_peer *peer)
{
	struct weir_peer_info info = { .generation = 0 };

	weir_peer_info(peer, &info, sizeof(info));
	return info;
}

static struct ibv_mr *no_mr(int error)
{
	errno = error;
	return NULL;
}

static bool is_to_fail(struct fake_rdma *fake)
{
	return fake->reg_error && !fake->calls_until_error--;
}

/* @made: but for the keys, which are never used twice. */
static struct ibv_mr *new_mr(struct fake_rdma *fake, const struct fake_mr *made)
{
	if (is_to_fail(fake)) {
		int error = fake->reg_error;

		fake->reg_error = 0;
		fake->calls_until_error = 0;
		return no_mr(error);
	}
	for (uint32_t i = 0; i < FAKE_MRS; i++) {
		struct fake_mr *mr = &fake->mrs[i];

		if (mr->used)
			continue;
		*mr = *made;
		mr->used = true;
		mr->mr = (struct ibv_mr){ .pd = &fake->pd,
					  .lkey = ++fake->next_key,
					  .rkey = fake->next_key | 1u << 31 };
		return &mr->mr;
	}
	return no_mr(ENOMEM);
}

static struct ibv_mr *fake_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
	return new_mr(fake_of(pd),
		      &(struct fake_mr){ .addr = (uintptr_t)addr, .len = length, .access = access });
}

/* The checks are the kernel's, in its order. */
static struct ibv_mr *fake_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t length, uint64_t iova,
					 int fd, int access)
{
	struct fake_rdma *fake = fake_of(pd);
	struct weir_peer_info info = info_of(fake->peer);

	if (fake->kind == FAKE_REFUSES)
		return no_mr(EOPNOTSUPP);
	if (fcntl(fd, F_GETFD) < 0)
		return no_mr(EBADF);
	if (offset % PAGE != iova % PAGE || offset + length > info.len)
		return no_mr(EINVAL);
	if (info.state != WEIR_PEER_HERE)
		return no_mr(ENODEV);
	return new_mr(fake, &(struct fake_mr){ .of_window = true,
					       .offset = offset,
					       .addr = iova,
					       .len = length,
					       .generation = info.generation,
					       .access = access });
}

static int fake_dereg_mr(struct ibv_mr *mr)
{
	struct fake_rdma *fake = fake_of(mr->pd);
	int error = fake->dereg_error;

	fake->dereg_error = 0;
	if (!error)
		((struct fake_mr *)mr)->used = false;
	return error;
}

static void fake_query(struct ibv_pd *pd, char *ret_device, size_t device_size, char *ret_driver,
		       size_t driver_size)
{
	snprintf(ret_device, device_size, "fake0");
	snprintf(ret_driver, driver_size, "%s", fake_of(pd)->driver);
}

struct fake_rdma *fake_rdma_new(struct t *t, enum fake_class kind, const char *driver)
{
	struct fake_rdma *fake = calloc(1, sizeof(*fake));

	ASSERT_TRUE(fake != NULL);
	t_defer(t, free, fake);
	fake->kind = kind;
	fake->driver = driver;
	fake->verbs = (struct weir_verbs){ .reg_mr = fake_reg_mr,
					   .reg_dmabuf_mr = fake_reg_dmabuf_mr,
					   .dereg_mr = fake_dereg_mr,
					   .query = fake_query };
	return fake;
}

uint32_t fake_rdma_mrs(const struct fake_rdma *fake)
{
	uint32_t num = 0;

	for (uint32_t i = 0; i < FAKE_MRS; i++)
		num += fake->mrs[i].used;
	return num;
}

static int reach_window(const struct fake_rdma *fake, const struct fake_mr *mr)
{
	struct weir_peer_info info = info_of(fake->peer);

	if (fake->kind == FAKE_DIES && (info.state != WEIR_PEER_HERE || info.generation != mr->generation))
		return -EKEYREJECTED;
	return info.state == WEIR_PEER_HERE ? 0 : -EFAULT;
}

int fake_rdma_reach(const struct fake_rdma *fake, uint32_t rkey, uint64_t addr, uint64_t len, int access)
{
	for (uint32_t i = 0; i < FAKE_MRS; i++) {
		const struct fake_mr *mr = &fake->mrs[i];

		if (!mr->used || mr->mr.rkey != rkey)
			continue;
		if (!(mr->access & access) || addr < mr->addr || addr - mr->addr > mr->len ||
		    len > mr->len - (addr - mr->addr))
			return -EKEYREJECTED;
		return mr->of_window ? reach_window(fake, mr) : 0;
	}
	return -EKEYREJECTED;
}
