/* SPDX-License-Identifier: MIT */
/*
 * What travels through memory between host and controller, and is not in libnvme's types.h: the two queue
 * entries. Internal.
 */
#ifndef NVME_SPEC_H
#define NVME_SPEC_H

#include <endian.h>
#include <stdint.h>

#include <nvme/types.h>

#define NVME_PAGE_SIZE  4096u
#define NVME_PAGE_MASK  (NVME_PAGE_SIZE - 1)
#define NVME_PAGE_SHIFT 12

/* Where the doorbells begin in BAR 0 (NVMe over PCIe Transport 1.0, 3.1.2). */
#define NVME_DOORBELLS 0x1000u

/*
 * Submission queue entry: 64 bytes, as eight little-endian quadwords, for they are written as such (Base 2.0,
 * 3.3.3.1):
 *   0  opcode 7:0, flags 15:8, command identifier 31:16, namespace 63:32
 *   1  dwords 2 and 3    2  metadata pointer    3  PRP entry 1    4  PRP entry 2
 *   5  dwords 10 and 11  6  dwords 12 and 13    7  dwords 14 and 15
 */
struct nvme_sqe {
	uint64_t qword[8];
} __attribute__((aligned(64)));

/*
 * Completion queue entry: 16 bytes (Base 2.0, 3.3.3.2). The second quadword holds all that tells whether an
 * entry is new and whose it is, so that one load sees it whole:
 *   0  dword 0 (the command's own result) and dword 1
 *   1  submission queue head 15:0, submission queue identifier 31:16, command identifier 47:32, phase 48,
 *      status 63:49
 */
struct nvme_cqe {
	uint64_t qword[2];
} __attribute__((aligned(16)));

#define NVME_SQE_SGL 0x4000u /* in qword 0: the data is described by an SGL (PSDT) */

/*
 * SGL descriptors (Base 2.0, 4.1.2): 16 bytes, as two quadwords: the address; the length, and in bits 63:56 what it is. A data block is 0.
 */
struct nvme_sgl_descriptor {
	uint64_t qword[2];
};

#define NVME_SGL_LAST_SEGMENT (3ull << 60)

/* Command Aborted By Host: no controller says this of a command that was carried out or not; here, the host's own word for "in doubt". */
#define NVME_STATUS_IN_DOUBT (NVME_SCT_PATH << NVME_SCT_SHIFT | NVME_SC_CMD_ABORTED_BY_HOST)

static inline uint16_t nvme_cqe_sqid(uint64_t qword1)
{
	return (uint16_t)(qword1 >> 16);
}

static inline uint16_t nvme_cqe_cid(uint64_t qword1)
{
	return (uint16_t)(qword1 >> 32);
}

static inline unsigned int nvme_cqe_phase(uint64_t qword1)
{
	return (qword1 >> 48) & 1;
}

static inline uint16_t nvme_cqe_status(uint64_t qword1)
{
	return (uint16_t)(qword1 >> 49);
}

#endif
