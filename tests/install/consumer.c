/* SPDX-License-Identifier: MIT */
/* A user of the installed library: this is compiled as C and as C++, and found by pkg-config and by CMake. */
#include <weir/weir.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
	printf("weir %s\n", weir_version());
	return strcmp(weir_version(), EXPECTED_VERSION) != 0;
}
