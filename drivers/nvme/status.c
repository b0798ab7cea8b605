/* SPDX-License-Identifier: MIT */
/* What a completion's status means (Base 2.0, 3.3.3.2.1; NVM Command Set 1.0, 3.1.2). */
#include <errno.h>
#include <stddef.h>

#include "nvme/nvme.h"
#include "nvme/spec.h"

#define GENERIC(code)  (NVME_SCT_GENERIC << NVME_SCT_SHIFT | (code))
#define SPECIFIC(code) (NVME_SCT_CMD_SPECIFIC << NVME_SCT_SHIFT | (code))
#define MEDIA(code)    (NVME_SCT_MEDIA << NVME_SCT_SHIFT | (code))
#define PATH(code)     (NVME_SCT_PATH << NVME_SCT_SHIFT | (code))

#define CODE_MASK (NVME_SCT_MASK << NVME_SCT_SHIFT | NVME_SC_MASK)

static const struct {
	uint16_t status;
	int error;
	const char *text;
} meanings[] = {
	{ GENERIC(NVME_SC_SUCCESS), 0, "success" },
	{ GENERIC(NVME_SC_INVALID_OPCODE), -EOPNOTSUPP, "invalid opcode" },
	{ GENERIC(NVME_SC_INVALID_FIELD), -EINVAL, "invalid field in command" },
	{ GENERIC(NVME_SC_CMDID_CONFLICT), -EPROTO, "command identifier conflict" },
	{ GENERIC(NVME_SC_DATA_XFER_ERROR), -EFAULT, "data transfer error" },
	{ GENERIC(NVME_SC_POWER_LOSS), -ESHUTDOWN, "aborted: power loss" },
	{ GENERIC(NVME_SC_INTERNAL), -EIO, "internal error" },
	{ GENERIC(NVME_SC_ABORT_REQ), -ECANCELED, "aborted on request" },
	{ GENERIC(NVME_SC_ABORT_QUEUE), -ECANCELED, "aborted: queue deleted" },
	{ GENERIC(NVME_SC_INVALID_NS), -ENOENT, "no such namespace" },
	{ GENERIC(NVME_SC_CMD_SEQ_ERROR), -EINVAL, "command sequence error" },
	{ GENERIC(NVME_SC_PRP_INVALID_OFFSET), -EINVAL, "invalid PRP offset" },
	{ GENERIC(NVME_SC_OP_DENIED), -EACCES, "operation denied" },
	{ GENERIC(NVME_SC_SANITIZE_FAILED), -EIO, "last sanitize failed" },
	{ GENERIC(NVME_SC_SANITIZE_IN_PROGRESS), -EAGAIN, "sanitize in progress" },
	{ GENERIC(NVME_SC_NS_WRITE_PROTECTED), -EROFS, "namespace is write protected" },
	{ GENERIC(NVME_SC_CMD_INTERRUPTED), -EAGAIN, "interrupted: try again" },
	{ GENERIC(NVME_SC_LBA_RANGE), -ERANGE, "LBA out of range" },
	{ GENERIC(NVME_SC_CAP_EXCEEDED), -ENOSPC, "capacity exceeded" },
	{ GENERIC(NVME_SC_NS_NOT_READY), -EAGAIN, "namespace not ready" },
	{ GENERIC(NVME_SC_RESERVATION_CONFLICT), -EBUSY, "reservation conflict" },
	{ GENERIC(NVME_SC_FORMAT_IN_PROGRESS), -EBUSY, "format in progress" },
	{ SPECIFIC(NVME_SC_CQ_INVALID), -EINVAL, "invalid completion queue" },
	{ SPECIFIC(NVME_SC_QID_INVALID), -EINVAL, "invalid queue identifier" },
	{ SPECIFIC(NVME_SC_QUEUE_SIZE), -ERANGE, "invalid queue size" },
	{ SPECIFIC(NVME_SC_INVALID_VECTOR), -EINVAL, "invalid interrupt vector" },
	{ SPECIFIC(NVME_SC_INVALID_QUEUE), -EINVAL, "invalid queue deletion" },
	{ SPECIFIC(NVME_SC_BAD_ATTRIBUTES), -EINVAL, "conflicting attributes" },
	{ SPECIFIC(NVME_SC_INVALID_CTRL_ID), -EINVAL, "invalid controller identifier" },
	{ SPECIFIC(NVME_SC_INVALID_SEC_CTRL_STATE), -EINVAL, "invalid secondary controller state" },
	{ SPECIFIC(NVME_SC_INVALID_CTRL_RESOURCES), -EINVAL, "invalid number of controller resources" },
	{ SPECIFIC(NVME_SC_INVALID_RESOURCE_ID), -EINVAL, "invalid resource identifier" },
	{ SPECIFIC(NVME_SC_INVALID_PI), -EINVAL, "invalid protection information" },
	{ SPECIFIC(NVME_SC_READ_ONLY), -EROFS, "write to read-only range" },
	{ MEDIA(NVME_SC_WRITE_FAULT), -EIO, "write fault" },
	{ MEDIA(NVME_SC_READ_ERROR), -EIO, "unrecovered read error" },
	{ MEDIA(NVME_SC_GUARD_CHECK), -EILSEQ, "guard check failed" },
	{ MEDIA(NVME_SC_APPTAG_CHECK), -EILSEQ, "application tag check failed" },
	{ MEDIA(NVME_SC_REFTAG_CHECK), -EILSEQ, "reference tag check failed" },
	{ MEDIA(NVME_SC_COMPARE_FAILED), -EBADMSG, "compare failed" },
	{ MEDIA(NVME_SC_ACCESS_DENIED), -EACCES, "access denied" },
	{ MEDIA(NVME_SC_UNWRITTEN_BLOCK), -ENODATA, "deallocated or unwritten block" },
	{ PATH(NVME_SC_ANA_INTERNAL_PATH_ERROR), -EIO, "internal path error" },
	{ PATH(NVME_SC_ANA_PERSISTENT_LOSS), -EIO, "path persistently lost" },
	{ PATH(NVME_SC_ANA_INACCESSIBLE), -EIO, "path inaccessible" },
	{ PATH(NVME_SC_ANA_TRANSITION), -EAGAIN, "path in transition" },
	{ PATH(NVME_SC_CTRL_PATH_ERROR), -EIO, "controller pathing error" },
	{ NVME_STATUS_IN_DOUBT, -ECONNRESET, "in doubt: the controller was reset while it was on its way" },
};

static ptrdiff_t find(uint16_t status)
{
	size_t i;

	for (i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
		if (meanings[i].status == (status & CODE_MASK))
			return (ptrdiff_t)i;
	return -1;
}

int nvme_status_error(uint16_t status)
{
	ptrdiff_t i = find(status);

	return i < 0 ? -EIO : meanings[i].error;
}

bool nvme_status_may_retry(uint16_t status)
{
	return nvme_status_error(status) < 0 && !(status & NVME_SC_DNR);
}

const char *nvme_status_text(uint16_t status)
{
	ptrdiff_t i = find(status);

	if (i >= 0)
		return meanings[i].text;
	switch (status >> NVME_SCT_SHIFT & NVME_SCT_MASK) {
	case NVME_SCT_GENERIC:
		return "unknown generic status";
	case NVME_SCT_CMD_SPECIFIC:
		return "unknown command specific status";
	case NVME_SCT_MEDIA:
		return "unknown media error";
	case NVME_SCT_PATH:
		return "unknown path error";
	case NVME_SCT_VS:
		return "vendor specific status";
	}
	return "status of a reserved type";
}
