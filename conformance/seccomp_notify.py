# SPDX-License-Identifier: Apache-2.0
"""SCMP_ACT_NOTIFY: what the agent at listenerPath is sent, and how."""

import array
import json
import os
import socket
import threading
from typing import Any

from conformance import host
from conformance.box import Box
from conformance.requirements import Failed, case
from conformance.seccomp import rule, seccomp


class Message:
    """What came through one connection. parts: (data, number of descriptors) of each recvmsg; ended: it was closed."""

    def __init__(self, parts: list[tuple[bytes, int]], kinds: list[str], ended: bool) -> None:
        self.parts = parts
        self.kinds = kinds
        self.ended = ended

    def state(self) -> Any:
        try:
            return json.loads(b"".join(data for data, _ in self.parts))
        except ValueError:
            raise Failed("what the agent is sent is not one JSON text") from None


class Agent(threading.Thread):
    """Takes what comes within a moment; every call of the container stays unanswered, and none is made."""

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.server.bind(path)
        self.server.listen(4)
        self.server.settimeout(0.1)
        self.messages: list[Message] = []
        self.stopped = False
        self.start()

    def run(self) -> None:
        while not self.stopped:
            try:
                connection, _ = self.server.accept()
            except TimeoutError:
                continue
            self.messages.append(self._take(connection))

    def _take(self, connection: socket.socket) -> Message:
        parts, kinds, ended = [], [], False
        connection.settimeout(2 * host.patience)
        with connection:
            while not ended:
                try:
                    data, rights, _, _ = connection.recvmsg(65536, socket.CMSG_LEN(64))
                except TimeoutError:
                    break
                fds = array.array("i")
                for _, _, raw in rights:
                    fds.frombytes(raw)
                ended = not data and not fds
                if not ended:
                    parts.append((data, len(fds)))
                for fd in fds:
                    kinds.append(os.readlink(f"/proc/self/fd/{fd}"))
                    os.close(fd)
        return Message(parts, kinds, ended)

    def stop(self) -> None:
        """Ends the thread, after what has come."""
        self.stopped = True
        self.join(10 * host.patience)
        self.server.close()


@case(
    *(f"SPEC-{number}" for number in (298, 299, 300, 303, 304, 310, 312, 313)),
    needs="seccomp",
)
def sent(box: Box) -> None:
    """One connection, one state, the descriptor with its first bytes; then it is closed."""
    path = box.folder / "agent"
    agent = Agent(str(path))
    fields = {"listenerPath": str(path), "listenerMetadata": "some=data"}
    try:
        box.create(seccomp(rule("lookup_dcookie", "SCMP_ACT_NOTIFY"), **fields), "sleep 600")
        pid = box.pid()
        box.start()
        box.kill()
    finally:
        agent.stop()
    if not agent.messages:
        raise Failed("the agent is sent nothing")
    message = agent.messages[0]
    state = message.state()
    box.holds("SPEC-298", message.parts, "nothing came through a stream socket")
    box.same("SPEC-299", len(agent.messages), 1, "connections")
    box.holds("SPEC-300", message.ended, "the connection is not closed")
    box.same("SPEC-303", state.get("fds"), ["seccompFd"], "fds")
    box.same("SPEC-304", state.get("metadata"), "some=data", "metadata")
    box.same("SPEC-310", [kind.partition(" ")[0] for kind in message.kinds], ["anon_inode:seccomp"], "descriptors")
    box.same("SPEC-312", [count for _, count in message.parts[1:]], [0] * (len(message.parts) - 1), "later descriptors")
    inner = state.get("state") or {}
    box.holds("SPEC-313", isinstance(state.get("ociVersion"), str), "no ociVersion")
    box.same("SPEC-313", state.get("pid"), pid, "pid")
    box.same("SPEC-313", (inner.get("id"), inner.get("pid")), (box.id, pid), "state")
    missing = [key for key in ("ociVersion", "status", "bundle") if not inner.get(key)]
    box.same("SPEC-313", missing, [], "missing in state")
