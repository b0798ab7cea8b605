// SPDX-License-Identifier: MIT
/*
 * What weir-ping makes of frames from the wire. It reads no byte beyond a frame's end (address sanitizer), answers only what is asked of it, and what it answers is
 * right: who asked finds its own data and its own address in it.
 */
#include <stdlib.h>

#include <ping/answer.h>

#include "fuzz/input.h"

static const struct station own = { { 0x52, 0x54, 0, 0, 0, 2 }, { 10, 0, 0, 2 } };
static const struct station asker = { { 0x52, 0x54, 0, 0, 0, 1 }, { 10, 0, 0, 1 } };

/* One that is answered, but for what is changed in it. Returns its length. */
static uint32_t a_question(struct input *in, uint8_t *frame, uint16_t *ret_sequence)
{
	uint32_t changes = in_below(in, 6), len;

	*ret_sequence = in_u8(in);
	len = *ret_sequence & 1 ? 60 : PING_LEN;
	if (*ret_sequence & 1)
		ask_who(&asker, own.ip, frame);
	else
		ask_ping(&asker, &own, *ret_sequence, frame);
	while (changes--) {
		uint32_t at = in_u8(in) % len;

		frame[at] = in_u8(in);
	}
	return in_u8(in) % 4 ? len : len - in_u8(in) % (len + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	uint8_t question[2048], *frame, mac[6];
	bool made = in_u8(&in) & 1;
	uint16_t sequence = 0;
	uint32_t len = made ? a_question(&in, question, &sequence) : (uint32_t)(in.end - in.at);
	enum answer answer;

	if (!made && len > sizeof(question))
		return 0;
	if (!made)
		in_bytes(&in, question, len);
	frame = malloc(len ? len : 1); /* exactly as long */
	if (!frame)
		return 0;
	memcpy(frame, question, len);
	answer = answer_frame(&own, frame, len);
	say("%u bytes: answer %d", len, answer);
	if (answer == ANSWER_NONE)
		CHECK(memcmp(frame, question, len) == 0);
	else
		CHECK(memcmp(frame + 6, own.mac, 6) == 0 && answer_frame(&own, frame, len) == ANSWER_NONE);
	if (answer == ANSWER_ARP && memcmp(question + 28, asker.ip, 4) == 0)
		CHECK(is_who_answer(&asker, frame, len, mac) && memcmp(mac, own.mac, 6) == 0);
	if (answer == ANSWER_PING)
		CHECK(memcmp(frame, question + 6, 6) == 0 && memcmp(frame + 30, question + 26, 4) == 0);
	free(frame);
	return 0;
}
