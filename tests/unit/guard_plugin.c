// SPDX-License-Identifier: MIT
/* A shared library with accesses of its own, loaded by guard_shared_test.c. */
#include <weir/guard.h>

int plugin_read(const void *addr, uint32_t *ret_value);
int plugin_install(void);
int plugin_remove(void);
int plugin_cover(void);
int plugin_uncover(void);

int plugin_read(const void *addr, uint32_t *ret_value)
{
	return weir_mmio_read32(addr, ret_value);
}

int plugin_install(void)
{
	return weir_guard_install();
}

int plugin_remove(void)
{
	return weir_guard_remove();
}

int plugin_cover(void)
{
	return weir_guard_cover();
}

int plugin_uncover(void)
{
	return weir_guard_uncover();
}
