// SPDX-License-Identifier: MIT
/* Hosts: how one is chosen, what it is opened from, and when it closes. */
#include "conformance/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void close_host(void *host)
{
	EXPECT_OK(weir_host_close(host));
}

/* A host that is closed when the case ends. */
static struct weir_host *opened(struct t *t, const struct weir_host_opts *opts)
{
	struct weir_host *host;

	ASSERT_OK(weir_host_open(opts, &host));
	t_defer(t, close_host, host);
	return host;
}

/* Choosing -------------------------------------------------------------------------------------------------------- */

static void clear_environment(void *arg)
{
	(void)arg;
	unsetenv("WEIR_BACKEND");
}

static void set_environment(struct t *t, const char *value)
{
	t_defer(t, clear_environment, NULL);
	ASSERT_EQ(setenv("WEIR_BACKEND", value, 1), 0);
}

CONFORMANCE(host, environment_chooses_the_backend)
{
	enum weir_backend kind = weir_host_backend(host_of(t));

	set_environment(t, weir_backend_name(kind));
	EXPECT_EQ(weir_host_backend(opened(t, &WEIR_OPTS(weir_host_opts, .sys = sys_of(t)))), kind);
}

CONFORMANCE(host, unknown_backend_in_the_environment_is_refused)
{
	static const char *const wrong[] = { "vfio", "IOMMUFD", "iommufd ", "2", "unknown" };
	struct weir_host *host = NULL;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		t_note(t, "WEIR_BACKEND=%s", wrong[i]);
		set_environment(t, wrong[i]);
		ASSERT_ERR(-EINVAL, weir_host_open(&WEIR_OPTS(weir_host_opts, .sys = sys_of(t)), &host));
		EXPECT_CONTAINS(weir_error(), "WEIR_BACKEND");
		EXPECT_CONTAINS(weir_error(), wrong[i]);
		EXPECT_TRUE(host == NULL);
	}
}

CONFORMANCE(host, explicit_choice_does_not_look_at_the_environment)
{
	struct weir_host_opts opts =
		WEIR_OPTS(weir_host_opts, .backend = weir_host_backend(host_of(t)), .sys = sys_of(t));

	set_environment(t, "nonsense");
	EXPECT_EQ(weir_host_backend(opened(t, &opts)), opts.backend);
}

CONFORMANCE(host, unknown_backend_number_is_refused)
{
	struct weir_host_opts opts = WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_COMPAT + 1);
	struct weir_host *host = NULL;

	EXPECT_ERR(-EINVAL, weir_host_open(&opts, &host));
	EXPECT_CONTAINS(weir_error(), "4");
	EXPECT_TRUE(host == NULL);
}

CONFORMANCE(host, absent_interface_is_no_entry, NEEDS(NO_IOMMUFD))
{
	static const enum weir_backend absent[] = { WEIR_BACKEND_IOMMUFD, WEIR_BACKEND_COMPAT };
	struct weir_host *host;

	for (size_t i = 0; i < 2; i++) {
		t_note(t, "%s", weir_backend_name(absent[i]));
		EXPECT_ERR(-ENOENT,
			   weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = absent[i], .sys = sys_of(t)),
					  &host));
		EXPECT_CONTAINS(weir_error(), "/dev/iommu");
	}
}

/* Options --------------------------------------------------------------------------------------------------------- */

struct newer_opts {
	struct weir_host_opts known;
	uint64_t later;
};

CONFORMANCE(host, options_newer_than_the_library_are_refused_when_used)
{
	struct newer_opts opts = {
		.known = { .size = sizeof(opts), .backend = fixture_of(t)->backend, .sys = sys_of(t) },
		.later = 1
	};
	struct weir_host *host = NULL;

	EXPECT_ERR(-E2BIG, weir_host_open(&opts.known, &host));
	EXPECT_CONTAINS(weir_error(), weir_version());
	EXPECT_TRUE(host == NULL);

	opts.later = 0;
	opened(t, &opts.known);
}

/* Such options end before the field that names a simulated machine. */
CONFORMANCE(host, options_older_than_the_library_are_taken, NEEDS(REAL_SYSTEM))
{
	struct weir_host_opts opts = { .size = offsetof(struct weir_host_opts, num_nodes),
				       .backend = weir_host_backend(host_of(t)),
				       .num_nodes = 77 };

	EXPECT_EQ(weir_host_backend(opened(t, &opts)), opts.backend);
}

CONFORMANCE(host, options_without_size_are_refused)
{
	struct weir_host_opts opts = { .backend = fixture_of(t)->backend };
	struct weir_host *host;

	EXPECT_ERR(-EINVAL, weir_host_open(&opts, &host));
	EXPECT_CONTAINS(weir_error(), "WEIR_OPTS");
}

/* Lifetime -------------------------------------------------------------------------------------------------------- */

CONFORMANCE(host, host_with_open_spaces_does_not_close)
{
	struct weir_host_opts opts =
		WEIR_OPTS(weir_host_opts, .backend = fixture_of(t)->backend, .sys = sys_of(t));
	struct weir_host *host = opened(t, &opts);
	struct weir_ioas *ioas;

	ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
	EXPECT_ERR(-EBUSY, weir_host_close(host));
	EXPECT_CONTAINS(weir_error(), "1 address space");
	ASSERT_OK(weir_ioas_close(ioas));
}

CONFORMANCE(host, closing_nothing_is_allowed)
{
	EXPECT_OK(weir_host_close(NULL));
	EXPECT_OK(weir_device_close(NULL));
	EXPECT_OK(weir_irq_disable(NULL));
}

CONFORMANCE(host, several_hosts_work_at_once, NEEDS(EDU0, NVME0))
{
	struct weir_host_opts opts =
		WEIR_OPTS(weir_host_opts, .backend = fixture_of(t)->backend, .sys = sys_of(t));
	struct weir_host *other = opened(t, &opts);
	struct weir_device *edu = new_device(t, new_ioas(t), "EDU0", 0), *nvme;
	struct weir_device_info info;
	struct weir_ioas *ioas;

	opened(t, &opts);
	ASSERT_OK(weir_ioas_open(other, NULL, &ioas));
	ASSERT_OK(weir_device_open(ioas, address_of(t, "NVME0"), NULL, &nvme));
	EXPECT_OK(weir_device_info(nvme, &info, sizeof(info)));
	EXPECT_OK(weir_device_close(nvme));
	EXPECT_OK(weir_ioas_close(ioas));
	EXPECT_OK(weir_device_info(edu, &info, sizeof(info)));
}

/* Handed-over descriptors ----------------------------------------------------------------------------------------- */

/* Both nodes of EDU0, as a broker would hand them over. The host that takes them closes them. */
struct handed {
	struct node_paths paths;
	struct weir_node nodes[NUM_NODES];
};

static void hand_over(struct t *t, struct handed *handed)
{
	handed->paths = nodes_of(t, "EDU0");
	for (int i = 0; i < NUM_NODES; i++) {
		handed->nodes[i].path = handed->paths.path[i];
		handed->nodes[i].fd = open_node(t, handed->paths.path[i]);
	}
}

/* Of sysfs, everybody may read what is read there. */
static unsigned int count_opened_nodes(const struct sys_log *log)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < sys_log_count(log); i++)
		count += !strcmp(log->entries[i].call, "open") &&
			 strncmp(log->entries[i].path, "/sys/", 5) != 0;
	return count;
}

CONFORMANCE(host, handed_over_descriptors_are_all_it_opens, NEEDS(EDU0))
{
	static struct sys_log log;
	struct handed handed;
	struct weir_host_opts opts =
		WEIR_OPTS(weir_host_opts, .nodes = handed.nodes, .num_nodes = NUM_NODES, .sys = &log.table);
	struct weir_device *device;
	struct weir_ioas *ioas;
	struct weir_host *host;

	hand_over(t, &handed);
	sys_log_init(&log, sys_of(t));
	host = opened(t, &opts);
	EXPECT_EQ(weir_host_backend(host), weir_host_backend(host_of(t)));
	ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
	if (EXPECT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device)))
		EXPECT_OK(weir_device_close(device));
	EXPECT_OK(weir_ioas_close(ioas));
	EXPECT_EQ(count_opened_nodes(&log), 0);
}

CONFORMANCE(host, used_up_descriptors_are_no_entry, NEEDS(EDU0))
{
	struct handed handed;
	struct weir_host_opts opts =
		WEIR_OPTS(weir_host_opts, .backend = weir_host_backend(host_of(t)), .nodes = handed.nodes,
			  .num_nodes = NUM_NODES, .sys = sys_of(t));
	struct weir_device *device;
	struct weir_ioas *ioas;
	struct weir_host *host;

	hand_over(t, &handed);
	host = opened(t, &opts);
	ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
	if (EXPECT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device)))
		EXPECT_OK(weir_device_close(device));
	EXPECT_ERR(-ENOENT, weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	EXPECT_CONTAINS(weir_error(), handed.paths.path[NODE_DEVICE]);
	EXPECT_OK(weir_ioas_close(ioas));
}

CONFORMANCE(host, device_that_was_not_handed_over_is_no_entry, NEEDS(EDU0, NVME0))
{
	struct handed handed;
	struct weir_host_opts opts =
		WEIR_OPTS(weir_host_opts, .nodes = handed.nodes, .num_nodes = NUM_NODES, .sys = sys_of(t));
	struct node_paths nvme = nodes_of(t, "NVME0");
	struct weir_device *device;
	struct weir_ioas *ioas;
	struct weir_host *host;

	hand_over(t, &handed);
	host = opened(t, &opts);
	ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
	EXPECT_ERR(-ENOENT, weir_device_open(ioas, address_of(t, "NVME0"), NULL, &device));
	EXPECT_CONTAINS(weir_error(), nvme.path[NODE_DEVICE]);
	EXPECT_OK(weir_ioas_close(ioas));
}

CONFORMANCE(host, unused_descriptors_are_closed_with_the_host, NEEDS(EDU0))
{
	struct handed handed;
	struct weir_host *host;

	hand_over(t, &handed);
	ASSERT_OK(weir_host_open(
		&WEIR_OPTS(weir_host_opts, .nodes = handed.nodes, .num_nodes = NUM_NODES, .sys = sys_of(t)),
		&host));
	EXPECT_TRUE(is_open(handed.nodes[NODE_DEVICE].fd));
	EXPECT_OK(weir_host_close(host));
	EXPECT_FALSE(is_open(handed.nodes[NODE_INTERFACE].fd));
	EXPECT_FALSE(is_open(handed.nodes[NODE_DEVICE].fd));
}

CONFORMANCE(host, descriptors_stay_the_callers_when_the_interface_is_not_among_them, NEEDS(EDU0))
{
	struct handed handed;
	struct weir_host *host;

	hand_over(t, &handed);
	EXPECT_ERR(-ENOENT,
		   weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = weir_host_backend(host_of(t)),
					     .nodes = &handed.nodes[NODE_DEVICE], .num_nodes = 1,
					     .sys = sys_of(t)),
				  &host));
	EXPECT_CONTAINS(weir_error(), handed.paths.path[NODE_INTERFACE]);
	for (int i = 0; i < NUM_NODES; i++)
		EXPECT_EQ(close(handed.nodes[i].fd), 0);
}

CONFORMANCE(host, descriptors_stay_the_callers_when_they_are_not_what_they_are_called)
{
	struct weir_node node = { .path = "/dev/vfio/vfio", .fd = open("/dev/null", O_RDWR | O_CLOEXEC) };
	struct weir_host_opts opts = WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_TYPE1, .nodes = &node,
					       .num_nodes = 1, .sys = sys_of(t));
	struct weir_host *host;

	ASSERT_GE(node.fd, 0);
	EXPECT_ERR(-EOPNOTSUPP, weir_host_open(&opts, &host));
	EXPECT_CONTAINS(weir_error(), node.path);
	EXPECT_EQ(close(node.fd), 0);
}
