# How a run ended; sourced by tests/vm/run. Uses its variables work, results, budget and qemu_status.
# shellcheck shell=bash disable=SC2034,SC2154 # the other half of every variable is in tests/vm/run

# What the kernel says when it is at fault itself. IOMMU faults are no such thing: tests provoke them.
kernel_faults='WARNING: |BUG: |kernel BUG at|Oops: |Kernel panic|[Gg]eneral protection fault|nable to handle
INFO: task .* blocked for more than|rcu.*(detected|self-detected) stall|rcu.* kthread (timer wakeup|starved)
INFO: (possible|inconsistent|suspicious|trying to register)|possible .*deadlock|refcount_t: |list_(add|del) corruption
UBSAN: |KASAN: |KFENCE: |Bad page state|soft lockup|hard LOCKUP|double fault|stack guard page was hit'
kernel_faults=${kernel_faults//$'\n'/|}

# Of /proc/sys/kernel/tainted: bad page, died, warned, locked up.
taint_of_faults=$((1 << 5 | 1 << 7 | 1 << 9 | 1 << 14))

fact() { # NAME: the last value the guest reported for it; fails when there is none
	awk -v name="$1" '$1 == name { value = $2; found = 1 } END { if (!found) exit 1; print value }' "$work/status"
}

console_tail() {
	echo "vm: the last lines of the console:" >&2
	tail -n 40 "$results/console.log" | tr -d '\r' >&2
}

kernel_at_fault() {
	local tainted
	if grep -qE "$kernel_faults" "$results/console.log"; then
		echo "vm: the kernel reported:" >&2
		grep -E -A 24 "$kernel_faults" "$results/console.log" | tr -d '\r' | head -n 80 >&2
		return 0
	fi
	tainted=$(fact tainted) || return 1
	((tainted & taint_of_faults)) || return 1
	echo "vm: the kernel is tainted ($tainted) by a fault that the console does not show" >&2
}

verdict() {
	local status up=no
	! fact up >/dev/null || up=yes
	if ((qemu_status == 124 || qemu_status == 137)); then
		echo "vm: not finished within $budget seconds" >&2
	fi
	if kernel_at_fault; then exit 125; fi
	if status=$(fact exit); then exit "$status"; fi
	console_tail
	if [[ $up = yes ]] && ((qemu_status == 124 || qemu_status == 137)); then exit 124; fi
	cat "$work/qemu.log" >&2
	if [[ $up = yes ]]; then
		echo "vm: the machine went away while the command was running" >&2
	else
		echo "vm: the machine did not come up" >&2
	fi
	exit 126
}
