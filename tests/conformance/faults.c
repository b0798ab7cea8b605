// SPDX-License-Identifier: MIT
/* What the kernel, or the simulated machine, says of DMA that its IOMMU blocked. */
#include "conformance/faults.h"
#include "conformance/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/sim.h>

#include "shim/test.h"

/* The fault interrupt is served soon, not at once. */
enum { LOOKS = 100, PAUSE_US = 10000 };

/*
 * Lines look like " 24:   0   2  DMAR-MSI   0-edge   dmar0": one count per processor; "dmar0-prq" is for page requests. An SMMU's is
 * called by its queue of events.
 */
static bool is_of_faults(const char *line)
{
	const char *name = strstr(line, " dmar");

	return (name && !strchr(name, '-')) || strstr(line, " arm-smmu-v3-evtq");
}

static bool add_line(const char *line, uint64_t *sum)
{
	const char *at = strchr(line, ':');
	char *end;

	if (!at || !is_of_faults(line))
		return false;
	for (at++;; at = end) {
		unsigned long long count = strtoull(at, &end, 10);

		if (end == at)
			return true;
		*sum += count;
	}
}

/* How many fault interrupts there have been since boot. False where the kernel does not say. */
static bool count_faults(uint64_t *ret_count)
{
	char line[1024];
	uint64_t sum = 0;
	bool counted = false;
	FILE *interrupts;

	if (os_sim()) {
		*ret_count = weir_sim_num_faults(os_sim());
		return true;
	}
	interrupts = fopen("/proc/interrupts", "re");
	while (interrupts && fgets(line, sizeof(line), interrupts))
		counted |= add_line(line, &sum);
	if (interrupts)
		fclose(interrupts);
	*ret_count = sum;
	return counted;
}

bool faults_counted(void)
{
	uint64_t count;

	return count_faults(&count);
}

static uint64_t count_before;

void faults_begin(struct t *t)
{
	(void)t;
	ASSERT_TRUE(count_faults(&count_before));
}

bool faults_reported(struct t *t)
{
	uint64_t count = count_before;

	(void)t;
	for (int i = 0; i < LOOKS && count == count_before; i++) {
		if (i > 0)
			usleep(PAUSE_US);
		ASSERT_TRUE(count_faults(&count));
	}
	return count != count_before;
}

/* The log --------------------------------------------------------------------------------------------------------- */

static int log_fd = -1;
static uint64_t logged_before; /* of a simulated machine */

static void log_end(void *arg)
{
	(void)arg;
	close(log_fd);
	log_fd = -1;
}

bool log_readable(void)
{
	int fd = os_sim() ? -1 : open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return os_sim() || fd >= 0;
}

void log_begin(struct t *t)
{
	if (os_sim()) {
		logged_before = weir_sim_num_faults(os_sim());
		return;
	}
	if (log_fd < 0) {
		log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		ASSERT_TRUE(log_fd >= 0);
		t_defer(t, log_end, NULL);
	}
	ASSERT_TRUE(lseek(log_fd, 0, SEEK_END) >= 0);
}

static bool contains_all(const char *text, const char *const *words)
{
	while (*words && strstr(text, *words))
		words++;
	return !*words;
}

/* EPIPE: records were overwritten before they were read; the next ones can be had. */
static bool kernel_log_shows(const char *const *words)
{
	char record[2048];
	bool found = false;
	ssize_t got;

	while ((got = read(log_fd, record, sizeof(record) - 1)) > 0 || (got < 0 && errno == EPIPE)) {
		record[got > 0 ? got : 0] = '\0';
		found |= contains_all(record, words);
	}
	return found;
}

/* A simulated machine has the facts only: here are the words. */
static bool sim_log_shows(const char *const *words)
{
	struct weir_sim_fault faults[64];
	uint64_t since = weir_sim_num_faults(os_sim()) - logged_before;
	size_t num = weir_sim_faults(os_sim(), faults, 64);
	bool found = false;
	char text[128];

	for (size_t i = num > since ? num - since : 0; i < num; i++) {
		snprintf(text, sizeof(text), "[DMA %s] Request device [%s] fault addr %#llx",
			 faults[i].write ? "Write" : "Read", faults[i].address,
			 (unsigned long long)faults[i].iova);
		found |= contains_all(text, words);
	}
	return found;
}

bool log_shows(struct t *t, const char *const *words)
{
	bool found = false;

	(void)t;
	for (int i = 0; i < LOOKS && !found; i++) {
		if (i > 0)
			usleep(PAUSE_US);
		found = os_sim() ? sim_log_shows(words) : kernel_log_shows(words);
	}
	return found;
}
