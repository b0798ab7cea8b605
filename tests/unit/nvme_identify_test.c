/* SPDX-License-Identifier: MIT */
/* Identify data, as controllers give it and as none should. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <nvme/identify.h>
#include <nvme/prp.h>

#include "test.h"

#define MAX_TRANSFER (512u << 10)

/* A controller without faults. */
static struct nvme_id_ctrl sound_controller(void)
{
	struct nvme_id_ctrl id = { .mdts = 7, .sqes = 0x66, .cqes = 0x44, .cntrltype = 1, .vwc = 7 };

	memset(id.mn, ' ', sizeof id.mn);
	memset(id.sn, ' ', sizeof id.sn);
	memset(id.fr, ' ', sizeof id.fr);
	memcpy(id.mn, "Test Disk", 9);
	memcpy(id.sn, "S1", 2);
	memcpy(id.fr, "1.0", 3);
	id.nn = htole32(256);
	id.rtd3e = htole32(2500001);
	id.vid = htole16(0x1b36);
	return id;
}

static struct nvme_id_ns sound_namespace(void)
{
	struct nvme_id_ns id = { .nsze = htole64(131072), .nlbaf = 7, .flbas = 4 };

	id.lbaf[0].ds = 9;
	id.lbaf[4].ds = 12;
	return id;
}

UNIT(nvme_identify, a_controller_is_understood)
{
	struct nvme_id_ctrl id = sound_controller();
	struct nvme_identity identity;

	ASSERT_OK(nvme_parse_controller(&id, &identity));
	EXPECT_STREQ(identity.info.model, "Test Disk");
	EXPECT_STREQ(identity.info.serial, "S1");
	EXPECT_STREQ(identity.info.firmware, "1.0");
	EXPECT_EQ(identity.info.vendor_id, 0x1b36);
	EXPECT_EQ(identity.info.num_namespaces, 256);
	EXPECT_EQ(identity.info.max_transfer, 512 << 10);
	EXPECT_TRUE(identity.info.write_cache);
	EXPECT_EQ(identity.shutdown_timeout_ms, 2501);
}

UNIT(nvme_identify, texts_are_printable_and_end)
{
	struct nvme_id_ctrl id = sound_controller();
	struct nvme_identity identity;

	memset(id.mn, 'x', sizeof id.mn);
	memset(id.sn, 0, sizeof id.sn);
	memcpy(id.fr, "\033[2J\n\x80 x", 8);
	ASSERT_OK(nvme_parse_controller(&id, &identity));
	EXPECT_EQ(strlen(identity.info.model), 40);
	EXPECT_STREQ(identity.info.serial, "");
	EXPECT_STREQ(identity.info.firmware, "?[2J?? x");
}

UNIT(nvme_identify, the_transfer_limit_has_no_impossible_value)
{
	struct nvme_id_ctrl id = sound_controller();
	struct nvme_identity identity;
	unsigned int mdts;

	for (mdts = 0; mdts <= 255; mdts++) {
		uint32_t expected = mdts == 0 || mdts > 13 ? NVME_PRP_MAX_TRANSFER : 4096u << mdts;

		id.mdts = (uint8_t)mdts;
		ASSERT_OK(nvme_parse_controller(&id, &identity));
		EXPECT_EQ(identity.info.max_transfer, expected);
	}
}

UNIT(nvme_identify, impossible_controllers_are_refused)
{
	struct nvme_id_ctrl id = sound_controller();
	struct nvme_identity identity;

	id.sqes = 0x77;
	EXPECT_ERR(-EPROTO, nvme_parse_controller(&id, &identity));
	id.sqes = 0x55;
	EXPECT_ERR(-EPROTO, nvme_parse_controller(&id, &identity));
	id = sound_controller();
	id.cqes = 0;
	EXPECT_ERR(-EPROTO, nvme_parse_controller(&id, &identity));
	id = sound_controller();
	id.cntrltype = 2;
	EXPECT_ERR(-EOPNOTSUPP, nvme_parse_controller(&id, &identity));
}

UNIT(nvme_identify, a_namespace_is_understood)
{
	struct nvme_id_ns id = sound_namespace();
	struct nvme_namespace ns;

	ASSERT_OK(nvme_parse_namespace(&id, 3, MAX_TRANSFER, &ns));
	EXPECT_EQ(ns.nsid, 3);
	EXPECT_EQ(ns.num_blocks, 131072);
	EXPECT_EQ(ns.block_size, 4096);
	EXPECT_EQ(ns.block_shift, 12);
}

/* With more than 16 formats the index has six bits, in two places. */
UNIT(nvme_identify, the_sixtieth_format_is_found)
{
	struct nvme_id_ns id = sound_namespace();
	struct nvme_namespace ns;

	id.nlbaf = 63;
	id.flbas = 60 % 16 | 60 / 16 << 5;
	id.lbaf[60].ds = 9;
	ASSERT_OK(nvme_parse_namespace(&id, 1, MAX_TRANSFER, &ns));
	EXPECT_EQ(ns.block_size, 512);
	/* With 16 at most, the upper bits mean nothing. */
	id.nlbaf = 15;
	id.lbaf[12].ds = 13;
	ASSERT_OK(nvme_parse_namespace(&id, 1, MAX_TRANSFER, &ns));
	EXPECT_EQ(ns.block_size, 8192);
}

UNIT(nvme_identify, impossible_namespaces_are_refused_and_nothing_is_written)
{
	struct nvme_namespace ns = { .nsid = 99 };
	struct nvme_id_ns id = sound_namespace();

	id.nsze = 0;
	EXPECT_ERR(-ENOENT, nvme_parse_namespace(&id, 1, MAX_TRANSFER, &ns));
	id = sound_namespace();
	id.flbas = 8;
	EXPECT_ERR(-EPROTO, nvme_parse_namespace(&id, 1, MAX_TRANSFER, &ns));
	id = sound_namespace();
	id.lbaf[4].ds = 8;
	EXPECT_ERR(-EPROTO, nvme_parse_namespace(&id, 1, MAX_TRANSFER, &ns));
	id.lbaf[4].ds = 255;
	EXPECT_ERR(-EPROTO, nvme_parse_namespace(&id, 1, MAX_TRANSFER, &ns));
	id = sound_namespace();
	id.nsze = htole64(1ull << 52);
	EXPECT_ERR(-EPROTO, nvme_parse_namespace(&id, 1, MAX_TRANSFER, &ns));
	id = sound_namespace();
	id.lbaf[4].ms = htole16(8);
	EXPECT_ERR(-EOPNOTSUPP, nvme_parse_namespace(&id, 1, MAX_TRANSFER, &ns));
	id = sound_namespace();
	id.lbaf[4].ds = 16;
	EXPECT_ERR(-EOPNOTSUPP, nvme_parse_namespace(&id, 1, 4096, &ns));
	EXPECT_EQ(ns.nsid, 99);
}

/* Whatever the bytes are, what comes out is usable. */
UNIT(nvme_identify, noise_yields_nothing_impossible)
{
	struct nvme_id_ctrl *controller = malloc(sizeof *controller);
	struct nvme_id_ns *namespace = malloc(sizeof *namespace);
	struct nvme_identity identity;
	struct nvme_namespace ns;
	unsigned int seed = 1, round, i;

	t_defer(t, free, controller);
	t_defer(t, free, namespace);
	ASSERT_TRUE(controller && namespace);
	for (round = 0; round < 2000; round++) {
		for (i = 0; i < sizeof *namespace; i++) {
			((unsigned char *)namespace)[i] = (unsigned char)(rand_r(&seed) >> 3);
			((unsigned char *)controller)[i] = (unsigned char)(rand_r(&seed) >> 3);
		}
		if (round % 2) { /* otherwise hardly any gets past the first checks */
			controller->sqes = 0x66;
			controller->cqes = 0x44;
			controller->cntrltype = 1;
			namespace->nsze &= htole64(UINT64_MAX >> 16);
			for (i = 0; i < 64; i++)
			namespace->lbaf[i] = (struct nvme_lbaf){ .ds = (uint8_t)(i % 20) };
		}
		if (nvme_parse_controller(controller, &identity) == 0) {
			ASSERT_LE(identity.info.max_transfer, NVME_PRP_MAX_TRANSFER);
			ASSERT_GE(identity.info.max_transfer, 4096);
		}
		if (nvme_parse_namespace(namespace, 1, MAX_TRANSFER, &ns) == 0) {
			ASSERT_EQ(ns.block_size, 1u << ns.block_shift);
			ASSERT_TRUE(ns.block_shift >= 9 && ns.block_shift <= 16);
			ASSERT_TRUE(ns.num_blocks > 0 && ns.num_blocks <= UINT64_MAX >> ns.block_shift);
		}
	}
}
