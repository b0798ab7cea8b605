// SPDX-License-Identifier: MIT
/* A simulated machine, and the least of devices. */
#include "sim_toy.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/device/device.h"

struct toy {
	uint64_t count;
};

static int toy_create(struct weir_sim_device *device, const void *config, void **ret_state)
{
	(void)device;
	if (config)
		return *(const int *)config;
	*ret_state = calloc(1, sizeof(struct toy));
	return *ret_state ? 0 : -12;
}

static uint64_t toy_read(void *state, unsigned int bar, uint64_t offset, unsigned int width)
{
	const struct toy *toy = state;

	(void)width;
	return bar == 0 && offset == 0 ? toy->count : 0;
}

static void toy_write(void *state, unsigned int bar, uint64_t offset, unsigned int width, uint64_t value)
{
	struct toy *toy = state;

	(void)width;
	if (bar == 0 && offset == 0)
		toy->count = value;
}

static bool toy_step(void *state)
{
	struct toy *toy = state;

	return toy->count && toy->count--;
}

const struct weir_sim_model toy_model = {
	.size = sizeof(toy_model),
	.name = "toy",
	.vendor_id = 0x1234,
	.device_id = 0x70f0,
	.class_code = 0x00ff00,
	.flags = WEIR_SIM_FLR | WEIR_SIM_PCIE,
	.msi_vectors = 1,
	.bars = { { .len = 4096 }, { .len = 65536, .flags = WEIR_SIM_BAR_RAM } },
	.create = toy_create,
	.destroy = free,
	.read = toy_read,
	.write = toy_write,
	.step = toy_step,
};

static void close_machine(void *sim)
{
	EXPECT_OK(weir_sim_close(sim));
}

struct weir_sim *new_machine(struct t *t, const struct weir_sim_opts *opts)
{
	struct weir_sim *sim;

	ASSERT_OK(weir_sim_open(opts, &sim));
	t_defer(t, close_machine, sim);
	return sim;
}

struct weir_sim_device *new_toy(struct t *t, struct weir_sim *sim, const char *address)
{
	struct weir_sim_device *device;

	(void)t;
	ASSERT_OK(
		weir_sim_add(sim, &toy_model, &WEIR_OPTS(weir_sim_slot, .address = address), NULL, &device));
	return device;
}

uint64_t toy_count(struct weir_sim_device *device)
{
	uint64_t count;

	ASSERT_OK(sim_lock(device->sim));
	count = ((const struct toy *)device->state)->count;
	sim_unlock(device->sim);
	return count;
}

void toy_set_count(struct weir_sim_device *device, uint64_t count)
{
	ASSERT_OK(sim_lock(device->sim));
	((struct toy *)device->state)->count = count;
	sim_wake(device->sim);
	sim_unlock(device->sim);
}

int64_t read_name(struct weir_sim *sim, const char *path, char *ret_text, size_t size)
{
	const struct weir_sys *sys = weir_sim_sys(sim);
	int fd = sys->open(sys->ctx, path, O_RDONLY);
	ssize_t got;

	if (fd < 0)
		return fd;
	got = sys->read(sys->ctx, fd, ret_text, size - 1);
	ret_text[got < 0 ? 0 : got] = '\0';
	sys->close(sys->ctx, fd);
	return got;
}

int64_t write_name(struct weir_sim *sim, const char *path, const char *text)
{
	const struct weir_sys *sys = weir_sim_sys(sim);
	int fd = sys->open(sys->ctx, path, O_WRONLY);
	ssize_t put;

	if (fd < 0)
		return fd;
	put = sys->write(sys->ctx, fd, text, strlen(text));
	sys->close(sys->ctx, fd);
	return put < 0 ? put : 0;
}

const char *link_of(struct weir_sim *sim, const char *path, char ret_target[256])
{
	const struct weir_sys *sys = weir_sim_sys(sim);
	ssize_t len = sys->readlink(sys->ctx, path, ret_target, 255);

	if (len < 0)
		snprintf(ret_target, 256, "-%d", (int)-len);
	else
		ret_target[len] = '\0';
	return ret_target;
}

const char *list_of(struct weir_sim *sim, const char *path, char ret_entries[1024])
{
	const struct weir_sys *sys = weir_sim_sys(sim);
	ssize_t len = sys->list_dir(sys->ctx, path, ret_entries, 1023);

	if (len < 0) {
		snprintf(ret_entries, 1024, "-%d", (int)-len);
		return ret_entries;
	}
	for (ssize_t i = 0; i < len; i++)
		if (!ret_entries[i])
			ret_entries[i] = ' ';
	ret_entries[len] = '\0';
	return ret_entries;
}
