/* SPDX-License-Identifier: MIT */
#include "privileges.h"

#include <cap-ng.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

int privileges_drop(void)
{
	struct privileges left = { 0 };
	capng_select_t sets = CAPNG_SELECT_CAPS;
	int r;

	/*
	 * The bounding set can only be reduced by who has CAP_SETPCAP; without, there is nothing it could let
	 * back in.
	 */
	if (capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
		sets = CAPNG_SELECT_BOTH;
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_AMBIENT) < 0 || capng_apply(sets) < 0)
		return -EPERM;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	/* Believe the kernel, not the calls above. */
	r = privileges_read(&left);
	if (r < 0)
		return r;
	return left.effective || left.permitted || left.inheritable || left.ambient || !left.no_new_privs
		       ? -EPERM
		       : 0;
}

int privileges_read(struct privileges *ret_privileges)
{
	struct privileges found = { 0 };
	unsigned int no_new_privs = 0;
	bool seen = false;
	char line[256];
	FILE *status = fopen("/proc/self/status", "re");

	if (!status)
		return -errno;
	while (fgets(line, sizeof line, status)) {
		seen |= sscanf(line, "CapEff: %" SCNx64, &found.effective) == 1;
		sscanf(line, "CapPrm: %" SCNx64, &found.permitted);
		sscanf(line, "CapInh: %" SCNx64, &found.inheritable);
		sscanf(line, "CapBnd: %" SCNx64, &found.bounding);
		sscanf(line, "CapAmb: %" SCNx64, &found.ambient);
		sscanf(line, "NoNewPrivs: %u", &no_new_privs);
	}
	fclose(status);
	if (!seen)
		return -ENODATA;
	found.no_new_privs = no_new_privs != 0;
	*ret_privileges = found;
	return 0;
}

int privileges_give_up(struct privileges *ret_left)
{
	int r = privileges_drop();

	if (r == 0 && ret_left)
		r = privileges_read(ret_left);
	if (r < 0)
		warnx("privileges could not be dropped: %s", strerror(-r));
	return r;
}
