// SPDX-License-Identifier: MIT
/* weir-broker's judgement: its allow list, and requests as clients may make them up. */
#include "policy.h"

#include <errno.h>
#include <string.h>

#include "test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

UNIT(broker_policy, addresses_get_the_kernels_spelling)
{
	const char *rows[][2] = {
		{ "0000:01:00.0", "0000:01:00.0" },       { "01:00.0", "0000:01:00.0" },
		{ "ABCD:FE:1F.7", "abcd:fe:1f.7" },       { "10000:e1:00.0", "10000:e1:00.0" },
		{ "fffffff:ff:1f.7", "fffffff:ff:1f.7" },
	};

	for (unsigned int i = 0; i < COUNT(rows); i++) {
		char address[ADDRESS_SIZE];

		ASSERT_TRUE(pci_address(rows[i][0], address));
		EXPECT_STREQ(rows[i][1], address);
	}
}

UNIT(broker_policy, what_is_no_address_is_refused)
{
	const char *const texts[] = {
		"",
		":",
		"0000:01:00",
		"0000:01:00.",
		"0000:01:00.8",
		"0000:01:20.0",
		"0000:01:00.00",
		"0000:01:0.0",
		"000:01:00.0",
		"0000:1:00.0",
		" 000:01:00.0",
		"0000:01:00.0 ",
		"0000:01:00.0/",
		"../../../etc",
		"0000:+1:00.0",
		"-1:00.0",
		"0x01:00.0",
		"0000:01:-0.0",
		"0000:01:00:0",
		"fffffffff:01:00.0",
		"0000::01:00.0",
		"0000:01:00.0\n",
		"g000:01:00.0",
		"01:00",
	};

	for (unsigned int i = 0; i < COUNT(texts); i++) {
		char address[ADDRESS_SIZE] = "untouched";

		t_note(t, "'%s'", texts[i]);
		EXPECT_FALSE(pci_address(texts[i], address));
		EXPECT_STREQ("untouched", address);
	}
}

static void free_policy(void *arg)
{
	policy_free(arg);
}

UNIT(broker_policy, lists_say_who_may_have_what)
{
	static struct policy policy;

	t_defer(t, free_policy, &policy);
	ASSERT_TRUE(!policy_add(&policy, "1000:01:00.0,0000:02:00.1"));
	ASSERT_TRUE(!policy_add(&policy, "0:0000:03:00.0"));
	EXPECT_TRUE(policy_allows(&policy, 1000, "0000:01:00.0"));
	EXPECT_TRUE(policy_allows(&policy, 1000, "0000:02:00.1"));
	EXPECT_TRUE(policy_allows(&policy, 0, "0000:03:00.0"));
	EXPECT_FALSE(policy_allows(&policy, 1000, "0000:03:00.0"));
	EXPECT_FALSE(policy_allows(&policy, 1000, "0000:02:00.0"));
	EXPECT_FALSE(policy_allows(&policy, 1001, "0000:01:00.0"));
	/* Root is nothing special to the list. */
	EXPECT_FALSE(policy_allows(&policy, 0, "0000:01:00.0"));
	EXPECT_TRUE(policy_knows(&policy, 1000));
	EXPECT_FALSE(policy_knows(&policy, 1001));
}

UNIT(broker_policy, wrong_lists_change_nothing)
{
	const char *const texts[] = {
		"",
		":",
		"1000",
		"1000:",
		"1000:01:00.0,",
		"1000:,01:00.0",
		"1000:01:00.0,,02:00.0",
		"1000:01:00.0,nonsense",
		"1000:01:00.0 02:00.0",
		"root:01:00.0",
		"-1:01:00.0",
		"+1:01:00.0",
		" 1:01:00.0",
		"4294967295:01:00.0",
		"4294968296:01:00.0",
		"99999999999999999999999:01:00.0",
		"65534:01:00.0",
		"1000:0000:01:00.0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	static struct policy policy;

	t_defer(t, free_policy, &policy);
	ASSERT_TRUE(!policy_add(&policy, "1:02:00.0"));
	for (unsigned int i = 0; i < COUNT(texts); i++) {
		t_note(t, "'%s'", texts[i]);
		EXPECT_TRUE(policy_add(&policy, texts[i]));
		EXPECT_EQ(1, policy.num_rules);
	}
}

static struct weir_broker_request good_request(void)
{
	return (struct weir_broker_request){ .version = WEIR_BROKER_VERSION, .address = "01:00.0" };
}

UNIT(broker_policy, requests_are_read)
{
	struct weir_broker_request request = good_request(), read;
	struct weir_broker_reply reply;

	request.backend = WEIR_BACKEND_COMPAT;
	/* What follows the end of the text is nobody's business. */
	memset(request.address + strlen(request.address) + 1, 0xff, 4);
	ASSERT_OK(request_read(&request, sizeof(request), &read, &reply));
	EXPECT_EQ(WEIR_BACKEND_COMPAT, read.backend);
	EXPECT_STREQ("0000:01:00.0", read.address);
}

/* A wrong request is refused with @error and words, and nothing is read from it. */
static void expect_refused(int error, const void *message, size_t len)
{
	struct weir_broker_request read = { .version = 77 };
	struct weir_broker_reply reply;

	memset(&reply, 0xff, sizeof(reply));
	EXPECT_ERR(error, request_read(message, len, &read, &reply));
	EXPECT_EQ(77, read.version);
	EXPECT_EQ(WEIR_BROKER_VERSION, reply.version);
	EXPECT_EQ(error, reply.error);
	EXPECT_EQ(0, reply.num_nodes);
	EXPECT_TRUE(*reply.text && memchr(reply.text, '\0', sizeof(reply.text)));
}

UNIT(broker_policy, wrong_requests_are_refused)
{
	struct weir_broker_request request = good_request();
	char bytes[sizeof(request) + 1] = { 0 };

	memcpy(bytes, &request, sizeof(request));
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		t_note(t, "%zu bytes", len);
		if (len != sizeof(request))
			expect_refused(-EPROTO, bytes, len);
	}
	t_note(t, "%s", "");
	request.version = 0;
	expect_refused(-EPROTO, &request, sizeof(request));
	request = good_request();
	request.backend = WEIR_BACKEND_COMPAT + 1;
	expect_refused(-EINVAL, &request, sizeof(request));
	request = good_request();
	request.address[0] = '\0';
	expect_refused(-EINVAL, &request, sizeof(request));
	memcpy(request.address, "../../../sys/bus", sizeof(request.address));
	expect_refused(-EINVAL, &request, sizeof(request));
	memcpy(request.address, "fffffff:ff:1f.77", sizeof(request.address));
	expect_refused(-EINVAL, &request, sizeof(request));
}
