// SPDX-License-Identifier: MIT
/* Who made mappings elsewhere of what is mapped in a space, and has to take them back first. */
#include "error.h"
#include "ioas/ioas.h"

void weir_ioas_follow(struct weir_ioas *ioas, struct weir_follower *follower)
{
	weir_ioas_begin_transition(ioas);
	follower->next = ioas->followers;
	ioas->followers = follower;
	weir_ioas_end_transition(ioas);
}

void weir_ioas_unfollow(struct weir_ioas *ioas, struct weir_follower *follower)
{
	struct weir_follower **link = &ioas->followers;

	weir_ioas_begin_transition(ioas);
	while (*link != follower)
		link = &(*link)->next;
	*link = follower->next;
	weir_ioas_end_transition(ioas);
}

int weir_followers_leave(const struct weir_ioas *ioas, uint64_t iova, uint64_t last)
{
	struct weir_first first = { 0 };

	for (struct weir_follower *follower = ioas->followers; follower; follower = follower->next)
		weir_first_note(&first, follower->leave(follower, iova, last));
	return weir_first_error(&first);
}

void weir_followers_back(const struct weir_ioas *ioas, uint64_t iova, uint64_t last)
{
	for (struct weir_follower *follower = ioas->followers; follower; follower = follower->next)
		follower->back(follower, iova, last);
}
