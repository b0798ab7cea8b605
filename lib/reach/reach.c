// SPDX-License-Identifier: MIT
/* Two paths, and what comes of it. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/host.h"
#include "reach/path.h"

const char *weir_reach_verdict_name(enum weir_reach_verdict verdict)
{
	switch (verdict) {
	case WEIR_REACH_UNKNOWN:
		break;
	case WEIR_REACH_NOT:
		return "not";
	case WEIR_REACH_THROUGH_IOMMU:
		return "through-iommu";
	case WEIR_REACH_DIRECT:
		return "direct";
	}
	return "unknown";
}

struct question {
	const struct weir_sys *sys;
	struct weir_path from, to;
	unsigned int shared; /* steps from the root that both have in common */
	struct weir_reach reach;
};

/* The ports ------------------------------------------------------------------------------------------------------- */

static bool is_known(const struct weir_pci_config *config)
{
	return config->responds && config->complete;
}

static enum weir_port_kind port_kind(const struct weir_pci_config *config)
{
	if (!is_known(config))
		return WEIR_PORT_UNKNOWN;
	switch (config->kind) {
	case WEIR_PCI_ROOT_PORT:
		return WEIR_PORT_ROOT;
	case WEIR_PCI_UPSTREAM_PORT:
		return WEIR_PORT_UPSTREAM;
	case WEIR_PCI_DOWNSTREAM_PORT:
		return WEIR_PORT_DOWNSTREAM;
	default:
		return WEIR_PORT_BRIDGE;
	}
}

static void add_port(struct question *q, const struct weir_path_step *step, bool shared)
{
	struct weir_reach_port *port = &q->reach.ports[q->reach.num_ports++];

	memcpy(port->address, step->address, sizeof(port->address));
	port->kind = port_kind(&step->config);
	port->known = is_known(&step->config);
	port->has_acs = step->config.has_acs;
	port->acs = step->config.acs & (WEIR_ACS_REQUEST_REDIRECT | WEIR_ACS_COMPLETION_REDIRECT |
					WEIR_ACS_UPSTREAM_FORWARDING | WEIR_ACS_EGRESS_CONTROL);
	port->shared = shared;
}

static int list_ports(struct question *q)
{
	unsigned int ports = q->from.num + q->to.num - 2 - q->shared;

	if (q->shared == q->from.num || q->shared == q->to.num)
		return 0; /* one is above the other, or both are one */
	if (ports > WEIR_REACH_PORTS)
		return weir_fail(-E2BIG, "%u ports lie between %s and %s; there is room for %d", ports,
				 q->from.steps[q->from.num - 1].address, q->to.steps[q->to.num - 1].address,
				 WEIR_REACH_PORTS);
	for (unsigned int i = q->from.num - 1; i-- > 0;)
		add_port(q, &q->from.steps[i], i < q->shared);
	for (unsigned int i = q->shared; i + 1 < q->to.num; i++)
		add_port(q, &q->to.steps[i], false);
	if (q->shared)
		memcpy(q->reach.upstream, q->from.steps[q->shared - 1].address, sizeof(q->reach.upstream));
	return 0;
}

/* Where the two meet ----------------------------------------------------------------------------------------------- */

enum meeting { AT_ROOT, IN_SWITCH, IN_DEVICE, ON_BUS, SOMEWHERE };

static bool same_slot(const struct weir_path_step *a, const struct weir_path_step *b)
{
	size_t len = (size_t)(strrchr(a->address, '.') - a->address);

	return !strncmp(a->address, b->address, len + 1);
}

static enum meeting meeting_of(const struct question *q)
{
	const struct weir_pci_config *bridge;

	/* Functions of one slot of the root bus, root ports among them, are one device. */
	if (!q->shared)
		return !strcmp(q->from.root, q->to.root) && same_slot(&q->from.steps[0], &q->to.steps[0])
			       ? IN_DEVICE
			       : AT_ROOT;
	bridge = &q->from.steps[q->shared - 1].config;
	if (!is_known(bridge))
		return SOMEWHERE;
	switch (bridge->kind) {
	case WEIR_PCI_UPSTREAM_PORT:
		return IN_SWITCH;
	/* At the end of a link there is one device, whatever slots its functions claim to be in. */
	case WEIR_PCI_ROOT_PORT:
	case WEIR_PCI_DOWNSTREAM_PORT:
	case WEIR_PCI_FROM_PCI_BRIDGE:
		return IN_DEVICE;
	case WEIR_PCI_TO_PCI_BRIDGE:
	case WEIR_PCI_CONVENTIONAL:
		return ON_BUS;
	default:
		return SOMEWHERE;
	}
}

__attribute__((format(printf, 3, 4))) static void
conclude(struct question *q, enum weir_reach_verdict verdict, const char *format, ...)
{
	va_list args;

	q->reach.verdict = verdict;
	va_start(args, format);
	vsnprintf(q->reach.reason, sizeof(q->reach.reason), format, args);
	va_end(args);
}

/* They meet below the root, in one IOMMU group. */
static void judge_neighbours(struct question *q, enum meeting meeting, const char *root)
{
	const struct weir_path_step *entry = &q->from.steps[q->shared];
	const char *upstream = q->reach.upstream;

	if (meeting == ON_BUS) {
		q->reach.flags |= WEIR_REACH_BESIDE_IOMMU;
		conclude(q, WEIR_REACH_DIRECT,
			 "both are on the PCI bus below %s, where no request is redirected: bus addresses "
			 "pass "
			 "beside the IOMMU; else %s",
			 upstream, root);
	} else if (meeting == SOMEWHERE || !is_known(&entry->config)) {
		q->reach.flags |= WEIR_REACH_ACS_UNKNOWN;
		conclude(q, WEIR_REACH_UNKNOWN,
			 "whether %s redirects requests (ACS) cannot be read: CAP_SYS_ADMIN may be missing, "
			 "or it "
			 "does not respond; else %s",
			 meeting == SOMEWHERE ? upstream : entry->address, root);
	} else if (entry->config.acs & WEIR_PCI_ACS_REQUEST_REDIRECT) {
		conclude(q, q->reach.by_root, "%s redirects requests to the root (ACS); %s", entry->address,
			 root);
	} else {
		q->reach.flags |= WEIR_REACH_BESIDE_IOMMU;
		conclude(q, WEIR_REACH_DIRECT,
			 "ACS redirect is off at %s, %s %s: bus addresses pass beside the IOMMU; else %s",
			 entry->address, meeting == IN_SWITCH ? "below the switch" : "a function of a device",
			 meeting == IN_SWITCH ? upstream : "with several", root);
	}
}

static bool kept_apart(const struct question *q)
{
	return q->from.grouped && q->to.grouped && q->from.group != q->to.group;
}

static int judge_pair(struct question *q)
{
	enum meeting meeting = meeting_of(q);
	char root[WEIR_ROOT_REASON_SIZE];
	int error = weir_root_judge(q->sys, &q->from, &q->to, &q->reach.by_root, root);

	if (error)
		return error;
	if (!q->from.grouped) {
		q->reach.by_root = WEIR_REACH_UNKNOWN;
		snprintf(root, sizeof(root), "%s has no IOMMU that could translate",
			 q->from.steps[q->from.num - 1].address);
	}
	if (meeting == AT_ROOT)
		conclude(q, q->reach.by_root, "they meet at the root; %s", root);
	else if (kept_apart(q))
		conclude(q, q->reach.by_root, "the kernel keeps them apart, in IOMMU groups %u and %u; %s",
			 q->from.group, q->to.group, root);
	else
		judge_neighbours(q, meeting, root);
	return 0;
}

/* The question ----------------------------------------------------------------------------------------------------- */

static int has_window(const struct weir_sys *sys, const char *address, bool *ret_has)
{
	struct weir_pci_resource resources[WEIR_PCI_RESOURCES];
	unsigned int num = 0;
	int error = weir_sysfs_memory(sys, address, resources, &num);

	*ret_has = num && resources[0].line < WEIR_PCI_BARS;
	return error ? weir_reach_explain(address, "resource", error) : 0;
}

static int answer(struct question *q, const char *from, const char *to)
{
	bool window;
	int error = weir_path_read(q->sys, from, &q->from);

	if (!error)
		error = weir_path_read(q->sys, to, &q->to);
	if (!error)
		error = has_window(q->sys, to, &window);
	if (error)
		return error;
	q->shared = weir_path_shared(&q->from, &q->to);
	if (q->from.grouped && q->to.grouped && q->from.group == q->to.group)
		q->reach.flags |= WEIR_REACH_SAME_GROUP;
	error = list_ports(q);
	if (error)
		return error;
	q->reach.by_root = WEIR_REACH_NOT;
	if (q->shared == q->from.num && q->shared == q->to.num)
		conclude(q, WEIR_REACH_NOT, "%s is no peer of its own: requests do not come back", from);
	else if (!window)
		conclude(q, WEIR_REACH_NOT, "%s has no memory BAR with an address", to);
	else if (q->shared == q->from.num || q->shared == q->to.num)
		conclude(q, WEIR_REACH_NOT, "%s and %s: one is a bridge that the other lies behind", from,
			 to);
	else
		return judge_pair(q);
	return 0;
}

int weir_reach_ask(struct weir_host *host, const char *from, const char *to, struct weir_reach *ret_reach,
		   size_t size)
{
	char from_address[WEIR_PCI_ADDRESS_SIZE], to_address[WEIR_PCI_ADDRESS_SIZE];
	struct question q = { .sys = host->kernel.sys };
	int error = weir_pci_address(from, from_address);

	if (!error)
		error = weir_pci_address(to, to_address);
	if (!error)
		error = answer(&q, from_address, to_address);
	if (error)
		return error;
	weir_result_write(ret_reach, size, &q.reach, sizeof(q.reach));
	return 0;
}
