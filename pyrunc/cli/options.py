# SPDX-License-Identifier: Apache-2.0
"""From the values of the global flags, and the environment, to the Settings of the operations."""

import posix

from pyrunc.container.settings import Settings
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_ROOT = "/run/pyrunc"


def settings(
    options: "dict[str, Any]", warn: "Callable[[str], None]", notice: "Callable[[str], None] | None" = None
) -> Settings:
    """The Settings of the values of the global flags; UsageError for a --root that cannot be."""
    rootless = {"true": True, "false": False, "auto": None}[options["rootless"]]
    return Settings(
        _root(options["root"]),
        warn,
        cgroup_manager=options["cgroup-manager"] or ("systemd" if options["systemd-cgroup"] else "cgroupfs"),
        rootless=rootless,
        debug=options["debug"],
        notice=notice,
    )


def _root(given: str | None) -> str:
    """The state directory, absolute and without `.` and `..`."""
    if given is None:
        # podman sets it to "" for root; a relative one is to be ignored (XDG Base Directory Specification).
        runtime_dir = posix.environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
        return f"{runtime_dir}/pyrunc" if runtime_dir[:1] == "/" and _rootless() else _ROOT
    path = given if given[:1] == "/" else f"{posix.getcwd()}/{given}"
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    if not given or not parts:
        raise UsageError("--root should not be the root directory /, or empty")
    if "\0" in given:
        raise UsageError("--root has a NUL")
    return "/" + "/".join(parts)


def _rootless() -> bool:
    """Whether $XDG_RUNTIME_DIR holds: for users, and in a user namespace unless $USER is root.

    Podman without root calls with uid 0 in its user namespace, and not always with $USER (runc wants it set there).
    """
    if posix.geteuid() != 0:
        return True
    if posix.environ.get(b"USER") == b"root":
        return False
    fd = posix.open("/proc/self/uid_map", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(fd, 4096).split() != [b"0", b"0", b"4294967295"]
    finally:
        posix.close(fd)
