// SPDX-License-Identifier: MIT
/*
 * What the broker keeps.
 *
 * The nodes belong to root, modes 0600 and 0660. Two identities can open them without further help:
 *
 *   user 0 without any capability: the owner's permission bits let it in. Nothing else is left to it but the
 *   files of root; it can load no module, mount nothing, bypass no permission, and signal nobody else's
 *   processes.
 *
 *   another user with CAP_DAC_OVERRIDE, which opens every file of the machine whoever owns it.
 *   (CAP_DAC_READ_SEARCH would not do: the nodes are opened for writing.)
 *
 * The first is less, so whoever starts the broker as root gets that. Started as another user, the broker
 * keeps CAP_DAC_OVERRIDE if it was given it; without it, the administrator has given the nodes to that user
 * by a udev rule, which is the least of all. Nothing in a broker's work needs more: binding the socket
 * precedes this, and IOMMU-less groups, whose opening takes CAP_SYS_RAWIO, are never given out.
 */
#include "privilege.h"

#include "report.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CAP_NONE (-1)

static int refuse(int error, const char *what)
{
	report(LOG_ERR, "%s: not starting", what);
	return error;
}

/* The kernel's own word on what is left, not the library's. */
static bool nothing_left_but(int keep)
{
	if (capng_get_caps_process() < 0)
		return false;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		unsigned int which = (unsigned int)cap;

		if (capng_have_capability(CAPNG_INHERITABLE, which) ||
		    capng_have_capability(CAPNG_AMBIENT, which))
			return false;
		if (cap != keep && (capng_have_capability(CAPNG_EFFECTIVE, which) ||
				    capng_have_capability(CAPNG_PERMITTED, which)))
			return false;
	}
	return true;
}

static bool bounding_set_is_empty(void)
{
	int set, cap = 0;

	while ((set = prctl(PR_CAPBSET_READ, cap, 0, 0, 0)) == 0)
		cap++;
	return set < 0;
}

int privilege_drop(void)
{
	bool may_bound;
	int keep = CAP_NONE;

	/* With a setuid bit or file capabilities, any user could run it with an allow list of his own. */
	if (getauxval(AT_SECURE))
		return refuse(-EPERM, "the broker may not be setuid, setgid or have file capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return refuse(-errno, "no_new_privs cannot be set");
	if (capng_get_caps_process() < 0)
		return refuse(-EPERM, "the capabilities of this process cannot be read");
	may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	if (geteuid() && capng_have_capability(CAPNG_PERMITTED, CAP_DAC_OVERRIDE))
		keep = CAP_DAC_OVERRIDE;

	capng_clear(CAPNG_SELECT_ALL);
	if (keep != CAP_NONE)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, (unsigned int)keep);
	/* The bounding set takes CAP_SETPCAP. Who has not got it is held by no_new_privs: nothing it executes
	 * gains any. */
	if (capng_apply(may_bound ? CAPNG_SELECT_ALL : CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT) < 0)
		return refuse(-EPERM, "capabilities cannot be dropped");
	if (!nothing_left_but(keep) || (may_bound && !bounding_set_is_empty()))
		return refuse(-EPERM, "capabilities are left that should have been dropped");
	return 0;
}
