/* SPDX-License-Identifier: MIT */
/* The container's part of struct weir_space_ops that is about dirty tracking. */
#ifndef WEIR_BACKEND_TYPE1_DIRTY_H
#define WEIR_BACKEND_TYPE1_DIRTY_H

#include "backend/backend.h"

bool weir_container_can_track(struct weir_space *space);
int weir_container_track(struct weir_space *space, bool on);
int weir_container_dirty(struct weir_space *space, uint64_t iova, uint64_t len, uint64_t page, uint64_t *bits,
			 bool keep);

#endif
