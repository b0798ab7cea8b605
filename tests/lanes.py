# SPDX-License-Identifier: MIT
"""The lanes of tests/run, in the order they run.

A lane has a budget in seconds for its steps (not for installing packages, building and preparing); one that takes longer is
killed and fails. In commands, {build} is the directory of the lane's build and {results} that of its results.
"""
from lane import Lane, gtest, junit, script


def vm(name, what, machine, hosts, budget, parts="conformance", kernel="tests/vm/lib/kernel", build="plain",
       append="", skips="", long=False, more_packages=()):
    """A lane inside a virtual machine: tests/vm/lane runs its parts on the hosts. The budget is the machine's, boot included."""
    append = f"--append '{append}' " if append else ""
    command = (f"env WEIR_BUILD={{build}} WEIR_SKIPS={skips or machine} tests/vm/run --machine {machine} --budget {budget} "
               f"{append}--results {{results}} -- "
               f"tests/vm/lane {{results}} {hosts} {parts}")
    return Lane(name, what, budget=budget + 15, packages=["build", "vm", "kernel", *more_packages], build=build, prepare=[kernel],
                steps=[junit(machine, command, xml="*.xml")], long=long, beside=not parts.endswith(("bench", "-rates")))


# The programs of the unit tests: name of the results, and path in a build.
UNIT_PROGRAMS = [("shim", "tests/shim/weir-shim-selftest"), ("unit", "tests/unit/weir-unit"),
                 ("core", "tests/unit/weir-unit-core"), ("nvme", "tests/unit/weir-nvme-unit"), ("nvme-debug", "tests/unit/weir-nvme-debug-unit"),
                 ("sim", "tests/unit/weir-sim-unit"), ("sim-iommu", "tests/unit/weir-sim-iommu-unit"),
                 ("sim-vfio", "tests/unit/weir-sim-vfio-unit"), ("sim-model", "tests/unit/weir-sim-model-unit"),
                 ("sim-rdma", "tests/unit/weir-rdma-unit"), ("sim-drivers", "tests/unit/weir-sim-drivers-unit"),
                 ("sim-faultq", "tests/unit/weir-faultq-unit"), ("sim-handover", "tests/unit/weir-handover-unit"),
                 ("sim-decode", "tests/unit/weir-sim-decode-unit"), ("guard", "tests/unit/weir-guard-unit")]


def units(below="", arguments="", without=()):
    """The unit tests, each program run by the command @below."""
    return [gtest(name, f"{below}{{build}}/{path}{arguments}") for name, path in UNIT_PROGRAMS if name not in without]


# Conformance on the simulated hosts. It takes no privileges, but as root more can be shown.
SIM_PARTS = ["vtd", "topology", "stock", "noiommu-at-all", "virtio-refused", "vtd-nested", "smmuv3-nested", "vtd-logging",
             "nest-vtd", "nest-smmuv3", "nest-amd", "vtd-nested-spaces", "smmuv3-nested-spaces", "vtd-spaces"]
SIM = [junit(f"sim-{part}", f"tests/conformance/sim {{build}} {{results}} {part}") for part in SIM_PARTS]


# A sample program that measures: what it says of itself.
PERF = junit("perf", "python3 tests/samples/perf.py --build {build} --junit {results}/perf.xml")


def sweep(machine, every, hosts="sim-iommufd,sim-type1,sim-compat"):
    """The failure sweep on a simulated machine."""
    return junit(f"sweep-{machine}", f"env WEIR_SIM_MACHINE={machine} {{build}}/tests/sweep/weir-sweep --every={every} "
                                     f"--host={hosts} --junit={{results}}/sweep-{machine}.xml")


def sweep_nested(machine, suite, every):
    """A suite of those about domains, on a simulated machine that nests."""
    return junit(f"sweep-{machine}-{suite}", f"env WEIR_SIM_MACHINE={machine} {{build}}/tests/sweep/weir-sweep --every={every} --case={suite}* "
                                             f"--host=sim-iommufd --junit={{results}}/sweep-{machine}-{suite}.xml")


def sweeps(every):
    """On two machines; on the second are the devices in groups, and those that are reset together. And what is about domains where they nest."""
    return [*(sweep(machine, every) for machine in ["vtd", "topology"]),
            *(sweep_nested(machine, suite, every) for machine in ["nest-vtd", "nest-smmuv3"] for suite in ["domain", "inval", "faultq", "events"])]


# Machines that refuse to open any device.
SWEEP_REFUSED = [sweep(machine, 1, "sim-iommufd,sim-type1,sim-compat,sim-auto") for machine in ["virtio-refused", "noiommu-at-all"]]


def table(machine, lanes):
    """What the cases saw on the simulated hosts beside what they saw in these lanes."""
    real = " ".join(f"build/results/{lane}/record" for lane in lanes)
    return junit(machine, f"python3 tests/table/compare.py --simulated build/results/sim/record-{machine} --real {real} "
                          f"--not-compared tests/table/not-compared --junit {{results}}/{machine}.xml "
                          f"--table {{results}}/table{'' if machine == 'vtd' else '-' + machine}.txt")


def lines(machine, lanes):
    """That the cases show, on both sides, what was once seen on a kernel."""
    real = " ".join(f"build/results/{lane}/record" for lane in lanes)
    return junit("lines", f"python3 tests/table/lines.py --lines tests/table/vm-lines --simulated build/results/sim/record-{machine} "
                          f"--real {real} --not-compared tests/table/not-compared --junit {{results}}/lines.xml")


LANES = [
    Lane("style", "format, lengths, includes, headers that stand alone, clang-tidy, shellcheck, exported symbols",
         budget=1200, packages=["build", "check"], build="plain",
         steps=[junit("style", "python3 tests/style/check.py --build {build} --junit {results}/style.xml")]),

    Lane("unit", "one noun at a time, without a kernel; the programs for network cards; the test framework and runner themselves",
         budget=240, packages=["build", "plot"], build="plain",
         steps=[script("runner", "python3 tests/lib/selftest.py"), script("table", "python3 tests/table/selftest.py"),
                script("rates", "python3 tests/bench/selftest.py"),
                *units(),
                junit("network", "python3 tests/samples/network.py --build {build} --junit {results}/network.xml")]),

    Lane("bench", "what a map and an unmap, in the kernel, in stage-1 tables or on a nested space, the nvme driver's commands, the igb driver's packets, and a guarded access take in instructions, against limits",
         budget=400, packages=["build", "check"], build="plain",
         steps=[script("map", "tests/bench/map/instructions --build {build}"),
                script("nvme", "tests/bench/nvme/instructions --build {build}"),
                script("igb", "tests/bench/igb/instructions --build {build}"),
                script("mmio", "tests/bench/mmio/instructions --build {build}"),
                script("stage1", "tests/bench/stage1/instructions --build {build}"),
                script("nested", "tests/bench/nested/instructions --build {build}")]),

    Lane("bench-cycles", "the nvme driver's commands and the igb driver's packets in cycles as well, against limits, for a quiet machine",
         budget=400, packages=["build", "check"], build="plain",
         steps=[script("nvme", "tests/bench/nvme/instructions --build {build} --cycles"),
                script("igb", "tests/bench/igb/instructions --build {build} --cycles")], long=True),

    Lane("bench-memory", "finding an address, a hit of the registration cache, IOVAs taken and given back: times beside yardsticks of the same run, against limits, for a quiet machine",
         budget=900, packages=["build", "check"], build="plain",
         steps=[script("memory", "tests/bench/memory/run --build {build}")], long=True),

    Lane("abi", "our definitions of the kernel's interface against the newest headers Debian ships",
         budget=240, packages=["build"],
         steps=[junit("abi", "tests/abi/run --junit {results}/abi.xml")]),

    Lane("install", "an installed copy, used from C, C++ and CMake",
         budget=240, packages=["build"], build="plain",
         steps=[junit("install", "python3 tests/install/check.py --build {build} --junit {results}/install.xml")]),

    Lane("sim", "conformance on simulated hosts: iommufd, type1, compat and auto; two machines, and a stock kernel; weir-nvme-perf",
         budget=600, packages=["build", "plot"], build="plain",
         steps=[*SIM, PERF], beside=True),

    Lane("asan", "the unit tests, and conformance on simulated hosts, with address and undefined-behaviour sanitizers",
         budget=900, packages=["build", "plot"], build="asan",
         steps=[*units(without=["sim-decode"]), *SIM, PERF], beside=True),

    Lane("sweep", "each system call and allocation fails in turn in each conformance case: a sample, with sanitizers",
         budget=600, packages=["build"], build="asan",
         steps=sweeps(every=40), beside=True),

    Lane("sweep-all", "the same with all of them: 86000 failures",
         budget=5400, packages=["build"], build="asan", long=True,
         steps=[*sweeps(every=1), *SWEEP_REFUSED], beside=True),

    Lane("tsan", "the unit tests with the thread sanitizer",
         budget=450, packages=["build"], build="tsan",
         steps=units(without=["sim-decode"]), beside=True),

    Lane("docs", "every command on the page about the simulated host, and the program there",
         budget=400, packages=["build"], build="plain",
         steps=[junit("docs", "python3 tests/docs/check.py --build {build} --junit {results}/docs.xml docs/simulated-host.md")], beside=True),

    Lane("preload", "unmodified VFIO programs of others on the simulated host: qemu-img, lspci, the kernel's own selftests",
         budget=300, packages=["build", "foreign"], build="plain", prepare=["tests/preload/kernel-selftests"],
         steps=[junit("foreign", "tests/preload/run --build {build} --junit {results}/foreign.xml"),
                junit("selftests", "tests/preload/selftests --build {build} --junit {results}/selftests.xml")], beside=True),

    Lane("valgrind", "the unit tests under valgrind: memory and descriptors",
         budget=900, packages=["build", "check"], build="plain",
         # valgrind 3.19 goes on where a fault was, wherever the handler wants to go on: the guard cannot work.
         steps=units("valgrind --quiet --leak-check=full --track-fds=yes --error-exitcode=9 ", " --timeout=300 --gtest_filter=-guard.*",
                     # Nor does it see what process_vm_writev() writes, which is how the simulated kernel answers.
                     without=["shim", "guard", *(name for name, _ in UNIT_PROGRAMS if name.startswith("sim"))]), beside=True),

    Lane("fuzz", "hostile input: to the library, to the simulated kernel and stage-1 tables against plain models, to the nvme and igb models and to the drivers",
         budget=300, packages=["build", "check"], build="fuzz",
         steps=[junit("fuzz", "tests/fuzz/run --build {build} --junit {results}/fuzz.xml")]),

    # Long: some twenty boots, for what changes with tests/vm only.
    Lane("vm-bed", "the virtual machines themselves: devices, budgets, kernel faults, results",
         budget=900, packages=["build", "vm", "kernel"],
         prepare=["tests/vm/lib/kernel", "tests/vm/lib/kernel-stock"],
         steps=[script("selftest", "tests/vm/selftest")], long=True),

    vm("vm-iommufd", "iommufd on a real kernel: conformance, then the programs on real devices",
       machine="vtd", hosts="iommufd", budget=720, parts="conformance programs"),
    vm("vm-type1", "the VFIO container on a real kernel: conformance, then the programs",
       machine="vtd", hosts="type1", budget=720, parts="conformance programs"),
    vm("vm-compat", "the container's ioctls on /dev/iommu: conformance, then the programs",
       machine="vtd", hosts="compat", budget=720, parts="conformance programs"),
    # Long: emulated processors take long with sanitizers, and the lane asan has run the same cases on the simulated hosts.
    vm("vm-asan", "conformance on iommufd and the container with address and undefined-behaviour sanitizers",
       machine="vtd", hosts="iommufd,type1", budget=720, build="asan", long=True),
    Lane("vm-selftests", "the kernel's own VFIO selftests, on real devices and on simulated ones: the same passes and skips",
         budget=480, packages=["build", "foreign", "vm", "kernel"], build="plain",
         prepare=["tests/vm/lib/kernel", "tests/preload/kernel-selftests"],
         steps=[junit("selftests", "tests/preload/selftests --build {build} --junit {results}/selftests.xml --vm")], beside=True),
    vm("vm-bench", "a map and an unmap beside the bare system calls, together, and as stores: ratios of times, for a quiet machine",
       machine="vtd", hosts="iommufd,type1", budget=480, parts="bench", long=True),
    vm("vm-igb", "a host on the igb driver, pinged 100000 times by the kernel through another card",
       machine="wire", hosts="iommufd,type1", budget=2400, parts="igb-wire igb", long=True),
    vm("vm-igb-wire", "the igb driver with the kernel at the other end of the wire: the link, jumbo frames, RSS, resets in mid-stream, counters",
       machine="wire", hosts="iommufd", budget=300, parts="igb-wire"),
    vm("vm-igb-rates", "frames of an igb driven by weir beside those of the kernel's igb driver and a packet socket, in turns: ratios, for a quiet machine",
       machine="pair", hosts="iommufd", budget=600, parts="igb-rates", long=True),
    vm("vm-l2fwd", "two hosts on two wires that weir-l2fwd joins: TCP by iperf3, a file, jumbo frames; and packets to a disk, not through host memory",
       machine="wires", hosts="iommufd,type1", budget=500, parts="l2fwd packet-dump", long=True),
    vm("vm-igb-vfs", "virtual functions of a network card, pinged: driven by weir and by the kernel, beside a physical one driven by weir and by the kernel",
       machine="sriov", hosts="iommufd,type1", budget=480, parts="igb-vfs", long=True),
    vm("vm-nvme-vfs", "virtual functions of an nvme controller: a whole disk read and written through them, beside a physical one driven by weir and by the kernel",
       machine="sriov", hosts="iommufd,type1", budget=900, parts="nvme-vfs", long=True),
    Lane("vm-mock", "domains, invalidation and page requests on the kernel's own test double of an IOMMU, by the public interface: what is in its cache after each batch",
         budget=135, packages=["build", "vm", "kernel"], build="plain", prepare=["tests/vm/lib/kernel"],
         steps=[junit("mock", "tests/vm/run --machine vtd --budget 120 --results {results} -- "
                              "{build}/tests/mock/weir-mock --gtest_output=xml:{results}/mock.xml")], beside=True),
    vm("vm-fio", "a disk that fio on the kernel's driver and weir's programs have in turns: what one wrote the other finds, and the controller's counts",
       machine="vtd", hosts="iommufd,type1", budget=900, parts="fio", more_packages=["fio", "plot"], long=True),
    vm("vm-nvme-rates", "requests per second by weir beside those by io_uring on the kernel's driver, in turns: ratios, for a quiet machine",
       machine="vtd", hosts="iommufd", budget=1000, parts="nvme-rates", more_packages=["fio"], long=True),
    vm("vm-rdma", "a disk by RDMA from a userspace driver to another host, by soft-RoCE between two network namespaces; a BAR refused",
       machine="vtd", hosts="iommufd,type1", budget=420, parts="rdma"),
    vm("vm-handover", "a read and a transfer go on while their driver is followed by another process: by exec, over a socket, and after kill -9",
       machine="vtd", hosts="iommufd,type1", budget=900, parts="handover"),
    vm("vm-handover-long", "the same, with 200 drivers killed",
       machine="vtd", hosts="iommufd,type1", budget=3000, parts="handover-long", long=True),
    vm("vm-resets", "a disk copied from device to device, with a thousand resets of the target on the way",
       machine="vtd", hosts="iommufd,type1", budget=2400, parts="resets", long=True),
    vm("vm-stock", "a stock Debian kernel, which has no iommufd: what auto makes of it",
       machine="stock", hosts="auto", budget=600, parts="conformance programs", kernel="tests/vm/lib/kernel-stock"),
    # A boot and a lane are to take about a minute where little else runs, so each host has its own.
    *(vm(f"vm-topology-{host}", f"switches, bridges, groups of several devices, hot reset: {host}",
         machine="topology", hosts=host, budget=720) for host in ["iommufd", "type1", "compat"]),

    vm("vm-topology-no-acs", "the same machine told to leave ACS redirect off at two ports: the verdict on what is behind them changes",
       machine="topology", hosts="iommufd", budget=240, parts="reach",
       append="pci=disable_acs_redir=0000:00:0b.0;0000:00:0b.1"),

    # Long: with an empty cache, a kernel for arm64 has to be built first. A first boot fills the caches: kernel, root, ACPI tables. An emulated processor of another kind takes its time, and so does an edu: 200 s each on a
    # machine that does nothing else. What is much the same as on x86 is in the third.
    *(vm(name, about, machine="smmuv3", hosts=host, budget=budget, parts=parts, build="arm64", more_packages=["arm64"],
         kernel="tests/vm/run --machine smmuv3 -- true", long=long) for name, about, host, parts, budget, long in [
        ("vm-smmuv3", "arm64, cross-built, on an IOMMU that nests (SMMUv3): conformance on iommufd", "iommufd", "conformance", 600, True),
        ("vm-smmuv3-type1", "the same machine: conformance on the container, then the programs", "type1", "conformance programs", 600, True),
        ("vm-smmuv3-more", "the same machine: conformance in nested spaces, the programs on iommufd, and unit tests that the processor matters to",
         "iommufd", "spaces programs units", 1200, True),
        ("vm-bench-smmuv3", "the same machine: what a map takes that is a store, and its invalidation, where hardware nests", "iommufd", "bench", 420, True)]),

    # One of them long, to keep CI short: they differ in the platform, not in the interface.
    *(vm(f"vm-virtio-{host}", f"another IOMMU (virtio), whose platform does not isolate interrupts, accepted: {host}",
         machine="virtio", hosts=host, budget=720, long=host == "type1",
         append="iommufd.allow_unsafe_interrupts=1 vfio_iommu_type1.allow_unsafe_interrupts=1") for host in ["iommufd", "type1"]),
    vm("vm-refused", "the same, not accepted: every open is refused with the reason",
       machine="virtio", hosts="iommufd,type1,compat,auto", budget=240, skips="virtio-refused"),
    vm("vm-no-iommu", "a machine without an IOMMU: every open is refused with the reason",
       machine="noiommu-at-all", hosts="iommufd,type1,compat,auto", budget=240),

    # After those whose records it reads.
    Lane("table", "what conformance saw on the simulated hosts beside what it saw on the real kernel, row by row",
         budget=120, packages=["build"],
         steps=[table("vtd", ["vm-iommufd", "vm-type1", "vm-compat"]),
                table("topology", ["vm-topology-iommufd", "vm-topology-type1", "vm-topology-compat"]),
                lines("vtd", ["vm-iommufd", "vm-type1", "vm-compat"])]),
]
