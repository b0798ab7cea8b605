/* SPDX-License-Identifier: MIT */
#include "nvme/error.h"
#include "nvme/nvme.h"

_Thread_local char nvme_detail[DETAIL_SIZE];

const char *nvme_error(void)
{
	return nvme_detail;
}
