# What depends on the processor of a machine; sourced by tests/vm/run. arch_NAME sets
# shellcheck shell=bash disable=SC2034,SC2154 # the other half of every variable is in tests/vm/run
#   emulator  QEMU's program, and packages, the groups of .ci/packages that have it
#   image     the kernel's file
#   processor QEMU's model
#   console   the kernel's name of the serial line
#   arch_append    kernel arguments
#   firmware_image files that the firmware is made of, as far as the machine names them

arch_x86_64() {
	emulator=qemu-system-x86_64 packages=vm image=bzImage processor=max,-tsc-deadline console=ttyS0
	# It is not a broken timer when the few ticks that the kernel waits for during boot do not come in time: it would panic then.
	arch_append=no_timer_check
	firmware_image=()
}

arch_arm64() {
	emulator=qemu-system-aarch64 packages='vm arm64' image=Image processor=cortex-a72 console=ttyAMA0
	arch_append=acpi=force
	firmware_image=(/usr/share/qemu-efi-aarch64/QEMU_EFI.fd)
	hardware+=(-bios "${firmware_image[0]}")
}

# The directory that the guest has as its root; empty: this host's.
arch_root() {
	[[ $arch = x86_64 ]] || "$here/lib/$arch-root"
}
