# SPDX-License-Identifier: Apache-2.0
"""Docker as docs/engines/docker.md sets it up: docker.service with the files of contrib/docker/ in their places."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import docker as daemon
from tests.vm import engines, service

pytestmark = [pytest.mark.root, pytest.mark.timeout(600), engines.needs("dockerd", "docker")]

DROP_IN = "/etc/systemd/system/docker.service.d/buildkit.conf"


@pytest.fixture(scope="module")
def docker() -> Iterator[engines.Client]:
    client = engines.Client("docker")
    with engines.scratch("docker") as folder:
        texts = {
            "/etc/docker/daemon.json": daemon.configuration(folder).read_text("utf-8"),
            DROP_IN: engines.configured("docker/buildkit.conf"),
        }
        with service.files(texts), service.services("containerd.service", "docker.service"):
            client.ok("import", str(engines.image(folder)), "bb")
            try:
                yield client
            finally:
                client.ok("system", "prune", "--all", "--force", "--volumes")
    service.systemctl("daemon-reload")


def test_runtime_of_the_service(docker: engines.Client) -> None:
    assert docker.ok("info", "--format", "{{.DefaultRuntime}} {{.CgroupDriver}}") == f"{engines.RUNTIME} systemd"
    made = docker.ok("run", "--detach", "bb", "sleep", "1000")
    pid = docker.ok("inspect", "--format", "{{.State.Pid}}", made)
    scope = Path(f"/sys/fs/cgroup/system.slice/docker-{made}.scope")
    assert scope in (engines.cgroup(pid), engines.cgroup(pid).parent)  # crun puts it one below
    assert engines.call("systemctl", "is-active", f"docker-{made}.scope").out == "active"
    docker.ok("rm", "--force", made)
    assert engines.call("systemctl", "is-active", f"docker-{made}.scope").out == "inactive"


def test_container_of_another_runtime_beside_it(docker: engines.Client) -> None:
    assert docker.ok("run", "--rm", "--runtime", "runc", "bb", "echo", "by runc") == "by runc"


def test_build_of_the_service(docker: engines.Client, tmp_path: Path) -> None:
    """BuildKit has its runtime from the drop-in: it is seen at work while a RUN step lasts."""
    (tmp_path / "Dockerfile").write_text("FROM bb\nRUN echo made >/made; sleep 20\n")
    words = [*docker.argv, "build", "--tag", "built", str(tmp_path)]
    with (tmp_path / "said").open("wb") as said, subprocess.Popen(words, stdout=said, stderr=said) as build:
        engines.until(runs_a_step)
        assert build.wait(engines.SECONDS) == 0, (tmp_path / "said").read_text()
    assert docker.ok("run", "--rm", "built", "cat", "/made") == "made"


def runs_a_step() -> bool:
    """Whether the runtime is there with a bundle of BuildKit."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        ours = Path(str(engines.PATH)).name in {Path(word).name for word in words[:8]}
        if ours and "run" in words and any("/buildkit/" in word for word in words):
            return True
    return False


def test_restart_of_the_service(docker: engines.Client) -> None:
    """By policy containers run again; one that was stopped by hand does only with `always`."""
    for name, policy in (("always", "always"), ("runs", "unless-stopped"), ("stopped", "unless-stopped")):
        docker.ok("run", "--detach", "--init", "--name", name, "--restart", policy, "bb", "sleep", "1000")
    docker.ok("stop", "always", "stopped")
    service.systemctl("reset-failed", "docker.service")
    service.systemctl("restart", "docker.service")
    look = ("inspect", "--format", "{{.State.Running}}", "always", "runs", "stopped")
    engines.until(lambda: docker(*look).out.split() == ["true", "true", "false"])
    docker.ok("rm", "--force", "always", "runs", "stopped")
