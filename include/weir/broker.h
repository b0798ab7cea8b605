/* SPDX-License-Identifier: MIT */
/*
 * Running without privileges: a broker opens the device nodes, this program gets their descriptors over a
 * Unix socket.
 *
 * weir-broker is such a broker. The protocol, for those who write another (SOCK_SEQPACKET, one message each
 * way per device):
 *
 *   request   struct weir_broker_request: the PCI address of a device
 *   reply     struct weir_broker_reply, with num_nodes descriptors (SCM_RIGHTS) in the order of its paths;
 *             or error < 0 and a text, without descriptors
 *
 * The broker knows its client by SO_PEERCRED and gives each device to one client at a time, until the
 * connection ends. It need not answer a message that is no request, and may hang up.
 */
#ifndef WEIR_BROKER_H
#define WEIR_BROKER_H

#include <weir/host.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_BROKER_VERSION   1
#define WEIR_BROKER_MAX_NODES 4

struct weir_broker_request {
	uint32_t version; /* WEIR_BROKER_VERSION */
	uint32_t backend; /* enum weir_backend: what the client wants; AUTO leaves it to the broker */
	char address[16]; /* "0000:01:00.0", ended by a zero byte */
};

struct weir_broker_reply {
	uint32_t version;                      /* WEIR_BROKER_VERSION */
	int32_t error;                         /* 0, or a negative errno */
	uint32_t backend;                      /* enum weir_backend that the nodes are for */
	uint32_t num_nodes;                    /* descriptors in this message */
	char paths[WEIR_BROKER_MAX_NODES][64]; /* which node each descriptor is, ended by a zero byte */
	char text[256];                        /* with an error: why */
};

/*
 * Ask the broker that listens at @socket_path for the device at @address, and open a host on what it hands
 * over.
 *
 * The host can open that device and no other. The connection is kept open as long as the host: the broker
 * takes its end as "given back". @opts may choose a backend (the environment variable WEIR_BACKEND does
 * where it says AUTO) and a table of system calls; its nodes must be empty.
 *
 * Returns 0 and the host in @ret_host (weir_host_close()); or
 *   -EINVAL      not a PCI address; nodes in @opts
 *   -ENOENT, -ECONNREFUSED, -EACCES  nobody listens there, or this user may not connect
 *   -EPROTO      what answered is no broker of this version
 *   -ECONNRESET  it hung up without an answer: too many clients, or it is ending
 *   -ETIMEDOUT   no answer within 10 seconds
 *   other        the broker's own error (-EACCES: not for this client; -EBUSY: another client has it; those
 *                of weir_device_open()), with its text in weir_error()
 * Since 0.1.
 */
WEIR_API int weir_host_open_broker(const char *socket_path, const char *address,
				   const struct weir_host_opts *opts, struct weir_host **ret_host);

#ifdef __cplusplus
}
#endif

#endif
