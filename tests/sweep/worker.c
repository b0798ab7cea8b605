// SPDX-License-Identifier: MIT
/* Each case in a process of its own, some at a time. One that dies is reported, and its successor goes on with the next injection. */
#include "sweep/sweep.h"

#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conformance/sim_machine.h"

enum { MAX_JOBS = 16, MAX_DEATHS = 10 };

struct job {
	pid_t worker; /* 0: none */
	const struct t_case *test;
	const struct t_host *host;
	struct findings *findings; /* shared with it */
	int output;                /* what it prints, and its predecessors that died */
	unsigned int deaths;
	struct timespec start;
};

static struct job jobs[MAX_JOBS];

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void start_worker(struct job *job, const struct options *options)
{
	fflush(NULL);
	job->worker = fork();
	if (job->worker < 0) {
		perror("fork");
		exit(2);
	}
	if (job->worker)
		return;
	if (!options->verbose) {
		dup2(job->output, STDOUT_FILENO);
		dup2(job->output, STDERR_FILENO);
	}
	sim_machine_new_image();
	sweep_case(job->test, job->host, options, job->findings);
	fflush(NULL);
	_exit(0);
}

static void start_job(struct job *job, const struct t_case *test, const struct t_host *host,
		      const struct options *options)
{
	*job = (struct job){ .test = test, .host = host };
	job->findings =
		mmap(NULL, sizeof(*job->findings), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	job->output = memfd_create("weir-sweep", MFD_CLOEXEC);
	if (job->findings == MAP_FAILED || job->output < 0) {
		perror("a worker");
		exit(2);
	}
	clock_gettime(CLOCK_MONOTONIC, &job->start);
	start_worker(job, options);
}

/* What it printed, from where a sanitizer says what it thinks; or the end, where a watchdog does. */
static const char *last_output(const struct job *job)
{
	static char text[1 << 20];
	ssize_t got = pread(job->output, text, sizeof(text) - 1, 0);
	const char *from;

	text[got > 0 ? got : 0] = '\0';
	from = strstr(text, "ERROR: ");
	if (!from)
		from = got > MAX_TEXT / 2 ? text + got - MAX_TEXT / 2 : text;
	return from;
}

/* True if another has to go on. */
static bool bury(struct job *job, int status)
{
	struct findings *findings = job->findings;

	if (findings->finished)
		return false;
	complain_of(findings, &findings->now, "the run ended with %s %d, and these words:\n%s",
		    WIFSIGNALED(status) ? "signal" : "status",
		    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), last_output(job));
	return findings->counted && findings->now.nth && ++job->deaths < MAX_DEATHS;
}

static void end_job(struct job *job)
{
	munmap(job->findings, sizeof(*job->findings));
	close(job->output);
	job->worker = 0;
}

/* Wait for one of them to end, and report it. Returns whether there were complaints. */
static bool end_one(const struct options *options)
{
	struct job *job = jobs;
	bool complaints;
	int status;
	pid_t ended;

	do {
		ended = waitpid(-1, &status, 0);
	} while (ended < 0 && errno == EINTR);
	while (job < jobs + MAX_JOBS && job->worker != ended)
		job++;
	if (ended < 0 || job == jobs + MAX_JOBS) {
		perror("waitpid");
		exit(2);
	}
	if (bury(job, status) && !options->only.nth) {
		start_worker(job, options);
		return false;
	}
	if (strstr(last_output(job), "LeakSanitizer"))
		complain_of(job->findings, &job->findings->now, "what was said of leaks:\n%s",
			    last_output(job));
	complaints = job->findings->num_complaints;
	report_case(job->test, job->host, job->findings, seconds_since(&job->start));
	end_job(job);
	return complaints;
}

static bool chosen(const struct t_case *test, const struct options *options)
{
	char name[256];

	snprintf(name, sizeof(name), "%s.%s", test->suite, test->name);
	return test->on_hosts && (!options->cases || !fnmatch(options->cases, name, 0));
}

static unsigned int running(void)
{
	unsigned int num = 0;

	for (int i = 0; i < MAX_JOBS; i++)
		num += jobs[i].worker != 0;
	return num;
}

static struct job *free_job(void)
{
	struct job *job = jobs;

	while (job->worker)
		job++;
	return job;
}

unsigned int sweep_all(const struct options *options)
{
	const char *hosts = options->hosts;
	unsigned int bad = 0;
	char name[64];

	while (t_next_word(&hosts, name, sizeof(name)))
		for (const struct t_case *test = t_first_case(); test; test = test->next) {
			const struct t_host *host = t_find_host(name);
			const char *reason = exempt(test);

			if (!chosen(test, options))
				continue;
			if (reason && !options->only.nth) {
				report_exempt(test, host, reason);
				continue;
			}
			while (running() >= options->jobs)
				bad += end_one(options);
			start_job(free_job(), test, host, options);
		}
	while (running())
		bad += end_one(options);
	return bad;
}
