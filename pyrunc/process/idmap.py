# SPDX-License-Identifier: Apache-2.0
"""The id maps of a new user namespace, written from outside: user_namespaces(7), newuidmap(1)."""

import posix

from pyrunc.errors import ConfigError, HostError
from pyrunc.linux.errnos import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.config.fields import Config, Section

_ID_MAX = 2**32 - 1
_TOOLS = {"uidMappings": "newuidmap", "gidMappings": "newgidmap"}
_FILES = {"uidMappings": "uid_map", "gidMappings": "gid_map"}


def write_maps(pid: int, config: "Config", *, rootless: bool) -> None:
    """Write linux.uidMappings and gidMappings for the process, by the tools of shadow where an ordinary user maps more
    than his own id. ConfigError with the field when the kernel or the tool refuses.
    """
    linux = config.require("linux")
    for key in ("gidMappings", "uidMappings"):
        rows = mappings(linux, key)
        if rootless and not _own_id(rows, posix.getegid() if key == "gidMappings" else posix.geteuid()):
            _by_tool(pid, linux, key, rows)
            continue
        if rootless and key == "gidMappings":
            # Without this an ordinary user may not write a gid_map (CVE-2014-8989).
            _write(pid, "setgroups", "deny", linux, key)
        _write(pid, _FILES[key], "".join(f"{inner} {outer} {size}\n" for inner, outer, size in rows), linux, key)


def mappings(linux: "Section", key: str) -> list[tuple[int, int, int]]:
    """The rows (containerID, hostID, size) of uidMappings or gidMappings."""
    return [
        (row.integer("containerID", 0, _ID_MAX), row.integer("hostID", 0, _ID_MAX), row.integer("size", 1, _ID_MAX))
        for row in linux.sections(key)
    ]


def host_id(rows: list[tuple[int, int, int]], inner: int) -> "int | None":
    """The host's id of a container's id; None when it is not mapped."""
    for first, outer, size in rows:
        if first <= inner < first + size:
            return outer + inner - first
    return None


def _own_id(rows: list[tuple[int, int, int]], own: int) -> bool:
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
        raise ConfigError(f'cannot write "{shown}" to {name}: {reason(error.errno)}', linux.at(key)) from error


def _by_tool(pid: int, linux: "Section", key: str, rows: list[tuple[int, int, int]]) -> None:
    tool = _TOOLS[key]
    path = next(
        (f"{folder}/{tool}" for folder in ("/usr/bin", "/usr/local/bin", "/bin") if _is_file(f"{folder}/{tool}")), ""
    )
    if not path:
        raise HostError(f"{linux.at(key)}: maps more than your own id, which needs {tool} (package uidmap)")
    argv = [tool, str(pid)]
    for row in rows:
        argv += [str(number) for number in row]
    child = posix.posix_spawn(path, argv, {"PATH": "/usr/bin:/bin"}, setsigmask=())
    status = posix.waitstatus_to_exitcode(posix.waitpid(child, 0)[1])
    if status:
        raise ConfigError(
            f"{tool} refused the mapping (exit status {status}); see /etc/subuid and /etc/subgid", linux.at(key)
        )


def _is_file(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True
