/* SPDX-License-Identifier: MIT */
/*
 * What is said to weir-keeper before the library's own messages: one message each way on a SOCK_SEQPACKET socket. docs/keeper.md.
 */
#ifndef KEEPER_PROTOCOL_H
#define KEEPER_PROTOCOL_H

#include <stdint.h>

#define KEEPER_MAGIC "weirkeep"

enum { KEEPER_VERSION = 1 };

enum keeper_wish {
	KEEPER_KEEP =
		1, /* from here on weir_handover_keep() speaks: keep this process's host under the name */
	KEEPER_TAKE, /* weir_handover_receive() does: be the successor of who was kept under it, and is no more */
	KEEPER_DROP, /* let go of it: the kernel resets its devices */
};

struct keeper_request {
	char magic[8]; /* KEEPER_MAGIC, without the NUL */
	uint32_t version;
	uint32_t wish; /* enum keeper_wish */
	char name[64]; /* ends with a NUL, not empty */
};

struct keeper_reply {
	int32_t error; /* 0, or a negative errno */
	char text[124];
};

#endif
