# A disk that the kernel's driver and weir's have in turns: source this file.
#
#   give_to_kernel ADDRESS       binds it to the kernel's nvme driver, and waits for its disk: $node
#   give_to_weir ADDRESS         back to vfio-pci
#   on_node COMMAND...           a command that uses it; it may be given up when that has ended
#   counted ADDRESS              the read and write commands that its controller says it has had (both, to weir's and the kernel's driver)

bind_to() { # ADDRESS DRIVER
	local of=/sys/bus/pci/devices/$1
	[[ $(basename "$(readlink "$of/driver")") != "$2" ]] || return 0
	[[ ! -e $of/driver ]] || echo "$1" >"$of/driver/unbind"
	echo "$2" >"$of/driver_override"
	echo "$1" >/sys/bus/pci/drivers_probe
	[[ $(basename "$(readlink "$of/driver")") = "$2" ]] || { echo "$1: $2 has not taken it"; return 1; }
}

give_to_weir() {
	bind_to "$1" vfio-pci
}

give_to_kernel() {
	local below i
	bind_to "$1" nvme || return 1
	for ((i = 0; i < 100; i++)); do
		for below in "/sys/bus/pci/devices/$1"/nvme/nvme*/nvme*n1; do
			node=/dev/${below##*/}
			controller=/dev/$(basename "$(dirname "$below")")
			[[ ! -b $node ]] || return 0
		done
		sleep 0.1
	done
	echo "$1: the kernel's driver shows no disk"
	return 1
}

on_node() {
	"$@" </dev/null
}

# Get Log Page of the SMART log (Base 2.0, 5.16.1.3): host read and host write commands, at 64 and 80.
counted() { # ADDRESS
	give_to_kernel "$1" >&2 || return 1
	python3 - "$controller" <<-'END'
		import ctypes, fcntl, struct, sys
		page = ctypes.create_string_buffer(512)
		command = struct.pack("<BBHIIIQQIIIIIIIIII", 2, 0, 0, 0xffffffff, 0, 0, 0, ctypes.addressof(page), 0, 512, 2 | 127 << 16, 0, 0, 0, 0, 0, 0, 0)
		with open(sys.argv[1], "rb") as controller:
		    fcntl.ioctl(controller, 0xc0484e41, bytearray(command))
		print(sum(int.from_bytes(page.raw[at:at + 16], "little") for at in (64, 80)))
	END
	give_to_weir "$1" >&2
}
