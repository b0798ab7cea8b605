// SPDX-License-Identifier: MIT
/* Identify (Base 2.0, 5.17; NVM Command Set 1.0, 4.1.5). */
#include <stdio.h>
#include <string.h>

#include "sim/models/nvme.h"

/* ASCII, padded with blanks, not ended (Base 2.0, 1.4.2.3). */
static void put_text(char *field, size_t len, const char *text)
{
	memset(field, ' ', len);
	memcpy(field, text, strlen(text));
}

/* A name that no other controller has (Base 2.0, 4.5), made of a UUID that says it is made up (version 8). */
static void put_nqn(const struct sim_nvme *n, char *field, size_t len)
{
	snprintf(field, len, "nqn.2014-08.org.nvmexpress:uuid:%08x-%04x-8%03x-8%03x-%012llx",
		 (unsigned int)(n->unique >> 32), (unsigned int)(n->unique >> 16 & 0xffff),
		 (unsigned int)(n->unique & 0xfff), (unsigned int)(n->unique >> 12 & 0xfff),
		 (unsigned long long)(n->unique & 0xffffffffffff));
}

/* The namespace's globally unique identifier. */
static void put_nguid(const struct sim_nvme *n, unsigned char field[16])
{
	unsigned int i;

	for (i = 0; i < 8; i++) {
		field[i] = (unsigned char)(n->unique >> 8 * (7 - i));
		field[8 + i] = (unsigned char)~field[i];
	}
}

/* Names and numbers as QEMU's controller has them, whose PCI identity this is. */
static uint16_t identify_controller(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	struct nvme_id_ctrl id = {
		.vid = htole16(0x1b36),
		.ssvid = htole16(0x1af4),
		.ieee = { 0x00, 0x54, 0x52 },
		.rab = 6,
		.mdts = (uint8_t)n->mdts,
		.ver = htole32(0x00010400),
		.cntrltype = NVME_CTRL_CNTRLTYPE_IO,
		.oaes = htole32(NVME_CTRL_OAES_NA),
		.oacs = htole16(NVME_CTRL_OACS_DBBUF_CFG | NVME_CTRL_OACS_NS_MGMT),
		.acl = 3,
		.aerl = SIM_NVME_MAX_AERS - 1,
		.frmw = NVME_CTRL_FRMW_1ST_RO | 1 << 1,
		.lpa = NVME_CTRL_LPA_EXTENDED,
		.elpe = SIM_NVME_NUM_ERRORS - 1,
		.wctemp = htole16(343),
		.cctemp = htole16(373),
		.sqes = 0x66,
		.cqes = 0x44,
		.nn = htole32(SIM_NVME_NUM_NSIDS),
		.oncs = htole16(NVME_CTRL_ONCS_COMPARE | NVME_CTRL_ONCS_DSM | NVME_CTRL_ONCS_WRITE_ZEROES |
				NVME_CTRL_ONCS_SAVE_FEATURES),
		.sgls = htole32(1), /* of data, anywhere */
		.vwc = NVME_CTRL_VWC_PRESENT | NVME_CTRL_VWC_FLUSH,
		.psd = { { .mp = htole16(2500), .enlat = htole32(16), .exlat = htole32(4) } },
	};

	memcpy(id.sn, n->serial, sizeof(id.sn));
	put_text(id.mn, sizeof(id.mn), "QEMU NVMe Ctrl");
	put_text(id.fr, sizeof(id.fr), "1.0");
	put_nqn(n, id.subnqn, sizeof(id.subnqn));
	return sim_nvme_answer(n, c, &id, sizeof(id));
}

/* A namespace that could exist and does not is all zeros (5.17.2.1). */
static uint16_t identify_namespace(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	struct nvme_id_ns id = { 0 };

	if (c->nsid == 0 || c->nsid > SIM_NVME_NUM_NSIDS)
		return SIM_NVME_GENERIC(NVME_SC_INVALID_NS);
	if (sim_nvme_active(n, c->nsid)) {
		id.nsze = id.ncap = id.nuse = htole64(n->disk.num_blocks);
		id.lbaf[0].ds = n->disk.block_size == 4096 ? 12 : 9;
		id.dlfeat = NVME_NS_DLFEAT_RB_ALL_0S;
		id.nsattr = n->disk.read_only ? NVME_NS_NSATTR_WRITE_PROTECTED : 0;
		put_nguid(n, id.nguid);
	}
	return sim_nvme_answer(n, c, &id, sizeof(id));
}

/* Identifiers of the active namespaces above the one that is given. */
static uint16_t list_namespaces(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	struct nvme_ns_list list = { 0 };

	if (c->nsid >= 0xfffffffe)
		return SIM_NVME_GENERIC(NVME_SC_INVALID_NS);
	if (c->nsid < SIM_NVME_NSID && !n->detached)
		list.ns[0] = htole32(SIM_NVME_NSID);
	return sim_nvme_answer(n, c, &list, sizeof(list));
}

static uint16_t describe_namespace(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	unsigned char list[SIM_NVME_PAGE] = { NVME_NIDT_NGUID, NVME_NIDT_NGUID_LEN };

	if (c->nsid == 0 || c->nsid > SIM_NVME_NUM_NSIDS)
		return SIM_NVME_GENERIC(NVME_SC_INVALID_NS);
	if (!sim_nvme_active(n, c->nsid))
		return SIM_NVME_GENERIC(NVME_SC_INVALID_FIELD);
	put_nguid(n, list + 4);
	return sim_nvme_answer(n, c, list, sizeof(list));
}

uint16_t sim_nvme_identify(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	switch (c->cdw10 & 0xff) {
	case NVME_IDENTIFY_CNS_NS:
		return identify_namespace(n, c);
	case NVME_IDENTIFY_CNS_CTRL:
		return identify_controller(n, c);
	case NVME_IDENTIFY_CNS_NS_ACTIVE_LIST:
		return list_namespaces(n, c);
	case NVME_IDENTIFY_CNS_NS_DESC_LIST:
		return describe_namespace(n, c);
	}
	return SIM_NVME_GENERIC(NVME_SC_INVALID_FIELD);
}
