/* SPDX-License-Identifier: MIT */
/* As much of ARP, IPv4 and ICMP as a host needs that can be pinged. */
#ifndef SAMPLES_PING_ANSWER_H
#define SAMPLES_PING_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

/* Who we are. */
struct station {
	uint8_t mac[6], ip[4];
};

enum answer {
	ANSWER_NONE, /* not for us */
	ANSWER_ARP,
	ANSWER_PING,
};

/* Make the answer to a frame of @len bytes, in its place. It is as long as the frame. */
enum answer answer_frame(const struct station *own, uint8_t *frame, uint32_t len);

enum { PING_LEN = 98 }; /* of a frame with 56 bytes of data, as ping sends them */

/* Write a frame that asks who @ip is (at least 60 bytes), or number @sequence of pings to @to. */
void ask_who(const struct station *own, const uint8_t ip[4], uint8_t *frame);
void ask_ping(const struct station *own, const struct station *to, uint16_t sequence, uint8_t *frame);

/* Is this the answer to ping @sequence, with everything that was sent in it? Or to the question who somebody is, whose MAC goes to @ret_mac? */
bool is_ping_answer(const struct station *own, uint16_t sequence, const uint8_t *frame, uint32_t len);
bool is_who_answer(const struct station *own, const uint8_t *frame, uint32_t len, uint8_t ret_mac[6]);

#endif
