// SPDX-License-Identifier: MIT
/* Commands of /dev/iommu beside the model: frames that are wrong in themselves, and commands that it does not have. */
#include "fuzz/iommufd_frames.h"

#include <errno.h>

static const uint8_t least[] = { 8,  12, 24, 40, 32, 40, 24, 24, 12, 24, 32,
				 16, 48, 32, 16, 40, 24, 24, 8,  28, 40 };

void iommufd_bad_frame(const struct rig *rig, int iommufd, struct input *in)
{
	unsigned int nr = in_below(in, sizeof(least));
	unsigned long request = 0x3b80 + nr;
	uint32_t *cmd = arena_struct(64 + PAGE);

	in_bytes(in, cmd, 64 + PAGE);
	switch (in_below(in, 5)) {
	case 0:
		cmd[0] %= least[nr];
		CHECK(rig_ioctl(rig, iommufd, request, cmd) == -EINVAL);
		break;
	case 1: /* a tail that is unknown, and is not zero; it ends where nothing follows */
		cmd[0] = 64 + PAGE;
		((unsigned char *)cmd)[64 + in_u16(in) % PAGE] |= 1;
		CHECK(rig_ioctl(rig, iommufd, request, cmd) == -E2BIG);
		break;
	case 2: /* longer than memory goes */
		memset(cmd, 0, 64 + PAGE);
		cmd[0] = 65 + PAGE + in_u32(in) % (256 << 20);
		CHECK(rig_ioctl(rig, iommufd, request, cmd) == -EFAULT);
		break;
	case 3:
		CHECK(rig_ioctl(rig, iommufd, request, (char *)arena_struct(0) + in_u8(in)) == -EFAULT);
		break;
	default:
		CHECK(rig_ioctl(rig, iommufd, request | (unsigned long)(1 + in_u16(in)) << 16, cmd) ==
		      -ENOTTY);
	}
}

/* What is not in the model, and makes nothing that lasts. Pointers are into the arena. */
void iommufd_other_command(const struct rig *rig, int iommufd, struct input *in)
{
	static const uint8_t numbers[] = { 0x88, 0x8a, 0x8b, 0x8c, 0x8d, 0x90,
					   0x91, 0x92, 0x93, 0x94, 0x95, 0xa0 };
	uint8_t nr = in_pick(in, numbers);
	uint64_t cmd[8];
	uint32_t size = in_u8(in) & 1 && nr <= 0x94 ? least[nr - 0x80] : in_u8(in);

	in_bytes(in, cmd, sizeof(cmd));
	memcpy(cmd, &size, sizeof(size));
	if (nr == 0x8a)
		cmd[2] = arena_address(in);
	if (nr == 0x8d)
		cmd[1] = arena_address(in);
	if (nr == 0x8c)
		cmd[5] = arena_address(in);
	rig_ioctl(rig, iommufd, 0x3b00 | nr, cmd);
}
