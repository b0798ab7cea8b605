// SPDX-License-Identifier: MIT
/* Options, whom memory is charged to, and giving it to another process (A.4.8, A.5, A.7). */
#include "conformance/raw/raw.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Options ----------------------------------------------------------------------------------------------------------- */

static int option(struct t *t, int iommufd, uint32_t id, uint16_t op, uint32_t object, uint64_t *value)
{
	struct abi_iommu_option *option =
		COMMAND(abi_iommu_option, .option_id = id, .op = op, .object_id = object, .val64 = *value);
	int error = raw_ioctl(t, iommufd, ABI_IOMMU_OPTION, option);

	*value = option->val64;
	return error;
}

static int set_rlimit_mode(struct t *t, int iommufd, uint64_t mode)
{
	return option(t, iommufd, ABI_IOMMU_OPTION_RLIMIT_MODE, ABI_IOMMU_OPTION_OP_SET, 0, &mode);
}

static void give_up_capability(unsigned int capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	ASSERT_EQ(syscall(SYS_capget, &header, data), 0);
	data[0].effective &= ~(1u << capability);
	ASSERT_EQ(syscall(SYS_capset, &header, data), 0);
}

static void set_without_the_right(struct t *t, void *iommufd)
{
	give_up_capability(CAP_SYS_RESOURCE);
	ASSERT_ERR(-EPERM, set_rlimit_mode(t, *(int *)iommufd, 1));
}

CONFORMANCE(raw_option, whom_to_charge_is_for_the_privileged_to_choose, NEEDS(IOMMUFD))
{
	int iommufd = new_iommufd(t);
	uint64_t mode = 7;

	in_child(t, set_without_the_right, &iommufd);
	EXPECT_OK(option(t, iommufd, ABI_IOMMU_OPTION_RLIMIT_MODE, ABI_IOMMU_OPTION_OP_GET, 0, &mode));
	EXPECT_EQ(mode, 0);
	EXPECT_ERR(-EOPNOTSUPP,
		   option(t, iommufd, ABI_IOMMU_OPTION_RLIMIT_MODE, ABI_IOMMU_OPTION_OP_GET, 1, &mode));
	EXPECT_ERR(-EOPNOTSUPP, option(t, iommufd, ABI_IOMMU_OPTION_RLIMIT_MODE, 2, 0, &mode));
	EXPECT_ERR(-EOPNOTSUPP, option(t, iommufd, 2, ABI_IOMMU_OPTION_OP_GET, 0, &mode));
}

CONFORMANCE(raw_option, whom_to_charge_is_chosen_before_there_is_anything, NEEDS(IOMMUFD, SYS_RESOURCE))
{
	int iommufd = new_iommufd(t);
	uint64_t mode = 7;

	EXPECT_ERR(-EINVAL, set_rlimit_mode(t, iommufd, 2));
	EXPECT_OK(set_rlimit_mode(t, iommufd, 1));
	EXPECT_OK(option(t, iommufd, ABI_IOMMU_OPTION_RLIMIT_MODE, ABI_IOMMU_OPTION_OP_GET, 0, &mode));
	EXPECT_EQ(mode, 1);
	raw_ioas(t, iommufd);
	EXPECT_ERR(-EBUSY, set_rlimit_mode(t, iommufd, 0));
}

static int huge_pages(struct t *t, int iommufd, uint16_t op, uint32_t ioas, uint64_t *value)
{
	return option(t, iommufd, ABI_IOMMU_OPTION_HUGE_PAGES, op, ioas, value);
}

CONFORMANCE(raw_option, large_pages_are_given_up_before_there_are_any, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd);
	uint64_t no = 0, yes = 1, two = 2, value = 7;

	EXPECT_OK(huge_pages(t, iommufd, ABI_IOMMU_OPTION_OP_GET, ioas, &value));
	EXPECT_EQ(value, 1);
	EXPECT_ERR(-EINVAL, huge_pages(t, iommufd, ABI_IOMMU_OPTION_OP_SET, ioas, &two));
	EXPECT_ERR(-ENOENT, huge_pages(t, iommufd, ABI_IOMMU_OPTION_OP_GET, ioas + 1, &value));
	/* An unaligned mapping is in the way. */
	ASSERT_OK(raw_map(t, iommufd, ioas, new_range(t, PAGE), 100, MIB));
	EXPECT_ERR(-EADDRINUSE, huge_pages(t, iommufd, ABI_IOMMU_OPTION_OP_SET, ioas, &no));
	EXPECT_EQ(raw_unmap_all(t, iommufd, ioas), 100);
	EXPECT_OK(huge_pages(t, iommufd, ABI_IOMMU_OPTION_OP_SET, ioas, &no));
	EXPECT_OK(huge_pages(t, iommufd, ABI_IOMMU_OPTION_OP_GET, ioas, &value));
	EXPECT_EQ(value, 0);
	EXPECT_OK(huge_pages(t, iommufd, ABI_IOMMU_OPTION_OP_SET, ioas, &yes));
	attached(t, new_bound(t, iommufd, "EDU0").fd, ioas);
	ASSERT_OK(raw_map(t, iommufd, ioas, new_range(t, PAGE), PAGE, MIB));
	EXPECT_ERR(-EINVAL, huge_pages(t, iommufd, ABI_IOMMU_OPTION_OP_SET, ioas, &no));
}

/* Whom memory is charged to ----------------------------------------------------------------------------------------- */

struct debtor {
	int iommufd;
	uint32_t ioas;
	struct raw_device device;
};

/* Charged when it is pinned: without a device that is later. */
static void charge_within_one_page(struct t *t, void *arg)
{
	struct debtor *debtor = arg;
	uint64_t addr = new_range(t, 2 * PAGE);
	uint32_t pt_id = debtor->ioas;

	ASSERT_EQ(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ PAGE, PAGE }), 0);
	drop_privileges(t);
	ASSERT_OK(raw_map(t, debtor->iommufd, debtor->ioas, addr, 2 * PAGE, MIB));
	ASSERT_ERR(-ENOMEM, raw_attach(t, debtor->device.fd, &pt_id));
	ASSERT_EQ(raw_unmap_all(t, debtor->iommufd, debtor->ioas), 2 * PAGE);
	ASSERT_OK(raw_attach(t, debtor->device.fd, &pt_id));
	ASSERT_ERR(-ENOMEM, raw_map(t, debtor->iommufd, debtor->ioas, addr, 2 * PAGE, MIB));
	ASSERT_OK(raw_map(t, debtor->iommufd, debtor->ioas, addr, PAGE, MIB));
	/* A copy shares the pages. */
	ASSERT_OK(raw_copy(t, debtor->iommufd, debtor->ioas, MIB, PAGE, debtor->ioas, 2 * MIB));
	ASSERT_ERR(-ENOMEM, raw_map(t, debtor->iommufd, debtor->ioas, addr + PAGE, PAGE, 3 * MIB));
	ASSERT_EQ(raw_unmap_all(t, debtor->iommufd, debtor->ioas), 2 * PAGE);
	ASSERT_OK(raw_map(t, debtor->iommufd, debtor->ioas, addr + PAGE, PAGE, MIB));
	ASSERT_EQ(raw_unmap_all(t, debtor->iommufd, debtor->ioas), PAGE);
}

CONFORMANCE(raw_option, memory_is_charged_when_it_is_pinned, NEEDS(IOMMUFD, EDU0, ROOT))
{
	struct debtor debtor = { .iommufd = new_iommufd(t) };

	debtor.ioas = raw_ioas(t, debtor.iommufd);
	debtor.device = new_bound(t, debtor.iommufd, "EDU0");
	in_child(t, charge_within_one_page, &debtor);
}

/* Handing over ------------------------------------------------------------------------------------------------------ */

static int change_process(struct t *t, int iommufd)
{
	return raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_CHANGE_PROCESS, COMMAND(abi_iommu_ioas_change_process));
}

CONFORMANCE(raw_change_process, only_mappings_by_file_change_hands, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd), other = raw_ioas(t, iommufd);
	uint64_t len = PAGE;

	EXPECT_OK(change_process(t, iommufd));
	EXPECT_ERR(-EOPNOTSUPP, raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_CHANGE_PROCESS,
					  COMMAND(abi_iommu_ioas_change_process, .__reserved = 1)));
	attached(t, new_bound(t, iommufd, "EDU0").fd, ioas);
	ASSERT_OK(raw_map_file(t, iommufd, ioas, new_memfd(t, PAGE), 0, PAGE, MIB));
	EXPECT_OK(change_process(t, iommufd));
	ASSERT_OK(raw_map(t, iommufd, other, new_range(t, PAGE), PAGE, MIB));
	EXPECT_ERR(-EINVAL, change_process(t, iommufd));
	EXPECT_OK(raw_unmap(t, iommufd, other, MIB, &len));
	EXPECT_OK(change_process(t, iommufd));
}

/* Registers do not change hands, whether the device still answers or not. */
CONFORMANCE(raw_change_process, mapped_registers_do_not_change_hands, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	int dma_buf = raw_export(t, edu.fd, ABI_VFIO_PCI_BAR0_REGION_INDEX, 0, PAGE);

	attached(t, edu.fd, ioas);
	ASSERT_OK(raw_map_file(t, iommufd, ioas, dma_buf, 0, PAGE, MIB));
	EXPECT_ERR(-EINVAL, change_process(t, iommufd));
	set_decoding(t, edu.fd, false);
	EXPECT_ERR(-EINVAL, change_process(t, iommufd));
	EXPECT_EQ(raw_unmap_all(t, iommufd, ioas), PAGE);
	EXPECT_OK(change_process(t, iommufd));
}
