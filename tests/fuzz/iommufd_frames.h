/* SPDX-License-Identifier: MIT */
/* Commands of /dev/iommu beside the model. */
#ifndef TESTS_FUZZ_IOMMUFD_FRAMES_H
#define TESTS_FUZZ_IOMMUFD_FRAMES_H

#include "fuzz/rig.h"

/* One whose size, tail, address or number is wrong, which decides how it ends. */
void iommufd_bad_frame(const struct rig *rig, int iommufd, struct input *in);

/* One that is not in the model, with any content; it makes nothing that lasts. */
void iommufd_other_command(const struct rig *rig, int iommufd, struct input *in);

#endif
