// SPDX-License-Identifier: MIT
/* A description of which one bit is another on its way, each in turn; and what an edu keeps, likewise. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/handover_rig.h"
#include "test.h"

static const enum weir_backend backends[] = { WEIR_BACKEND_IOMMUFD, WEIR_BACKEND_TYPE1 };

static struct handover_rig rig = { .file = -1 };
static struct rig_description description = { .journal = -1, .sent = -1 };

static void end_machine(void *arg)
{
	(void)arg;
	rig_drop(&description);
	rig_end_machine(&rig);
}

#define ASSERT_FINE(call)                                                                                    \
	do {                                                                                                 \
		const char *why_ = (call);                                                                   \
		if (why_)                                                                                    \
			FAIL("%s: %s", #call, why_);                                                         \
	} while (0)

static void begin(struct t *t, enum weir_backend backend)
{
	t_note(t, "%s", weir_backend_name(backend));
	ASSERT_FINE(rig_machine(&rig));
	t_defer(t, end_machine, NULL);
	ASSERT_FINE(rig_begin(&rig, backend, NULL));
	ASSERT_FINE(rig_busy(&rig));
	ASSERT_FINE(rig_pause(&rig));
	ASSERT_FINE(rig_describe(&rig, &description));
}

static void end(struct t *t)
{
	(void)t;
	rig_resume(&rig);
	ASSERT_FINE(rig_works(&rig));
	rig_drop(&description);
	ASSERT_FINE(rig_close(&rig));
	rig_end_machine(&rig);
}

static unsigned int lowest_fd(void)
{
	int fd = dup(0);

	close(fd);
	return (unsigned int)fd;
}

/* The giver of what was refused can go on with all that it has. */
static void expect_unharmed(void)
{
	rig_resume(&rig);
	ASSERT_FINE(rig_works(&rig));
	ASSERT_FINE(rig_busy(&rig));
	ASSERT_FINE(rig_pause(&rig));
}

/* On both, the same reads it: where that has been seen with all bits, one of each byte will do. */
UNIT(sim_handover_flips, each_bit_of_a_description_is_missed)
{
	for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
		struct rig_sending sending;
		struct weir_host *host;
		unsigned int fd;

		begin(t, backends[b]);
		sending = rig_as_it_is(&description);
		fd = lowest_fd();
		for (size_t bit = 0; bit < 8 * description.blocks; bit += b ? 9 : 1) {
			int error;

			description.bytes[bit / 8] ^= 1u << bit % 8;
			error = rig_receive(&rig, &description, &sending, &host);
			description.bytes[bit / 8] ^= 1u << bit % 8;
			if (error != -EPROTO || !strstr(weir_error(), "descri"))
				FAIL("byte %zu, bit %zu: %d, %s", bit / 8, bit % 8, error, weir_error());
			if (bit % 1024 == 0)
				expect_unharmed();
		}
		EXPECT_EQ(lowest_fd(), fd);
		end(t);
	}
}

/* What one word's change does to the sum, that of another may not undo: top bits least of all, which a product carries nowhere. */
UNIT(sim_handover_flips, two_bits_of_a_description_are_missed)
{
	struct rig_sending sending;
	struct weir_host *host;

	begin(t, WEIR_BACKEND_IOMMUFD);
	sending = rig_as_it_is(&description);
	for (unsigned int top = 0; top < 8; top++)
		for (size_t at = 7; at + 8 < description.blocks; at += 8) {
			description.bytes[at] ^= 0x80u >> top;
			description.bytes[at + 8] ^= 0x80;
			EXPECT_ERR(-EPROTO, rig_receive(&rig, &description, &sending, &host));
			description.bytes[at] ^= 0x80u >> top;
			description.bytes[at + 8] ^= 0x80;
		}
	end(t);
}

/* What is drivers' own is for them to check. Whatever they say, the giver goes on. */
UNIT(sim_handover_flips, each_bit_that_the_drivers_keep_is_missed_or_does_no_harm)
{
	unsigned int refused = 0;
	struct rig_sending sending;

	begin(t, WEIR_BACKEND_IOMMUFD);
	sending = rig_as_it_is(&description);
	for (size_t bit = 8 * description.blocks; bit < 8 * description.len; bit += 23) {
		struct handover_rig next;
		struct weir_host *host;
		const char *why;

		description.bytes[bit / 8] ^= 1u << bit % 8;
		ASSERT_OK(rig_receive(&rig, &description, &sending, &host));
		description.bytes[bit / 8] ^= 1u << bit % 8;
		why = rig_follow(&next, &rig, host);
		refused += why != NULL;
		if (why && !*why)
			FAIL("byte %zu, bit %zu: refused without a word", bit / 8, bit % 8);
		rig_forget_drivers(&next);
		weir_handover_refuse(host, why);
	}
	EXPECT_GE(refused, 100); /* most bytes are those of tags, pages, or nothing's */
	end(t);
}

/* edu ------------------------------------------------------------------------------------------------------ */

/* Where the block of the edu begins and ends, in all bytes. */
static void find_block(size_t *ret_from, size_t *ret_to)
{
	const struct weir_slot_block *block;
	size_t at = sizeof(struct weir_journal_header);

	for (int table = 0; table < WEIR_JOURNAL_BLOCKS; table++)
		at += (size_t)description.header.used[table] * description.header.tables[table].size;
	block = (const struct weir_slot_block *)(description.bytes + at);
	while (strncmp(block->name, "edu ", 4) != 0)
		block++;
	*ret_from = description.blocks + block->offset;
	*ret_to = *ret_from + block->len;
}

UNIT(sim_handover_flips, each_bit_that_an_edu_keeps_is_missed)
{
	struct rig_sending sending;
	size_t from, to;

	begin(t, WEIR_BACKEND_IOMMUFD);
	sending = rig_as_it_is(&description);
	find_block(&from, &to);
	for (size_t bit = 8 * from; bit < 8 * to; bit++) {
		struct weir_device *device;
		struct weir_host *host;
		struct edu *edu = NULL;
		int error;

		description.bytes[bit / 8] ^= 1u << bit % 8;
		ASSERT_OK(rig_receive(&rig, &description, &sending, &host));
		description.bytes[bit / 8] ^= 1u << bit % 8;
		ASSERT_OK(weir_handover_device(host, RIG_EDU, &device));
		error = edu_restore(device, &edu);
		if ((error != -EPROTO && !(bit == 8 * from && error == -ENODATA)) || !*edu_error())
			FAIL("byte %zu, bit %zu: %d, %s", bit / 8 - from, bit % 8, error, edu_error());
		weir_handover_refuse(host, edu_error());
	}
	end(t);
}
