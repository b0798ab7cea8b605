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

/* What is not in the model, and makes nothing that lasts. Most words are so small that they name objects; pointers are into the arena. */
void iommufd_other_command(const struct rig *rig, int iommufd, struct input *in)
{
	static const uint8_t numbers[] = { 0x87, 0x88, 0x8a, 0x8b, 0x8c, 0x8d, 0x90,
					   0x91, 0x92, 0x93, 0x94, 0x95, 0xa0 };
	enum { WORDS = 64 };
	uint8_t nr = in_pick(in, numbers);
	uint32_t *words = arena_struct(WORDS * sizeof(uint32_t));
	uint64_t address;

	memset(words, 0, WORDS * sizeof(uint32_t));
	words[0] = in_u8(in) >= 64 && nr <= 0x94 ? least[nr - 0x80] : in_u8(in);
	for (unsigned int i = 1; i < 12; i++) {
		uint8_t byte = in_u8(in);

		words[i] = byte < 128 ? 0 : byte < 248 ? byte % 8 : in_u32(in);
	}
	address = arena_address(in);
	if (nr == 0x87) /* of the options, how memory is accounted; the other is in the model */
		words[1] = 0;
	if (nr == 0x8a)
		memcpy(&words[4], &address, sizeof(address));
	if (nr == 0x8c)
		memcpy(&words[10], &address, sizeof(address));
	if (nr == 0x8d)
		memcpy(&words[2], &address, sizeof(address));
	say("  other %#x: %d", nr, rig_ioctl(rig, iommufd, 0x3b00 | nr, words));
}
