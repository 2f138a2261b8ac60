# SPDX-License-Identifier: Apache-2.0
"""What the files of an update were before it, so that an update of which one value is refused changes nothing."""

from pyrunc.cgroups import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.driver import Cgroup
    from pyrunc.cgroups.resources import Write

# What a line of a device that is not there means, by the beginning of the file's name
_NO_LINE = (("io.max", "rbps=max wbps=max riops=max wiops=max"), ("io.", "default"), ("blkio.", "0"))


def remember(asked: "list[Write]", cgroup: "Cgroup") -> list[tuple[str, str]]:
    """(file, text that restores it) of each file that exists; a file that cannot be read cannot be restored."""
    default = cgroup.paths.get("", "") if cgroup.mode == "v2" else ""
    found = []
    for write in asked:
        directory = cgroup.paths.get(write.controller, default)
        for name, text in write.choices:
            try:
                old = files.read(f"{directory}/{name}").strip("\n")
            except OSError:
                continue
            line = _line(name, text, old)
            if line is not None:
                found.append((f"{directory}/{name}", line))
            break
    return found


def _line(name: str, text: str, old: str) -> "str | None":
    """The text that undoes a write of `text`; None when there is none."""
    key, blank, _ = text.partition(" ")
    if blank and (":" in key or name.startswith(("rdma.", "net_prio."))):
        lines = [line for line in old.split("\n") if line.partition(" ")[0] == key]
        lines += [f"{key} {none}" for start, none in _NO_LINE if name.startswith(start)]
    elif "\n" in old:
        lines = [line for line in old.split("\n") if line.startswith("default ")]
    else:
        # An empty write(2) changes nothing, a newline empties a cpuset
        lines = [old or "\n"]
    return lines[0] if lines else None


def restore(rows: list[tuple[str, str]]) -> None:
    """Write them back, the last first; a value that is wrong beside a newer one is tried again after the others."""
    again = []
    for file, text in reversed(rows):
        if not _write(file, text):
            again.append((file, text))
    for file, text in again:
        _write(file, text)


def _write(file: str, text: str) -> bool:
    try:
        files.write(file, text)
    except OSError:
        return False
    return True
