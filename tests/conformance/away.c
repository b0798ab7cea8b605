// SPDX-License-Identifier: MIT
#include "conformance/away.h"

#include <endian.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>

#include "conformance/os.h"
#include "device/device.h"

enum { CAPABILITIES = 0x34, MOST_CAPABILITIES = 48 };

struct weir_region *mapped_bar(struct t *t, struct weir_device *device, unsigned char **ret_registers)
{
	struct weir_region *bar;
	void *addr;

	(void)t;
	ASSERT_OK(weir_device_region(device, WEIR_REGION_BAR0, &bar));
	ASSERT_OK(weir_region_map(bar, &addr, NULL));
	*ret_registers = addr;
	return bar;
}

struct weir_region *config_of(struct t *t, struct weir_device *device)
{
	struct weir_region *config;

	(void)t;
	ASSERT_OK(weir_device_region(device, WEIR_REGION_CONFIG, &config));
	return config;
}

uint32_t find_capability(struct t *t, struct weir_device *device, uint8_t id)
{
	struct weir_region *config = config_of(t, device);
	uint8_t at = 0, is = 0;

	ASSERT_OK(weir_region_read8(config, CAPABILITIES, &at));
	for (int i = 0; at && i < MOST_CAPABILITIES; i++) {
		if (weir_region_read8(config, at, &is))
			FAIL("capability: %s", weir_error());
		if (is == id)
			return at;
		if (weir_region_read8(config, at + 1u, &at))
			FAIL("next capability: %s", weir_error());
	}
	FAIL("no capability %#x", id);
	return 0;
}

void set_memory_past(struct t *t, struct weir_device *device, bool enable)
{
	const struct weir_sys *sys = os_sys(); /* which the failure sweep leaves alone */
	uint64_t at = ((uint64_t)WEIR_REGION_CONFIG << 40) + PCI_COMMAND_OFFSET;
	uint16_t command = htole16(enable ? 2 : 0);

	(void)t;
	if (sys->pwrite(sys->ctx, device->function->fd, &command, sizeof(command), at) != sizeof(command))
		FAIL("writing COMMAND past the library");
}

int past_the_library(struct t *t, struct weir_device *device, unsigned long request, void *arg)
{
	const struct weir_sys *sys = os_sys(); /* which the failure sweep leaves alone */

	(void)t;
	return sys->ioctl(sys->ctx, device->function->fd, request, arg);
}

static void remove_guard(void *arg)
{
	(void)arg;
	EXPECT_OK(weir_guard_remove());
}

void guarded(struct t *t)
{
	ASSERT_OK(weir_guard_install());
	t_defer(t, remove_guard, NULL);
}

/* One thread at a time looks; others' faults are not expected. */
static sigjmp_buf out;
static struct sigaction old;

static void jump_out(int number)
{
	(void)number;
	siglongjmp(out, 1);
}

bool raises_sigbus(const volatile void *at)
{
	if (sigsetjmp(out, 1))
		return true;
	(void)*(const volatile uint32_t *)at;
	return false;
}

static void catch_no_more(void *arg)
{
	(void)arg;
	sigaction(SIGBUS, &old, NULL);
}

void catch_sigbus(struct t *t)
{
	sigaction(SIGBUS, &(struct sigaction){ .sa_handler = jump_out }, &old);
	t_defer(t, catch_no_more, NULL);
}
