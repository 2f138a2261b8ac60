# SPDX-License-Identifier: Apache-2.0
"""Docker: what a dockerd with other settings asks of the runtime."""

import time
from pathlib import Path

import pytest

from tests.vm import engines
from tests.vm.docker import Docker, dockerd

pytestmark = [pytest.mark.root, pytest.mark.timeout(600), engines.needs("dockerd", "docker", "newuidmap")]


def test_user_namespace_remap() -> None:
    """The first test: root of a container is nobody on the host, and writes what it owns."""
    with engines.scratch("docker") as folder, dockerd(folder, "--userns-remap", "default") as docker:
        docker.waiting("mapped", "--volume", "/data")
        pid = docker.inspect("mapped", "{{.State.Pid}}")
        first = int(Path(f"/proc/{pid}/uid_map").read_text().split()[1])
        assert first > 0
        assert Path(f"/proc/{pid}").stat().st_uid == first
        assert docker.ok("exec", "mapped", "sh", "-c", "touch /x /data/y && stat -c %u /x /data/y").split() == [
            "0",
            "0",
        ]
        assert docker.ok("run", "--rm", "--userns", "host", "bb", "cat", "/proc/self/uid_map").split()[1] == "0"
        docker.ok("stop", "mapped")


def test_live_restore() -> None:
    """A container runs on while dockerd does not, and is commanded by the next one."""
    with engines.scratch("docker") as folder:
        docker = Docker(folder)
        with dockerd(folder, "--live-restore", keep=True):
            docker.waiting("kept")
            pid = docker.inspect("kept", "{{.State.Pid}}")
        assert Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sh\0-c\0")
        with dockerd(folder, "--live-restore"):
            assert docker.inspect("kept", "{{.State.Status}} {{.State.Pid}}") == f"running {pid}"
            assert docker.ok("exec", "kept", "echo", "answers") == "answers"
            docker.ok("stop", "kept")
            assert docker.inspect("kept", "{{.State.ExitCode}}") == "3"


def test_restart_policy_after_a_restart_of_dockerd() -> None:
    with engines.scratch("docker") as folder:
        docker = Docker(folder)
        with dockerd(folder, keep=True):
            docker.waiting("always", "--restart", "always")
            before = docker.inspect("always", "{{.State.Pid}}")
        assert not Path(f"/proc/{before}").exists()
        with dockerd(folder):
            engines.until(lambda: docker.inspect("always", "{{.State.Status}}") == "running")
            assert docker.inspect("always", "{{.State.Pid}}") != before


def test_containers_beside_each_other() -> None:
    """Four at once: each call of the runtime has others beside it."""
    with engines.scratch("docker") as folder, dockerd(folder) as docker:
        names = [docker.start("bb", "sh", "-c", f"exit {number}") for number in range(1, 5)]
        began = time.monotonic()
        assert docker.ok("wait", *names).split() == ["1", "2", "3", "4"]
        assert time.monotonic() - began < engines.SECONDS
        docker.remove_all()
        assert docker.left() == []
