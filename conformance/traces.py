# SPDX-License-Identifier: Apache-2.0
"""What a runtime has left behind: processes, mounts, cgroups and state that were not there before."""

import contextlib
import os
import pathlib
import signal
import time
from collections.abc import Iterable

from conformance import host

SETTLE = 1.5
"""Seconds that what is ending may take."""

Snapshot = dict[str, set[str]]


def children() -> list[int]:
    """Our processes: a worker is the subreaper of all that is begun below it."""
    me = os.getpid()
    try:
        return [int(word) for word in pathlib.Path(f"/proc/self/task/{me}/children").read_text().split()]
    except FileNotFoundError:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal() and _parent(name) == me]


def _parent(pid: str) -> int:
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def reap(spare: Iterable[int] = ()) -> None:
    """Take leave of the children that have ended, but not of those that somebody else waits for."""
    for pid in children():
        if pid not in spare:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _processes(spare: Iterable[int]) -> set[str]:
    found = set()
    for pid in set(children()) - set(spare):
        with contextlib.suppress(OSError):
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found.add(f"{pid} {words[:60].strip()}")
    return found


def _mounts() -> set[str]:
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return {" ".join(line.partition(" - ")[0].split()[3:5]) for line in lines}


def cgroups(token: str) -> set[str]:
    """The cgroups that have the token in their name."""
    targets = {target for target, _ in host.hierarchies().values()}
    return {
        f"{folder}/{name}"
        for target in targets
        for folder, names, _ in os.walk(target)
        for name in names
        if token in folder or token in name
    }


def snapshot(token: str, root: pathlib.Path, spare: Iterable[int] = ()) -> Snapshot:
    """Everything that could be left, by kind; token is in the name of every container of the case."""
    reap(spare)
    return {
        "processes": _processes(spare),
        "mounts": _mounts() if host.is_root() else {row for row in _mounts() if token in row},
        "cgroups": cgroups(token),
        "state": {name for name in os.listdir(root) if token in name},
    }


def left(before: Snapshot, token: str, root: pathlib.Path, spare: Iterable[int] = ()) -> str:
    """What is there now and was not before, once it had a moment to go; "" is nothing."""
    deadline = host.deadline(SETTLE)
    while True:
        now = snapshot(token, root, spare)
        more = [f"{kind}: {', '.join(sorted(now[kind] - before[kind]))}" for kind in now if now[kind] - before[kind]]
        if not more or time.monotonic() > deadline:
            return "; ".join(more)
        time.sleep(0.02)


def end(token: str, folder: pathlib.Path) -> None:
    """Whatever is left of a case ends here."""
    deadline = host.deadline(5)
    while (alive := children()) and time.monotonic() < deadline:
        for pid in alive:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        reap()
        time.sleep(0.005)
    for row in sorted(_mounts(), reverse=True):
        if row.split()[1].startswith(f"{folder}/"):
            host.unmount(row.split()[1])
    for path in sorted(cgroups(token), reverse=True):
        _end_cgroup(path)


def _end_cgroup(path: str) -> None:
    """rmdir(2), once nobody is in it."""
    for _ in range(100):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError:
            with contextlib.suppress(OSError):
                pathlib.Path(f"{path}/cgroup.kill").write_text("1")
            with contextlib.suppress(OSError, ValueError):
                for pid in pathlib.Path(f"{path}/cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
            with contextlib.suppress(OSError):
                pathlib.Path(f"{path}/freezer.state").write_text("THAWED")
            with contextlib.suppress(OSError):
                pathlib.Path(f"{path}/cgroup.freeze").write_text("0")
            reap()
            time.sleep(0.01)
