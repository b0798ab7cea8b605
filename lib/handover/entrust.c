// SPDX-License-Identifier: MIT
/* Having somebody keep the journal and all descriptors. New ones go there as they come: journal/fds.c. */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "handover/handover.h"

enum { KEEPER_MS = 1000 };

/* All that there is. The journal's lock is held. */
static int send_all(const struct weir_journal *journal, int socket)
{
	struct weir_wire message = { .magic = WEIR_WIRE_MAGIC,
				     .version = WEIR_WIRE_VERSION,
				     .type = WEIR_WIRE_HELLO };
	int error = weir_wire_send(journal->sys, socket, &message, &journal->fd, 1, KEEPER_MS);

	message.type = WEIR_WIRE_FDS;
	message.num = 1;
	for (uint32_t number = 1; number <= journal->slots[WEIR_JOURNAL_FDS].used && !error; number++) {
		if (journal->fds[number] < 0)
			continue;
		message.numbers[0] = number;
		error = weir_wire_send(journal->sys, socket, &message, &journal->fds[number], 1, KEEPER_MS);
	}
	return error;
}

static int change_keeper(struct weir_journal *journal, int socket)
{
	int error = socket < 0 ? 0 : send_all(journal, socket);

	if (error)
		return weir_fail(error, "sending the journal and its descriptors to the keeper: %s",
				 strerror(-error));
	weir_journal_part(journal);
	journal->keeper = socket;
	journal->has_keeper = socket >= 0;
	return 0;
}

int weir_handover_keep(struct weir_host *host, int socket)
{
	struct weir_journal *journal = host->kernel.journal;
	int error = 0;

	if (!journal)
		error = weir_fail(-EINVAL, "the host keeps no journal: open it with WEIR_HOST_JOURNAL");
	else if (host->taken)
		error = weir_fail(
			-EBUSY, "this host was received, and is not finished: weir_handover_finish() first");
	else if (host->kernel.ops->follow == NULL)
		error = weir_fail(-EOPNOTSUPP, "a host on /dev/iommu's container cannot be handed over");
	else if (socket >= 0)
		error = weir_handover_check_socket(socket);
	if (!error) {
		pthread_mutex_lock(&journal->lock);
		error = change_keeper(journal, socket);
		pthread_mutex_unlock(&journal->lock);
	}
	if (error && socket >= 0)
		host->kernel.sys->close(host->kernel.sys->ctx, socket);
	return error;
}
