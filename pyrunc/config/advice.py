# SPDX-License-Identifier: Apache-2.0
"""What to do about a refusal of the hot path, whose texts are short: one row for each rule between fields. Cold."""

from pyrunc.config.findings import Finding, keys, shown

# Pointer ("*" is any key), words of the cause ("" is any), requirement, what to do. The first that fits counts.
_ROWS = (
    ("/ociVersion", "is not supported", "SPEC-006", 'write a version from "1.0.0" on'),
    ("/ociVersion", "newer", "SPEC-006", ""),
    ("/hostname", "longer", "SPEC-132", "write a shorter one"),
    ("/domainname", "longer", "SPEC-133", "write a shorter one"),
    ("/hostname", "", "SPEC-132", 'add {"type": "uts"} to /linux/namespaces, or remove hostname'),
    ("/domainname", "", "SPEC-133", 'add {"type": "uts"} to /linux/namespaces, or remove domainname'),
    ("/root/readonly", "", "SPEC-011", 'add {"type": "mount"} to /linux/namespaces, or write false'),
    ("/root/path", "", "SPEC-008", 'write the path of a folder such as "rootfs"'),
    ("/mounts", "MNT", "SPEC-176", 'add {"type": "mount"} to /linux/namespaces'),
    ("/linux/maskedPaths", "MNT", "SPEC-315", 'add {"type": "mount"} to /linux/namespaces'),
    ("/linux/readonlyPaths", "MNT", "SPEC-317", 'add {"type": "mount"} to /linux/namespaces'),
    ("/linux/rootfsPropagation", "MNT", "SPEC-314", 'add {"type": "mount"} to /linux/namespaces'),
    ("/mounts/*/destination", "relative", "SPEC-014", "write it with a / before it"),
    ("/mounts/*/source", "", "SPEC-016", "write the path that is to be mounted"),
    ("/mounts/*/type", "names no", "SPEC-017", 'write a filesystem such as "tmpfs", or add "bind" to options'),
    ("/mounts/*/type", "", "SPEC-080", 'remove "idmap" and the mappings'),
    ("/mounts/*/options", "bind mounts cannot", "SPEC-017", "remove it, or bind and rbind"),
    ("/mounts/*/options", "remount", "SPEC-080", "remove the mappings, or remount"),
    ("/mounts/*/options", "neither idmap", "SPEC-090", 'add "idmap"'),
    ("/mounts/*/options", "", "SPEC-018", ""),
    ("/mounts/*/options/*", "", "SPEC-085", "add both, or remove the option"),
    ("/mounts/*/uidMappings", "", "SPEC-087", "add gidMappings, or remove uidMappings"),
    ("/mounts/*/gidMappings", "", "SPEC-088", "add uidMappings, or remove gidMappings"),
    ("/process/env/*", "", "SPEC-098", 'write NAME=VALUE, such as "TERM=xterm"'),
    ("/process/rlimits/*/type", "twice", "SPEC-105", "remove one of them"),
    ("/process/rlimits/*/soft", "", "SPEC-103", "write at most the hard limit"),
    ("/process/scheduler", "", "SPEC-118", ""),
    ("/process/ioPriority", "", "SPEC-121", ""),
    ("/process/execCPUAffinity", "", "SPEC-124", 'write a list such as "0-3,7"'),
    ("/process/capabilities", "", "SPEC-107", ""),
    ("/process", "", "SPEC-167", ""),
    ("/hooks/*/*/timeout", "", "SPEC-137", "write seconds, from 1 on"),
    ("/hooks/*/*/path", "", "SPEC-134", 'write an absolute path such as "/usr/bin/hook"'),
    ("/hooks/*/*/args", "", "SPEC-135", ""),
    ("/hooks/*/*/env", "", "SPEC-136", 'write NAME=VALUE, such as "PATH=/usr/bin"'),
    ("/hooks", "", "SPEC-134", ""),
    ("/linux/namespaces/*/type", "duplicated", "SPEC-187", "remove one of them"),
    ("/linux/uidMappings", "isn't enabled", "SPEC-188", 'add {"type": "user"} to /linux/namespaces, or remove it'),
    ("/linux/gidMappings", "isn't enabled", "SPEC-188", 'add {"type": "user"} to /linux/namespaces, or remove it'),
    ("/linux/uidMappings", "", "SPEC-188", ""),
    ("/linux/gidMappings", "", "SPEC-188", ""),
    ("/linux/timeOffsets", "isn't enabled", "SPEC-190", 'add {"type": "time"} to /linux/namespaces, or remove it'),
    ("/linux/timeOffsets", "", "SPEC-190", ""),
    ("/linux/maskedPaths/*", "root", "SPEC-315", "remove it"),
    ("/linux/readonlyPaths/*", "root", "SPEC-317", "remove it and write true in /root/readonly"),
    ("/linux/cgroupsPath", "", "SPEC-219", 'write a path such as "/engine/box"'),
    ("/linux/devices/*", "same device", "SPEC-199", ""),
    ("/linux/devices", "", "SPEC-192", ""),
    ("/linux/sysctl/*", "hostname", "SPEC-292", "write it as /hostname"),
    ("/linux/sysctl/*", "not the name", "SPEC-292", 'write a name such as "net.ipv4.ip_forward"'),
    ("/linux/sysctl/*", "separate", "SPEC-292", "remove it: it would change the host"),
    ("/linux/sysctl/*", "of the host", "SPEC-292", "add that namespace to /linux/namespaces, or remove it"),
    ("/linux/sysctl", "", "SPEC-292", ""),
    ("/linux/netDevices", "private NET", "SPEC-210", 'add {"type": "network"} to /linux/namespaces'),
    ("/linux/netDevices/*/name", "", "SPEC-209", "write another name, of at most 15 bytes"),
    ("/linux/netDevices", "", "SPEC-208", "write the name of an interface of at most 15 bytes"),
    ("/linux/intelRdt/closID", "", "SPEC-271", "write another name, without /"),
    ("/linux/intelRdt/l3CacheSchema", "", "SPEC-273", 'write one line such as "L3:0=f"'),
    ("/linux/intelRdt", "", "SPEC-274", ""),
    ("/linux/memoryPolicy/nodes", "", "SPEC-289", 'write a list such as "0-3,7"'),
    ("/linux/memoryPolicy", "", "SPEC-288", ""),
    ("/linux/personality", "", "SPEC-320", ""),
    ("/linux/resources/memory/swap", "less than", "SPEC-237", "write at least the limit, or -1 for no limit"),
    ("/linux/resources/memory/swap", "needs", "SPEC-237", "add limit beside it"),
    ("/linux/resources/cpu/shares", "", "SPEC-242", ""),
    ("/linux/resources/cpu", "", "SPEC-246", ""),
    ("/linux/resources/blockIO", "", "SPEC-249", ""),
    ("/linux/resources/devices", "", "SPEC-231", ""),
    ("/linux/resources/network", "", "SPEC-258", 'write the name of an interface such as "eth0"'),
    ("/linux/resources/rdma", "", "SPEC-262", 'write the name of a device such as "mlx5_0"'),
    ("/linux/resources/unified", "", "SPEC-264", 'write the name of a file such as "memory.high"'),
    ("/linux/resources", "", "SPEC-167", ""),
    ("/linux/seccomp/defaultAction", "cannot", "SPEC-293", "write another action, such as SCMP_ACT_ERRNO"),
    ("/linux/seccomp/defaultErrnoRet", "", "SPEC-295", "remove it, or write SCMP_ACT_ERRNO as action"),
    ("/linux/seccomp/syscalls/*/errnoRet", "", "SPEC-308", "remove it, or write SCMP_ACT_ERRNO as action"),
    ("/linux/seccomp/listenerMetadata", "", "SPEC-305", "add it, or remove listenerMetadata"),
    ("/linux/seccomp/listenerPath", "", "SPEC-298", "write the path of the agent's socket"),
    ("/linux/seccomp/syscalls/*/names/*", "", "SPEC-306", "remove it from names"),
    ("/linux/seccomp", "", "SPEC-293", ""),
    ("/annotations", "", "SPEC-158", ""),
)

_MAPPINGS = ("uidMappings", "gidMappings")
_DEADLINE = ("runtime", "deadline", "period")
_TIED = {
    *((one, other) for one in _MAPPINGS for other in _MAPPINGS),
    *((one, other) for one in _DEADLINE for other in _DEADLINE),
    *((key, "policy") for key in ("priority", "nice", *_DEADLINE)),
    *(("swap", "limit"), ("soft", "hard"), ("priority", "class"), ("errnoRet", "action")),
    *(("type", "options"), ("source", "options"), ("options", "type"), ("destination", "options")),
    *(("defaultErrnoRet", "defaultAction"), ("listenerMetadata", "listenerPath")),
}
"""(field, another of the same object): what the first may be depends on the second."""


def advice(pointer: str, cause: str, found: object) -> Finding:
    """The finding for a refusal; `found`: what stands at the pointer."""
    words = keys(pointer)
    for pattern, phrase, requirement, expected in _ROWS:
        if phrase in cause and _fits(keys(pattern), words):
            text = f"{cause}: {expected}" if expected else cause
            return Finding(pointer, text, requirement, expected=expected or cause, found=_text(found))
    return Finding(pointer, cause, "SPEC-167" if pointer else "", expected=cause, found=_text(found))


def tied(pointer: str) -> list[str]:
    """The pointers of the fields on which this one depends."""
    parent, _, key = pointer.rpartition("/")
    return [f"{parent}/{other}" for one, other in sorted(_TIED) if one == key and other != key]


def _fits(pattern: list[str], words: list[str]) -> bool:
    return len(pattern) <= len(words) and all(one in ("*", word) for one, word in zip(pattern, words, strict=False))


def _text(found: object) -> str:
    return "" if found is None else shown(found)
