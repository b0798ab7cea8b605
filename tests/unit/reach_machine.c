// SPDX-License-Identifier: MIT
/* Machines made of sysfs files, for the cases about reachability. */
#include "reach_machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *keep(struct machine *machine, void *text)
{
	ASSERT_TRUE(text && machine->num_texts < TEXTS);
	return machine->texts[machine->num_texts++] = text;
}

static void end(void *arg)
{
	struct machine *machine = arg;

	for (unsigned int i = 0; i < machine->num_texts; i++)
		free(machine->texts[i]);
	free(machine);
}

__attribute__((format(printf, 2, 3))) static char *text(struct machine *machine, const char *format, ...)
{
	va_list args;
	char *made = NULL;

	va_start(args, format);
	if (vasprintf(&made, format, args) < 0)
		made = NULL;
	va_end(args);
	return keep(machine, made);
}

#define OF(machine, address, file) text((machine), "/sys/bus/pci/devices/%s%s", (address), (file))

unsigned char *config(struct machine *machine, const char *address, uint32_t id, int type, int acs)
{
	unsigned char *bytes = keep(machine, calloc(1, CONFIG));

	bytes[0] = (unsigned char)(id >> 16);
	bytes[1] = (unsigned char)(id >> 24);
	bytes[2] = (unsigned char)id;
	bytes[3] = (unsigned char)(id >> 8);
	bytes[6] = 1 << 4;
	bytes[0x0e] = type >= TYPE_ROOT;
	bytes[0x34] = 0x40;
	bytes[0x40] = 0x01; /* power management first */
	bytes[0x41] = 0x48;
	bytes[0x48] = 0x10;
	bytes[0x4a] = (unsigned char)(2 | type << 4);
	bytes[0x100] = 0x01; /* error reporting first */
	bytes[0x102] = 0x02;
	if (acs != NONE) {
		bytes[0x103] = 0x15; /* the next is at 0x150 */
		bytes[0x150] = 0x0d;
		bytes[0x152] = 0x01;
		bytes[0x154] = 0x1f;
		bytes[0x156] = (unsigned char)acs;
	}
	fake_name(machine->fake, OF(machine, address, "/config"), (char *)bytes, CONFIG);
	return bytes;
}

void device(struct machine *machine, const char *path, int group)
{
	const char *address = strrchr(path, '/') + 1;

	fake_file(machine->fake, OF(machine, address, ""), text(machine, "../../../devices/%s", path));
	fake_file(machine->fake, OF(machine, address, "/resource"), NOTHING MEMORY);
	config(machine, address, 0x10101010, TYPE_ENDPOINT, NONE);
	if (group)
		fake_file(machine->fake, OF(machine, address, "/iommu_group"),
			  text(machine, "../../kernel/iommu_groups/%d", group));
}

struct machine *a_machine(struct t *t)
{
	struct machine *machine = calloc(1, sizeof(*machine));

	ASSERT_TRUE(machine != NULL);
	t_defer(t, end, machine);
	machine->fake = fake_sys_new(t);
	machine->host.kernel.sys = &machine->fake->table;
	fake_file(machine->fake, "/proc/cpuinfo",
		  "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\n");
	config(machine, "0000:00:00.0", 0x80862020, 9, NONE);
	return machine;
}

struct machine *a_switch(struct t *t, int group_a, int group_b, int acs_a, int acs_b)
{
	struct machine *machine = a_machine(t);

	config(machine, "0000:00:02.0", 0x1b36000c, TYPE_ROOT, ON);
	config(machine, "0000:01:00.0", 0x104c8232, TYPE_UP, NONE);
	config(machine, "0000:02:00.0", 0x104c8233, TYPE_DOWN, acs_a);
	config(machine, "0000:02:01.0", 0x104c8233, TYPE_DOWN, acs_b);
	device(machine, DOWN0 "/" A, group_a);
	device(machine, DOWN1 "/" B, group_b);
	return machine;
}

struct weir_reach ask(struct t *t, struct machine *machine, const char *from, const char *to)
{
	struct weir_reach reach;

	ASSERT_OK(weir_reach_ask(&machine->host, from, to, &reach, sizeof(reach)));
	t_note(t, "%s", reach.reason);
	return reach;
}

struct weir_reach ask_ab(struct t *t, struct machine *machine)
{
	return ask(t, machine, A, B);
}
