# SPDX-License-Identifier: Apache-2.0
"""SPEC-298 to SPEC-305, SPEC-310 to SPEC-313: a filter whose listener goes to an agent."""

import array
import errno
import fcntl
import json
import os
import platform
import select
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.containers.box import Box, Patch, capabilities, merge

MKDIR = {"x86_64": 83, "aarch64": 34}[platform.machine()]
ARCH = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}[platform.machine()]
RECEIVE, SEND = 0xC0502100, 0xC0182101
CONTINUE = 1


class Agent:
    """Listens at a path; answers each notification with an errno (0: the call goes on). messages: what it was sent."""

    def __init__(self, path: str, error: int = errno.ENOMEDIUM) -> None:
        self.path = path
        self.error = error
        self.messages: list[dict[str, Any]] = []
        self.descriptors: list[int] = []
        self.calls: list[int] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(path)
        self._socket.listen(8)
        self._end, self._stop = os.pipe()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            if self._end in select.select([self._socket.fileno(), self._end], [], [])[0]:
                return
            connection, _ = self._socket.accept()
            fds = array.array("i")
            data, rights, _, _ = connection.recvmsg(1 << 20, socket.CMSG_LEN(64))
            for _, _, raw in rights:
                fds.frombytes(raw)
            while more := connection.recv(1 << 20):
                data += more
            connection.close()
            self.descriptors.append(len(fds))
            self._start(self._serve, fds[0])
            self.messages.append(json.loads(data))

    def _serve(self, fd: int) -> None:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.register(self._end, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._end in ready or not ready.get(fd, 0) & select.POLLIN:
                os.close(fd)
                return
            notice = bytearray(80)
            try:
                fcntl.ioctl(fd, RECEIVE, notice)
                number, _, _, call = struct.unpack_from("=QIIi", notice)
                self.calls.append(call)
                flags = CONTINUE if call != MKDIR or not self.error else 0
                fcntl.ioctl(fd, SEND, struct.pack("=QqiI", number, 0, 0 if flags else -self.error, flags))
            except OSError as error:
                assert error.errno == errno.ENOENT  # noqa: PT017 - the caller was killed

    def close(self) -> None:
        os.write(self._stop, b"x")
        for thread in self._threads:
            thread.join()
        self._socket.close()
        os.close(self._end)
        os.close(self._stop)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    agent = Agent(str(tmp_path / "agent.sock"))
    yield agent
    agent.close()


def notify(agent: Agent, *names: str, **fields: object) -> Patch:
    rules = [{"names": list(names) or ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": [ARCH], "syscalls": rules}
    return {"linux": {"seccomp": profile | {"listenerPath": agent.path} | fields}}


@pytest.mark.parametrize("privileges", [True, False], ids=["no_new_privs", "privileges"])
@pytest.mark.parametrize("flags", [None, ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_LOG"]])
def test_the_agent_decides(agent: Agent, box: Box, privileges: bool, flags: list[str] | None) -> None:
    patch = merge(notify(agent, flags=flags), {"process": {"noNewPrivileges": privileges}})
    result = box.run(patch, "mkdir /tmp/x; grep -E '^(NoNewPrivs|Seccomp|CapEff):' /proc/self/status", status=0)
    assert "No medium found" in result.err
    assert result.out.split()[1::2] == ["0000000020000420", str(int(privileges)), "2"]
    assert agent.descriptors == [1]


def test_a_call_may_go_on(agent: Agent, box: Box) -> None:
    agent.error = 0
    box.run(notify(agent), "mkdir /tmp/x")
    assert (box.rootfs / "tmp/x").is_dir()


def test_what_the_agent_is_told(agent: Agent, box: Box) -> None:
    """At create, before the process waits for start."""
    patch = notify(agent, listenerMetadata='a "word"\u00e9') | {"annotations": {"key": "value"}}
    box.create(patch, "sleep", "60")
    (message,) = agent.messages
    assert message == {
        "ociVersion": message["ociVersion"],
        "fds": ["seccompFd"],
        "pid": box.pid,
        "metadata": 'a "word"\u00e9',
        "state": {
            "ociVersion": "1.0.2",
            "id": box.id,
            "status": "creating",
            "pid": box.pid,
            "bundle": str(box.bundle),
            "annotations": {"key": "value"},
        },
    }
    box.start()
    box.delete("--force")


def test_without_metadata_there_is_none(agent: Agent, box: Box) -> None:
    box.run(notify(agent), "true")
    assert "metadata" not in agent.messages[0]


def test_exec_has_a_listener_of_its_own(agent: Agent, box: Box) -> None:
    box.start(notify(agent), "sleep", "60")
    assert "No medium found" in box.exec("mkdir /tmp/x", status=1).err
    first, second = agent.messages
    assert second["pid"] != first["pid"]
    assert second["state"] == first["state"] | {"status": "running"}
    box.delete("--force")


def test_calls_of_the_helper_itself_may_notify(agent: Agent, box: Box) -> None:
    """All that it does behind the filter but write(2): none blocks for ever."""
    names = ["read", "close", "execve", "capset", "prctl", "mkdir", "mkdirat"]
    result = box.run(merge(notify(agent, *names), {"process": {"noNewPrivileges": False}}), "mkdir /tmp/x", status=1)
    assert "No medium found" in result.err
    assert len(agent.calls) > 5


def test_hooks_inside_run_behind_the_filter(agent: Agent, box: Box) -> None:
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "/bin/busybox mkdir /tmp/hook || echo refused > /tmp/seen"]}
    box.run(notify(agent) | {"hooks": {"startContainer": [hook]}}, "true")
    assert (box.rootfs / "tmp/seen").read_text() == "refused\n"


def test_a_long_path_and_a_large_state(box: Box, tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    agent = Agent(f"/proc/self/fd/{fd}/sock")
    try:
        agent.path = str(folder / "sock")
        patch = notify(agent, listenerMetadata="m" * 400_000)
        box.run(patch, "true")
        assert agent.messages[0]["metadata"] == "m" * 400_000
    finally:
        os.close(fd)
        agent.close()


def test_in_a_user_namespace(agent: Agent, box: Box) -> None:
    row = {"containerID": 0, "hostID": 100000, "size": 65536}
    patch = notify(agent)
    patch["linux"] |= {"+namespaces": [{"type": "user"}], "uidMappings": [row], "gidMappings": [row]}
    result = box.run(patch, "mkdir /tmp/x", status=1)
    assert "No medium found" in result.err


def test_an_ordinary_user_of_the_container(agent: Agent, box: Box) -> None:
    patch = merge(notify(agent), {"process": {"user": {"uid": 1000, "gid": 1000}}})
    assert "No medium found" in box.run(merge(patch, capabilities([])), "mkdir /tmp/x", status=1).err


@pytest.mark.parametrize("create", [True, False], ids=["create", "run"])
def test_without_an_agent(agent: Agent, box: Box, create: bool) -> None:
    patch = notify(agent, listenerPath=f"{agent.path}.none")
    error = box.create(patch, "true", status=1).err if create else box.refused(patch, "true")
    assert error.startswith(f'pyrunc: /linux/seccomp/listenerPath: cannot send the listener to "{agent.path}.none"')
    box.check_clean()


def test_a_listener_without_notifications_is_ignored(agent: Agent, box: Box) -> None:
    patch = notify(agent)
    patch["linux"]["seccomp"]["syscalls"][0]["action"] = "SCMP_ACT_ERRNO"
    box.run(patch, "true")
    patch["linux"]["seccomp"]["listenerPath"] = "/does/not/exist"
    box.run(patch, "true")
    assert not agent.messages


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"listenerPath": None}, "/linux/seccomp/listenerPath: is required"),
        ({"listenerPath": None, "listenerMetadata": "x"}, "/linux/seccomp/listenerMetadata: needs listenerPath"),
        (
            {"defaultAction": "SCMP_ACT_NOTIFY"},
            "/linux/seccomp/defaultAction: SCMP_ACT_NOTIFY cannot be used as default",
        ),
    ],
    ids=["no path", "metadata alone", "default"],
)
def test_what_is_refused(agent: Agent, box: Box, fields: Patch, words: str) -> None:
    assert words in box.refused(notify(agent, **fields))


def test_write_cannot_notify(agent: Agent, box: Box) -> None:
    error = box.refused(notify(agent, "mkdir", "write"))
    assert "/linux/seccomp/syscalls/0/names/1: SCMP_ACT_NOTIFY cannot be used for the write syscall" in error
