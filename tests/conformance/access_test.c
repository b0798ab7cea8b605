// SPDX-License-Identifier: MIT
/* Who may: users without privileges, machines that do not confine devices. */
#include "conformance/dma.h"
#include "conformance/machine.h"

#include <errno.h>
#include <string.h>

/* Without privileges ---------------------------------------------------------------------------------------------- */

static struct weir_host_opts same_kind(struct t *t)
{
	return WEIR_OPTS(weir_host_opts, .backend = weir_host_backend(host_of(t)), .sys = sys_of(t));
}

static void expect_no_host(struct t *t, void *arg)
{
	const struct node_paths *paths = arg;
	struct weir_host_opts opts = same_kind(t);
	struct weir_host *host = NULL;

	drop_privileges(t);
	EXPECT_ERR(-EACCES, weir_host_open(&opts, &host));
	EXPECT_CONTAINS(weir_error(), paths->path[NODE_INTERFACE]);
	EXPECT_CONTAINS(weir_error(), "weir-broker");
	EXPECT_TRUE(host == NULL);
}

CONFORMANCE(access, interface_that_may_not_be_opened_is_named, NEEDS(EDU0, ROOT))
{
	struct node_paths paths = nodes_of(t, "EDU0");

	chmod_until_end(t, paths.path[NODE_INTERFACE], 0600);
	in_child(t, expect_no_host, &paths);
}

static void expect_no_device(struct t *t, void *arg)
{
	const struct node_paths *paths = arg;
	struct weir_host_opts opts = same_kind(t);
	struct weir_device *device = NULL;
	struct weir_ioas *ioas;
	struct weir_host *host;

	drop_privileges(t);
	ASSERT_OK(weir_host_open(&opts, &host));
	ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
	EXPECT_ERR(-EACCES, weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	EXPECT_CONTAINS(weir_error(), paths->path[NODE_DEVICE]);
	EXPECT_CONTAINS(weir_error(), "weir-broker");
	EXPECT_TRUE(device == NULL);
}

CONFORMANCE(access, device_node_that_may_not_be_opened_is_named, NEEDS(EDU0, ROOT))
{
	struct node_paths paths = nodes_of(t, "EDU0");

	chmod_until_end(t, paths.path[NODE_INTERFACE], 0666);
	chmod_until_end(t, paths.path[NODE_DEVICE], 0600);
	in_child(t, expect_no_device, &paths);
}

/* Both nodes may be opened by everybody: that is all it takes. */
static void use_device(struct t *t, const struct weir_host_opts *opts)
{
	struct weir_device_opts bits = WEIR_OPTS(weir_device_opts, .address_bits = EDU0_BITS);
	unsigned char *memory = new_memory(t, 4096, 0x5a);
	struct weir_device *device;
	struct weir_ioas *ioas;
	struct weir_host *host;
	struct weir_map *map;
	struct edu *edu;

	drop_privileges(t);
	ASSERT_EQ(effective_capabilities(), 0);
	ASSERT_OK(weir_host_open(opts, &host));
	ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), &bits, &device));
	ASSERT_OK(weir_ioas_map(ioas, memory, 4096, NULL, &map));
	ASSERT_EQ(edu_open(device, EDU_INTERRUPTS, &edu), 0);
	ASSERT_EQ(edu_dma(edu, EDU_FROM_MEMORY, weir_map_iova(map), 0, 2048, EDU_BY_INTERRUPT, 5000), 0);
	memset(memory, 0xa5, 4096);
	ASSERT_EQ(edu_dma(edu, EDU_TO_MEMORY, weir_map_iova(map), 0, 2048, EDU_BY_INTERRUPT, 5000), 0);
	EXPECT_TRUE(all_bytes(memory, 0x5a, 2048));
	EXPECT_TRUE(all_bytes(memory + 2048, 0xa5, 2048));
	EXPECT_EQ(edu_close(edu), 0);
	EXPECT_OK(weir_device_close(device));
	EXPECT_OK(weir_ioas_close(ioas));
	EXPECT_OK(weir_host_close(host));
}

static void use_own_nodes(struct t *t, void *arg)
{
	struct weir_host_opts opts = same_kind(t);

	(void)arg;
	use_device(t, &opts);
}

CONFORMANCE(access, permission_on_the_nodes_is_all_it_takes, NEEDS(EDU0, ROOT))
{
	struct node_paths paths = nodes_of(t, "EDU0");

	chmod_until_end(t, paths.path[NODE_INTERFACE], 0666);
	chmod_until_end(t, paths.path[NODE_DEVICE], 0666);
	in_child(t, use_own_nodes, NULL);
}

/* Whoever had the rights opened the nodes; the child that uses them has none. */
static void use_given_nodes(struct t *t, void *arg)
{
	struct node_paths *paths = arg;
	struct weir_node nodes[NUM_NODES];
	struct weir_host_opts opts =
		WEIR_OPTS(weir_host_opts, .nodes = nodes, .num_nodes = NUM_NODES, .sys = sys_of(t));

	for (int i = 0; i < NUM_NODES; i++)
		nodes[i] = (struct weir_node){ paths->path[i], open_node(t, paths->path[i]) };
	use_device(t, &opts);
	for (int i = 0; i < NUM_NODES; i++)
		EXPECT_FALSE(is_open(nodes[i].fd));
}

CONFORMANCE(access, handed_over_descriptors_need_no_privileges, NEEDS(EDU0, ROOT))
{
	struct node_paths paths = nodes_of(t, "EDU0");

	chmod_until_end(t, paths.path[NODE_INTERFACE], 0600);
	chmod_until_end(t, paths.path[NODE_DEVICE], 0600);
	in_child(t, use_given_nodes, &paths);
}

/* Machines -------------------------------------------------------------------------------------------------------- */

CONFORMANCE(access, machine_that_does_not_isolate_interrupts_asks_for_consent, NEEDS(UNISOLATED_INTERRUPTS))
{
	const char *option = weir_host_backend(host_of(t)) == WEIR_BACKEND_TYPE1
				     ? "vfio_iommu_type1.allow_unsafe_interrupts=1"
				     : "iommufd.allow_unsafe_interrupts=1";
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = NULL;

	EXPECT_ERR(-EPERM, weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	EXPECT_CONTAINS(weir_error(), address_of(t, "EDU0"));
	EXPECT_CONTAINS(weir_error(), option);
	EXPECT_TRUE(device == NULL);
	/* A failed attempt leaves nothing that would be in the way of the next one. */
	EXPECT_ERR(-EPERM, weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
}

CONFORMANCE(access, machine_without_an_iommu_says_so, NEEDS(NO_IOMMU))
{
	static const char *const names[] = { "EDU0", "NVME0" };
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		t_note(t, "%s", names[i]);
		EXPECT_ERR(-EOPNOTSUPP, weir_device_open(ioas, address_of(t, names[i]), NULL, &device));
		EXPECT_CONTAINS(weir_error(), address_of(t, names[i]));
		EXPECT_CONTAINS(weir_error(), "no IOMMU");
		EXPECT_TRUE(device == NULL);
	}
}
