// SPDX-License-Identifier: MIT
/* The guard over the program, the shared library and one that is loaded later, each with a table of its own. */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>

#include <weir/sim.h>
#include <weir/weir.h>

#include "test.h"

struct plugin {
	void *library;
	int (*read)(const void *addr, uint32_t *ret_value);
	int (*install)(void);
	int (*remove)(void);
	int (*cover)(void);
	int (*uncover)(void);
};

/* As POSIX has it: a pointer to an object that is one to a function. */
static void find(struct plugin *plugin, const char *name, void *ret_function)
{
	*(void **)ret_function = dlsym(plugin->library, name);
	ASSERT_TRUE(*(void **)ret_function);
}

static struct plugin load(void)
{
	struct plugin plugin = { .library = dlopen(GUARD_PLUGIN, RTLD_NOW) };

	if (!plugin.library)
		FAIL("%s", dlerror());
	find(&plugin, "plugin_read", &plugin.read);
	find(&plugin, "plugin_install", &plugin.install);
	find(&plugin, "plugin_remove", &plugin.remove);
	find(&plugin, "plugin_cover", &plugin.cover);
	find(&plugin, "plugin_uncover", &plugin.uncover);
	return plugin;
}

/* A device of a simulated machine whose memory is mapped, and switched off behind the library's back. */
struct rig {
	struct weir_sim *sim;
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_region *cmb;
	void *memory;
};

static void close_rig(void *arg)
{
	struct rig *rig = arg;

	EXPECT_OK(weir_device_close(rig->device));
	EXPECT_OK(weir_ioas_close(rig->ioas));
	EXPECT_OK(weir_host_close(rig->host));
	EXPECT_OK(weir_sim_close(rig->sim));
	free(rig);
}

static struct rig *new_rig(struct t *t)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct weir_sim_device *card;

	ASSERT_TRUE(rig);
	ASSERT_OK(weir_sim_open(NULL, &rig->sim));
	ASSERT_OK(weir_sim_add_nvme(rig->sim, &WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = 1), NULL, &card));
	ASSERT_OK(weir_host_open(&WEIR_OPTS(weir_host_opts, .sys = weir_sim_sys(rig->sim)), &rig->host));
	ASSERT_OK(weir_ioas_open(rig->host, NULL, &rig->ioas));
	ASSERT_OK(weir_device_open(rig->ioas, "0000:00:01.0", NULL, &rig->device));
	t_defer(t, close_rig, rig);
	ASSERT_OK(weir_device_region(rig->device, WEIR_REGION_BAR2, &rig->cmb));
	ASSERT_OK(weir_region_map(rig->cmb, &rig->memory, NULL));
	weir_sim_set_memory(card, false);
	return rig;
}

static sigjmp_buf out;

static void jump_out(int number)
{
	(void)number;
	siglongjmp(out, 1);
}

/* Does the plugin's access raise a SIGBUS that nobody catches but the handler of before? */
static bool plugin_faults(const struct plugin *plugin, const void *addr)
{
	uint32_t value;

	if (sigsetjmp(out, 1))
		return true;
	plugin->read(addr, &value);
	return false;
}

UNIT(guard_shared, program_and_library_are_covered_by_one_install)
{
	struct rig *rig = new_rig(t);
	uint32_t value = 7;

	ASSERT_OK(weir_guard_install());
	EXPECT_EQ(weir_mmio_read32(rig->memory, &value), -EIO);
	EXPECT_ERR(-EIO, weir_region_read32(rig->cmb, 0, &value));
	EXPECT_EQ(value, 7);
	EXPECT_OK(weir_guard_remove());
}

UNIT(guard_shared, library_that_is_loaded_covers_itself)
{
	struct rig *rig = new_rig(t);
	struct sigaction old;
	uint32_t value = 7;

	sigaction(SIGBUS, &(struct sigaction){ .sa_handler = jump_out }, &old);
	ASSERT_OK(weir_guard_install());
	for (int round = 0; round < 3; round++) {
		struct plugin plugin = load();

		EXPECT_TRUE(plugin_faults(&plugin, rig->memory));
		ASSERT_OK(plugin.cover());
		EXPECT_EQ(plugin.read(rig->memory, &value), -EIO);
		EXPECT_OK(plugin.uncover());
		EXPECT_TRUE(plugin_faults(&plugin, rig->memory));
		ASSERT_OK(plugin.install());
		EXPECT_EQ(plugin.read(rig->memory, &value), -EIO);
		EXPECT_OK(plugin.remove());
		EXPECT_TRUE(plugin_faults(&plugin, rig->memory));
		dlclose(plugin.library);
		EXPECT_EQ(weir_mmio_read32(rig->memory, &value), -EIO);
	}
	EXPECT_OK(weir_guard_remove());
	sigaction(SIGBUS, &old, NULL);
}

UNIT(guard_shared, library_that_installs_it_covers_no_other)
{
	struct rig *rig = new_rig(t);
	struct plugin plugin = load();
	struct sigaction old;
	uint32_t value;

	sigaction(SIGBUS, &(struct sigaction){ .sa_handler = jump_out }, &old);
	ASSERT_OK(plugin.install());
	EXPECT_EQ(plugin.read(rig->memory, &value), -EIO);
	if (!sigsetjmp(out, 1))
		FAIL("got %d", weir_mmio_read32(rig->memory, &value));
	EXPECT_OK(plugin.remove());
	sigaction(SIGBUS, &old, NULL);
	dlclose(plugin.library);
}
