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
                steps=[junit(machine, command, xml="*.xml")], long=long)


# The programs of the unit tests: name of the results, and path in a build.
UNIT_PROGRAMS = [("shim", "tests/shim/weir-shim-selftest"), ("unit", "tests/unit/weir-unit"),
                 ("core", "tests/unit/weir-unit-core"), ("nvme", "tests/unit/weir-nvme-unit"),
                 ("sim", "tests/unit/weir-sim-unit"), ("sim-iommu", "tests/unit/weir-sim-iommu-unit"),
                 ("sim-vfio", "tests/unit/weir-sim-vfio-unit"), ("sim-model", "tests/unit/weir-sim-model-unit"),
                 ("sim-rdma", "tests/unit/weir-rdma-unit"), ("sim-drivers", "tests/unit/weir-sim-drivers-unit"),
                 ("sim-decode", "tests/unit/weir-sim-decode-unit"), ("guard", "tests/unit/weir-guard-unit")]


def units(below="", arguments="", without=()):
    """The unit tests, each program run by the command @below."""
    return [gtest(name, f"{below}{{build}}/{path}{arguments}") for name, path in UNIT_PROGRAMS if name not in without]


# Conformance on the simulated hosts. It takes no privileges, but as root more can be shown.
SIM = junit("sim", "tests/conformance/sim {build} {results}", xml="sim-*.xml")


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
            *(sweep_nested(machine, suite, every) for machine in ["nest-vtd", "nest-smmuv3"] for suite in ["domain", "inval"])]


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
    Lane("style", "format, lengths, headers that stand alone, clang-tidy, shellcheck, exported symbols",
         budget=900, packages=["build", "check"], build="plain",
         steps=[junit("style", "python3 tests/style/check.py --build {build} --junit {results}/style.xml")]),

    Lane("unit", "one noun at a time, without a kernel; and the test framework and runner themselves",
         budget=180, packages=["build"], build="plain",
         steps=[script("runner", "python3 tests/lib/selftest.py"), script("table", "python3 tests/table/selftest.py"),
                *units()]),

    Lane("bench", "what a map and an unmap, in the kernel or in stage-1 tables, the nvme driver's read, and a guarded access take in instructions, against limits",
         budget=120, packages=["build", "check"], build="plain",
         steps=[script("map", "tests/bench/map/instructions --build {build}"),
                script("nvme", "tests/bench/nvme/instructions --build {build}"),
                script("mmio", "tests/bench/mmio/instructions --build {build}"),
                script("stage1", "tests/bench/stage1/instructions --build {build}")]),

    Lane("abi", "our definitions of the kernel's interface against the newest headers Debian ships",
         budget=240, packages=["build"],
         steps=[junit("abi", "tests/abi/run --junit {results}/abi.xml")]),

    Lane("install", "an installed copy, used from C, C++ and CMake",
         budget=240, packages=["build"], build="plain",
         steps=[junit("install", "python3 tests/install/check.py --build {build} --junit {results}/install.xml")]),

    Lane("sim", "conformance on simulated hosts: iommufd, type1, compat and auto; two machines, and a stock kernel",
         budget=300, packages=["build"], build="plain",
         steps=[SIM]),

    Lane("asan", "the unit tests, and conformance on simulated hosts, with address and undefined-behaviour sanitizers",
         budget=900, packages=["build"], build="asan",
         steps=[*units(without=["sim-decode"]), SIM]),

    Lane("sweep", "each system call and allocation fails in turn in each conformance case: a sample, with sanitizers",
         budget=600, packages=["build"], build="asan",
         steps=sweeps(every=40)),

    Lane("sweep-all", "the same with all of them: 86000 failures",
         budget=5400, packages=["build"], build="asan", long=True,
         steps=[*sweeps(every=1), *SWEEP_REFUSED]),

    Lane("tsan", "the unit tests with the thread sanitizer",
         budget=300, packages=["build"], build="tsan",
         steps=units(without=["sim-decode"])),

    Lane("docs", "every command on the page about the simulated host, and the program there",
         budget=300, packages=["build"], build="plain",
         steps=[junit("docs", "python3 tests/docs/check.py --build {build} --junit {results}/docs.xml docs/simulated-host.md")]),

    Lane("preload", "unmodified VFIO programs of others on the simulated host: qemu-img, lspci, the kernel's own selftests",
         budget=300, packages=["build", "foreign"], build="plain", prepare=["tests/preload/kernel-selftests"],
         steps=[junit("foreign", "tests/preload/run --build {build} --junit {results}/foreign.xml"),
                junit("selftests", "tests/preload/selftests --build {build} --junit {results}/selftests.xml")]),

    Lane("valgrind", "the unit tests under valgrind: memory and descriptors",
         budget=900, packages=["build", "check"], build="plain",
         # valgrind 3.19 goes on where a fault was, wherever the handler wants to go on: the guard cannot work.
         steps=units("valgrind --quiet --leak-check=full --track-fds=yes --error-exitcode=9 ", " --timeout=300 --gtest_filter=-guard.*",
                     # Nor does it see what process_vm_writev() writes, which is how the simulated kernel answers.
                     without=["shim", "guard", *(name for name, _ in UNIT_PROGRAMS if name.startswith("sim"))])),

    Lane("fuzz", "hostile input: to the library, to the simulated kernel and stage-1 tables against plain models, to the nvme model and driver",
         budget=300, packages=["build", "check"], build="fuzz",
         steps=[junit("fuzz", "tests/fuzz/run --build {build} --junit {results}/fuzz.xml")]),

    # Long: some twenty boots, for what changes with tests/vm only.
    Lane("vm-bed", "the virtual machines themselves: devices, budgets, kernel faults, results",
         budget=900, packages=["build", "vm", "kernel"],
         prepare=["tests/vm/lib/kernel", "tests/vm/lib/kernel-stock"],
         steps=[script("selftest", "tests/vm/selftest")], long=True),

    vm("vm-iommufd", "iommufd on a real kernel: conformance, then the programs on real devices",
       machine="vtd", hosts="iommufd", budget=300, parts="conformance programs"),
    vm("vm-type1", "the VFIO container on a real kernel: conformance, then the programs",
       machine="vtd", hosts="type1", budget=300, parts="conformance programs"),
    vm("vm-compat", "the container's ioctls on /dev/iommu: conformance, then the programs",
       machine="vtd", hosts="compat", budget=300, parts="conformance programs"),
    # Long: emulated processors take long with sanitizers, and the lane asan has run the same cases on the simulated hosts.
    vm("vm-asan", "conformance on iommufd and the container with address and undefined-behaviour sanitizers",
       machine="vtd", hosts="iommufd,type1", budget=720, build="asan", long=True),
    Lane("vm-selftests", "the kernel's own VFIO selftests, on real devices and on simulated ones: the same passes and skips",
         budget=300, packages=["build", "foreign", "vm", "kernel"], build="plain",
         prepare=["tests/vm/lib/kernel", "tests/preload/kernel-selftests"],
         steps=[junit("selftests", "tests/preload/selftests --build {build} --junit {results}/selftests.xml --vm")]),
    vm("vm-bench", "a map and an unmap beside the bare system calls, and together: ratios of times, for a quiet machine",
       machine="vtd", hosts="iommufd,type1", budget=480, parts="bench", long=True),
    Lane("vm-mock", "domains and invalidation on the kernel's own test double of an IOMMU, by the public interface: what is in its cache after each batch",
         budget=135, packages=["build", "vm", "kernel"], build="plain", prepare=["tests/vm/lib/kernel"],
         steps=[junit("mock", "tests/vm/run --machine vtd --budget 120 --results {results} -- "
                              "{build}/tests/mock/weir-mock --gtest_output=xml:{results}/mock.xml")]),
    vm("vm-rdma", "a disk by RDMA from a userspace driver to another host, by soft-RoCE between two network namespaces; a BAR refused",
       machine="vtd", hosts="iommufd,type1", budget=240, parts="rdma"),
    vm("vm-resets", "a disk copied from device to device, with a thousand resets of the target on the way",
       machine="vtd", hosts="iommufd,type1", budget=2400, parts="resets", long=True),
    vm("vm-stock", "a stock Debian kernel, which has no iommufd: what auto makes of it",
       machine="stock", hosts="auto", budget=450, parts="conformance programs", kernel="tests/vm/lib/kernel-stock"),
    # A boot and a lane are to take about a minute where little else runs, so each host has its own.
    *(vm(f"vm-topology-{host}", f"switches, bridges, groups of several devices, hot reset: {host}",
         machine="topology", hosts=host, budget=300) for host in ["iommufd", "type1", "compat"]),

    vm("vm-topology-no-acs", "the same machine told to leave ACS redirect off at two ports: the verdict on what is behind them changes",
       machine="topology", hosts="iommufd", budget=120, parts="reach",
       append="pci=disable_acs_redir=0000:00:0b.0;0000:00:0b.1"),

    # A first boot fills the caches: kernel, root, ACPI tables. Long: two of the cases about domains do not pass there yet, and an edu takes its time.
    *(vm(name, about, machine="smmuv3", hosts=host, budget=420, parts=parts, build="arm64", more_packages=["arm64"],
         kernel="tests/vm/run --machine smmuv3 -- true", long=True) for name, about, host, parts in [
        ("vm-smmuv3", "arm64, cross-built, on an IOMMU that nests (SMMUv3): conformance on iommufd, some unit tests, the programs",
         "iommufd", "conformance units programs"),
        ("vm-smmuv3-type1", "the same machine: conformance on the container, then the programs", "type1", "conformance programs")]),

    # After those whose records it reads.
    Lane("table", "what conformance saw on the simulated hosts beside what it saw on the real kernel, row by row",
         budget=120, packages=["build"],
         steps=[table("vtd", ["vm-iommufd", "vm-type1", "vm-compat"]),
                table("topology", ["vm-topology-iommufd", "vm-topology-type1", "vm-topology-compat"]),
                lines("vtd", ["vm-iommufd", "vm-type1", "vm-compat"])]),
    *(vm(f"vm-virtio-{host}", f"another IOMMU (virtio), whose platform does not isolate interrupts, accepted: {host}",
         machine="virtio", hosts=host, budget=300,
         append="iommufd.allow_unsafe_interrupts=1 vfio_iommu_type1.allow_unsafe_interrupts=1") for host in ["iommufd", "type1"]),
    vm("vm-refused", "the same, not accepted: every open is refused with the reason",
       machine="virtio", hosts="iommufd,type1,compat,auto", budget=90, skips="virtio-refused"),
    vm("vm-no-iommu", "a machine without an IOMMU: every open is refused with the reason",
       machine="noiommu-at-all", hosts="iommufd,type1,compat,auto", budget=90),
]
