# SPDX-License-Identifier: Apache-2.0
"""containerd: what ctr can ask of its shim, and the shim of the runtime."""

import json
from collections.abc import Iterator

import pytest

from tests.vm import engines
from tests.vm.containerd import IMAGE, Ctr, containerd

pytestmark = [pytest.mark.root, pytest.mark.timeout(600), engines.needs("containerd", "ctr")]

SIZE = "until stty size | grep 24; do sleep 0.1; done"
"""ctr gives a terminal its size after the process was started, and may end before it has copied all that was said."""


@pytest.fixture(scope="module")
def ctr() -> Iterator[Ctr]:
    with engines.scratch("containerd") as folder, containerd(folder) as ctr:
        yield ctr


@pytest.fixture(scope="module")
def box(ctr: Ctr) -> Iterator[str]:
    """The name of a container that runs all the time."""
    ctr.waiting("box", "--env", "COLOUR=blue")
    yield "box"
    ctr("task", "delete", "--force", "box")
    ctr("container", "delete", "box")


def test_run_in_foreground(ctr: Ctr) -> None:
    result = ctr(*ctr.run_words("--rm", IMAGE, "front", "sh", "-c", "echo out; echo err >&2; exit 7"))
    assert (result.status, result.out) == (7, "out")
    assert "err" in result.err


def test_run_at_terminal(ctr: Ctr) -> None:
    script = f"read line; echo got $line; {SIZE}; sleep 1; exit 4"
    status, seen = ctr.at_terminal(*ctr.run_words("--rm", "--tty", IMAGE, "tty", "sh", "-c", script), type="words\n")
    assert status == 4
    assert "got words" in seen
    assert "24 80" in seen


def test_run_detached(ctr: Ctr, box: str) -> None:
    assert ctr.status(box) == "RUNNING"
    assert engines.cgroup(ctr.pid(box)).is_dir()


def test_exec(ctr: Ctr, box: str) -> None:
    words = ("--exec-id", "one", "--cwd", "/tmp", box, "sh", "-c", "echo $COLOUR; pwd; exit 9")
    result = ctr("task", "exec", *words)
    assert (result.status, result.out) == (9, "blue\n/tmp")


def test_exec_at_terminal(ctr: Ctr, box: str) -> None:
    words = ("task", "exec", "--exec-id", "two", "--tty", box, "sh", "-c", f"read a; {SIZE}; sleep 1; exit 6")
    status, seen = ctr.at_terminal(*words, type="x\n")
    assert status == 6
    assert "24 80" in seen


def test_exec_as_user(ctr: Ctr, box: str) -> None:
    assert ctr.ok("task", "exec", "--exec-id", "three", "--user", "1000", box, "id", "-u") == "1000"


def test_exec_of_nothing(ctr: Ctr, box: str) -> None:
    result = ctr("task", "exec", "--exec-id", "four", box, "nosuch")
    assert result.status != 0
    assert 'exec: "nosuch": executable file not found in $PATH' in result.err


def test_missing_program(ctr: Ctr) -> None:
    result = ctr(*ctr.run_words("--rm", IMAGE, "missing", "nosuch"))
    assert result.status == 1
    assert 'exec: "nosuch": executable file not found in $PATH' in result.err
    ctr("container", "delete", "missing")


def test_pause_and_resume(ctr: Ctr, box: str) -> None:
    ctr.ok("task", "pause", box)
    assert ctr.status(box) == "PAUSED"
    assert "frozen 1" in (engines.cgroup(ctr.pid(box)) / "cgroup.events").read_text()
    ctr.ok("task", "resume", box)
    assert ctr.status(box) == "RUNNING"


def test_ps(ctr: Ctr, box: str) -> None:
    pids = [line.split()[0] for line in ctr.ok("task", "ps", box).splitlines()[1:]]
    assert len(pids) == 2
    assert ctr.pid(box) in pids


@pytest.mark.cgroup2
def test_metrics(ctr: Ctr, box: str) -> None:
    seen = json.loads(ctr.ok("task", "metrics", "--format", "json", box))
    assert "usage_usec" in seen["cpu"]


def test_kill_and_delete(ctr: Ctr) -> None:
    ctr.waiting("killed")
    ctr.ok("task", "kill", "--signal", "SIGTERM", "killed")
    engines.until(lambda: ctr.status("killed") == "STOPPED")
    assert "exit code 3" in ctr("task", "delete", "killed").err
    ctr.ok("container", "delete", "killed")


def test_kill_all(ctr: Ctr) -> None:
    ctr.waiting("all")
    ctr.ok("task", "kill", "--all", "--signal", "SIGKILL", "all")
    engines.until(lambda: ctr.status("all") == "STOPPED")
    ctr("task", "delete", "all")
    ctr.ok("container", "delete", "all")


def test_delete_by_force(ctr: Ctr) -> None:
    ctr.waiting("forced")
    ctr("task", "delete", "--force", "forced")
    assert ctr.status("forced") == ""
    ctr.ok("container", "delete", "forced")


def test_mount_and_read_only_root(ctr: Ctr) -> None:
    source = ctr.folder / "source"
    source.mkdir()
    mount = f"type=bind,src={source},dst=/data,options=rbind:rw"
    script = "touch /data/file; touch /file"
    result = ctr(*ctr.run_words("--rm", "--read-only", "--mount", mount, IMAGE, "reads", "sh", "-c", script))
    assert "Read-only file system" in result.err
    assert (source / "file").exists()


def test_seccomp_and_privileges(ctr: Ctr) -> None:
    flags = ("--rm", "--seccomp", "--no-new-privs" if "--no-new-privs" in ctr.ok("run", "--help") else "--rm")
    seen = ctr.ok(*ctr.run_words(*flags, IMAGE, "filtered", "cat", "/proc/self/status"))
    assert engines.field(seen, "Seccomp") == "2"
    seen = ctr.ok(*ctr.run_words("--rm", "--privileged", IMAGE, "strong", "cat", "/proc/self/status"))
    assert engines.field(seen, "Seccomp") == "0"


def test_host_network(ctr: Ctr) -> None:
    seen = ctr.ok(*ctr.run_words("--rm", "--net-host", IMAGE, "host", "readlink", "/proc/self/ns/net"))
    assert seen == engines.call("readlink", "/proc/self/ns/net").out


@pytest.mark.cgroup2
def test_memory_and_cpu_limits(ctr: Ctr) -> None:
    """Read on the host: containers of ctr have no mount of their cgroup."""
    ctr.waiting("limited", "--memory-limit", "33554432", "--cpus", "0.5")
    cgroup = engines.cgroup(ctr.pid("limited"))
    seen = [(cgroup / name).read_text().strip() for name in ("memory.max", "cpu.max")]
    ctr("task", "delete", "--force", "limited")
    ctr.ok("container", "delete", "limited")
    assert seen == ["33554432", "50000 100000"]


@pytest.mark.criu
def test_checkpoint(ctr: Ctr, box: str) -> None:
    """The shim pauses, has the runtime save what runs on, and resumes."""
    ctr.ok("task", "checkpoint", "--image-path", f"{ctr.folder}/images", box)
    assert ctr.status(box) == "RUNNING"
    assert (ctr.folder / "images/inventory.img").exists()
    assert ctr.ok("task", "exec", "--exec-id", "after", box, "echo", "answers") == "answers"


def test_root_file_system_of_a_folder(ctr: Ctr) -> None:
    root = ctr.folder / "folder"
    root.mkdir()
    engines.call("tar", "-C", str(root), "-xf", str(ctr.folder / "busybox.tar"))
    flags = ("--rm", "--rootfs", "--env", "PATH=/bin")
    assert ctr.ok(*ctr.run_words(*flags, str(root), "plain", "echo", "ran")) == "ran"


def test_nothing_is_left(ctr: Ctr) -> None:
    """The last test: without containers the runtime knows none, and no cgroup of theirs is there."""
    ctr("task", "delete", "--force", "box")
    ctr("container", "delete", "box")
    names = ctr.ok("container", "list", "--quiet")
    assert names == ""
    assert engines.left(ctr.folder / "state/runc/default", "default/*", "system.slice/cri-containerd-*") == []
