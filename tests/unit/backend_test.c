// SPDX-License-Identifier: MIT
/* Which backend serves a host, by what there is, what is asked for, and what the environment says. */
#include <errno.h>
#include <stdlib.h>

#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"
#include "unit/yes_host.h"

enum { YES, NO, DENIED };

struct machine {
	int cdev, iommu, container;
};

static struct yes_kernel *new_machine(struct t *t, struct machine machine)
{
	struct yes_kernel *yes = new_yes_kernel(t);

	yes->no_cdev = machine.cdev != YES;
	yes->no_iommu_node = machine.iommu == NO;
	yes->no_container_node = machine.container == NO;
	yes->iommu_error = machine.iommu == DENIED ? -EACCES : 0;
	yes->container_error = machine.container == DENIED ? -EACCES : 0;
	return yes;
}

static int open_as(struct yes_kernel *yes, uint32_t backend, struct weir_host **ret_host)
{
	return weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = backend, .sys = &yes->table), ret_host);
}

static void no_wish(void)
{
	unsetenv("WEIR_BACKEND");
}

UNIT(backend, auto_takes_the_best_that_is_there)
{
	static const struct {
		struct machine machine;
		enum weir_backend kind;
	} rows[] = {
		{ { YES, YES, YES }, WEIR_BACKEND_IOMMUFD },  { { YES, YES, NO }, WEIR_BACKEND_IOMMUFD },
		{ { NO, YES, YES }, WEIR_BACKEND_TYPE1 },     { { NO, YES, NO }, WEIR_BACKEND_COMPAT },
		{ { NO, NO, YES }, WEIR_BACKEND_TYPE1 },      { { YES, NO, YES }, WEIR_BACKEND_TYPE1 },
		{ { YES, DENIED, YES }, WEIR_BACKEND_TYPE1 }, { { NO, YES, DENIED }, WEIR_BACKEND_COMPAT },
	};

	no_wish();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "row %zu", i);
		EXPECT_EQ(rows[i].kind,
			  weir_host_backend(new_host(t, new_machine(t, rows[i].machine), WEIR_BACKEND_AUTO)));
	}
}

UNIT(backend, no_permission_says_more_than_nothing_there)
{
	static const struct {
		struct machine machine;
		int error;
		const char *words;
	} rows[] = {
		{ { YES, NO, NO }, -ENOENT, "neither" },
		{ { NO, NO, NO }, -ENOENT, "neither" },
		{ { NO, NO, DENIED }, -EACCES, "may not open /dev/vfio/vfio" },
		{ { YES, NO, DENIED }, -EACCES, "may not open /dev/vfio/vfio" },
		{ { YES, DENIED, NO }, -EACCES, "may not open /dev/iommu" },
		{ { YES, DENIED, DENIED }, -EACCES, "may not open /dev/iommu" },
	};

	no_wish();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct weir_host *host = NULL;

		t_note(t, "row %zu", i);
		EXPECT_ERR(rows[i].error, open_as(new_machine(t, rows[i].machine), WEIR_BACKEND_AUTO, &host));
		EXPECT_CONTAINS(weir_error(), rows[i].words);
		EXPECT_FALSE(host);
	}
}

UNIT(backend, one_that_is_asked_for_is_the_only_one_tried)
{
	struct weir_host *host = NULL;

	EXPECT_ERR(-ENOENT,
		   open_as(new_machine(t, (struct machine){ YES, NO, YES }), WEIR_BACKEND_IOMMUFD, &host));
	EXPECT_CONTAINS(weir_error(), "/dev/iommu");
	EXPECT_ERR(-ENOENT,
		   open_as(new_machine(t, (struct machine){ YES, YES, NO }), WEIR_BACKEND_TYPE1, &host));
	EXPECT_CONTAINS(weir_error(), "/dev/vfio/vfio");
	EXPECT_ERR(-EACCES,
		   open_as(new_machine(t, (struct machine){ YES, DENIED, YES }), WEIR_BACKEND_COMPAT, &host));
	EXPECT_ERR(-EINVAL, open_as(new_yes_kernel(t), 4, &host));
	EXPECT_ERR(-EINVAL, open_as(new_yes_kernel(t), UINT32_MAX, &host));
	EXPECT_FALSE(host);
}

static void forget_wish(void *arg)
{
	(void)arg;
	unsetenv("WEIR_BACKEND");
}

UNIT(backend, the_environment_decides_where_the_program_does_not)
{
	struct yes_kernel *yes = new_yes_kernel(t);
	struct weir_host *host = NULL;

	t_defer(t, forget_wish, NULL);
	setenv("WEIR_BACKEND", "type1", 1);
	EXPECT_EQ(WEIR_BACKEND_TYPE1, weir_host_backend(new_host(t, yes, WEIR_BACKEND_AUTO)));
	EXPECT_EQ(WEIR_BACKEND_COMPAT, weir_host_backend(new_host(t, yes, WEIR_BACKEND_COMPAT)));
	setenv("WEIR_BACKEND", "auto", 1);
	EXPECT_EQ(WEIR_BACKEND_IOMMUFD, weir_host_backend(new_host(t, yes, WEIR_BACKEND_AUTO)));
	setenv("WEIR_BACKEND", "", 1);
	EXPECT_EQ(WEIR_BACKEND_IOMMUFD, weir_host_backend(new_host(t, yes, WEIR_BACKEND_AUTO)));
	setenv("WEIR_BACKEND", "vfio", 1);
	EXPECT_ERR(-EINVAL, open_as(yes, WEIR_BACKEND_AUTO, &host));
	EXPECT_CONTAINS(weir_error(), "'vfio'");
	EXPECT_FALSE(host);
}

/* A container without any type1 IOMMU, or of another version. */
static int strange_container(void *ctx, int fd, unsigned long request, void *arg)
{
	const int *answers = ctx;

	(void)fd, (void)arg;
	if (request == ABI_VFIO_GET_API_VERSION)
		return answers[0];
	return request == ABI_VFIO_CHECK_EXTENSION ? answers[1] : YES_PASS;
}

UNIT(backend, a_container_that_is_of_no_use_is_closed_again)
{
	static int answers[][2] = { { 1, 1 }, { -EINVAL, 1 }, { 0, 0 }, { 0, -EPERM } };

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct yes_kernel *yes = new_machine(t, (struct machine){ NO, NO, YES });
		struct weir_host *host = NULL;

		t_note(t, "row %zu", i);
		yes->hook = strange_container;
		yes->hook_ctx = answers[i];
		EXPECT_ERR(-EOPNOTSUPP, open_as(yes, WEIR_BACKEND_TYPE1, &host));
		EXPECT_EQ(0, yes_kernel_state(yes).fds);
		EXPECT_FALSE(host);
	}
}

/* What the kernel may say about IOVA ranges on /dev/iommu. */
struct range_answer {
	uint64_t alignment;
	uint32_t num;
	int error;
};

static int strange_ranges(void *ctx, int fd, unsigned long request, void *arg)
{
	const struct range_answer *answer = ctx;
	struct abi_iommu_ioas_iova_ranges *cmd = arg;

	(void)fd;
	if (request != ABI_IOMMU_IOAS_IOVA_RANGES)
		return YES_PASS;
	cmd->num_iovas = answer->num;
	cmd->out_iova_alignment = answer->alignment;
	return answer->error;
}

UNIT(backend, ranges_that_make_no_sense_are_refused)
{
	static struct range_answer rows[] = {
		{ .num = UINT32_MAX, .alignment = 4096 }, /* more than there was room for */
		{ .num = UINT32_MAX, .alignment = 4096, .error = -EMSGSIZE }, /* more than there can be */
		{ .num = 17, .alignment = 4096 },
		{ .num = 1, .alignment = 4096, .error = -EMSGSIZE }, /* few, but they did not fit */
		{ .num = 1, .alignment = 0 },
		{ .num = 1, .alignment = 4097 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct yes_kernel *yes = new_yes_kernel(t);
		struct weir_ioas *ioas = new_ioas(t, new_host(t, yes, WEIR_BACKEND_IOMMUFD));
		struct weir_device *device = NULL;
		struct yes_state before = yes_kernel_state(yes), after;

		t_note(t, "row %zu", i);
		yes->hook = strange_ranges;
		yes->hook_ctx = &rows[i];
		EXPECT_LT(weir_device_open(ioas, YES_ADDRESS_0, NULL, &device), 0);
		EXPECT_FALSE(device);
		after = yes_kernel_state(yes);
		EXPECT_MEMEQ(&before, &after, sizeof(after));
	}
}
