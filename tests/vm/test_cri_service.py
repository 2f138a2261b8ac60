# SPDX-License-Identifier: Apache-2.0
"""Kubernetes: containerd.service as docs/engines/containerd.md sets it up, and the handler of a RuntimeClass."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import engines, service
from tests.vm.containerd import Ctr, archive
from tests.vm.cri import Cri, CriError, connected, network

pytestmark = [pytest.mark.root, pytest.mark.timeout(600), engines.needs("containerd", "protoc")]

CONFIG = "/etc/containerd/config.toml"
FOLDER = Path("/run/containerd")


def handler() -> str:
    text = engines.configured("kubernetes/runtimeclass.yaml")
    return next(line.split()[1] for line in text.splitlines() if line.startswith("handler:"))


@pytest.fixture(scope="module")
def cri() -> Iterator[Cri]:
    """The service, whose default runtime is the one under test."""
    text = engines.configured("containerd/pyrunc-systemd.toml")
    with (
        engines.scratch("cri") as folder,
        network(),
        service.files({CONFIG: text}),
        service.services("containerd.service"),
    ):
        ctr = Ctr(FOLDER, socket="containerd.sock", work=folder)
        ctr.ok("--namespace", "k8s.io", "image", "import", str(archive(folder)))
        with connected(ctr) as cri:
            yield cri


def runtime(cri: Cri, pod: str) -> str:
    """The handler and the program that containerd has used for a pod."""
    info = json.loads(cri("PodSandboxStatus", pod_sandbox_id=pod, verbose=True)["info"]["info"])
    return f"{info['runtimeHandler']} {info['runtimeOptions']['binary_name']}"


def test_default_runtime_of_the_service(cri: Cri) -> None:
    pod = cri.pod(systemd=True)
    assert runtime(cri, pod[0]) == f" {engines.PATH}"
    made = cri.container(pod, "one", "sh", "-c", engines.WAIT)
    assert engines.cgroup(cri.pid(made)).name == f"cri-containerd-{made}.scope"


def test_runtime_class(cri: Cri) -> None:
    """A kubelet gives the handler of a pod's RuntimeClass with the request for it."""
    pod = cri.pod(handler=handler(), systemd=True)
    assert runtime(cri, pod[0]) == f"{handler()} {engines.PATH}"
    made = cri.container(pod, "one", "echo", "by class")
    engines.until(lambda: cri.status(made)["state"] == "CONTAINER_EXITED")
    assert cri.log(pod, "one") == "by class"


def test_runtime_class_that_nobody_serves(cri: Cri) -> None:
    with pytest.raises(CriError, match='no runtime for "nosuch" is configured'):
        cri.pod(handler="nosuch", systemd=True)


def test_nothing_is_left(cri: Cri) -> None:
    """The last test: without pods the runtime knows no container."""
    cri.remove_all()
    assert engines.left(FOLDER / "runc/k8s.io", "test.slice/*/cri-containerd-*") == []
