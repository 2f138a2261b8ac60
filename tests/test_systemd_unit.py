# SPDX-License-Identifier: Apache-2.0
"""The calls of systemd against a peer that answers as the test says: errors, jobs, deadlines, two managers."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrunc.cgroups import unit as module
from pyrunc.cgroups.dbus import Connection, unix_addresses
from pyrunc.cgroups.dbus_values import marshal, read, unmarshal
from pyrunc.cgroups.unit import Unit
from pyrunc.errors import CgroupError

JOB = "/org/freedesktop/systemd1/job/7"
PREFIX = "org.freedesktop.systemd1."
READ_ONLY = "org.freedesktop.DBus.Error.PropertyReadOnly"
Reply = tuple[Any, ...]
Answer = Callable[[str, list[Any]], list[Reply]]


def done(job: str = JOB, result: str = "done") -> Reply:
    return ("signal", "JobRemoved", "uoss", 7, job, "x.scope", result)


def ok(signature: str = "", *values: object) -> Reply:
    return ("return", signature, *values)


def error(name: str, text: str) -> Reply:
    return ("error", name, text)


class Peer:
    """A bus, or a manager's own socket, of one connection after the other. calls: (member, values) that came."""

    def __init__(self, path: Path, answer: Answer, hello: bytes = b"DATA\r\nOK 0123\r\n") -> None:
        self.calls: list[tuple[str, list[Any]]] = []
        self.answer = answer
        self._hello = hello
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        # accept(2) of the thread goes on while a closed socket is its own
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def named(self, member: str) -> list[list[Any]]:
        return [values for name, values in self.calls if name == member]

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                try:
                    while stream.readline() != b"BEGIN\r\n":
                        pass
                    connection.sendall(self._hello)
                    while self._one(connection, stream):
                        pass
                except OSError:
                    continue

    def _one(self, connection: socket.socket, stream: Any) -> bool:
        head = stream.read(16)
        if len(head) < 16:
            return False
        body, serial, fields = struct.unpack("<3I", head[4:])
        head += stream.read(fields + -fields % 8)
        rows: Any = read(head, "a(yv)", 12, "<")[0]
        found = {number: value for number, (_, value) in rows}
        values: Any = unmarshal(stream.read(body), found.get(8, ""))
        self.calls.append((found[3], values))
        for row in self.answer(found[3], values):
            if row[0] == "close":
                return False
            connection.sendall(encode(serial, row))
        return True


def encode(serial: int, row: Reply) -> bytes:
    """One message; a big-endian peer is tested by hand."""
    if row[0] == "return":
        kind, signature, values = 2, row[1], row[2:]
        fields: list[tuple[int, tuple[str, object]]] = [(5, ("u", serial))]
    elif row[0] == "error":
        kind, signature, values = 3, "s", row[2:]
        fields = [(5, ("u", serial)), (4, ("s", row[1]))]
    else:
        kind, signature, values = 4, row[2], row[3:]
        fields = [(1, ("o", "/x")), (3, ("s", row[1]))]
    if signature:
        fields.append((8, ("g", signature)))
    body = marshal(signature, *values)
    head = marshal("yyyyuua(yv)", ord("l"), kind, 0, 1, len(body), 1, fields)
    return head + b"\0" * (-len(head) % 8) + body


def usual(member: str, _values: list[Any]) -> list[Reply]:
    """A systemd that does what it is told; a signal about another job comes between."""
    if member in {"StartTransientUnit", "StopUnit"}:
        return [done("/other", "failed"), ok("o", JOB), done()]
    if member == "Get":
        return [ok("v", ("s", "/user.slice/user-7.slice/user@7.service"))]
    return [ok()]


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    monkeypatch.setattr(module, "BUS", str(tmp_path / "bus"))
    monkeypatch.setattr(module, "PRIVATE", str(tmp_path / "private"))
    monkeypatch.setattr(module, "SECONDS", 0.5)
    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS", raising=False)
    peer = Peer(tmp_path / "bus", usual)
    yield peer
    peer.close()


LIMIT = ("MemoryMax", ("t", 4096))
OURS = ("Description", ("s", "x"))


class Closed(Unit):
    """One that leaves the bus when nobody has it any longer."""

    def __del__(self) -> None:
        self.close()


def unit(*, user: bool = False, made: bool = False) -> Unit:
    return Closed("x.scope", user=user, made=made)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(CgroupError) as caught:
        call()
    return caught.value.cause


def test_a_unit_is_started_with_its_process_and_its_limits(peer: Peer) -> None:
    one = unit()
    assert one.start([OURS], [LIMIT], 42) == []
    one.close()
    assert [name for name, _ in peer.calls] == ["Hello", "AddMatch", "StartTransientUnit"]
    assert peer.named("StartTransientUnit") == [["x.scope", "fail", [OURS, ("PIDs", ("au", [42])), LIMIT], []]]
    assert one.made


@pytest.mark.parametrize("result", ["failed", "timeout", "canceled", "dependency"])
def test_a_job_that_does_not_succeed(peer: Peer, result: str) -> None:
    """The message has the unit and the result; what is left of the unit is reset, and is ours to stop."""
    peer.answer = lambda member, values: (
        [ok("o", JOB), done(result=result)] if member == "StartTransientUnit" else usual(member, values)
    )
    one = unit()
    cause = refused(lambda: one.start([], [], 42))
    assert cause == f"unit x.scope of systemd: the job to start it ended with the result {result}"
    assert peer.named("ResetFailedUnit") == [["x.scope"]]
    assert one.made


@pytest.mark.parametrize("silent", ["Hello", "AddMatch", "StartTransientUnit", "JobRemoved"])
def test_every_wait_has_a_deadline(peer: Peer, silent: str) -> None:
    def answer(member: str, values: list[Any]) -> list[Reply]:
        if silent == "JobRemoved" and member == "StartTransientUnit":
            return [ok("o", JOB)]
        return [] if member == silent else usual(member, values)

    peer.answer = answer
    one = unit()
    cause = refused(lambda: one.start([], [], 42))
    assert cause.startswith("unit x.scope of systemd: ")
    assert cause.endswith("no answer in time")
    # It may have been made: then it is to be stopped
    assert one.made is (silent in {"StartTransientUnit", "JobRemoved"})


def test_a_peer_that_goes(peer: Peer) -> None:
    peer.answer = lambda member, values: [("close",)] if member == "StartTransientUnit" else usual(member, values)
    assert "ECONNRESET" in refused(lambda: unit().start([], [], 42))


def test_a_unit_that_failed_before_is_reset(peer: Peer) -> None:
    def answer(member: str, values: list[Any]) -> list[Reply]:
        if member == "StartTransientUnit" and not peer.named("ResetFailedUnit"):
            return [error(PREFIX + "UnitExists", "Unit x.scope was already loaded")]
        return usual(member, values)

    peer.answer = answer
    assert unit().start([], [], 42) == []
    assert len(peer.named("StartTransientUnit")) == 2


def test_a_unit_that_is_another_s(peer: Peer) -> None:
    """It is not ours: the undo must not stop it."""
    peer.answer = lambda member, values: (
        [error(PREFIX + "UnitExists", "Unit x.scope was already loaded")]
        if member == "StartTransientUnit"
        else usual(member, values)
    )
    one = unit()
    assert "already loaded" in refused(lambda: one.start([], [], 42))
    assert not one.made
    assert len(peer.named("StartTransientUnit")) == 2


def unknown(name: str) -> Answer:
    """A systemd that does not know a property."""

    def answer(member: str, values: list[Any]) -> list[Reply]:
        rows = values[2] if member in {"StartTransientUnit", "SetUnitProperties"} else []
        if any(row[0] == name for row in rows):
            return [error(READ_ONLY, f"Cannot set property {name}, or unknown property.")]
        return usual(member, values)

    return answer


def test_a_limit_that_systemd_does_not_know(peer: Peer) -> None:
    """The cgroup's files have it; a warning says what a reload would lose."""
    peer.answer = unknown("MemoryMax")
    other = ("TasksMax", ("t", 5))
    for warnings in (unit().start([OURS], [LIMIT, other], 42), unit().set([LIMIT, other])):
        assert len(warnings) == 1
        assert "MemoryMax" in warnings[0]
    assert peer.named("StartTransientUnit")[-1][2] == [OURS, ("PIDs", ("au", [42])), other]
    assert peer.named("SetUnitProperties")[-1] == ["x.scope", True, [other]]


def test_a_property_of_an_annotation_that_systemd_does_not_know(peer: Peer) -> None:
    peer.answer = unknown("Nonsense")
    cause = refused(lambda: unit().start([("Nonsense", ("i", 1))], [LIMIT], 42))
    assert cause == ("unit x.scope of systemd: StartTransientUnit: Cannot set property Nonsense, or unknown property.")


def test_nothing_is_asked_for_without_limits(peer: Peer) -> None:
    assert unit().set([]) == []
    assert peer.calls == []


def test_stop_waits_and_resets(peer: Peer) -> None:
    one = unit(made=True)
    one.stop()
    assert [name for name, _ in peer.calls] == ["Hello", "AddMatch", "StopUnit", "ResetFailedUnit"]
    assert not one.made


def test_a_unit_that_is_gone_is_stopped(peer: Peer) -> None:
    gone = error(PREFIX + "NoSuchUnit", "Unit x.scope not loaded.")
    peer.answer = lambda member, values: [gone] if member in {"StopUnit", "ResetFailedUnit"} else usual(member, values)
    unit().stop()


def test_stop_has_a_deadline(peer: Peer) -> None:
    peer.answer = lambda member, values: [ok("o", JOB)] if member == "StopUnit" else usual(member, values)
    assert refused(lambda: unit().stop()).endswith("no answer in time")


def test_attach(peer: Peer) -> None:
    unit().attach(42, "/a/b")
    assert peer.named("AttachProcessesToUnit") == [["x.scope", "/a/b", [42]]]


def test_the_private_socket_where_there_is_no_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer without a bus takes no Hello and no match rule."""
    monkeypatch.setattr(module, "BUS", str(tmp_path / "none"))
    monkeypatch.setattr(module, "PRIVATE", str(tmp_path / "private"))
    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS", raising=False)
    peer = Peer(tmp_path / "private", usual)
    assert unit().start([], [], 42) == []
    assert [name for name, _ in peer.calls] == ["StartTransientUnit"]
    peer.close()


def test_no_systemd_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    assert refused(lambda: unit().start([], [], 42)) == (
        f"unit x.scope of systemd: D-Bus at {tmp_path}/none: not there (ENOENT)"
    )


def test_a_peer_that_refuses_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    peer = Peer(tmp_path / "bus", usual, hello=b"REJECTED EXTERNAL\r\n")
    assert "refuses this user: REJECTED EXTERNAL" in refused(lambda: unit().start([], [], 42))
    peer.close()


@pytest.mark.parametrize("name", ["session", "bus", "systemd/private"])
def test_the_manager_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """By the address of his session, then below his XDG_RUNTIME_DIR."""
    (tmp_path / "systemd").mkdir()
    session = "unix:path=/nonexistent/bus;" + (f"unix:path={tmp_path}/session,guid=0" if name == "session" else "")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", session)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    peer = Peer(tmp_path / name, usual)
    assert unit(user=True).control_group() == "/user.slice/user-7.slice/user@7.service"
    peer.close()


def test_a_user_without_a_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(variable, raising=False)
    cause = refused(lambda: unit(user=True).control_group())
    assert cause.startswith("unit x.scope of systemd (user): no D-Bus: neither DBUS_SESSION_BUS_ADDRESS nor")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("unix:path=/run/user/7/bus", ["/run/user/7/bus"]),
        ("unix:path=/a%20b,guid=1;unix:abstract=/tmp/x", ["/a b", "@/tmp/x"]),
        ("tcp:host=x,port=1;unix:tmpdir=/tmp", []),
        ("unix:path=/a%zz", []),
        ("unix:path=/a%00", []),
        ("", []),
        (";:=,", []),
    ],
)
def test_addresses(text: str, found: list[str]) -> None:
    """D-Bus Specification, "Server Addresses"."""
    assert unix_addresses(text) == found


def test_a_big_endian_peer(tmp_path: Path) -> None:
    path = str(tmp_path / "bus")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()

    def serve() -> None:
        peer, _ = server.accept()
        peer.recv(4096)
        peer.sendall(b"DATA\r\nOK 0\r\n")
        peer.recv(4096)
        fields = b"\5\1u\0" + struct.pack(">I", 1)
        fields += b"\x08\1g\0\1s\0"
        body = struct.pack(">I", 2) + b"hi\0"
        head = struct.pack(">4B3I", ord("B"), 2, 0, 1, len(body), 9, len(fields))
        peer.sendall(head + fields.ljust(16, b"\0") + body)
        peer.close()

    threading.Thread(target=serve, daemon=True).start()
    connection = Connection(path, time.monotonic() + 2, direct=True)
    assert connection.call("a.b", "/", "a.b", "Get") == ["hi"]
    connection.close()
    server.close()
