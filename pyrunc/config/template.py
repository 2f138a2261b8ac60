# SPDX-License-Identifier: Apache-2.0
"""The config.json that `pyrunc spec` writes: a shell in a read-only root with few rights (the content of runc's)."""

from pyrunc import SPEC_VERSION

_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]

# Destination, type, source, options.
_MOUNTS = (
    ("/proc", "proc", "proc", ()),
    ("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    ("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")),
    ("/dev/shm", "tmpfs", "shm", ("nosuid", "noexec", "nodev", "mode=1777", "size=65536k")),
    ("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev")),
    ("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro")),
    ("/sys/fs/cgroup", "cgroup", "cgroup", ("nosuid", "noexec", "nodev", "relatime", "ro")),
)

_MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
)

_READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_NAMESPACES = ("pid", "network", "ipc", "uts", "mount", "cgroup")


def template() -> dict[str, object]:
    """The configuration for root."""
    return {
        "ociVersion": SPEC_VERSION,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            # None is inheritable: a file's inheritable capabilities would add to it (CVE-2022-29162).
            "capabilities": {name: list(_CAPABILITIES) for name in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "pyrunc",
        "mounts": [_mount(*row) for row in _MOUNTS],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": name} for name in _NAMESPACES],
            "maskedPaths": list(_MASKED),
            "readonlyPaths": list(_READONLY),
        },
    }


def rootless(config: dict[str, object], uid: int, gid: int) -> dict[str, object]:
    """`config` as changed for an ordinary user, who becomes root of a user namespace with this one id.

    No network namespace, which would need a helper to reach anything; /sys is the host's, since a new sysfs needs a
    network namespace of one's own; no gid=5, which has no mapping; no cgroup limits.
    """
    linux = {key: value for key, value in _object(config["linux"]).items() if key != "resources"}
    linux["uidMappings"] = [{"containerID": 0, "hostID": uid, "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": gid, "size": 1}]
    linux["namespaces"] = [{"type": name} for name in (*_NAMESPACES, "user") if name != "network"]
    mounts = []
    for destination, kind, source, options in _MOUNTS:
        if destination == "/sys":
            mounts.append(_mount("/sys", "none", "/sys", ("rbind", "nosuid", "noexec", "nodev", "ro")))
        else:
            kept = tuple(option for option in options if not option.startswith(("gid=", "uid=")))
            mounts.append(_mount(destination, kind, source, kept))
    return config | {"mounts": mounts, "linux": linux}


def _mount(destination: str, kind: str, source: str, options: tuple[str, ...]) -> dict[str, object]:
    mount: dict[str, object] = {"destination": destination, "type": kind, "source": source}
    return mount | ({"options": list(options)} if options else {})


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(value)
    return value
