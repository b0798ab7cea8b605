/* SPDX-License-Identifier: MIT */
/* Numbers for commands of /dev/iommu: mostly such as mean something, and so few that they meet. */
#ifndef TESTS_FUZZ_IOMMUFD_NUMBERS_H
#define TESTS_FUZZ_IOMMUFD_NUMBERS_H

#include "fuzz/input.h"

/* @last: one that was used just before */
uint64_t iommufd_iova(struct input *in, uint64_t last);
uint64_t iommufd_length(struct input *in);
uint32_t iommufd_id(struct input *in);
uint32_t iommufd_map_flags(struct input *in);

#endif
