/* SPDX-License-Identifier: MIT */
/* The client's side of weir-keeper. */
#ifndef HANDOVER_KEEPER_H
#define HANDOVER_KEEPER_H

#include <stddef.h>

#include "keeper/protocol.h"

/*
 * Say to the keeper at @path what is wished for the host @name. Returns the connection, on which the library's messages follow; or a negative
 * errno, the keeper's if it refused, with the reason in @text.
 */
int keeper_connect(const char *path, enum keeper_wish wish, const char *name, char *text, size_t size);

#endif
