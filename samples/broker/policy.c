// SPDX-License-Identifier: MIT
#include "policy.h"

#include "reply.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Uids that name nobody in particular: "no change" in system calls, and everybody from a user namespace that
 * is not mapped into ours (the kernel's overflow uid, which SO_PEERCRED reports for all of them alike). */
#define UID_NONE     ((uid_t)-1)
#define UID_OVERFLOW ((uid_t)65534)

/* Take @min to @max hexadecimal digits off the front of @text. */
static bool hex_field(const char **text, int min, int max, unsigned long *ret_value)
{
	unsigned long value = 0;
	int digits = 0;

	for (; digits < max && isxdigit((unsigned char)**text); digits++, (*text)++) {
		int c = tolower((unsigned char)**text);

		value = value * 16 + (unsigned long)(isdigit(c) ? c - '0' : c - 'a' + 10);
	}
	*ret_value = value;
	return digits >= min;
}

static bool separator(const char **text, char c)
{
	if (**text != c)
		return false;
	(*text)++;
	return true;
}

bool pci_address(const char *text, char ret_address[ADDRESS_SIZE])
{
	const char *first = strchr(text, ':');
	bool has_domain = first && strchr(first + 1, ':');
	unsigned long domain = 0, bus, slot, function;

	/* Domains beyond 16 bits exist: Intel VMD numbers its own from 10000 on. */
	if (has_domain && !(hex_field(&text, 4, 7, &domain) && separator(&text, ':')))
		return false;
	if (!hex_field(&text, 2, 2, &bus) || !separator(&text, ':') || !hex_field(&text, 2, 2, &slot) ||
	    !separator(&text, '.') || !hex_field(&text, 1, 1, &function) || *text || slot > 31 ||
	    function > 7)
		return false;
	snprintf(ret_address, ADDRESS_SIZE, "%04lx:%02lx:%02lx.%lx", domain & 0xfffffff, bus & 0xff,
		 slot & 0x1f, function & 7);
	return true;
}

static const char *read_uid(const char **text, uid_t *ret_uid)
{
	unsigned long long value;
	char *end;

	if (!isdigit((unsigned char)**text))
		return "this does not begin with a numeric user id";
	errno = 0;
	value = strtoull(*text, &end, 10);
	if (errno || value >= UID_NONE)
		return "that user id cannot be";
	if (value == UID_OVERFLOW)
		return "user id 65534 stands for everybody whom this system cannot tell apart";
	if (*end != ':')
		return "here is no ':' after the user id";
	*text = end + 1;
	*ret_uid = (uid_t)value;
	return NULL;
}

static const char *add_rule(struct policy *policy, uid_t uid, const char *text, size_t len)
{
	struct policy_rule rule = { .uid = uid };
	struct policy_rule *rules;
	char word[32];

	if (len >= sizeof(word))
		return "this has something else than addresses like 0000:01:00.0";
	memcpy(word, text, len);
	word[len] = '\0';
	if (!pci_address(word, rule.address))
		return "this has something else than addresses like 0000:01:00.0";
	rules = reallocarray(policy->rules, policy->num_rules + 1, sizeof(*rules));
	if (!rules)
		return "memory is short";
	rules[policy->num_rules++] = rule;
	policy->rules = rules;
	return NULL;
}

const char *policy_add(struct policy *policy, const char *text)
{
	size_t num_before = policy->num_rules;
	uid_t uid;
	const char *wrong = read_uid(&text, &uid);

	while (!wrong) {
		size_t len = strcspn(text, ",");

		wrong = add_rule(policy, uid, text, len);
		if (!wrong && !text[len])
			return NULL;
		text += len + 1;
	}
	policy->num_rules = num_before;
	return wrong;
}

void policy_free(struct policy *policy)
{
	free(policy->rules);
	*policy = (struct policy){ 0 };
}

bool policy_knows(const struct policy *policy, uid_t uid)
{
	for (size_t i = 0; i < policy->num_rules; i++)
		if (policy->rules[i].uid == uid)
			return true;
	return false;
}

bool policy_allows(const struct policy *policy, uid_t uid, const char *address)
{
	for (size_t i = 0; i < policy->num_rules; i++)
		if (policy->rules[i].uid == uid && !strcmp(policy->rules[i].address, address))
			return true;
	return false;
}

int request_read(const void *message, size_t len, struct weir_broker_request *ret_request,
		 struct weir_broker_reply *reply)
{
	struct weir_broker_request request;
	char address[ADDRESS_SIZE];

	if (len != sizeof(request))
		return reply_refuse(reply, -EPROTO, "a request has %zu bytes, this one %zu", sizeof(request),
				    len);
	memcpy(&request, message, sizeof(request));
	if (request.version != WEIR_BROKER_VERSION)
		return reply_refuse(reply, -EPROTO,
				    "this broker speaks version %d of its protocol, the request version %u",
				    WEIR_BROKER_VERSION, request.version);
	if (request.backend > WEIR_BACKEND_COMPAT)
		return reply_refuse(reply, -EINVAL, "there is no backend number %u", request.backend);
	/* The text of a client goes into no message and no path before it has proved to be an address. */
	if (!memchr(request.address, '\0', sizeof(request.address)) || !pci_address(request.address, address))
		return reply_refuse(reply, -EINVAL, "that is not a PCI address (0000:01:00.0)");
	memcpy(request.address, address, sizeof(address));
	*ret_request = request;
	return 0;
}
