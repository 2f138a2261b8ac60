# SPDX-License-Identifier: Apache-2.0
"""Every property of config.json: a configuration that has each, and how each is applied, for test_every_property.py."""

from typing import Any

Json = Any

_HOOK = {"path": "/bin/true", "args": ["true"], "env": ["A=b"], "timeout": 3}
_MAPPING = {"containerID": 0, "hostID": 100000, "size": 65536}
_RATE = {"major": 8, "minor": 0, "rate": 1000}

RICH: dict[str, Json] = {
    "ociVersion": "1.2.0",
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "host",
    "domainname": "domain",
    "annotations": {"a": "b"},
    "hooks": {
        kind: [_HOOK]
        for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    },
    "process": {
        "terminal": True,
        "consoleSize": {"height": 24, "width": 80},
        "user": {"uid": 1, "gid": 2, "umask": 18, "additionalGids": [3]},
        "args": ["sh", "-c"],
        "env": ["PATH=/bin"],
        "cwd": "/tmp",
        "capabilities": {
            name: ["CAP_KILL"] for name in ("bounding", "effective", "permitted", "inheritable", "ambient")
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}],
        "noNewPrivileges": True,
        "oomScoreAdj": 100,
        "apparmorProfile": "profile",
        "selinuxLabel": "a:b:c:d",
        "scheduler": {"policy": "SCHED_OTHER", "nice": 1, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 3},
        "execCPUAffinity": {"initial": "0", "final": "0-1"},
    },
    "mounts": [
        {
            "destination": "/data",
            "type": "bind",
            "source": "/tmp",
            "options": ["rbind", "ro", "idmap"],
            "uidMappings": [_MAPPING],
            "gidMappings": [_MAPPING],
        },
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]},
    ],
    "linux": {
        "namespaces": [
            *({"type": kind} for kind in ("mount", "pid", "ipc", "uts", "user", "cgroup", "time")),
            {"type": "network", "path": "/proc/1/ns/net"},
        ],
        "uidMappings": [_MAPPING],
        "gidMappings": [_MAPPING],
        "timeOffsets": {"monotonic": {"secs": 1, "nanosecs": 2}, "boottime": {"secs": 3, "nanosecs": 4}},
        "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 0o644, "uid": 5, "gid": 6}],
        "cgroupsPath": "/a/b",
        "rootfsPropagation": "rslave",
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "sysctl": {"kernel.msgmax": "65536"},
        "personality": {"domain": "LINUX"},
        "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "architectures": ["SCMP_ARCH_X86_64"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "syscalls": [
                {
                    "names": ["getcwd"],
                    "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 2,
                    "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}],
                }
            ],
        },
        "resources": {
            "devices": [{"allow": True, "type": "c", "major": 1, "minor": 2, "access": "rw"}],
            "memory": {
                "limit": 1 << 20,
                "reservation": 1 << 19,
                "swap": 1 << 21,
                "kernel": 1 << 20,
                "kernelTCP": 1 << 20,
                "swappiness": 5,
                "disableOOMKiller": True,
                "useHierarchy": True,
                "checkBeforeUpdate": True,
            },
            "cpu": {
                "shares": 512,
                "quota": 10000,
                "burst": 1000,
                "period": 100000,
                "realtimeRuntime": 1000,
                "realtimePeriod": 100000,
                "cpus": "0",
                "mems": "0",
                "idle": 0,
            },
            "pids": {"limit": 10},
            "blockIO": {
                "weight": 100,
                "leafWeight": 100,
                "weightDevice": [{"major": 8, "minor": 0, "weight": 100, "leafWeight": 100}],
                "throttleReadBpsDevice": [_RATE],
                "throttleWriteBpsDevice": [_RATE],
                "throttleReadIOPSDevice": [_RATE],
                "throttleWriteIOPSDevice": [_RATE],
            },
            "hugepageLimits": [{"pageSize": "2MB", "limit": 1 << 21}],
            "network": {"classID": 1, "priorities": [{"name": "lo", "priority": 1}]},
            "rdma": {"mlx5_0": {"hcaHandles": 1, "hcaObjects": 2}},
        },
    },
}

LISTENER = {"linux": {"seccomp": {"listenerPath": "/run/agent", "listenerMetadata": "m"}}}
NO_USER = {
    "linux": {
        "namespaces": [{"type": kind} for kind in ("mount", "pid", "ipc", "uts", "time")],
        **dict.fromkeys(("uidMappings", "gidMappings")),
    }
}
DEVICES = {
    "linux": {
        "netDevices": {"eth0": {"name": "eth1"}},
        "namespaces": [{"type": "network"}, *({"type": kind} for kind in ("mount", "ipc", "uts", "user", "time"))],
    }
}
RDT = {
    "linux": {
        "intelRdt": {
            "closID": "x",
            "schemata": ["L3:0=f"],
            "l3CacheSchema": "L3:0=f",
            "memBwSchema": "MB:0=10",
            "enableMonitoring": True,
        }
    }
}
FIFO = {"process": {"scheduler": {"policy": "SCHED_FIFO", "nice": None, "priority": 1}}}
DEADLINE = {
    "process": {
        "scheduler": {
            "policy": "SCHED_DEADLINE",
            "nice": None,
            "runtime": 1000000,
            "deadline": 2000000,
            "period": 3000000,
        }
    }
}

# A property, another value than it has in RICH, and what is to be merged into RICH before: for both values.
ROWS: list[tuple[str, Json] | tuple[str, Json, Json]] = [
    ("/ociVersion", "1.1.0"),
    ("/root/path", "other"),
    ("/root/readonly", False),
    ("/hostname", "other"),
    ("/domainname", "other"),
    ("/annotations/*", "other"),
    *(
        (f"/hooks/{kind}/-/{field}", other)
        for kind in RICH["hooks"]
        for field, other in (("path", "/bin/false"), ("args", ["x"]), ("env", ["A=c"]), ("timeout", 4))
    ),
    ("/process/terminal", False),
    ("/process/consoleSize/height", 25),
    ("/process/consoleSize/width", 81),
    ("/process/user/uid", 7),
    ("/process/user/gid", 7),
    ("/process/user/umask", 7),
    ("/process/user/additionalGids", [7]),
    ("/process/args", ["sh", "-x"]),
    ("/process/env", ["PATH=/sbin"]),
    ("/process/cwd", "/"),
    *((f"/process/capabilities/{name}", ["CAP_CHOWN", "CAP_KILL"]) for name in ("bounding", "permitted")),
    ("/process/capabilities/effective", []),
    ("/process/capabilities/inheritable", []),
    ("/process/capabilities/ambient", []),
    ("/process/rlimits/-/type", "RLIMIT_CORE"),
    ("/process/rlimits/-/soft", 11),
    ("/process/rlimits/-/hard", 21),
    ("/process/noNewPrivileges", False),
    ("/process/oomScoreAdj", 101),
    ("/process/apparmorProfile", "other"),
    ("/process/selinuxLabel", "other"),
    ("/process/scheduler/policy", "SCHED_BATCH"),
    ("/process/scheduler/nice", 2),
    ("/process/scheduler/flags", []),
    ("/process/scheduler/priority", 2, FIFO),
    *((f"/process/scheduler/{name}", 4000000, DEADLINE) for name in ("runtime", "deadline", "period")),
    ("/process/ioPriority/class", "IOPRIO_CLASS_IDLE"),
    ("/process/ioPriority/priority", 4),
    ("/process/execCPUAffinity/initial", "1"),
    ("/process/execCPUAffinity/final", "1"),
    ("/mounts/-/source", "/usr"),
    ("/mounts/-/destination", "/other"),
    ("/mounts/-/options", ["rbind", "rw"]),
    ("/mounts/-/type", "tmpfs", {"mounts": [{"destination": "/x", "type": "ramfs", "source": "x"}]}),
    *(
        (f"{table}/-/{field}", other)
        for table in ("/mounts/-/uidMappings", "/mounts/-/gidMappings", "/linux/uidMappings", "/linux/gidMappings")
        for field, other in (("containerID", 1), ("hostID", 100001), ("size", 65535))
    ),
    (
        "/linux/namespaces/-/type",
        "network",
        {"linux": {"namespaces": [{"type": "cgroup"}, *RICH["linux"]["namespaces"][:5], {"type": "time"}]}},
    ),
    ("/linux/namespaces/-/path", "/proc/1/ns/mnt"),
    ("/linux/devices/-/type", "b"),
    ("/linux/devices/-/path", "/dev/y"),
    ("/linux/devices/-/fileMode", 0o600, NO_USER),
    ("/linux/devices/-/major", 2),
    ("/linux/devices/-/minor", 4),
    ("/linux/devices/-/uid", 7, NO_USER),
    ("/linux/devices/-/gid", 7, NO_USER),
    ("/linux/timeOffsets/monotonic/secs", 5),
    ("/linux/timeOffsets/monotonic/nanosecs", 5),
    ("/linux/timeOffsets/boottime/secs", 5),
    ("/linux/timeOffsets/boottime/nanosecs", 5),
    ("/linux/cgroupsPath", "/a/c"),
    ("/linux/mountLabel", "other", {"linux": {"mountLabel": "a:b:c:d"}}),
    ("/linux/netDevices/*/name", "other", DEVICES),
    ("/linux/intelRdt/closID", "y", RDT),
    ("/linux/intelRdt/schemata", ["L3:0=e"], RDT),
    ("/linux/intelRdt/l3CacheSchema", "L3:0=e", RDT),
    ("/linux/intelRdt/memBwSchema", "MB:0=20", RDT),
    ("/linux/intelRdt/enableMonitoring", False, RDT),
    ("/linux/rootfsPropagation", "shared"),
    ("/linux/maskedPaths", ["/proc/keys"]),
    ("/linux/readonlyPaths", ["/proc/bus"]),
    ("/linux/sysctl/*", "65537"),
    ("/linux/personality/domain", "LINUX32"),
    ("/linux/personality/flags", ["x"]),
    ("/linux/memoryPolicy/mode", "MPOL_INTERLEAVE"),
    ("/linux/memoryPolicy/nodes", "1"),
    ("/linux/memoryPolicy/flags", []),
    ("/linux/seccomp/defaultAction", "SCMP_ACT_TRACE"),
    ("/linux/seccomp/defaultErrnoRet", 3),
    ("/linux/seccomp/architectures", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]),
    ("/linux/seccomp/flags", []),
    ("/linux/seccomp/listenerPath", "/run/other", LISTENER),
    ("/linux/seccomp/listenerMetadata", "n", LISTENER),
    ("/linux/seccomp/syscalls/-/names", ["mkdir"]),
    ("/linux/seccomp/syscalls/-/action", "SCMP_ACT_TRACE"),
    ("/linux/seccomp/syscalls/-/errnoRet", 3),
    ("/linux/seccomp/syscalls/-/args/-/index", 1),
    ("/linux/seccomp/syscalls/-/args/-/value", 3),
    ("/linux/seccomp/syscalls/-/args/-/valueTwo", 1),
    ("/linux/seccomp/syscalls/-/args/-/op", "SCMP_CMP_EQ"),
    ("/linux/resources/unified/*", "2", {"linux": {"resources": {"unified": {"memory.high": "1"}}}}),
    ("/linux/resources/devices/-/allow", False),
    ("/linux/resources/devices/-/type", "b"),
    ("/linux/resources/devices/-/major", 7),
    ("/linux/resources/devices/-/minor", 7),
    ("/linux/resources/devices/-/access", "r"),
    ("/linux/resources/pids/limit", 11),
    ("/linux/resources/blockIO/weight", 101),
    ("/linux/resources/blockIO/leafWeight", 101),
    ("/linux/resources/blockIO/weightDevice/-/major", 9),
    ("/linux/resources/blockIO/weightDevice/-/minor", 9),
    ("/linux/resources/blockIO/weightDevice/-/weight", 101),
    ("/linux/resources/blockIO/weightDevice/-/leafWeight", 101),
    *(
        (f"/linux/resources/blockIO/throttle{kind}Device/-/{field}", 9)
        for kind in ("ReadBps", "WriteBps", "ReadIOPS", "WriteIOPS")
        for field in _RATE
    ),
    *((f"/linux/resources/cpu/{name}", "1") for name in ("cpus", "mems")),
    *((f"/linux/resources/cpu/{name}", 2000) for name in ("shares", "quota", "burst", "period")),
    *((f"/linux/resources/cpu/{name}", 2000) for name in ("realtimeRuntime", "realtimePeriod")),
    ("/linux/resources/cpu/idle", 1),
    ("/linux/resources/hugepageLimits/-/pageSize", "1GB"),
    ("/linux/resources/hugepageLimits/-/limit", 1 << 22),
    *((f"/linux/resources/memory/{name}", 1 << 18) for name in ("reservation", "kernelTCP")),
    ("/linux/resources/memory/limit", 1 << 19),
    ("/linux/resources/memory/swap", 1 << 22),
    ("/linux/resources/memory/kernel", 0),
    ("/linux/resources/memory/swappiness", 6),
    ("/linux/resources/memory/disableOOMKiller", False),
    ("/linux/resources/memory/useHierarchy", False),
    ("/linux/resources/network/classID", 2),
    ("/linux/resources/network/priorities/-/name", "eth0"),
    ("/linux/resources/network/priorities/-/priority", 2),
    ("/linux/resources/rdma/*/hcaHandles", 2),
    ("/linux/resources/rdma/*/hcaObjects", 3),
]

IGNORED = {
    "/process/commandLine": "of Windows: config.md#windows",
    "/process/user/username": "of Windows: config.md#windows-user",
}
"""What an implementation for Linux is to ignore."""

ELSEWHERE = {
    "/linux/resources/memory/checkBeforeUpdate": "of `update`: tests/containers/test_update.py",
}
"""Without an effect on create, which has nothing to check; tested where it has one. Its type is checked."""
