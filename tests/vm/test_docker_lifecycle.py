# SPDX-License-Identifier: Apache-2.0
"""Docker: what its articles teach of a container's life, with the runtime as dockerd's default."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import engines
from tests.vm.docker import Docker, dockerd

pytestmark = [pytest.mark.root, pytest.mark.timeout(600), engines.needs("dockerd", "docker")]


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    with engines.scratch("docker") as folder, dockerd(folder) as docker:
        yield docker


@pytest.fixture(scope="module")
def box(docker: Docker) -> str:
    """The name of a container that runs all the time."""
    docker.waiting("box", "--hostname", "box", "--env", "COLOUR=blue")
    return "box"


def test_default_runtime(docker: Docker, box: str) -> None:
    assert docker.ok("info", "--format", "{{.DefaultRuntime}}") == engines.RUNTIME
    assert docker.inspect(box, "{{.HostConfig.Runtime}}") == engines.RUNTIME


def test_create_and_start(docker: Docker) -> None:
    docker.ok("create", "--name", "made", "bb", "echo", "started")
    assert docker.inspect("made", "{{.State.Status}}") == "created"
    assert docker.ok("start", "--attach", "made") == "started"


def test_run_in_foreground(docker: Docker) -> None:
    result = docker("run", "--rm", "--interactive", "bb", "sh", "-c", "cat; echo err >&2; exit 7", stdin="in")
    assert (result.status, result.out, result.err) == (7, "in", "err")


def test_run_detached(docker: Docker, box: str) -> None:
    assert docker.inspect(box, "{{.State.Running}}") == "true"
    pid = docker.inspect(box, "{{.State.Pid}}")
    assert Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sh\0-c\0trap")


def test_run_at_terminal(docker: Docker) -> None:
    script = "read line; echo got $line; stty size; tty; exit 4"
    status, seen = docker.at_terminal("run", "--rm", "-it", "bb", "sh", "-c", script, type="words\n")
    assert status == 4
    assert "got words\n" in seen
    assert "24 80\n/dev/pts/0\n" in seen


def test_ps(docker: Docker, box: str) -> None:
    assert f"{box} Up " in docker.ok("ps", "--format", "{{.Names}} {{.Status}}")


def test_exec(docker: Docker, box: str) -> None:
    result = docker("exec", "-e", "SIZE=big", "-w", "/tmp", box, "sh", "-c", "echo $COLOUR $SIZE; pwd; exit 9")
    assert (result.status, result.out) == (9, "blue big\n/tmp")


def test_exec_as_user(docker: Docker, box: str) -> None:
    assert docker.ok("exec", "--user", "guest", box, "id") == "uid=1000(guest) gid=1000(guest) groups=1000(guest)"


def test_exec_with_stdin(docker: Docker, box: str) -> None:
    assert docker.ok("exec", "--interactive", box, "wc", "-c", stdin="12345") == "5"


def test_exec_at_terminal(docker: Docker, box: str) -> None:
    status, seen = docker.at_terminal("exec", "-it", box, "sh", "-c", "read a; stty size; exit 6", type="x\n")
    assert status == 6
    assert "24 80\n" in seen


def test_exec_detached(docker: Docker, box: str) -> None:
    docker.ok("exec", "--detach", box, "touch", "/tmp/detached")
    engines.until(lambda: docker("exec", box, "test", "-e", "/tmp/detached").status == 0)


def test_exec_of_nothing(docker: Docker, box: str) -> None:
    result = docker("exec", box, "nosuch")
    assert result.status in {126, 127}  # by the version of dockerd
    assert "executable file not found" in result.out + result.err


def test_logs(docker: Docker) -> None:
    docker.ok("run", "--name", "talks", "bb", "sh", "-c", "echo one; echo two >&2")
    result = docker("logs", "talks")
    assert (result.out, result.err) == ("one", "two")


def test_attach(docker: Docker) -> None:
    docker.start("--interactive", "--name", "attached", "bb", "sh", "-c", "read x; echo heard $x")
    docker("attach", "attached", stdin="this\n")
    engines.until(lambda: docker.ok("logs", "attached") == "heard this")


def test_attach_at_terminal_and_detach(docker: Docker) -> None:
    """Ctrl-P Ctrl-Q leaves the container as it is."""
    script = "while :; do read -t 1 x && echo heard $x || echo ready; done"
    docker.start("-it", "--name", "held", "bb", "sh", "-c", script)
    _, seen = docker.at_terminal("attach", "held", type="this\n\x10\x11", ready="ready")
    assert "read escape sequence" in seen
    engines.until(lambda: "heard this" in docker.ok("logs", "held"))
    assert docker.inspect("held", "{{.State.Running}}") == "true"


def test_start_at_terminal(docker: Docker) -> None:
    docker.ok("create", "-it", "--name", "later", "bb", "sh", "-c", "read x; echo heard $x; exit 5")
    status, seen = docker.at_terminal("start", "--attach", "--interactive", "later", type="this\n")
    assert status == 5
    assert "heard this\n" in seen


def test_stop_by_sigterm(docker: Docker) -> None:
    docker.waiting("polite")
    docker.ok("stop", "polite")
    assert docker.inspect("polite", "{{.State.Status}} {{.State.ExitCode}}") == "exited 3"


def test_stop_ends_with_sigkill(docker: Docker) -> None:
    docker.start("--name", "deaf", "bb", "sleep", "1000")
    docker.ok("stop", "--time", "1", "deaf")
    assert docker.inspect("deaf", "{{.State.ExitCode}}") == "137"


def test_kill_with_a_signal(docker: Docker) -> None:
    docker.waiting("killed")
    docker.ok("kill", "--signal", "TERM", "killed")
    assert docker.ok("wait", "killed") == "3"


def test_kill(docker: Docker) -> None:
    docker.start("--name", "shot", "bb", "sleep", "1000")
    docker.ok("kill", "shot")
    assert docker.ok("wait", "shot") == "137"


def test_pause_and_unpause(docker: Docker, box: str) -> None:
    docker.ok("pause", box)
    try:
        assert docker.inspect(box, "{{.State.Status}}") == "paused"
        cgroup = engines.cgroup(docker.inspect(box, "{{.State.Pid}}"))
        assert "frozen 1" in (cgroup / "cgroup.events").read_text()
        assert "is paused" in docker("exec", box, "true").err
    finally:
        docker.ok("unpause", box)
    assert docker.inspect(box, "{{.State.Status}}") == "running"
    docker.ok("exec", box, "true")


def test_restart(docker: Docker) -> None:
    docker.waiting("again")
    before = docker.inspect("again", "{{.State.Pid}}")
    docker.ok("restart", "--time", "1", "again")
    assert docker.inspect("again", "{{.State.Running}}") == "true"
    assert docker.inspect("again", "{{.State.Pid}}") != before


def test_restart_policy(docker: Docker) -> None:
    docker.start("--name", "retry", "--restart", "on-failure:2", "bb", "false")
    look = "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}"
    engines.until(lambda: docker.inspect("retry", look) == "2 exited 1")


def test_restart_policy_always(docker: Docker) -> None:
    """Started again whatever its status, until it is stopped by hand."""
    docker.start("--name", "again-and-again", "--restart", "always", "bb", "sh", "-c", "sleep 1; exit 0")
    engines.until(lambda: int(docker.inspect("again-and-again", "{{.RestartCount}}")) >= 2)
    docker.ok("stop", "--time", "1", "again-and-again")
    count = docker.inspect("again-and-again", "{{.RestartCount}} {{.State.Running}}")
    time.sleep(3)
    assert docker.inspect("again-and-again", "{{.RestartCount}} {{.State.Running}}") == count
    assert count.endswith(" false")


def test_rm(docker: Docker) -> None:
    docker.start("--name", "gone", "bb", "sleep", "1000")
    refused = docker("rm", "gone")
    assert refused.status == 1
    assert "running" in refused.err
    docker.ok("rm", "--force", "gone")
    assert docker("inspect", "gone").status == 1


def test_rename(docker: Docker) -> None:
    docker.ok("create", "--name", "old", "bb", "true")
    docker.ok("rename", "old", "new")
    assert docker.inspect("new", "{{.Name}}") == "/new"


def test_inspect(docker: Docker, box: str) -> None:
    seen = json.loads(docker.ok("inspect", box))[0]
    assert seen["State"]["Status"] == "running"
    assert seen["Config"]["Hostname"] == "box"


def test_top(docker: Docker, box: str) -> None:
    titles, first, *_ = docker.ok("top", box).splitlines()
    assert titles.split()[:3] == ["UID", "PID", "PPID"]
    assert docker.inspect(box, "{{.State.Pid}}") in first.split()


def test_missing_program_is_127(docker: Docker) -> None:
    result = docker("run", "--rm", "bb", "nosuch")
    assert result.status == 127
    assert 'exec: "nosuch": executable file not found in $PATH' in result.err


def test_program_that_may_not_run_is_126(docker: Docker) -> None:
    result = docker("run", "--rm", "bb", "/etc/passwd")
    assert result.status == 126
    assert "permission denied" in result.err


def test_directory_as_program_is_126(docker: Docker) -> None:
    assert docker("run", "--rm", "bb", "/etc").status == 126


def test_init_reaps(docker: Docker) -> None:
    assert "docker-init" in docker.ok("run", "--rm", "--init", "bb", "sh", "-c", "cat /proc/1/cmdline")


def test_events(docker: Docker) -> None:
    docker.ok("run", "--name", "noted", "bb", "true")

    def seen() -> list[str]:
        bounds = ("--since", "10m", "--until", str(time.time()))
        return docker.ok("events", *bounds, "--filter", "container=noted", "--format", "{{.Action}}").split()

    engines.until(lambda: [word for word in seen() if word in {"create", "start", "die"}] == ["create", "start", "die"])


def test_nothing_is_left(docker: Docker) -> None:
    """The last test: without containers the runtime knows none, and no cgroup of theirs is there."""
    assert docker.left() == []
