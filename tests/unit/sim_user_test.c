// SPDX-License-Identifier: MIT
/* Copying between the simulated machine and its callers, whose pointers may be bad. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "sim/device/device.h"
#include "sim/user.h"
#include "sim_toy.h"

struct command {
	uint32_t size, flags;
	uint64_t value;
};

/* Two pages, the second of which is not there; returns where it would begin. */
static unsigned char *edge(void)
{
	unsigned char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_TRUE(pages != MAP_FAILED);
	munmap(pages + 4096, 4096);
	return pages + 4096;
}

UNIT(sim_user, commands_are_framed_as_the_kernel_does)
{
	unsigned char *end = edge();
	struct command command = { .size = sizeof(command), .flags = 5, .value = 9 }, in;
	struct {
		struct command known;
		uint32_t tail;
	} longer = { .known = { .size = 20, .flags = 5 } };
	uint32_t size;

	EXPECT_OK(sim_cmd_in(&command, &in, sizeof(in), 8, &size));
	EXPECT_MEMEQ(&in, &command, sizeof(in));
	EXPECT_EQ(size, 16);
	command.size = 8;
	EXPECT_OK(sim_cmd_in(&command, &in, sizeof(in), 8, &size));
	EXPECT_EQ(in.value, 0);
	command.size = 7;
	EXPECT_ERR(-EINVAL, sim_cmd_in(&command, &in, sizeof(in), 8, &size));
	EXPECT_OK(sim_cmd_in(&longer, &in, sizeof(in), 8, &size));
	longer.tail = 1;
	EXPECT_ERR(-E2BIG, sim_cmd_in(&longer, &in, sizeof(in), 8, &size));

	EXPECT_ERR(-EFAULT, sim_cmd_in(NULL, &in, sizeof(in), 8, &size));
	EXPECT_ERR(-EFAULT, sim_cmd_in(end - 2, &in, sizeof(in), 8, &size));
	memcpy(end - 8, &(struct command){ .size = 16 }, 8);
	EXPECT_ERR(-EFAULT, sim_cmd_in(end - 8, &in, sizeof(in), 8, &size));
	memcpy(end - 8, &(struct command){ .size = 8 }, 8);
	EXPECT_OK(sim_cmd_in(end - 8, &in, sizeof(in), 8, &size));
	munmap(end - 4096, 4096);
}

UNIT(sim_user, argsz_is_room_only)
{
	unsigned char *end = edge();
	struct command command = { .size = 64, .flags = 5, .value = 9 }, in;

	EXPECT_OK(sim_argsz_in(&command, &in, sizeof(in), 8));
	EXPECT_MEMEQ(&in, &command, sizeof(in));
	command.size = 8;
	EXPECT_OK(sim_argsz_in(&command, &in, sizeof(in), 8));
	EXPECT_EQ(in.value, 0);
	command.size = 7;
	EXPECT_ERR(-EINVAL, sim_argsz_in(&command, &in, sizeof(in), 8));
	EXPECT_ERR(-EFAULT, sim_argsz_in(end - 4, &in, sizeof(in), 8));
	munmap(end - 4096, 4096);
}

UNIT(sim_user, memory_that_is_not_there_is_a_fault)
{
	struct weir_sim *sim = new_machine(t, NULL);
	unsigned char *end = edge(), bytes[16] = { 0 };
	char text[8];

	EXPECT_OK(sim_copy_out(sim, (uintptr_t)end - 16, bytes, 16));
	EXPECT_ERR(-EFAULT, sim_copy_out(sim, (uintptr_t)end - 15, bytes, 16));
	EXPECT_ERR(-EFAULT, sim_copy_out(sim, 1, bytes, 16));
	EXPECT_OK(sim_copy_out(sim, 1, bytes, 0));
	EXPECT_ERR(-EFAULT, sim_copy_in(bytes, (uintptr_t)end, 1));
	mprotect(end - 4096, 4096, PROT_READ);
	EXPECT_ERR(-EFAULT, sim_copy_out(sim, (uintptr_t)end - 16, bytes, 16));
	EXPECT_OK(sim_copy_in(bytes, (uintptr_t)end - 16, 16));
	mprotect(end - 4096, 4096, PROT_READ | PROT_WRITE);

	memcpy(end - 4, "abc", 4);
	EXPECT_OK(sim_copy_string(text, (char *)end - 4, sizeof(text)));
	EXPECT_STREQ(text, "abc");
	end[-1] = 'd';
	EXPECT_ERR(-EFAULT, sim_copy_string(text, (char *)end - 4, sizeof(text)));
	EXPECT_ERR(-ENAMETOOLONG, sim_copy_string(text, "12345678", sizeof(text)));
	munmap(end - 4096, 4096);
}
