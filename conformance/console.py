# SPDX-License-Identifier: Apache-2.0
"""process.terminal: the pseudoterminal, its size, /dev/console."""

import array
import contextlib
import os
import select
import socket
import time
from collections.abc import Iterator

from conformance import host
from conformance.box import Box
from conformance.patch import Patch, process
from conformance.requirements import Failed, case


@contextlib.contextmanager
def listening(box: Box) -> Iterator[socket.socket]:
    """The socket of --console-socket. Its name is short: that of the case may be longer than sun_path."""
    path = box.folder / "tty"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.settimeout(5 * host.patience)
        server.bind(str(path))
        server.listen(1)
        yield server


def receive(server: socket.socket) -> int:
    """The master that the runtime sends."""
    try:
        connection, _ = server.accept()
    except TimeoutError:
        raise Failed("nobody connects to --console-socket") from None
    with connection:
        connection.settimeout(5 * host.patience)
        fds = array.array("i")
        try:
            _, rights, _, _ = connection.recvmsg(4096, socket.CMSG_LEN(4))
        except TimeoutError:
            raise Failed("nothing comes through --console-socket") from None
        for _, _, data in rights:
            fds.frombytes(data)
    if not fds:
        raise Failed("no descriptor comes through --console-socket")
    return fds[0]


def on_terminal(box: Box, patch: Patch, line: str) -> str:
    """What the process writes to its terminal."""
    with listening(box) as server:
        box.create(patch, line, flags=("--console-socket", box.folder / "tty"))
        master = receive(server)
    box.start()
    text, deadline = b"", host.deadline(5)
    with contextlib.suppress(OSError):  # EIO: nobody has the other side open any more
        while time.monotonic() < deadline and b"@end" not in text:
            if select.select([master], [], [], 0.1)[0]:
                text += os.read(master, 65536)
    os.close(master)
    box.ended()
    box.delete()
    (box.folder / "tty").unlink()
    return text.decode(errors="replace").replace("\r", "").partition("@end")[0]


SCRIPT = (
    "for n in 0 1 2; do readlink /proc/$$/fd/$n; done; tty; stty size; stat -c '%F %t %T' /dev/console;"
    "stat -c '%t %T' $(tty); grep -c ' /dev/console ' /proc/self/mountinfo; echo @end"
)


@case("SPEC-092", "SPEC-095", "SPEC-206")
def terminal(box: Box) -> None:
    size = {"height": 31, "width": 97}
    lines = on_terminal(box, process(terminal=True, consoleSize=size), SCRIPT).splitlines()
    if len(lines) < 8:
        raise Failed(f"the terminal shows {lines}")
    box.same("SPEC-092", len(set(lines[:3])), 1, f"streams {lines[:3]}")
    box.holds("SPEC-092", lines[3].startswith("/dev/"), f"tty says {lines[3]}")
    box.same("SPEC-095", lines[4], "31 97", "stty size")
    box.holds("SPEC-206", lines[5].startswith("character special file"), f"/dev/console is {lines[5]}")
    box.same("SPEC-206", lines[5].split()[-2:], lines[6].split(), "/dev/console and the terminal")
    box.same("SPEC-206", lines[7], "1", "mounts on /dev/console")


@case("SPEC-206")
def no_console(box: Box) -> None:
    """Without terminal nothing is mounted there."""
    found = box.fact(process(terminal=False), "grep -c ' /dev/console ' /proc/self/mountinfo")
    box.same("SPEC-206", found, "0", "mounts on /dev/console without terminal")


@case("SPEC-092")
def terminal_without_socket(box: Box) -> None:
    """Create cannot keep the master: somebody has to take it."""
    if "fine" not in on_terminal(box, process(terminal=True), "echo fine; echo @end"):
        raise Failed("with a socket there is no terminal, either")
    before = box.snapshot()
    box.judge_refusal("SPEC-092", box.try_create(process(terminal=True), "true"), before)


for size in ({"height": 10}, {"width": 10}):

    @case("SPEC-095", name=f"no_{'width' if 'height' in size else 'height'}")
    def half_a_size(box: Box, size: dict[str, int] = size) -> None:
        whole = process(terminal=True, consoleSize={"height": 10, "width": 10})
        if "fine" not in on_terminal(box, whole, "echo fine; echo @end"):
            raise Failed("a whole size does not work, either")
        with listening(box):
            before = box.snapshot()
            patch = process(terminal=True, consoleSize=size)
            result = box.try_create(patch, "true", flags=("--console-socket", box.folder / "tty"))
            box.holds("SPEC-095", result.status != 0, f"consoleSize {size} is accepted")
            if result.status != 0:
                left = set(box.snapshot()["state"]) - set(before["state"])
                box.holds("SPEC-343", not left, f"SPEC-095 left {left}")
