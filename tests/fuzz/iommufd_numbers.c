// SPDX-License-Identifier: MIT
/* Numbers for commands of /dev/iommu, from pools. */
#include "fuzz/iommufd_numbers.h"

uint64_t iommufd_iova(struct input *in, uint64_t last)
{
	static const uint64_t places[] = {
		0,          0x1000,     0x2000,         0x3000,        0x4000,
		0x8000,     0x10000,    0x11000,        0x200000,      0xfedff000,
		0xfee00000, 0xfeeff000, 0xfef00000,     1ull << 38,    (1ull << 48) - 0x1000,
		1ull << 48, 1ull << 63, ~0ull - 0x1fff, ~0ull - 0xfff, ~0ull - 1
	};
	uint8_t byte = in_u8(in);

	if (byte == 255)
		return in_u64(in);
	if (byte >= 224)
		return last + (byte % 4) * 0x1000ull;
	if (byte >= 208)
		return in_pick(in, places) + in_u16(in) % 0x1000;
	return places[byte % 20];
}

uint64_t iommufd_length(struct input *in)
{
	static const uint64_t lengths[] = {
		0x1000,     0x1000,     0x2000, 0x3000,    0x4000,         0x10000,
		0,          1,          100,    0x800,     0x200000,       1ull << 38,
		1ull << 48, 1ull << 63, ~0ull,  ~0ull - 1, ~0ull - 0x1000, 0x800000
	};
	uint8_t byte = in_u8(in);

	return byte == 255 ? in_u64(in) : lengths[byte % 18];
}

uint32_t iommufd_id(struct input *in)
{
	uint8_t byte = in_u8(in);

	return byte == 255 ? in_u32(in) : byte % 10;
}

uint32_t iommufd_map_flags(struct input *in)
{
	uint8_t byte = in_u8(in);

	return byte == 255 ? in_u32(in) : byte >= 128 ? 7 - (byte & 1) : byte % 8;
}
