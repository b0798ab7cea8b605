// SPDX-License-Identifier: MIT
/* weir-ping: which frames it answers, and with what. */
#include <string.h>

#include <ping/answer.h>

#include "test.h"

static const struct station own = { { 0x52, 0x54, 0, 0, 0, 2 }, { 10, 0, 0, 2 } };
static const struct station asker = { { 0x52, 0x54, 0, 0, 0, 1 }, { 10, 0, 0, 1 } };
static const uint8_t other_ip[4] = { 10, 0, 0, 3 };

enum { IP = 14, ICMP = 34, WHO_LEN = 60 };

static uint16_t sum_of(const uint8_t *at, uint32_t len)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i < len; i++)
		total += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)~total;
}

static void put_sum(uint8_t *field, const uint8_t *at, uint32_t len)
{
	uint16_t sum;

	memset(field, 0, 2);
	sum = sum_of(at, len);
	field[0] = (uint8_t)(sum >> 8);
	field[1] = (uint8_t)sum;
}

/* A ping whose IP header is @header bytes long, with @data bytes in it. Returns its length. */
static uint32_t a_ping(uint8_t *frame, uint32_t header, uint32_t data)
{
	uint32_t total = header + 8 + data;

	ask_ping(&asker, &own, 7, frame);
	memset(frame + ICMP, 1, header - 20); /* options: no operation */
	frame[IP] = (uint8_t)(0x40 | header / 4);
	frame[IP + 2] = (uint8_t)(total >> 8);
	frame[IP + 3] = (uint8_t)total;
	put_sum(frame + IP + 10, frame + IP, header);
	memcpy(frame + IP + header, "\x08\0\0\0\x12\x34\0\x07", 8);
	for (uint32_t i = 0; i < data; i++)
		frame[IP + header + 8 + i] = (uint8_t)(i * 5);
	put_sum(frame + IP + header + 2, frame + IP + header, 8 + data);
	return IP + total;
}

static void expect_no_answer(const uint8_t *frame, uint32_t len)
{
	uint8_t copy[2048];

	memcpy(copy, frame, len);
	EXPECT_EQ(answer_frame(&own, copy, len), ANSWER_NONE);
	EXPECT_MEMEQ(copy, frame, len);
}

UNIT(ping, tells_who_asks_for_its_address)
{
	uint8_t frame[WHO_LEN], mac[6];

	ask_who(&asker, own.ip, frame);
	EXPECT_EQ(answer_frame(&own, frame, sizeof(frame)), ANSWER_ARP);
	EXPECT_MEMEQ(frame, asker.mac, 6);
	ASSERT_TRUE(is_who_answer(&asker, frame, sizeof(frame), mac));
	EXPECT_MEMEQ(mac, own.mac, 6);
	ask_who(&asker, other_ip, frame);
	expect_no_answer(frame, sizeof(frame));
	ask_who(&asker, own.ip, frame);
	for (uint32_t len = 0; len < 42; len++)
		expect_no_answer(frame, len);
}

UNIT(ping, sends_back_what_was_in_it)
{
	static const uint32_t headers[] = { 20, 24, 60 };

	for (int i = 0; i < 3; i++)
		for (uint32_t data = 0; data < 1400; data = data < 70 ? data + 1 : data + 133) {
			uint8_t frame[2048], question[2048];
			uint32_t len = a_ping(question, headers[i], data), icmp = IP + headers[i];

			memcpy(frame, question, len);
			ASSERT_EQ(answer_frame(&own, frame, len), ANSWER_PING);
			ASSERT_MEMEQ(frame, asker.mac, 6);
			ASSERT_MEMEQ(frame + 6, own.mac, 6);
			ASSERT_MEMEQ(frame + IP + 12, own.ip, 4);
			ASSERT_MEMEQ(frame + IP + 16, asker.ip, 4);
			ASSERT_EQ(frame[icmp], 0);
			ASSERT_EQ(sum_of(frame + IP, headers[i]), 0);
			ASSERT_EQ(sum_of(frame + icmp, 8 + data), 0);
			ASSERT_MEMEQ(frame + icmp + 4, question + icmp + 4, 4 + data);
		}
}

UNIT(ping, its_own_question_is_answered_rightly)
{
	uint8_t frame[PING_LEN];

	ask_ping(&asker, &own, 77, frame);
	EXPECT_FALSE(is_ping_answer(&asker, 77, frame, sizeof(frame)));
	EXPECT_EQ(answer_frame(&own, frame, sizeof(frame)), ANSWER_PING);
	EXPECT_TRUE(is_ping_answer(&asker, 77, frame, sizeof(frame)));
	EXPECT_FALSE(is_ping_answer(&asker, 78, frame, sizeof(frame)));
	EXPECT_EQ(answer_frame(&own, frame, sizeof(frame)), ANSWER_NONE); /* an answer is not answered */
}

UNIT(ping, leaves_alone_what_is_damaged_or_cut_off)
{
	uint8_t frame[PING_LEN];

	ask_ping(&asker, &own, 1, frame);
	for (uint32_t len = 0; len < PING_LEN; len++)
		expect_no_answer(frame, len);
	for (uint32_t at = 12; at < PING_LEN; at++)
		for (int bit = 0; bit < 8; bit++) {
			frame[at] ^= (uint8_t)(1 << bit);
			expect_no_answer(frame, sizeof(frame));
			frame[at] ^= (uint8_t)(1 << bit);
		}
}

UNIT(ping, leaves_alone_what_is_for_others_or_no_ping)
{
	static const struct {
		uint32_t at;
		uint8_t value;
	} changes[] = {
		{ IP + 6, 0x20 }, /* the first fragment of several */
		{ IP + 7, 1 },    /* a later one */
		{ IP + 9, 17 },   /* UDP */
		{ IP + 19, 3 },   /* to somebody else */
		{ IP, 0x44 },     /* a header of 16 bytes */
		{ IP, 0x4f },     /* one of 60, which was not sent */
		{ IP, 0x65 },     /* version 6 */
		{ IP + 3, 27 },   /* no room for ICMP */
		{ IP + 2, 0xff }, /* longer than the frame */
	};
	uint8_t frame[PING_LEN];

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		ask_ping(&asker, &own, 1, frame);
		frame[changes[i].at] = changes[i].value;
		put_sum(frame + IP + 10, frame + IP, 20);
		t_note(t, "change %zu", i);
		expect_no_answer(frame, sizeof(frame));
	}
}
