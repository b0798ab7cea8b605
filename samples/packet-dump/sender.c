// SPDX-License-Identifier: MIT
#include "packet-dump/sender.h"

#include <errno.h>
#include <string.h>

#define DEPTH    64u
#define BUFFERS  64u
#define BUFFER   2048u
#define HEAD     14u
#define SHORTEST 60u
#define LONGEST  1514u

int sender_open(struct sender *sender, struct weir_host *host, const char *address)
{
	int r = weir_ioas_open(host, NULL, &sender->space);

	if (r == 0)
		r = weir_device_open(sender->space, address, NULL, &sender->device);
	if (r == 0)
		r = weir_memory_open(sender->space, NULL, &sender->memory);
	if (r == 0)
		r = igb_port_open(sender->device, NULL, &sender->port);
	if (r == 0)
		r = igb_pool_open(sender->memory, BUFFERS, BUFFER, &sender->pool);
	return r < 0 ? r : igb_tx_open(sender->port, 0, DEPTH, sender->pool, &sender->tx);
}

int sender_close(struct sender *sender)
{
	int results[] = {
		igb_port_close(sender->port),      igb_pool_close(sender->pool),
		weir_memory_close(sender->memory), weir_device_close(sender->device),
		weir_ioas_close(sender->space),
	};
	int first = 0;

	for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
		first = first ? first : results[i];
	*sender = (struct sender){ 0 };
	return first;
}

/* To everybody: whose address is whose does not matter here. */
uint32_t sender_frame(uint64_t number, uint8_t *ret_frame)
{
	static const uint8_t head[HEAD] = {
		255, 255, 255, 255, 255, 255, 0x52, 0x54, 0, 0, 0, 9, 0x88, 0xb5
	};
	uint32_t len = SHORTEST + (uint32_t)(number * 37 % (LONGEST - SHORTEST + 1));

	memcpy(ret_frame, head, HEAD);
	for (uint32_t i = HEAD; i < len; i++)
		ret_frame[i] = (uint8_t)(number * 31 + i);
	return len;
}

int sender_send(struct sender *sender)
{
	struct igb_piece piece = { 0 };
	int r = igb_tx_flush(sender->tx);

	if (r < 0 || igb_pool_take(sender->pool, &piece.iova, 1) != 1)
		return r < 0 ? r : 0;
	piece.what =
		IGB_TX_LEN(sender_frame(sender->sent, igb_pool_addr(sender->pool, piece.iova))) | IGB_TX_END;
	r = igb_tx_burst(sender->tx, &piece, 1);
	if (r == 1)
		sender->sent++;
	return r == -EAGAIN ? igb_pool_give(sender->pool, &piece.iova, 1) : r < 0 ? r : 0;
}
