/* SPDX-License-Identifier: MIT */
/*
 * Virtual functions of an 82576 whose physical function this driver drives: a port opened with num_vfs.
 *
 *     igb_port_open(device, &WEIR_OPTS(igb_port_opts, .num_vfs = 2, .flags = IGB_INTERRUPTS), &port);
 *     for (;;) {
 *             poll(... igb_port_link_fd(port) ...);
 *             igb_vfs_serve(port);
 *     }
 *
 * Virtual functions come to be when somebody asks the kernel for them (sriov_numvfs in /sys; docs/igb.md); whoever drives one, this driver or the kernel's igbvf,
 * sends a message for each thing that it wants, and waits for the answer. So igb_vfs_serve() has to be called while there are any: when igb_port_link_fd() becomes
 * readable, or every few milliseconds.
 *
 * Frames between the physical function and virtual ones, and among those, do not leave the controller. A virtual function receives what is for its address, for its groups
 * and for everybody; it cannot send from an address that is not its own.
 *
 * Trust: none. A message that asks for what cannot be is refused and counted; it changes nothing. The controller has room for 32 VLAN tags: each virtual function may have
 * 32 / (num_vfs + 1) of them, so that none takes them from the others; what is left over, and the last part, is the physical function's, which may also take more.
 *
 * Threads: as other calls on the port.
 */
#ifndef IGB_VFS_H
#define IGB_VFS_H

#include <igb/igb.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Answer what virtual functions ask: at most one message of each, and resets of theirs. Returns how many there were, 0 if nothing was asked for; or
 *   -EINVAL  the port was opened without num_vfs
 *   -ENODEV, -EIO
 *
 * Datasheet 7.10.2.9 (mailbox). What messages say: Linux, drivers/net/ethernet/intel/igb/e1000_mbx.h.
 */
int igb_vfs_serve(struct igb_port *port);

/*
 * Give virtual function @vf (0 to num_vfs - 1) this address, and no choice. If it is at work already, it is told to reset itself, and takes it then; what it has asked for and
 * was not answered yet is refused, which tells it as well. @mac NULL: its choice again. Returns 0; -EINVAL, no such function, or no station's address; -EADDRINUSE, another function has it; -ENODEV, -EIO.
 */
int igb_vf_set_mac(struct igb_port *port, uint32_t vf, const uint8_t *mac);

struct igb_vf_info {
	uint8_t mac[6];     /* all zero: none; one that it chose is gone when its function is reset */
	bool fixed;         /* igb_vf_set_mac() */
	bool ready;         /* it has reset itself, and may receive and send */
	uint32_t max_frame; /* as it was asked for */
	uint32_t num_groups, num_vlans;
	uint64_t messages, refused; /* since the port was opened */
};

/* Fill in @ret_info (@size: sizeof *@ret_info). Returns 0; -EINVAL, no such function. */
int igb_vf_info(const struct igb_port *port, uint32_t vf, struct igb_vf_info *ret_info, size_t size);

#ifdef __cplusplus
}
#endif

#endif
