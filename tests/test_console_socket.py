# SPDX-License-Identifier: Apache-2.0
"""The sockets that the master of a console travels through."""

import array
import os
import socket
from pathlib import Path

import pytest

from pyrunc.errors import HostError, SetupError
from pyrunc.process import console


@pytest.mark.parametrize("length", [20, 300])
def test_a_console_socket_of_any_length_is_reached(
    tmp_path: Path, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("d" * 200 if length > 107 else "d")
    folder.mkdir()
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        server.listen()
        fd = console.open_console_socket(str(folder / "s"))
        peer, _ = server.accept()
        with peer:
            console.send_descriptor(fd, "/dev/ptmx", 0)
            message, rights, _, _ = peer.recvmsg(4096, socket.CMSG_SPACE(64))
        os.close(fd)
    assert message == b"/dev/ptmx"
    assert len(rights) == 1
    received = array.array("i", rights[0][2])
    assert len(received) == 1
    os.close(received[0])


def test_a_socket_that_nobody_listens_on_is_an_error(tmp_path: Path) -> None:
    fds = os.listdir("/proc/self/fd")
    for path in (tmp_path / "none", tmp_path / ("x" * 200) / "none", tmp_path / ("x" * 255)):
        with pytest.raises(HostError, match="cannot connect to the socket"):
            console.open_console_socket(str(path))
    assert os.listdir("/proc/self/fd") == fds


def test_the_master_arrives() -> None:
    ours, theirs = console.socketpair()
    master, slave = os.openpty()
    console.send_descriptor(theirs, "/dev/ptmx", master)
    received = console.receive_master(ours)
    assert not os.get_inheritable(received)
    os.write(slave, b"x")
    assert os.read(received, 10) == b"x"
    for fd in (ours, theirs, master, slave, received):
        os.close(fd)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_anything_but_one_terminal_is_refused(count: int) -> None:
    """One that is no terminal; two that are; none at all."""
    ours, theirs = console.socketpair()
    master, slave = os.openpty()
    fds = [os.dup(0 if count == 1 else master) for _ in range(count)]
    null = os.open("/dev/null", os.O_RDONLY)
    if count == 1:
        os.dup2(null, fds[0])
    with socket.socket(fileno=theirs) as sender:
        if fds:
            socket.send_fds(sender, [b"x"], fds)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(SetupError, match="in place of the console's master"):
        console.receive_master(ours)
    assert len(os.listdir("/proc/self/fd")) == before
    for fd in (ours, master, slave, null, *fds):
        os.close(fd)
