# SPDX-License-Identifier: Apache-2.0
"""NOTIFY_SOCKET: READY=1 of the container reaches who supervises the runtime, and nothing else does (sd_notify(3))."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.box import Box, namespaces


class Supervisor:
    """A socket as systemd makes it; env: the environment for the runtime."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(10)
        self.env = {**os.environ, "NOTIFY_SOCKET": str(path)}

    def heard(self) -> bytes:
        return self.socket.recv(4096)

    def heard_nothing(self) -> bool:
        self.socket.setblocking(False)
        try:
            self.socket.recv(4096)
        except BlockingIOError:
            return True
        return False


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path / "supervisor")
    yield made
    made.socket.close()


def say(*lines: str, after: str = "") -> tuple[str, ...]:
    """The argv of a process that sends lines in one message."""
    return ("sh", "-c", f"guest notify {' '.join(lines)}; {after or 'sleep 100'}")


def test_run_detached_waits_for_ready(box: Box, supervisor: Supervisor) -> None:
    """MAINPID is the pid on the host; the other lines stay inside."""
    box.write({}, *say("STATUS=up", "READY=1"))
    box._detached("run", "-d", "--bundle", box.bundle, box.id, env=supervisor.env)
    assert supervisor.heard() == b"READY=1\nMAINPID=%d\n" % box.pid
    assert supervisor.heard_nothing()


def test_run_in_the_foreground(box: Box, supervisor: Supervisor) -> None:
    assert box.run({}, *say("READY=1", after="exit 3"), env=supervisor.env, status=3).err == ""
    assert supervisor.heard().startswith(b"READY=1\nMAINPID=")


def test_start_waits_for_ready(box: Box, supervisor: Supervisor) -> None:
    box.create({}, "sh", "-c", "sleep 0.5; guest notify READY=1; sleep 100", env=supervisor.env)
    begin = time.monotonic()
    box.pyrunc("start", box.id, env=supervisor.env)
    assert time.monotonic() - begin > 0.4
    assert supervisor.heard() == b"READY=1\nMAINPID=%d\n" % box.pid


def test_start_does_not_wait_for_the_dead(box: Box, supervisor: Supervisor) -> None:
    box.create({}, "true", env=supervisor.env)
    box.pyrunc("start", box.id, env=supervisor.env)
    assert supervisor.heard_nothing()


def test_while_start_waits_others_may_come(box: Box, supervisor: Supervisor) -> None:
    """The lock is free: state, exec and kill work, and delete --force ends the wait."""
    box.create({}, "sleep", "100", env=supervisor.env)
    waiting = box.spawn("start", box.id, env=supervisor.env)
    try:
        box.until("running")
        assert box.exec("echo", "here").out == "here"
        box.delete("--force")
        assert waiting.wait(10) == 0
    finally:
        waiting.kill()
        waiting.communicate()


def test_what_is_not_ready_is_not_passed_on(box: Box, supervisor: Supervisor) -> None:
    box.run({}, *say("STOPPING=1", "MAINPID=1", after="true"), env=supervisor.env)
    assert supervisor.heard_nothing()


def test_an_abstract_socket(box: Box) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with listener:
        listener.bind(f"\0{box.id}")
        listener.settimeout(10)
        env = {**os.environ, "NOTIFY_SOCKET": f"@{box.id}"}
        box.run({}, *say("READY=1", after="true"), env=env)
        assert listener.recv(4096).startswith(b"READY=1\n")


def test_another_user_in_a_user_namespace(box: Box, supervisor: Supervisor) -> None:
    """The socket can be reached through directories that only root may enter."""
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    patch = namespaces("user", "mount", "pid") | {"process": {"user": {"uid": 1000, "gid": 1000}}}
    patch["linux"] |= {"uidMappings": maps, "gidMappings": maps}
    (box.rootfs / "run/notify").mkdir(parents=True)
    box.run(patch, *say("READY=1", after="true"), env=supervisor.env)
    assert supervisor.heard().startswith(b"READY=1\n")


def test_the_containers_view(box: Box, supervisor: Supervisor) -> None:
    """A socket of its own below a read-only mount; the caller's path is not in its environment, and exec has none."""
    box.create(
        {}, "sh", "-c", "echo $NOTIFY_SOCKET; touch /run/notify/x; guest notify READY=1; sleep 9", env=supervisor.env
    )
    box.pyrunc("start", box.id, env=supervisor.env)
    assert box.output() == "/run/notify/notify.sock\n"
    assert "Read-only file system" in (box.folder / "err").read_text()
    assert box.exec("echo -$NOTIFY_SOCKET-").out == "--"


@pytest.mark.parametrize("flags", [(), ("--detach",)], ids=str)
def test_a_supervisor_that_is_gone(box: Box, supervisor: Supervisor, flags: tuple[str, ...]) -> None:
    """In the foreground the container goes on, as with runc; who was to wait for READY=1 is told."""
    supervisor.socket.close()
    status = 1 if flags else 4
    box.write({}, *say("READY=1", after="exit 4"))
    done = box._detached("run", *flags, "--bundle", box.bundle, box.id, env=supervisor.env, status=status)
    assert ("cannot pass READY=1 on" in done.err) == bool(flags)


def test_a_failing_start_leaves_nothing(supervisor: Supervisor, box: Box) -> None:
    """A program that only execve(2) refuses, when the socket is made."""
    (box.rootfs / "bad").write_text("no program")
    (box.rootfs / "bad").chmod(0o755)
    assert "/process/args/0" in box.refused({}, "/bad", "x", env=supervisor.env)


def test_without_a_supervisor(box: Box) -> None:
    env = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
    assert box.run({}, "echo -$NOTIFY_SOCKET-; grep -c notify /proc/self/mountinfo", env=env, status=1).out == "--\n0"


def test_an_endless_message_is_cut(box: Box, supervisor: Supervisor) -> None:
    box.run({}, *say("READY=1", "X=" + "x" * 9000, after="true"), env=supervisor.env)
    assert len(supervisor.heard()) < 100
