# SPDX-License-Identifier: Apache-2.0
"""The id maps of a new user namespace, written from outside: user_namespaces(7), newuidmap(1)."""

import posix

from pyrunc.errors import ConfigError, HostError
from pyrunc.linux.errnos import reason
from pyrunc.process.inherited import closings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.config.fields import Config, Section
    from pyrunc.linux.host import Host

_ID_MAX = 2**32 - 1
_FOLDERS = ("/usr/bin", "/usr/local/bin", "/bin")
_TOOL_TEXT = 1024
_TEXT_END = 4096
"""The kernel takes a map in one write, of less than a page (map_write in kernel/user_namespace.c)."""
_SHOWN = 200
# Field, file below /proc/PID, tool of shadow, ranges that the tool allows, the capability that needs no tool
_GROUPS = ("gidMappings", "gid_map", "newgidmap", "/etc/subgid", 6)
_USERS = ("uidMappings", "uid_map", "newuidmap", "/etc/subuid", 7)

Rows = list[tuple[int, int, int]]
"""(containerID, hostID, size)."""


def write_maps(pid: int, linux: "Section", host: "Host") -> None:
    """Write uidMappings and gidMappings, of linux or of a mount, for the process: by the tools of shadow where an
    ordinary user maps more than his own id. ConfigError with the field when the kernel or the tool refuses.

    Whoever has CAP_SETUID and CAP_SETGID writes by himself: root, and root of a user namespace, as podman is one.
    """
    for key, file, tool, ranges, capability in (_GROUPS, _USERS):
        rows = mappings(linux, key)
        if not host.permitted >> capability & 1:
            if not _own_id(rows, posix.getegid() if key == "gidMappings" else posix.geteuid()):
                _by_tool(pid, linux, key, rows, tool, ranges)
                continue
            if key == "gidMappings":
                # Without this an ordinary user may not write a gid_map (CVE-2014-8989).
                _write(pid, "setgroups", "deny", linux, key)
        _write(pid, file, "".join(f"{inner} {outer} {size}\n" for inner, outer, size in rows), linux, key)


def mappings(linux: "Section", key: str) -> Rows:
    """The rows of uidMappings or gidMappings."""
    return [
        (row.integer("containerID", 0, _ID_MAX), row.integer("hostID", 0, _ID_MAX), row.integer("size", 1, _ID_MAX))
        for row in linux.sections(key)
    ]


def add_default(config: "Config", host: "Host") -> None:
    """Give a new user namespace without mappings those that crun gives it.

    Who may map anything: every id that he has, to itself. An ordinary user: process.user is he himself, and the ids
    around it are those that /etc/subuid and /etc/subgid let him have, if newuidmap is there to map them.
    """
    linux = config.require("linux")
    if any(host.permitted >> row[4] & 1 == 0 for row in (_GROUPS, _USERS)):
        process = config.section("process")
        user = process.section("user") if process is not None else None
        uid, gid = (user.integer(key, 0, _ID_MAX - 1, 0) if user is not None else 0 for key in ("uid", "gid"))
        names = (b"%d" % host.uid, _login(host.uid))
        ranges = [_range(row[3], names) if _find(row[2]) else (0, 0) for row in (_USERS, _GROUPS)]
        if not all(size for _, size in ranges):
            ranges = [(0, 0), (0, 0)]
        maps = _around(uid, host.uid, *ranges[0]), _around(gid, posix.getegid(), *ranges[1])
    else:
        maps = _whole("uid_map"), _whole("gid_map")
    for key, rows in zip(("uidMappings", "gidMappings"), maps, strict=True):
        linux.data[key] = [{"containerID": inner, "hostID": outer, "size": size} for inner, outer, size in rows]


def _around(inner: int, own: int, first: int, size: int) -> Rows:
    """The own id for `inner`, and the range for the ids below and above."""
    below = min(inner, size)
    rows = [(0, first, below), (inner, own, 1), (inner + 1, first + below, size - below)]
    return [row for row in rows if row[2]]


def _whole(file: str) -> Rows:
    rows = []
    for line in _read(f"/proc/self/{file}").splitlines():
        inner, _, size = line.split()
        rows.append((int(inner), int(inner), int(size)))
    return rows


def _range(path: str, names: "tuple[bytes, bytes]") -> tuple[int, int]:
    """(first, size) of the first line of subuid(5) for one of the names; (0, 0) without one."""
    for line in _read(path).splitlines():
        name, _, rest = line.partition(b":")
        first, _, size = rest.partition(b":")
        if name and name in names and first.isdigit() and size.isdigit():
            return int(first), int(size)
    return 0, 0


def _login(uid: int) -> bytes:
    """The user's name in /etc/passwd, b"" when he is not there; NSS modules are not loaded."""
    for line in _read("/etc/passwd").splitlines():
        fields = line.split(b":")
        if len(fields) > 2 and fields[2] == b"%d" % uid:
            return fields[0]
    return b""


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 22)
    except OSError:
        return b""


def _own_id(rows: Rows, own: int) -> bool:
    return len(rows) == 1 and rows[0][1] == own and rows[0][2] == 1


def _write(pid: int, name: str, text: str, linux: "Section", key: str) -> None:
    try:
        fd = posix.open(f"/proc/{pid}/{name}", posix.O_WRONLY | posix.O_CLOEXEC)
        try:
            posix.write(fd, text.encode())
        finally:
            posix.close(fd)
    except OSError as error:
        shown = text.strip().replace("\n", ", ")
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]} …"
        why = {1: ": ids that the caller has not got himself", 22: _unfit(text)}.get(error.errno or 0, "")
        cause = f'cannot write "{shown}" to {name}: {reason(error.errno or 0)}{why}'
        raise ConfigError(cause, linux.at(key)) from error


def _unfit(text: str) -> str:
    """Why the kernel finds a map invalid."""
    return f": {len(text)} bytes, of {_TEXT_END - 1} at most" if len(text) >= _TEXT_END else ": rows overlap"


def _find(tool: str) -> str:
    """Its path, "" when it is not installed. Fixed folders: it may be set-user-ID, and PATH is the caller's."""
    for folder in _FOLDERS:
        try:
            posix.stat(f"{folder}/{tool}")
        except OSError:
            continue
        return f"{folder}/{tool}"
    return ""


def _by_tool(pid: int, linux: "Section", key: str, rows: Rows, tool: str, ranges: str) -> None:
    path = _find(tool)
    if not path:
        raise HostError(f"{linux.at(key)}: maps more than your own id, which needs {tool} (package uidmap)")
    argv = [tool, str(pid)]
    for row in rows:
        argv += [str(number) for number in row]
    said, end = posix.pipe2(posix.O_CLOEXEC)
    try:
        actions = [(posix.POSIX_SPAWN_DUP2, end, 2), *closings()]
        child = posix.posix_spawn(path, argv, {"PATH": "/usr/bin:/bin"}, file_actions=actions, setsigmask=())
        posix.close(end)
        end = -1
        text = posix.read(said, _TOOL_TEXT).decode("utf-8", "backslashreplace").strip(" .\n").replace("\n", ", ")
        status = posix.waitstatus_to_exitcode(posix.waitpid(child, 0)[1])
    finally:
        posix.close(said)
        if end >= 0:
            posix.close(end)
    if status:
        raise ConfigError(
            f"{text or f'{tool} failed with exit status {status}'}; {ranges} says which ids are yours", linux.at(key)
        )
