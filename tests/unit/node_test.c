// SPDX-License-Identifier: MIT
/* Device nodes: opened by path, and handed over. */
#include "kernel/node.h"

#include <errno.h>
#include <string.h>

#include "shim/test.h"
#include "support/alloc_fail.h"
#include "support/fake_sys.h"
#include "unit/yes_host.h"

UNIT(node, errors_name_the_node_and_what_to_do)
{
	static const struct {
		int given, error;
		const char *words;
	} rows[] = {
		{ -ENOENT, -ENOENT, "there is no /dev/x" }, { -EACCES, -EACCES, "may not open /dev/x" },
		{ -EPERM, -EACCES, "may not open /dev/x" }, { -EBUSY, -EBUSY, "/dev/x is open elsewhere" },
		{ -EMFILE, -EMFILE, "opening /dev/x" },
	};
	struct fake_sys *fake = fake_sys_new(t);
	struct weir_nodes nodes;

	ASSERT_OK(weir_nodes_init(&nodes, &fake->table, NULL, 0));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_error(fake, "/dev/x", rows[i].given);
		EXPECT_ERR(rows[i].error, weir_node_open(&nodes, "/dev/x"));
		EXPECT_CONTAINS(weir_error(), rows[i].words);
	}
	EXPECT_FALSE(weir_nodes_have_cdevs(&nodes));
	fake_dir(fake, "/dev/vfio/devices", "vfio0\0vfio1");
	EXPECT_TRUE(weir_nodes_have_cdevs(&nodes));
	weir_nodes_finish(&nodes, true);
}

/* Descriptors of made-up files, to be handed over. */
static void open_given(struct fake_sys *fake, struct weir_node *nodes, unsigned int num)
{
	for (unsigned int i = 0; i < num; i++) {
		fake_file(fake, nodes[i].path, "");
		nodes[i].fd = fake->table.open(fake, nodes[i].path, 0);
		ASSERT_GE(nodes[i].fd, 0);
	}
}

UNIT(node, each_handed_over_descriptor_is_used_once)
{
	struct weir_node given[] = {
		{ "/dev/a", -1 }, { "/dev/b", -1 }, { "/dev/a", -1 }, { "/dev/vfio/devices/vfio1", -1 }
	};
	struct fake_sys *fake = fake_sys_new(t);
	struct weir_nodes nodes;
	int first, second;

	open_given(fake, given, 4);
	ASSERT_OK(weir_nodes_init(&nodes, &fake->table, given, 4));
	EXPECT_TRUE(weir_nodes_have_cdevs(&nodes));
	first = weir_node_open(&nodes, "/dev/a");
	second = weir_node_open(&nodes, "/dev/a");
	EXPECT_NE(first, second);
	EXPECT_TRUE((first == given[0].fd && second == given[2].fd) ||
		    (first == given[2].fd && second == given[0].fd));
	EXPECT_ERR(-ENOENT, weir_node_open(&nodes, "/dev/a"));
	EXPECT_CONTAINS(weir_error(), "/dev/a");
	EXPECT_ERR(-ENOENT, weir_node_open(&nodes, "/dev/vfio/")); /* the whole path, not its beginning */
	EXPECT_EQ(given[1].fd, weir_node_open(&nodes, "/dev/b"));
	EXPECT_EQ(4, fake_open_fds(fake));
	weir_nodes_finish(&nodes, true); /* closes what was not used, and only that */
	EXPECT_EQ(3, fake_open_fds(fake));
	for (int i = 0; i < 3; i++)
		fake->table.close(fake, given[i].fd);
}

UNIT(node, unused_descriptors_can_stay_their_owners)
{
	struct weir_node given[] = { { "/dev/a", -1 }, { "/dev/b", -1 } };
	struct fake_sys *fake = fake_sys_new(t);
	struct weir_nodes nodes;

	open_given(fake, given, 2);
	ASSERT_OK(weir_nodes_init(&nodes, &fake->table, given, 2));
	weir_nodes_finish(&nodes, false);
	EXPECT_EQ(2, fake_open_fds(fake));
	fake->table.close(fake, given[0].fd);
	fake->table.close(fake, given[1].fd);
}

UNIT(node, running_out_of_memory_leaves_descriptors_their_owners)
{
	struct weir_node given[] = { { "/dev/a", -1 }, { "/dev/b", -1 } };
	struct fake_sys *fake = fake_sys_new(t);
	struct weir_nodes nodes;
	unsigned int nth;

	open_given(fake, given, 2);
	for (nth = 1; nth < 10; nth++) {
		int error;

		alloc_fail(nth);
		error = weir_nodes_init(&nodes, &fake->table, given, 2);
		if (!alloc_failed()) {
			weir_nodes_finish(&nodes, true);
			break;
		}
		EXPECT_ERR(-ENOMEM, error);
		EXPECT_EQ(2, fake_open_fds(fake));
	}
	EXPECT_EQ(4, nth); /* the list and two paths */
}

static struct weir_node yes_node(struct yes_kernel *yes, const char *path)
{
	struct weir_node node = { .path = path, .fd = yes->table.open(yes, path, 0) };

	ASSERT_GE(node.fd, 0);
	return node;
}

static int open_with(struct yes_kernel *yes, const struct weir_node *nodes, uint32_t num, uint32_t backend,
		     struct weir_host **ret_host)
{
	return weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = backend, .nodes = nodes, .num_nodes = num,
					 .sys = &yes->table),
			      ret_host);
}

UNIT(node, a_host_closes_what_it_was_given)
{
	struct yes_kernel *yes = new_yes_kernel(t);
	struct weir_node nodes[] = { yes_node(yes, "/dev/iommu"), yes_node(yes, "/dev/vfio/devices/vfio0"),
				     yes_node(yes, "/dev/vfio/devices/vfio1") };
	struct weir_host *host;

	ASSERT_OK(open_with(yes, nodes, 3, WEIR_BACKEND_AUTO, &host));
	EXPECT_EQ(WEIR_BACKEND_IOMMUFD, weir_host_backend(host));
	ASSERT_OK(weir_host_close(host));
	EXPECT_EQ(0, yes_kernel_state(yes).fds);
}

UNIT(node, what_was_given_decides_about_the_backend)
{
	struct yes_kernel *yes = new_yes_kernel(t);
	struct weir_node compat[] = { yes_node(yes, "/dev/iommu"), yes_node(yes, "/dev/vfio/1") };
	struct weir_node type1[] = { yes_node(yes, "/dev/vfio/vfio"), yes_node(yes, "/dev/vfio/1") };
	struct weir_host *host;

	ASSERT_OK(open_with(yes, compat, 2, WEIR_BACKEND_AUTO, &host));
	EXPECT_EQ(WEIR_BACKEND_COMPAT, weir_host_backend(host));
	ASSERT_OK(weir_host_close(host));
	ASSERT_OK(open_with(yes, type1, 2, WEIR_BACKEND_AUTO, &host));
	EXPECT_EQ(WEIR_BACKEND_TYPE1, weir_host_backend(host));
	ASSERT_OK(weir_host_close(host));
}

/* A host that cannot be opened leaves the descriptors alone, at whichever call it fails. */
UNIT(node, a_failing_host_leaves_descriptors_their_owners)
{
	static const char *const interfaces[NUM_BACKENDS] = { "/dev/iommu", "/dev/vfio/vfio", "/dev/iommu" };
	struct yes_kernel *yes = new_yes_kernel(t);

	for (int i = 0; i < NUM_BACKENDS; i++) {
		struct weir_node nodes[] = { yes_node(yes, interfaces[i]), yes_node(yes, "/dev/vfio/1") };
		struct weir_host *host = NULL;

		for (unsigned int nth = 1; nth < 10; nth++) {
			int error;

			t_note(t, "%s, call %u", weir_backend_name(all_backends[i]), nth);
			yes_kernel_fail(yes, nth, -EIO);
			error = open_with(yes, nodes, 2, all_backends[i], &host);
			if (!yes_kernel_failed(yes))
				break;
			if (!error)
				break;
			EXPECT_EQ(2, yes_kernel_state(yes).fds);
			EXPECT_FALSE(host);
		}
		if (host)
			ASSERT_OK(weir_host_close(host));
		else
			for (int k = 0; k < 2; k++)
				yes->table.close(yes, nodes[k].fd);
		EXPECT_EQ(0, yes_kernel_state(yes).fds);
	}
}

UNIT(node, lists_that_make_no_sense_are_refused)
{
	struct yes_kernel *yes = new_yes_kernel(t);
	struct weir_node nameless = { .path = NULL, .fd = 3 }, closed = { .path = "/dev/iommu", .fd = -1 };
	struct weir_host *host = NULL;

	EXPECT_ERR(-EINVAL, open_with(yes, NULL, 1, WEIR_BACKEND_AUTO, &host));
	EXPECT_ERR(-EINVAL, open_with(yes, &nameless, 1, WEIR_BACKEND_AUTO, &host));
	EXPECT_ERR(-EINVAL, open_with(yes, &closed, 1, WEIR_BACKEND_AUTO, &host));
	EXPECT_FALSE(host);
}
