# SPDX-License-Identifier: Apache-2.0
"""What a container may leave behind, as the kernel shows it; a test compares the two sides of itself.

A network namespace lives as long as a process, a descriptor or a mount of it: the first two are counted here, and so is
the third, as a mount of type nsfs.
"""

import os
import tempfile
import time
from pathlib import Path

from pyrunc.seccomp.cache import DIRECTORY

_SETTLE = 3.0
_KEPT = frozenset((DIRECTORY,))
"""What `--root` keeps beside its containers: the cache of compiled filters."""


def fields(pid: str) -> list[str]:
    """proc_pid_stat(5) from the third field on: state, ppid, …; empty when the process is gone."""
    try:
        return Path("/proc", pid, "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def descendants() -> list[str]:
    """Our live descendants as "pid name". We are their subreaper, so that none escapes; the dead are reaped."""
    rows = {pid: fields(pid) for pid in os.listdir("/proc") if pid.isdigit()}
    family = {str(os.getpid())}
    before = 0
    while len(family) != before:
        before = len(family)
        family |= {pid for pid, row in rows.items() if row and row[1] in family}
    found = []
    for pid in sorted(family - {str(os.getpid())}, key=int):
        if rows[pid][0] != "Z":
            found.append(f"{pid} {_name(pid)}")
        elif rows[pid][1] == str(os.getpid()):
            os.waitpid(int(pid), 0)
    return found


def _name(pid: str) -> str:
    try:
        return Path("/proc", pid, "comm").read_text("utf-8", "replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def reap(but: int) -> None:
    """Wait for every child that has ended, but one, which has somebody who waits."""
    for task in os.listdir("/proc/self/task"):
        for pid in Path(f"/proc/self/task/{task}/children").read_text().split():
            if int(pid) != but and fields(pid)[:1] == ["Z"]:
                os.waitpid(int(pid), 0)


def cgroups(token: str) -> list[str]:
    """Every cgroup directory of every hierarchy with `token` in its path; all that a test makes has its id there."""
    found = []
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        found += [f"{folder}/{name}" for name in names if token in f"{folder}/{name}"]
    return sorted(found)


def mounts(folder: Path) -> list[str]:
    """Mount points with what is mounted there; not those of others' temporary folders, who may be at work now."""
    lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    rows = [line.split()[3:] for line in lines]
    others = f"{tempfile.gettempdir()}/"
    return sorted(" ".join(row) for row in rows if not row[1].startswith(others) or row[1].startswith(str(folder)))


def snapshot(token: str, root: Path) -> dict[str, list[str]]:
    """Everything that could be left, by kind."""
    return {
        "processes": descendants(),
        "mounts": mounts(root.parent),
        "cgroups": cgroups(token),
        "containers": sorted(set(os.listdir(root)) - _KEPT) if root.exists() else [],
        "descriptors": sorted(f"{fd} {_target(fd)}" for fd in os.listdir("/proc/self/fd") if _target(fd)),
    }


def _target(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:
        return ""  # of the listing itself


def left(before: dict[str, list[str]], token: str, root: Path) -> dict[str, list[str]]:
    """What is there now and was not before, once it had a moment to go: {} is clean."""
    deadline = time.monotonic() + _SETTLE
    while True:
        now = snapshot(token, root)
        more = {kind: [one for one in now[kind] if one not in before[kind]] for kind in now}
        more = {kind: rows for kind, rows in more.items() if rows}
        if not more or time.monotonic() > deadline:
            return more
        time.sleep(0.02)
