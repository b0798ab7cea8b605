/* SPDX-License-Identifier: MIT */
#include "nvme_machine.h"

#include <errno.h>
#include <string.h>

#include <weir/irq.h>
#include <weir/region.h>

struct machine machine;

/* Its turn to fail? */
static bool fails(void)
{
	return machine.fail_call > 0 && --machine.fail_call == 0;
}

void machine_reset(void)
{
	stub = (struct stub){
		.fails = fails,
		.class_code = NVME_CLASS_CODE,
		.bar_size = 0x2000,
		.num_msix = 3,
		.irq_error = -EMFILE,
	};
	machine = (struct machine){
		.cap = 7 | 1ull << 24 | 1ull << 37, /* 8 entries, half a second, NVM command set */
		.id_ctrl = { .sqes = 0x66, .cqes = 0x44, .mdts = 2 },
		.num_queues = MACHINE_QUEUES,
		.mute = MACHINE_NO_OPCODE,
		.refused = MACHINE_NO_OPCODE,
		.cmb_address = UINT64_MAX,
	};
	memset(machine.id_ctrl.mn, ' ', sizeof machine.id_ctrl.mn);
	memcpy(machine.id_ctrl.mn, "Machine", 7);
	machine.id_ctrl.nn = htole32(4);
	machine.id_ctrl.rtd3e = htole32(30000);
	machine.id_ns.nsze = htole64(1000);
	machine.id_ns.lbaf[0].ds = 9;
}

bool machine_is_clean(void)
{
	return stub_is_clean() && (machine.gone || machine.never_stops || !NVME_CC_EN(machine.cc)) &&
	       !machine.dma_without_bus_master;
}

/* The controller ----------------------------------------------------------------------------------------- */

static void complete(struct ring *ring, uint16_t qid, const struct nvme_sqe *command, uint32_t result,
		     uint16_t status)
{
	struct nvme_cqe *entry = &ring->cq[ring->cq_tail];
	uint64_t cid = le64toh(command->qword[0]) >> 16 & 0xffff;

	machine.dma_without_bus_master |= !stub.bus_master;
	entry->qword[0] = htole64(result);
	entry->qword[1] = htole64(ring->sq_head | (uint64_t)qid << 16 | cid << 32 |
				  (uint64_t)ring->phase << 48 | (uint64_t)status << 49);
	if (++ring->cq_tail == ring->entries) {
		ring->cq_tail = 0;
		ring->phase ^= 1;
	}
}

static void list_namespaces(uint32_t *page, uint32_t after)
{
	const uint32_t *nsid;

	for (nsid = machine.nsids; nsid && *nsid; nsid++)
		if (*nsid > after)
			*page++ = htole32(*nsid);
}

static uint16_t get_log(const struct nvme_sqe *command, uint32_t cdw10)
{
	if ((cdw10 & 0xff) != NVME_LOG_LID_CHANGED_NS)
		return NVME_SCT_CMD_SPECIFIC << 8 | NVME_SC_INVALID_LOG_PAGE;
	list_namespaces((uint32_t *)(uintptr_t)le64toh(command->qword[3]), 0);
	return NVME_SC_SUCCESS;
}

static uint16_t configure_shadows(const struct nvme_sqe *command)
{
	machine.shadow = (uint32_t *)(uintptr_t)(le64toh(command->qword[3]) + 8);
	machine.event = (uint32_t *)(uintptr_t)(le64toh(command->qword[4]) + 8);
	return NVME_SC_SUCCESS;
}

static void list_secondaries(struct nvme_secondary_ctrl_list *page, uint32_t from)
{
	const struct nvme_secondary_ctrl_list *all = &machine.secondaries;
	uint32_t i;

	if (all->num > NVME_ID_SECONDARY_CTRL_MAX) {
		*page = *all;
		return;
	}
	for (i = 0; i < all->num; i++)
		if (from == 0 || le16toh(all->sc_entry[i].scid) >= from)
			page->sc_entry[page->num++] = all->sc_entry[i];
}

static uint16_t manage_secondary(uint32_t cdw10, uint32_t num, uint32_t *ret_result)
{
	struct nvme_secondary_ctrl *one = NULL;
	__le16 *has;
	uint32_t i;

	if ((cdw10 & 0xf) == NVME_VIRT_MGMT_ACT_PRIM_CTRL_FLEX_ALLOC) {
		if (cdw10 >> 16 != le16toh(machine.id_ctrl.cntlid))
			return NVME_SCT_CMD_SPECIFIC << 8 | NVME_SC_INVALID_CTRL_ID;
		machine.keeps[cdw10 >> 8 & 1] = num;
		return NVME_SC_SUCCESS;
	}
	for (i = 0; i < machine.secondaries.num; i++)
		if (le16toh(machine.secondaries.sc_entry[i].scid) == cdw10 >> 16)
			one = &machine.secondaries.sc_entry[i];
	if (!one)
		return NVME_SCT_CMD_SPECIFIC << 8 | NVME_SC_INVALID_CTRL_ID;
	has = (cdw10 >> 8 & 7) == NVME_VIRT_MGMT_RT_VI_RESOURCE ? &one->nvi : &one->nvq;
	switch (cdw10 & 0xf) {
	case NVME_VIRT_MGMT_ACT_OFFLINE_SEC_CTRL:
		one->scs = 0;
		return NVME_SC_SUCCESS;
	case NVME_VIRT_MGMT_ACT_ONLINE_SEC_CTRL:
		if (le16toh(one->nvq) < 2 || one->nvi == 0)
			return NVME_SCT_CMD_SPECIFIC << 8 | NVME_SC_INVALID_SEC_CTRL_STATE;
		one->scs = 1;
		return NVME_SC_SUCCESS;
	case NVME_VIRT_MGMT_ACT_ASSIGN_SEC_CTRL:
		if (one->scs)
			return NVME_SCT_CMD_SPECIFIC << 8 | NVME_SC_INVALID_SEC_CTRL_STATE;
		if (num > machine.spare)
			return NVME_SCT_CMD_SPECIFIC << 8 | NVME_SC_INVALID_CTRL_RESOURCES;
		*ret_result = num < machine.stint ? 0 : num - machine.stint;
		*has = htole16((uint16_t)*ret_result);
		return NVME_SC_SUCCESS;
	}
	return NVME_SC_INVALID_FIELD;
}

static uint16_t identify(const struct nvme_sqe *command, uint32_t cdw10)
{
	void *page = (void *)(uintptr_t)le64toh(command->qword[3]);

	if ((cdw10 & 0xff) == NVME_IDENTIFY_CNS_SECONDARY_CTRL_LIST)
		list_secondaries(page, cdw10 >> 16);
	else if ((cdw10 & 0xff) == NVME_IDENTIFY_CNS_NS_ACTIVE_LIST)
		list_namespaces(page, (uint32_t)(le64toh(command->qword[0]) >> 32));
	else if ((cdw10 & 0xff) == NVME_IDENTIFY_CNS_CTRL)
		memcpy(page, &machine.id_ctrl, sizeof machine.id_ctrl);
	else if (le64toh(command->qword[0]) >> 32 == 1)
		memcpy(page, &machine.id_ns, sizeof machine.id_ns);
	return NVME_SC_SUCCESS; /* another namespace: zeros */
}

/* A queue is made with what is known of it so far; both commands name its size. */
static uint16_t create(const struct nvme_sqe *command, uint32_t cdw10, bool completion)
{
	uint32_t qid = cdw10 & 0xffff;
	struct ring *ring = &machine.rings[qid];
	uint64_t iova = le64toh(command->qword[3]);
	void *memory = (void *)(uintptr_t)iova;

	if (iova - machine.cmb_address < sizeof machine.cmb_ram)
		memory = machine.cmb_ram + (iova - machine.cmb_address);
	if (qid == 0 || qid > machine.num_queues)
		return NVME_SCT_CMD_SPECIFIC << 8 | NVME_SC_QID_INVALID;
	if (completion) {
		*ring = (struct ring){ .cq = memory, .entries = (cdw10 >> 16) + 1, .phase = 1 };
		return NVME_SC_SUCCESS;
	}
	if (!ring->cq)
		return NVME_SCT_CMD_SPECIFIC << 8 | NVME_SC_CQ_INVALID;
	ring->sq = memory;
	return NVME_SC_SUCCESS;
}

static uint16_t remove_queue(uint32_t qid, bool completion)
{
	struct ring *ring = &machine.rings[qid % (MACHINE_QUEUES + 1)];

	if (completion && ring->sq)
		return NVME_SCT_CMD_SPECIFIC << 8 | NVME_SC_INVALID_QUEUE;
	if (completion)
		ring->cq = NULL;
	ring->sq = NULL;
	return NVME_SC_SUCCESS;
}

static uint16_t move_data(void *page, bool to_controller)
{
	memcpy(to_controller ? machine.data : page, to_controller ? page : machine.data, sizeof machine.data);
	return NVME_SC_SUCCESS;
}

static void admin(struct ring *ring, const struct nvme_sqe *command)
{
	uint32_t cdw10 = (uint32_t)le64toh(command->qword[5]), result = 0;
	unsigned int opcode = le64toh(command->qword[0]) & 0xff;
	uint16_t status = NVME_SC_INVALID_OPCODE;

	machine.last_admin = *command;
	if (opcode == machine.mute)
		return;
	if (opcode == nvme_admin_async_event) {
		if (machine.num_aers < 8)
			machine.aers[machine.num_aers++] = le64toh(command->qword[0]) >> 16 & 0xffff;
		return;
	}
	if (opcode == machine.refused)
		status = machine.refusal;
	else if (opcode == nvme_admin_identify)
		status = identify(command, cdw10);
	else if (opcode == nvme_admin_set_features || opcode == nvme_admin_abort_cmd)
		status = NVME_SC_SUCCESS;
	else if (opcode == nvme_admin_create_cq || opcode == nvme_admin_create_sq)
		status = create(command, cdw10, opcode == nvme_admin_create_cq);
	else if (opcode == nvme_admin_delete_cq || opcode == nvme_admin_delete_sq)
		status = remove_queue(cdw10, opcode == nvme_admin_delete_cq);
	else if (opcode == nvme_admin_get_log_page)
		status = get_log(command, cdw10);
	else if (opcode == nvme_admin_dbbuf)
		status = configure_shadows(command);
	else if (opcode == nvme_admin_virtual_mgmt)
		status = manage_secondary(cdw10, (uint32_t)(le64toh(command->qword[5]) >> 32), &result);
	else if (opcode == nvme_admin_get_features || opcode == nvme_admin_ns_attach)
		status = move_data((void *)(uintptr_t)le64toh(command->qword[3]),
				   opcode == nvme_admin_ns_attach);
	if (opcode == nvme_admin_abort_cmd) {
		machine.last_abort = cdw10;
		result = machine.abort_in_vain;
	}
	if (opcode == nvme_admin_get_features)
		result = 0x12345678;
	if (opcode == nvme_admin_set_features && (cdw10 & 0xff) == NVME_FEAT_FID_NUM_QUEUES)
		result = (machine.num_queues - 1) << 16 | (machine.num_queues - 1);
	complete(ring, 0, command, result, status);
}

bool machine_event(uint32_t dword0)
{
	struct nvme_sqe command = { .qword = { htole64((uint64_t)machine.aers[0] << 16) } };

	if (machine.num_aers == 0)
		return false;
	memmove(machine.aers, machine.aers + 1, --machine.num_aers * sizeof machine.aers[0]);
	complete(&machine.rings[0], 0, &command, dword0, NVME_SC_SUCCESS);
	return true;
}

static void carry_out(struct ring *ring, uint16_t qid, const struct nvme_sqe *command)
{
	machine.tags_seen[machine.num_carried++ % 4] = le64toh(command->qword[5]);
	complete(ring, qid, command, 0, machine.io_status);
}

/* A submission doorbell: what is new is carried out before the store has come back. */
static void ring_doorbell(uint32_t qid, uint32_t tail)
{
	struct ring *ring = &machine.rings[qid];

	while (ring->sq && ring->sq_head != tail) {
		struct nvme_sqe command = ring->sq[ring->sq_head];

		ring->sq_head = (ring->sq_head + 1) % ring->entries;
		if (qid == 0)
			admin(ring, &command);
		else if (!machine.io_mute)
			carry_out(ring, (uint16_t)qid, &command);
	}
}

void machine_poll(void)
{
	uint32_t tail = le32toh(*machine.shadow);

	if (machine.rings[1].sq)
		ring_doorbell(1, tail);
	*machine.event = htole32(tail);
}

static void write_cc(uint32_t value)
{
	bool was_enabled = NVME_CC_EN(machine.cc);

	machine.cc = value;
	machine.shut_down_seen |= NVME_CC_SHN(value) == NVME_CC_SHN_NORMAL;
	if (!NVME_CC_EN(value)) {
		machine.csts_rdy = machine.never_stops ? machine.csts_rdy : 0;
		memset(machine.rings, 0, sizeof machine.rings);
		machine.num_aers = 0;
		machine.shadow = NULL;
	} else if (!was_enabled && !machine.never_ready && !machine.fatal) {
		machine.csts_rdy = 1;
		machine.num_enabled++;
		machine.rings[0] = (struct ring){
			.sq = (struct nvme_sqe *)(uintptr_t)machine.asq,
			.cq = (struct nvme_cqe *)(uintptr_t)machine.acq,
			.entries = (machine.aqa & 0xfff) + 1,
			.phase = 1,
		};
	}
}

static uint32_t csts(void)
{
	uint32_t value = machine.csts_rdy | (machine.fatal ? NVME_CSTS_CFS_MASK << NVME_CSTS_CFS_SHIFT : 0);

	if (NVME_CC_SHN(machine.cc) && !machine.never_shuts_down)
		value |= NVME_CSTS_SHST_CMPLT << NVME_CSTS_SHST_SHIFT;
	return value;
}

static uint32_t read_cmb(uint64_t offset)
{
	bool shown = NVME_CMBMSC_CRE(machine.cmbmsc);

	switch (offset) {
	case NVME_REG_CMBLOC:
		return shown ? machine.cmbloc : 0;
	case NVME_REG_CMBSZ:
		return shown ? machine.cmbsz : 0;
	case NVME_REG_CMBMSC:
		return (uint32_t)machine.cmbmsc;
	case NVME_REG_CMBSTS:
		return NVME_CMBMSC_CMSE(machine.cmbmsc) && machine.refuses_address;
	}
	return 0;
}

/* The address counts at the moment when the lower half is written. */
static void write_cmbmsc(void)
{
	machine.cmb_address =
		NVME_CMBMSC_CMSE(machine.cmbmsc) ? machine.cmbmsc & ~(uint64_t)NVME_PAGE_MASK : UINT64_MAX;
}

/* weir --------------------------------------------------------------------------------------------------- */

int weir_region_read32(struct weir_region *region, uint64_t offset, uint32_t *ret_value)
{
	(void)region;
	if (fails())
		return -EIO;
	if (machine.gone)
		*ret_value = UINT32_MAX;
	else if (offset == NVME_REG_CAP)
		*ret_value = (uint32_t)machine.cap;
	else if (offset == NVME_REG_CAP + 4)
		*ret_value = (uint32_t)(machine.cap >> 32);
	else if (offset == NVME_REG_VS)
		*ret_value = 0x00010400;
	else if (offset == NVME_REG_CC)
		*ret_value = machine.cc;
	else if (offset == NVME_REG_CSTS)
		*ret_value = csts();
	else if (offset == NVME_REG_AQA)
		*ret_value = machine.aqa;
	else if (offset == NVME_REG_ASQ || offset == NVME_REG_ASQ + 4)
		*ret_value = (uint32_t)(machine.asq >> (offset == NVME_REG_ASQ ? 0 : 32));
	else if (offset == NVME_REG_ACQ || offset == NVME_REG_ACQ + 4)
		*ret_value = (uint32_t)(machine.acq >> (offset == NVME_REG_ACQ ? 0 : 32));
	else
		*ret_value = read_cmb(offset);
	return 0;
}

static void set_half(uint64_t *value, bool upper, uint32_t half)
{
	*value = upper ? (*value & UINT32_MAX) | (uint64_t)half << 32
		       : (*value & ~(uint64_t)UINT32_MAX) | half;
}

int weir_region_write32(struct weir_region *region, uint64_t offset, uint32_t value)
{
	(void)region;
	if (fails())
		return -EIO;
	if (machine.gone)
		return 0;
	if (offset == NVME_REG_CC)
		write_cc(value);
	else if (offset == NVME_REG_AQA)
		machine.aqa = value;
	else if (offset == NVME_REG_ASQ || offset == NVME_REG_ASQ + 4)
		set_half(&machine.asq, offset != NVME_REG_ASQ, value);
	else if (offset == NVME_REG_ACQ || offset == NVME_REG_ACQ + 4)
		set_half(&machine.acq, offset != NVME_REG_ACQ, value);
	else if (offset == NVME_REG_CMBMSC || offset == NVME_REG_CMBMSC + 4)
		set_half(&machine.cmbmsc, offset != NVME_REG_CMBMSC, value);
	else if (offset >= NVME_DOORBELLS && offset % 8 == 0)
		machine.num_rings += offset > NVME_DOORBELLS;
	if (offset >= NVME_DOORBELLS && offset % 8 == 0)
		ring_doorbell((uint32_t)(offset - NVME_DOORBELLS) / 8, value);
	if (offset == NVME_REG_CMBMSC)
		write_cmbmsc();
	return 0;
}

/* Its memory buffer, which begins at the second MiB of BAR 2. */
int weir_region_write64(struct weir_region *region, uint64_t offset, uint64_t value)
{
	if (fails() || region == stub_region())
		return -EIO;
	value = htole64(value);
	memcpy(machine.cmb_ram + (offset - (1u << 20)), &value, sizeof value);
	return 0;
}

int weir_region_map(struct weir_region *region, void **ret_addr, uint64_t *ret_len)
{
	(void)region;
	(void)ret_addr;
	(void)ret_len;
	return -EOPNOTSUPP; /* or it would not see its doorbells */
}

/* What there is to complete has completed when the doorbell was rung: there is nothing to wait for. */
int weir_irq_wait(struct weir_irq *irq, uint32_t vector, int timeout_ms, uint64_t *ret_count)
{
	(void)irq;
	(void)ret_count;
	(void)timeout_ms;
	return vector < stub.num_vectors ? -ETIMEDOUT : -EINVAL;
}
