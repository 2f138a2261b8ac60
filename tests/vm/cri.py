# SPDX-License-Identifier: Apache-2.0
"""containerd's CRI with the runtime under test, and the streams of exec, attach and port-forward by WebSocket."""

import base64
import contextlib
import json
import os
import socket
import struct
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.vm import containerd, engines

CLIENT = Path(__file__).with_name("cri_client.py")
CNI = Path("/etc/cni/net.d/10-pyrunc-test.conflist")
NETWORK = {
    "cniVersion": "1.0.0",
    "name": "test",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni-test",
            "isGateway": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.78.0.0/24"}]], "dataDir": "/run/cni-test"},
        },
        {"type": "loopback"},
    ],
}
Message = dict[str, Any]
STDIN, STDOUT, STDERR, STATUS, RESIZE = range(5)
"""Channels of v4.channel.k8s.io."""


class CriError(Exception):
    """What containerd answered: a gRPC code and its text."""


class Cri:
    """The two services, by the name of a method: cri("ListContainers") is its response."""

    def __init__(self, client: "subprocess.Popen[str]", ctr: containerd.Ctr) -> None:
        self.client = client
        self.ctr = ctr
        self.folder = ctr.folder
        self.pods = 0

    def __call__(self, method: str, **request: Any) -> Message:
        assert self.client.stdin
        assert self.client.stdout
        self.client.stdin.write(json.dumps([method, request]) + "\n")
        self.client.stdin.flush()
        response, error = json.loads(self.client.stdout.readline())
        if error:
            raise CriError(error)
        assert isinstance(response, dict)
        return response

    def pod(
        self, *, network: str = "NODE", handler: str = "", systemd: bool = engines.CGROUPS == "systemd", **context: Any
    ) -> tuple[str, Message]:
        """The id and configuration of a pod that is ready. network is NODE (the host's) or POD; handler: a RuntimeClass
        names it; systemd: who makes its cgroups.
        """
        self.pods += 1
        name = f"pod{self.pods}"
        namespaces = {"network": network, "pid": "CONTAINER", **context.pop("namespace_options", {})}
        config = {
            "metadata": {"name": name, "uid": name, "namespace": "default", "attempt": 0},
            "log_directory": f"{self.folder}/logs/{name}",
            "linux": {
                "cgroup_parent": f"/test.slice/test-{name}.slice" if systemd else f"/cri-test/{name}",
                "security_context": {"namespace_options": namespaces, **context},
            },
        }
        if network == "POD":
            config["hostname"] = name
        (self.folder / "logs" / name).mkdir(parents=True)
        return str(self("RunPodSandbox", config=config, runtime_handler=handler)["pod_sandbox_id"]), config

    def container(self, pod: tuple[str, Message], name: str, *command: str, **config: Any) -> str:
        """The id of a container that was started."""
        sandbox, described = pod
        namespaces = {"namespace_options": described["linux"]["security_context"]["namespace_options"]}
        linux = config.pop("linux", {})
        linux["security_context"] = {**namespaces, **linux.get("security_context", {})}
        request = {
            "metadata": {"name": name},
            "image": {"image": containerd.IMAGE},
            "command": list(command),
            "log_path": f"{name}.log",
            "linux": linux,
            **config,
        }
        made = self("CreateContainer", pod_sandbox_id=sandbox, config=request, sandbox_config=described)
        self("StartContainer", container_id=made["container_id"])
        return str(made["container_id"])

    def log(self, pod: tuple[str, Message], name: str) -> str:
        """What a container has said, without the times and streams."""
        file = Path(pod[1]["log_directory"]) / f"{name}.log"
        return "\n".join(line.split(" ", 3)[3] for line in file.read_text().splitlines()) if file.exists() else ""

    def status(self, container: str) -> Message:
        """Its status; empty values are left out, as protobuf does."""
        found = self("ContainerStatus", container_id=container)["status"]
        assert isinstance(found, dict)
        return found

    def exec(self, container: str, *command: str) -> tuple[int, str, str]:
        """The status, output and errors of ExecSync."""
        done = self("ExecSync", container_id=container, cmd=list(command), timeout=100)
        out, err = (base64.b64decode(done.get(key, "")).decode() for key in ("stdout", "stderr"))
        return done.get("exit_code", 0), out.strip(), err.strip()

    def remove_all(self) -> None:
        """Every pod, with its containers."""
        for item in self("ListPodSandbox").get("items", []):
            self("StopPodSandbox", pod_sandbox_id=item["id"])
            self("RemovePodSandbox", pod_sandbox_id=item["id"])

    def pid(self, container: str) -> int:
        """Of its first process."""
        info = self("ContainerStatus", container_id=container, verbose=True)["info"]["info"]
        return int(json.loads(info)["pid"])


class WebSocket:
    """A stream of the CRI: RFC 6455, with the channel as the first byte of each message."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self.connection = socket.create_connection((parts.hostname, parts.port), engines.SECONDS)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}", "Upgrade: websocket"]
        lines += ["Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines += [f"Origin: http://{parts.netloc}", "Sec-WebSocket-Protocol: v4.channel.k8s.io", "", ""]
        self.connection.sendall("\r\n".join(lines).encode())
        self.file = self.connection.makefile("rb")
        answer = self.file.readline()
        assert b" 101 " in answer, answer
        while self.file.readline().strip():
            pass

    def send(self, channel: int, data: bytes) -> None:
        payload = bytes([channel]) + data
        assert len(payload) < 126
        self.connection.sendall(struct.pack(">BB4x", 0x82, 0x80 | len(payload)) + payload)  # masked with zeros

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """Channel and data, until the other side closes."""
        while len(head := self.file.read(2)) == 2:
            size = head[1] & 0x7F
            if size == 126:
                size = struct.unpack(">H", self.file.read(2))[0]
            payload = self.file.read(size)
            if head[0] & 0xF == 8:
                return
            if payload:
                yield payload[0], payload[1:]

    def close(self) -> None:
        self.file.close()
        self.connection.close()


@contextlib.contextmanager
def network() -> Iterator[None]:
    """A network for pods that have their own: a bridge."""
    CNI.parent.mkdir(parents=True, exist_ok=True)
    CNI.write_text(json.dumps(NETWORK))
    try:
        yield
    finally:
        CNI.unlink()
        engines.call("ip", "link", "delete", "cni-test")


@contextlib.contextmanager
def service() -> Iterator[Cri]:
    """The CRI of a containerd of its own, with a network and the image bb. No pod remains."""
    with (
        engines.scratch("cri") as folder,
        network(),
        containerd.containerd(folder, "k8s.io") as ctr,
        connected(ctr) as cri,
    ):
        yield cri


@contextlib.contextmanager
def connected(ctr: containerd.Ctr) -> Iterator[Cri]:
    """The CRI of a containerd that has the image bb, which is made the image of pods, too. No pod remains."""
    lines = engines.call("containerd", "config", "default").out.splitlines()
    pause = next(line.split('"')[1] for line in lines if "sandbox_image" in line)
    ctr.ok("--namespace", "k8s.io", "image", "tag", "--force", containerd.IMAGE, pause)
    argv = ["/usr/bin/python3", str(CLIENT), ctr.socket, str(ctr.folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        cri = Cri(client, ctr)
        try:
            yield cri
        finally:
            cri.remove_all()
            assert client.stdin
            client.stdin.close()
