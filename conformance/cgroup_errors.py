# SPDX-License-Identifier: Apache-2.0
"""linux.resources that cannot be had, and those of cgroup v1 on cgroup2; unified."""

import pathlib

from conformance import host
from conformance.box import Box
from conformance.cgroups import folder_of
from conformance.patch import Patch, linux, resources
from conformance.requirements import Skipped, case, refusal

ENTRY = {"major": 8, "minor": 0}


def memory(**fields: object) -> Patch:
    return resources(memory=fields)


def cpu(**fields: object) -> Patch:
    return resources(cpu=fields)


def block(**fields: object) -> Patch:
    return resources(blockIO=fields)


def unified(**fields: str) -> Patch:
    return resources(unified=fields)


MEMORY, CPU = "root cgroup:memory", "root cgroup:cpu"
refusal("SPEC-238", memory(swappiness=101), needs=MEMORY)
refusal("SPEC-236", memory(limit=-2), needs=MEMORY)
refusal("SPEC-244", cpu(quota=20000, period=100000, burst=30000), cpu(quota=30000, period=100000), needs=CPU)
refusal("SPEC-245", cpu(quota=20000, period=100000, burst=20001), cpu(quota=30000, period=100000), needs=CPU)
refusal("SPEC-246", cpu(cpus="zero"), cpu(cpus="0"), needs="root cgroup:cpuset")
refusal("SPEC-246", cpu(cpus="4000"), cpu(cpus="0"), needs="root cgroup:cpuset")
refusal("SPEC-246", cpu(mems="0-"), cpu(mems="0"), needs="root cgroup:cpuset")
refusal("SPEC-248", cpu(idle=2), needs=f"{CPU} cgroup-file:cpu.idle")
refusal("SPEC-250", block(weightDevice=[{"weight": 200}]), needs="root")
refusal("SPEC-250", block(weightDevice=[{"major": 8, "weight": 200}]), needs="root")
refusal("SPEC-251", block(weightDevice=[ENTRY]), needs="root")
refusal("SPEC-252", block(throttleReadBpsDevice=[{"rate": 1000}]), needs="root")
refusal("SPEC-252", block(throttleWriteBpsDevice=[ENTRY]), needs="root")
refusal("SPEC-253", block(throttleReadIOPSDevice=[{"rate": 1000}]), needs="root")
refusal("SPEC-253", block(throttleWriteIOPSDevice=[ENTRY]), needs="root")
refusal("SPEC-254", resources(hugepageLimits=[{"limit": 1 << 30}]), needs="root")
refusal("SPEC-254", resources(hugepageLimits=[{"pageSize": "3MB", "limit": 1 << 30}]), needs="root")
refusal("SPEC-254", resources(hugepageLimits=[{"pageSize": "2mB", "limit": 1 << 30}]), needs="root")
refusal("SPEC-255", resources(hugepageLimits=[{"pageSize": "2MB"}]), needs="root")
refusal("SPEC-258", resources(network={"priorities": [{"name": "lo"}]}), needs="root")
refusal("SPEC-258", resources(network={"priorities": [{"priority": 1}]}), needs="root")
refusal("SPEC-261", resources(rdma={"mlx5_0": {}}), needs="root")
refusal("SPEC-262", resources(rdma={"conformance0": {"hcaHandles": 1}}), needs="root")
# What cgroup2 has no file for
refusal("SPEC-267", memory(swappiness=60), needs="root v2")
refusal("SPEC-267", memory(disableOOMKiller=True), needs="root v2")
refusal("SPEC-267", cpu(realtimeRuntime=9000, realtimePeriod=900000), needs="root v2")
refusal("SPEC-267", resources(network={"classID": 1048577}), needs="root v2")
refusal("SPEC-265", unified(**{"conformance.max": "1"}), needs="root")
refusal("SPEC-265", unified(**{"memory.max": "1048576"}), needs="root no:v2 no:cgroup-file:memory.max")


@case("SPEC-263", "SPEC-264", needs="root cgroup2")
def as_written(box: Box) -> None:
    """A key that is a file of cgroup2 alone, and one whose controller has to be enabled for the cgroup."""
    target, _ = host.hierarchies()[""]
    here = pathlib.Path(target, "cgroup.controllers").read_text().split()
    values = {"cgroup.max.depth": "7"}
    extra = {"pids": ("pids.max", "77"), "cpu": ("cpu.max", "50000 100000"), "memory": ("memory.high", "67108864")}
    chosen = next((extra[name] for name in extra if name in here), None)
    if not host.is_v2():
        raise Skipped("unified is of cgroup2, and this host has cgroup v1 beside it")
    if chosen:
        values[chosen[0]] = chosen[1]
    box.create(unified(**values), "true")
    folder = folder_of(box.pid(), "")
    box.same("SPEC-264", (folder / "cgroup.max.depth").read_text().strip(), "7", "cgroup.max.depth")
    if not chosen:
        raise Skipped(f"cgroup2 has no controller here but {here}")
    box.same("SPEC-263", (folder / chosen[0]).read_text().strip(), chosen[1], chosen[0])


@case("SPEC-266", needs="root v2")
def converted(box: Box) -> None:
    """A setting of cgroup v1 on cgroup2 has an effect."""
    for name, patch, file, expected in (
        ("pids", {"pids": {"limit": 33}}, "pids.max", "33"),
        ("memory", {"memory": {"limit": 1 << 26}}, "memory.max", str(1 << 26)),
    ):
        if not host.missing(f"cgroup:{name}"):
            box.create(resources(**patch), "true")
            box.same("SPEC-266", (folder_of(box.pid(), "") / file).read_text().strip(), expected, file)
            return
    raise Skipped("cgroup2 has neither pids nor memory here")


@case("SPEC-262", needs="root cgroup:rdma")
def rdma(box: Box) -> None:
    devices = sorted(path.name for path in pathlib.Path("/sys/class/infiniband").glob("*"))
    if not devices:
        raise Skipped("no RDMA device")
    box.create(resources(rdma={devices[0]: {"hcaHandles": 3, "hcaObjects": 100}}), "true")
    found = (folder_of(box.pid(), "" if host.is_v2() else "rdma") / "rdma.max").read_text()
    box.holds("SPEC-262", f"{devices[0]} hca_handle=3 hca_object=100" in found, f"rdma.max is {found!r}")


refusal("SPEC-167", linux(cgroupsPath=7), needs="root")
