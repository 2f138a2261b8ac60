# SPDX-License-Identifier: Apache-2.0
"""Rows of errors (error_patches.py): the process, namespaces and sysctls, system call filters, cgroups."""

from tests.containers.box import namespaces
from tests.containers.error_patches import MAPS, SYSCTL, USER, Row, both, mount, resources, rlimit, sysctl

PROCESS: dict[str, Row] = {
    "cwd-is-a-file": (
        {"process": {"cwd": "/etc/file"}},
        "/process/cwd",
        'chdir("/etc/file")',
        'no directory (ENOTDIR): "/etc/file" is a file in the container',
    ),
    "cwd-missing-and-read-only": (
        both({"process": {"cwd": "/data/nope"}}, mount("/data", "bind", "/etc", "bind", "ro")),
        "/process/cwd",
        'chdir("/data/nope")',
        'not there (ENOENT): "/data/nope" is missing in the container',
    ),
    "cwd-closed-to-a-mapped-root": (
        both(USER, {"process": {"cwd": "/closed"}}),
        "/process/cwd",
        'chdir("/closed")',
        'not allowed (EACCES): "/closed" (mode 0700, owner 0:0) is closed to uid 100000',
    ),
    "cwd-relative": ({"process": {"cwd": "tmp"}}, "/process/cwd", "", 'must be an absolute path, not "tmp"'),
    "uid-not-mapped": (
        both(USER, {"process": {"user": {"uid": 5000}}}),
        "/process/user/uid",
        "setresuid(5000, 5000, 5000)",
        "invalid argument (EINVAL): uid 5000 is not mapped in the user namespace: it has 0 to 999",
    ),
    "gid-not-mapped": (
        both(USER, {"process": {"user": {"gid": 5000}}}),
        "/process/user/gid",
        "setresgid(5000, 5000, 5000)",
        "invalid argument (EINVAL): gid 5000 is not mapped in the user namespace: it has 0 to 999",
    ),
    "group-not-mapped": (
        both(USER, {"process": {"user": {"additionalGids": [7777]}}}),
        "/process/user/additionalGids",
        "setgroups(1, {7777})",
        "invalid argument (EINVAL): a group is not mapped in the user namespace: it has 0 to 999",
    ),
    "terminal-without-devpts": (
        {"process": {"terminal": True}, "mounts": []},
        "/process/terminal",
        (
            'openat2(rootfs, "dev/pts/ptmx", '
            "{flags=O_CLOEXEC|O_NOCTTY|O_RDWR,"
            " resolve=RESOLVE_IN_ROOT|RESOLVE_NO_SYMLINKS|RESOLVE_NO_MAGICLINKS}, 24)"
        ),
        (
            'not there (ENOENT): "/dev/pts" is missing in the root filesystem:'
            " a terminal needs a mount of type devpts on /dev/pts"
        ),
    ),
    "rlimit-unknown": (rlimit("RLIMIT_X", 1, 1), "/process/rlimits/0/type", "", 'unknown resource limit "RLIMIT_X"'),
    "rlimit-soft-above-hard": (
        rlimit("RLIMIT_NOFILE", 2, 1),
        "/process/rlimits/0/soft",
        "",
        "is higher than the hard limit of RLIMIT_NOFILE",
    ),
    "no-args": ({"process": {"args": []}}, "/process/args", "", "must not be empty"),
    "bad-environment": (
        {"process": {"env": ["X"]}},
        "/process/env/0",
        "",
        'invalid environment variable: "X" has no "="',
    ),
}

NAMESPACES: dict[str, Row] = {
    "namespace-missing": (
        namespaces("mount", network="/etc/nope"),
        "/linux/namespaces/1/path",
        'openat(AT_FDCWD, "/etc/nope", O_CLOEXEC, 0)',
        'not there (ENOENT): "/etc/nope" is missing on the host',
    ),
    "namespace-of-a-process-that-is-gone": (
        namespaces("mount", network="/proc/4194303/ns/net"),
        "/linux/namespaces/1/path",
        'openat(AT_FDCWD, "/proc/4194303/ns/net", O_CLOEXEC, 0)',
        "not there (ENOENT): process 4194303 is gone",
    ),
    "namespace-of-another-type": (
        namespaces("mount", network="/proc/self/ns/uts"),
        "/linux/namespaces/1/path",
        "setns(network_ns, CLONE_NEWNET)",
        'invalid argument (EINVAL): "/proc/self/ns/uts" is a uts namespace, not a network namespace',
    ),
    "namespace-that-is-none": (
        namespaces("mount", network="~/config.json"),
        "/linux/namespaces/1/path",
        "setns(network_ns, CLONE_NEWNET)",
        'invalid argument (EINVAL): "~/config.json" is no namespace',
    ),
    "namespace-that-the-runtime-is-in": (
        namespaces("mount", user="/proc/self/ns/user"),
        "/linux/namespaces/1/path",
        "setns(user_ns, CLONE_NEWUSER)",
        "invalid argument (EINVAL): it is the user namespace that the runtime is in, which cannot be joined",
    ),
    "namespace-unknown": (
        namespaces("mount", "disk"),
        "/linux/namespaces/1/type",
        "",
        'namespace "disk" does not exist',
    ),
    "sysctl-of-the-host": (
        sysctl("vm.swappiness", "1"),
        "/linux/sysctl/vm.swappiness",
        "",
        "is not in a separate kernel namespace",
    ),
    "sysctl-unknown": (
        sysctl("net.ipv4.nope", "1"),
        "/linux/sysctl/net.ipv4.nope",
        f'openat2(proc, "sys/net/ipv4/nope", {SYSCTL})',
        "not there (ENOENT): this kernel has no such sysctl; it may belong to a module that is not loaded",
    ),
    "sysctl-of-the-host's-network-alone": (
        sysctl("net.core.rmem_max", "1"),
        "/linux/sysctl/net.core.rmem_max",
        f'openat2(proc, "sys/net/core/rmem_max", {SYSCTL})',
        "not allowed (EACCES): it can be written on the host, but is read-only in a namespace of the container's own",
    ),
    "sysctl-read-only": (
        sysctl("net.ipv4.tcp_available_congestion_control", "x"),
        "/linux/sysctl/net.ipv4.tcp_available_congestion_control",
        f'openat2(proc, "sys/net/ipv4/tcp_available_congestion_control", {SYSCTL})',
        "not allowed (EACCES): it is read-only",
    ),
    "sysctl-value-refused": (
        sysctl("net.ipv4.ip_forward", "abc"),
        "/linux/sysctl/net.ipv4.ip_forward",
        'write(sysctl, "abc", 3)',
        'invalid argument (EINVAL): the kernel refuses the value "abc"',
    ),
    "id-maps-that-overlap": (
        both(USER, {"linux": {"uidMappings": [*MAPS, {"containerID": 5, "hostID": 300000, "size": 10}]}}),
        "/linux/uidMappings",
        'cannot write "0 100000 1000, 5 300000 10" to uid_map',
        "invalid argument (EINVAL): rows overlap",
    ),
}

SECCOMP: dict[str, Row] = {
    "seccomp-action-unknown": (
        {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_NOPE"}}},
        "/linux/seccomp/defaultAction",
        "",
        'unknown action "SCMP_ACT_NOPE"',
    ),
    "seccomp-architecture-unknown": (
        {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_NOPE"]}}},
        "/linux/seccomp/architectures/0",
        "",
        'unknown name "SCMP_ARCH_NOPE"',
    ),
    "seccomp-kills-at-execve": (
        {
            "linux": {
                "seccomp": {
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_KILL_PROCESS"}],
                }
            }
        },
        "/linux/seccomp",
        "the container's process was killed before it could execute the program",
        "the filter may kill what calls execve",
    ),
    "seccomp-forbids-execve": (
        {
            "linux": {
                "seccomp": {
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ERRNO"}],
                }
            }
        },
        "/linux/seccomp",
        'execve("true")',
        "not allowed (EPERM): the filter does not let execve through, by which the program is started",
    ),
}

V1: dict[str, Row] = {
    "cpu-quota-too-low": (
        resources(cpu={"quota": 10, "period": 100000}),
        "/linux/resources/cpu/quota",
        'write("/sys/fs/cgroup/cpu/+/cpu.cfs_quota_us", "10")',
        (
            "invalid argument (EINVAL): quota and period have at least 1000 microseconds,"
            " and a share that the cgroup above has too"
        ),
    ),
    "swap-below-memory": (
        resources(memory={"limit": 1 << 20, "swap": 1 << 19}),
        "/linux/resources/memory/swap",
        "",
        "524288, which is memory plus swap, is less than the memory limit 1048576",
    ),
    "block-device-missing": (
        resources(blockIO={"throttleReadBpsDevice": [{"major": 99, "minor": 1, "rate": 10}]}),
        "/linux/resources/blockIO/throttleReadBpsDevice/0",
        'write("/sys/fs/cgroup/blkio/+/blkio.throttle.read_bps_device", "99:1 10")',
        "no such device (ENODEV): the host has no such block device",
    ),
    "unified-on-v1": (
        resources(unified={"memory.max": "1"}),
        "/linux/resources/unified",
        "",
        "is of cgroup v2; cgroup v1 has nothing like it",
    ),
    "cgroups-path-leaves": ({"linux": {"cgroupsPath": "/../x"}}, "/linux/cgroupsPath", "", 'must not have ".." in it'),
    "memory-limit-too-low": (
        resources(memory={"limit": 4096}),
        "/linux/resources/memory/limit",
        "the container's process was killed while it set up the container",
        "out of memory: the limit is 4096 bytes, 524288 are enough to set up a small one",
    ),
}
