/* SPDX-License-Identifier: MIT */
/* Machines made of sysfs files, for the cases about reachability. */
#ifndef UNIT_REACH_MACHINE_H
#define UNIT_REACH_MACHINE_H

#include <weir/reach.h>

#include "host/host.h"
#include "shim/test.h"
#include "support/fake_sys.h"

/* Kinds of functions, and what their ACS control register has: nothing, all off, redirect of requests, what Linux switches on. */
enum {
	CONFIG = 4096,
	TEXTS = 128,
	TYPE_ENDPOINT = 0,
	TYPE_ROOT = 4,
	TYPE_UP = 5,
	TYPE_DOWN = 6,
	TYPE_PCI = 7
};
enum { NONE = -1, OFF = 0, RR = 1 << 2, ON = 0x1d };

#define MEMORY  "0x00000000f0000000 0x00000000f0003fff 0x0000000000040200\n"
#define NOTHING "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"

struct machine {
	struct fake_sys *fake;
	struct weir_host host;
	void *texts[TEXTS];
	unsigned int num_texts;
};

/* Free @text when the case ends. */
void *keep(struct machine *machine, void *text);

/* A function's configuration space; @acs: NONE, or what the control register has. */
unsigned char *config(struct machine *machine, const char *address, uint32_t id, int type, int acs);

/* A device with a memory BAR at @path below /sys/devices. @group: 0 for none. */
void device(struct machine *machine, const char *path, int group);

/* One with a host bridge that the kernel trusts, and nothing else. */
struct machine *a_machine(struct t *t);

#define PORT  "pci0000:00/0000:00:02.0"
#define DOWN0 PORT "/0000:01:00.0/0000:02:00.0"
#define DOWN1 PORT "/0000:01:00.0/0000:02:01.0"
#define A     "0000:03:00.0"
#define B     "0000:04:00.0"

/* A below one downstream port of a switch and B below the other, with their groups and what ACS control the ports have. */
struct machine *a_switch(struct t *t, int group_a, int group_b, int acs_a, int acs_b);

struct weir_reach ask(struct t *t, struct machine *machine, const char *from, const char *to);
struct weir_reach ask_ab(struct t *t, struct machine *machine);

#endif
