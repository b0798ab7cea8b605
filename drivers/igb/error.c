// SPDX-License-Identifier: MIT
#include "igb/error.h"
#include "igb/igb.h"

_Thread_local char igb_detail[DETAIL_SIZE];

const char *igb_error(void)
{
	return igb_detail;
}
