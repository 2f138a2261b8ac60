# SPDX-License-Identifier: Apache-2.0
"""The journal: each thing outside the state directory, named before it is made, so that undo and `delete --force` can
remove it after a kill -9 at any point.

A newline, the kind, a blank, the value with `%`, `;` and control characters as %XX, and `;`. A line that does not end
so was never finished, so its thing was never made, whatever was appended after it.
"""

from pyrunc.state.store import JOURNAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.state.store import Entry

CGROUP = "cgroup"  # absolute path of the directory
UNIT = "unit"  # "system NAME" or "user NAME" of a unit of systemd
PROCESS = "process"  # "PID START": the id and field 22 of its stat
MOUNT = "mount"  # absolute path of the mount point
SOCKET = "socket"  # absolute path of the socket file
RDT = "rdt"  # absolute path of the group below /sys/fs/resctrl
NETDEVICE = "netdevice"  # JSON of process.net_devices.Device: moved into the container, to be moved back

_CAP = 16 << 20


def note(entry: "Entry", kind: str, value: str) -> None:
    """Write that the thing is about to be made."""
    entry.append(JOURNAL, f"\n{kind} {_quote(value)};".encode("utf-8", "surrogateescape"))


def notes(entry: "Entry") -> list[tuple[str, str]]:
    """(kind, value) in the order of writing; undo goes from the last to the first. [] without a journal."""
    try:
        data = entry.read(JOURNAL, _CAP)
    except FileNotFoundError:
        return []
    found = []
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        kind, blank, value = line.removesuffix(";").partition(" ")
        if blank and line.endswith(";"):
            found.append((kind, _unquote(value)))
    return found


def values(entry: "Entry", kind: str) -> list[str]:
    """The values of one kind, without those written twice."""
    return list(dict.fromkeys(value for name, value in notes(entry) if name == kind))


def _quote(text: str) -> str:
    return "".join(f"%{ord(c):02X}" if c < " " or c in "%;" else c for c in text)


def _unquote(text: str) -> str:
    head, *parts = text.split("%")
    for part in parts:
        try:
            head += chr(int(part[:2], 16)) + part[2:]
        except ValueError:
            head += "%" + part
    return head
