/* SPDX-License-Identifier: MIT */
/* Lists of plain words, as NEEDS() and the command line give them. */
#include "run.h"

#include <string.h>

bool t_next_word(const char **list, char *ret_word, size_t size)
{
	static const char between[] = ", \t\n";
	const char *word = *list + strspn(*list, between);
	size_t len = strcspn(word, between);

	*list = word + len;
	if (len == 0)
		return false;
	if (len >= size)
		len = size - 1;
	memcpy(ret_word, word, len);
	ret_word[len] = '\0';
	return true;
}

bool t_has_word(const char *list, const char *wanted)
{
	char word[64];

	while (t_next_word(&list, word, sizeof(word)))
		if (strcmp(word, wanted) == 0)
			return true;
	return false;
}
