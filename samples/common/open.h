/* SPDX-License-Identifier: MIT */
/* From what stands on the command line to an open device. */
#ifndef SAMPLES_OPEN_H
#define SAMPLES_OPEN_H

#include <weir/sim.h>
#include <weir/weir.h>

/* What to open and how. */
struct open_request {
	const char *address; /* "0000:01:00.0" */
	const char *broker;  /* socket of a weir-broker; NULL: open the nodes ourselves */
	const char
		*simulate; /* disk image: on a simulated machine with one NVMe controller; NULL: a real one */
	bool writable;     /* with simulate: the image may be written */
	const char *vf_token;                        /* weir_device_opts.vf_token */
	uint32_t backend;                            /* enum weir_backend */
	uint32_t address_bits;                       /* the device's; 0: 64 */
	const struct weir_nested_space_opts *nested; /* a nested space of this kind; NULL: an ordinary one */
};

struct opened {
	struct weir_sim *sim; /* NULL on a real machine */
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
};

/* "auto", "iommufd", "type1" or "compat" to its number; false for anything else. */
bool open_backend(const char *name, uint32_t *ret_backend);

/*
 * Open a host, a space in it, and the device into that. @opened is all zero, or has a simulated machine that the program made and started itself:
 * then the host is that. Returns 0, or an error of weir's with nothing left open.
 */
int open_device(const struct open_request *request, struct opened *opened);

/* The same of a host alone, for programs with spaces and devices of their own. */
int open_host(const struct open_request *request, struct opened *opened);

/* Close what of it is open. Returns 0 or the first error. */
int close_device(struct opened *opened);

#endif
