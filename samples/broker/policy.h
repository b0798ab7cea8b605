/* SPDX-License-Identifier: MIT */
/* Who may have what: the allow list, and whether a request can be understood at all. */
#ifndef BROKER_POLICY_H
#define BROKER_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <weir/broker.h>

#define ADDRESS_SIZE sizeof(((struct weir_broker_request *)0)->address)

struct policy_rule {
	uid_t uid;
	char address[ADDRESS_SIZE];
};

struct policy {
	struct policy_rule *rules;
	size_t num_rules;
};

/*
 * A PCI address the way the kernel writes it ("01:00.0" becomes "0000:01:00.0", digits become lower case).
 * False, with nothing written, if it is none. What comes out is safe as a part of a path.
 */
bool pci_address(const char *text, char ret_address[ADDRESS_SIZE]);

/*
 * Add "UID:ADDRESS[,ADDRESS...]" to the list. Returns NULL, or what is wrong with it, with the list as it
 * was.
 */
const char *policy_add(struct policy *policy, const char *text);

void policy_free(struct policy *policy);

/* Whether any device is meant for @uid; whether this one is. */
bool policy_knows(const struct policy *policy, uid_t uid);
bool policy_allows(const struct policy *policy, uid_t uid, const char *address);

/*
 * Read a client's message. Returns 0 and the request with its address in the kernel's spelling; or the error,
 * which is then also in @reply.
 */
int request_read(const void *message, size_t len, struct weir_broker_request *ret_request,
		 struct weir_broker_reply *reply);

#endif
