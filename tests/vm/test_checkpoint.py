# SPDX-License-Identifier: Apache-2.0
"""podman container checkpoint and restore: within one machine, and by an archive as into another one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import engines
from tests.vm.podman import Podman
from tests.vm.podman import podman as commanded

pytestmark = [pytest.mark.root, pytest.mark.criu, pytest.mark.timeout(900), engines.needs("podman", "criu")]

SECONDS = 400
COUNT = "i=0; while :; do i=$((i+1)); echo $i > /count.new; mv /count.new /count; echo tick $i; sleep 0.2; done"


@pytest.fixture(scope="module", name="podman")
def engine() -> Iterator[Podman]:
    with commanded() as podman:
        yield podman


@pytest.fixture
def box(podman: Podman, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a container that counts."""
    name = request.node.name.replace("_", "-")
    podman.ok("run", "--detach", "--name", name, "bb", "sh", "-c", COUNT)
    engines.until(lambda: count(podman, name) > 3)
    yield name
    podman.ok("rm", "--all", "--force", "--time", "0")


def called(podman: Podman, *args: str) -> engines.Result:
    """`podman container ARGS`, with more time than its other calls: it starts four programs, and criu copies memory."""
    return engines.call(*podman.argv, "container", *args, env=podman.env, seconds=SECONDS)


def container(podman: Podman, *args: str) -> None:
    result = called(podman, *args)
    assert result.status == 0, f"{' '.join(args)}: {result!r}"


def count(podman: Podman, name: str) -> int:
    """How far it has counted; 0 as long as it has not begun."""
    seen = podman("exec", name, "cat", "/count").out.strip()
    return int(seen) if seen.isdigit() else 0


def goes_on(podman: Podman, name: str, after: int) -> None:
    engines.until(lambda: count(podman, name) > after)


def status(podman: Podman, name: str) -> str:
    return podman.inspect(name, "{{.State.Status}} {{.State.Checkpointed}}")


def test_checkpoint_and_restore(podman: Podman, box: str) -> None:
    before = count(podman, box)
    container(podman, "checkpoint", box)
    assert status(podman, box) == "exited true"
    container(podman, "restore", box)
    goes_on(podman, box, before)
    assert status(podman, box) == "running false"
    assert f"tick {before + 1}" in podman.ok("logs", box)


def test_leave_running(podman: Podman, box: str) -> None:
    container(podman, "checkpoint", "--leave-running", box)
    assert status(podman, box).startswith("running ")
    goes_on(podman, box, count(podman, box))


def test_export_and_import(podman: Podman, box: str) -> None:
    """The archive becomes another container, beside the first one's removal; its files are those of the checkpoint."""
    before = count(podman, box)
    archive = podman.folder / "checkpoint.tar.gz"
    container(podman, "checkpoint", "--export", str(archive), "--compress", "gzip", box)
    assert archive.stat().st_size > 0
    podman.ok("rm", box)
    container(podman, "restore", "--import", str(archive), "--name", "second")
    goes_on(podman, "second", before)
    container(podman, "restore", "--import", str(archive), "--name", "third")
    goes_on(podman, "third", before)


def test_pre_checkpoint(podman: Podman, box: str) -> None:
    first, last = str(podman.folder / "first.tar.gz"), str(podman.folder / "last.tar.gz")
    container(podman, "checkpoint", "--pre-checkpoint", "--export", first, "--compress", "gzip", box)
    assert status(podman, box).startswith("running ")
    before = count(podman, box)
    container(podman, "checkpoint", "--with-previous", "--export", last, "--compress", "gzip", box)
    podman.ok("rm", box)
    flags = ("--import-previous", first, "--import", last, "--name", "both")
    container(podman, "restore", *flags)
    goes_on(podman, "both", before)


def test_volumes_are_as_they_were(podman: Podman, tmp_path: Path) -> None:
    """Flags, too, of two of the same folder."""
    flags = [word for name in ("one", "two") for word in ("--volume", f"{tmp_path}:/{name}:ro")]
    podman.ok("run", "--detach", "--name", "bound", *flags, "bb", "sh", "-c", COUNT)
    engines.until(lambda: count(podman, "bound") > 3)
    container(podman, "checkpoint", "bound")
    container(podman, "restore", "bound")
    for folder in ("/one", "/two"):
        assert "Read-only" in podman("exec", "bound", "touch", f"{folder}/file").err
    goes_on(podman, "bound", count(podman, "bound"))
    podman.ok("rm", "--force", "--time", "0", "bound")


TALK = (
    "sleep 1000 | nc -l -p 5000 >/heard & until netstat -tln | grep -q :5000; do sleep 0.2; done; "
    "while sleep 0.2; do echo word; done | nc 127.0.0.1 5000 & "
)
"""A TCP connection, over which words go all the time."""


def heard(podman: Podman, name: str) -> int:
    return len(podman("exec", name, "cat", "/heard").out.split())


def test_a_failure_is_told(podman: Podman) -> None:
    """The line of criu reaches who commands Podman, and the container runs on: a connection is not saved unasked."""
    podman.ok("run", "--detach", "--network", "none", "--name", "talks", "bb", "sh", "-c", TALK + COUNT)
    engines.until(lambda: heard(podman, "talks") > 3)
    result = called(podman, "checkpoint", "talks")
    assert result.status != 0
    assert "criu dump failed: " in result.err
    assert "--tcp-established" in result.err
    assert status(podman, "talks").startswith("running ")
    goes_on(podman, "talks", count(podman, "talks"))
    podman.ok("rm", "--force", "--time", "0", "talks")
