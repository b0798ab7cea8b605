# What a machine file may say; sourced by tests/vm/run before the machine file itself. A machine file sets
# shellcheck shell=bash disable=SC2034,SC2154 # the other half of every variable is in tests/vm/run
#   arch     the processor: x86_64, or arm64
#   kernel   the program in tests/vm/lib that provides the kernel
#   tables   the program in tests/vm/lib that mends the firmware's ACPI tables, if that is called for
#   append   kernel arguments of the machine
#   hardware QEMU arguments of the machine
#   processors how many of them
#   accel    how QEMU runs the processors
#   outside  "no" if QEMU itself is not to be at the network card's wire, where it resets every TCP connection that it sees
#   monitor  "yes" if the guest is to have QEMU's monitor, as the virtio port weir.monitor
#   binding  "refused" if the devices cannot be bound to vfio-pci
# and calls the functions below for what sits in it.
arch=x86_64
kernel=kernel
processors=2
tables=''
# One host thread for all processors. With one for each, a register access can get lost in QEMU 10.0 while another processor
# changes the map of memory (BARs and bridge windows come and go with resets and power states): ends of interrupts were lost,
# and with them that processor's clock, for good.
accel=tcg,thread=single
append=()
hardware=()
devices=()
outside=yes
monitor=no
binding=required
variables=()

# A named device: bound to vfio-pci in the guest and told to the job as WEIR_DEVICE_NAME.
device() { # NAME ADDRESS-IN-GUEST QEMU-DEVICE[,PROPERTY=VALUE...]
	devices+=("$1=$2")
	variables+=("WEIR_DEVICE_${1^^}=$2")
	hardware+=(-device "$3")
}

# An nvme controller with one namespace on a disk image of its own, told to the job as WEIR_IMAGE_NAME. What is
# written to it is forgotten with the run. The extra seven sectors keep the size from being a multiple of anything.
nvme() { # NAME ADDRESS-IN-GUEST MEBIBYTES PROPERTIES
	local image
	image=$("$here/lib/image" "$1" $(($3 * 1048576 + 7 * 512)))
	variables+=("WEIR_IMAGE_${1^^}=$image")
	hardware+=(-drive "id=$1,if=none,format=raw,snapshot=on,file=${image//,/,,}")
	device "$1" "$2" "nvme,serial=weir-$1,drive=$1,$4"
}
