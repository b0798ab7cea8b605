// SPDX-License-Identifier: MIT
#include "answer.h"

#include <string.h>

/* Offsets in a frame: Ethernet, then ARP (RFC 826), or IPv4 (RFC 791) and ICMP (RFC 792). */
enum {
	TYPE = 12,
	ARP = 14,
	ARP_OPERATION = 20,
	ARP_SENDER_MAC = 22,
	ARP_SENDER_IP = 28,
	ARP_TARGET_MAC = 32,
	ARP_TARGET_IP = 38,
	ARP_END = 42,
	IP = 14,
	IP_LEN = 16,
	IP_FRAGMENT = 20,
	IP_TTL = 22,
	IP_PROTOCOL = 23,
	IP_SUM = 24,
	IP_SOURCE = 26,
	IP_TARGET = 30,
	ICMP_LEN = 8,
	ECHO_REPLY = 0,
	ECHO_REQUEST = 8,
};

static const uint8_t arp_head[6] = {
	0, 1, 8, 0, 6, 4
}; /* Ethernet, IPv4, and the lengths of their addresses */

static uint32_t get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* Internet checksum (RFC 1071). */
static uint16_t sum(const uint8_t *at, uint32_t len)
{
	uint32_t total = 0, i;

	for (i = 0; i + 1 < len; i += 2)
		total += get16(at + i);
	if (len & 1)
		total += (uint32_t)at[len - 1] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)~total;
}

static void address(const struct station *own, const uint8_t *to, uint32_t type, uint8_t *frame)
{
	memcpy(frame, to, 6);
	memcpy(frame + 6, own->mac, 6);
	put16(frame + TYPE, type);
}

static bool is_arp(const struct station *own, const uint8_t *frame, uint32_t len, uint32_t operation)
{
	return len >= ARP_END && get16(frame + TYPE) == 0x0806 && memcmp(frame + ARP, arp_head, 6) == 0 &&
	       get16(frame + ARP_OPERATION) == operation && memcmp(frame + ARP_TARGET_IP, own->ip, 4) == 0;
}

/* Where ICMP begins in a whole datagram for us, of @ret_len bytes of ICMP; 0: it is none. */
static uint32_t find_icmp(const struct station *own, const uint8_t *frame, uint32_t len, uint32_t *ret_len)
{
	uint32_t header, total;

	if (len < IP + 20 || get16(frame + TYPE) != 0x0800 || frame[IP] >> 4 != 4 ||
	    memcmp(frame + IP_TARGET, own->ip, 4) != 0)
		return 0;
	header = (frame[IP] & 15u) * 4;
	total = get16(frame + IP_LEN);
	if (header < 20 || total < header + ICMP_LEN || total > len - IP || frame[IP_PROTOCOL] != 1)
		return 0;
	if (get16(frame + IP_FRAGMENT) & 0x3fff || sum(frame + IP, header) != 0 ||
	    sum(frame + IP + header, total - header) != 0)
		return 0;
	*ret_len = total - header;
	return IP + header;
}

enum answer answer_frame(const struct station *own, uint8_t *frame, uint32_t len)
{
	uint8_t ip[4], mac[6];
	uint32_t icmp, icmp_len;

	if (is_arp(own, frame, len, 1)) {
		memcpy(frame + ARP_TARGET_MAC, frame + ARP_SENDER_MAC, 10);
		memcpy(frame + ARP_SENDER_MAC, own->mac, 6);
		memcpy(frame + ARP_SENDER_IP, own->ip, 4);
		put16(frame + ARP_OPERATION, 2);
		address(own, frame + ARP_TARGET_MAC, 0x0806, frame);
		return ANSWER_ARP;
	}
	icmp = find_icmp(own, frame, len, &icmp_len);
	if (icmp == 0 || frame[icmp] != ECHO_REQUEST)
		return ANSWER_NONE;
	memcpy(ip, frame + IP_SOURCE, 4);
	memcpy(mac, frame + 6, 6);
	memcpy(frame + IP_SOURCE, own->ip, 4);
	memcpy(frame + IP_TARGET, ip, 4); /* the header's checksum stays as it is: the same words */
	address(own, mac, 0x0800, frame);
	frame[icmp] = ECHO_REPLY;
	put16(frame + icmp + 2, 0);
	put16(frame + icmp + 2, sum(frame + icmp, icmp_len));
	return ANSWER_PING;
}

void ask_who(const struct station *own, const uint8_t ip[4], uint8_t *frame)
{
	static const uint8_t everybody[6] = { 255, 255, 255, 255, 255, 255 };

	memset(frame, 0, 60);
	address(own, everybody, 0x0806, frame);
	memcpy(frame + ARP, arp_head, 6);
	put16(frame + ARP_OPERATION, 1);
	memcpy(frame + ARP_SENDER_MAC, own->mac, 6);
	memcpy(frame + ARP_SENDER_IP, own->ip, 4);
	memcpy(frame + ARP_TARGET_IP, ip, 4);
}

bool is_who_answer(const struct station *own, const uint8_t *frame, uint32_t len, uint8_t ret_mac[6])
{
	if (!is_arp(own, frame, len, 2))
		return false;
	memcpy(ret_mac, frame + ARP_SENDER_MAC, 6);
	return true;
}

/* What a ping carries. */
static uint8_t data_at(uint32_t i, uint16_t sequence)
{
	return (uint8_t)(i + sequence);
}

void ask_ping(const struct station *own, const struct station *to, uint16_t sequence, uint8_t *frame)
{
	uint32_t icmp = IP + 20, i;

	memset(frame, 0, PING_LEN);
	address(own, to->mac, 0x0800, frame);
	frame[IP] = 0x45;
	put16(frame + IP_LEN, PING_LEN - IP);
	frame[IP_TTL] = 64;
	frame[IP_PROTOCOL] = 1;
	memcpy(frame + IP_SOURCE, own->ip, 4);
	memcpy(frame + IP_TARGET, to->ip, 4);
	put16(frame + IP_SUM, sum(frame + IP, 20));
	frame[icmp] = ECHO_REQUEST;
	put16(frame + icmp + 6, sequence);
	for (i = icmp + ICMP_LEN; i < PING_LEN; i++)
		frame[i] = data_at(i, sequence);
	put16(frame + icmp + 2, sum(frame + icmp, PING_LEN - icmp));
}

bool is_ping_answer(const struct station *own, uint16_t sequence, const uint8_t *frame, uint32_t len)
{
	uint32_t icmp_len, icmp = find_icmp(own, frame, len, &icmp_len), i;

	if (icmp == 0 || frame[icmp] != ECHO_REPLY || get16(frame + icmp + 6) != sequence ||
	    icmp + icmp_len != PING_LEN)
		return false;
	for (i = icmp + ICMP_LEN; i < PING_LEN; i++)
		if (frame[i] != data_at(i, sequence))
			return false;
	return true;
}
