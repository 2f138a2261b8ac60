# SPDX-License-Identifier: Apache-2.0
"""Podman, commanded by root and by an ordinary user: a container's life."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import engines
from tests.vm.podman import Podman, ordinary_user, podman

pytestmark = [pytest.mark.root, pytest.mark.timeout(600), engines.needs("podman", "newuidmap", "runuser")]


@pytest.fixture(scope="module", params=["root", "rootless"], name="podman")
def engine(request: pytest.FixtureRequest) -> Iterator[Podman]:
    with contextlib.ExitStack() as stack:
        user = stack.enter_context(ordinary_user()) if request.param == "rootless" else "root"
        yield stack.enter_context(podman(user))


@pytest.fixture(scope="module")
def box(podman: Podman) -> str:
    """The name of a container that runs all the time."""
    podman.waiting("box", "--hostname", "box", "--env", "COLOUR=blue")
    return "box"


def test_info(podman: Podman) -> None:
    seen = json.loads(podman.ok("info", "--format", "json"))["host"]
    assert (seen["ociRuntime"]["name"], seen["security"]["rootless"]) == (engines.RUNTIME, podman.rootless)
    assert seen["ociRuntime"]["version"].startswith(f"{engines.RUNTIME} version ")


def test_run_in_foreground(podman: Podman) -> None:
    result = podman("run", "--rm", "--interactive", "bb", "sh", "-c", "cat; echo err >&2; exit 7", stdin="in")
    assert (result.status, result.out, result.err.splitlines()[-1]) == (7, "in", "err")


def test_run_at_terminal(podman: Podman) -> None:
    script = "read line; echo got $line; stty size; exit 4"
    status, seen = podman.at_terminal("run", "--rm", "-it", "bb", "sh", "-c", script, type="words\n")
    assert status == 4
    assert "got words\n24 80\n" in seen


def test_ids(podman: Podman, box: str) -> None:
    pid = podman.inspect(box, "{{.State.Pid}}")
    assert Path(f"/proc/{pid}").stat().st_uid == podman.uid
    assert podman.ok("exec", box, "id", "-u") == "0"


def test_exec(podman: Podman, box: str) -> None:
    result = podman("exec", "-e", "SIZE=big", "-w", "/tmp", box, "sh", "-c", "echo $COLOUR $SIZE; pwd; exit 9")
    assert (result.status, result.out) == (9, "blue big\n/tmp")


def test_exec_as_user(podman: Podman, box: str) -> None:
    assert podman.ok("exec", "--user", "guest", box, "id", "-u") == "1000"


def test_exec_at_terminal(podman: Podman, box: str) -> None:
    status, seen = podman.at_terminal("exec", "-it", box, "sh", "-c", "read a; stty size; exit 6", type="x\n")
    assert status == 6
    assert "24 80\n" in seen


def test_exec_detached(podman: Podman, box: str) -> None:
    podman.ok("exec", "--detach", box, "touch", "/tmp/detached")
    engines.until(lambda: podman("exec", box, "test", "-e", "/tmp/detached").status == 0)


def test_exec_of_nothing_is_127(podman: Podman, box: str) -> None:
    result = podman("exec", box, "nosuch")
    assert result.status == 127
    assert "nosuch" in result.err


def test_missing_program_is_127(podman: Podman) -> None:
    result = podman("run", "--rm", "bb", "nosuch")
    assert result.status == 127
    assert "OCI runtime attempted to invoke a command that was not found" in result.err


def test_program_that_may_not_run_is_126(podman: Podman) -> None:
    result = podman("run", "--rm", "bb", "/etc/passwd")
    assert result.status == 126
    assert "OCI permission denied" in result.err


def test_logs(podman: Podman) -> None:
    podman.ok("run", "--name", "talks", "bb", "sh", "-c", "echo one; echo two >&2")
    result = podman("logs", "talks")
    assert (result.out, result.err) == ("one", "two")


def test_stop_by_sigterm(podman: Podman) -> None:
    podman.waiting("polite")
    podman.ok("stop", "polite")
    assert podman.inspect("polite", "{{.State.Status}} {{.State.ExitCode}}") == "exited 3"


def test_stop_ends_with_sigkill(podman: Podman) -> None:
    podman.ok("run", "--detach", "--name", "deaf", "bb", "sleep", "1000")
    podman.ok("stop", "--time", "1", "deaf")
    assert podman.inspect("deaf", "{{.State.ExitCode}}") == "137"


def test_kill_with_a_signal(podman: Podman) -> None:
    podman.waiting("killed")
    podman.ok("kill", "--signal", "TERM", "killed")
    assert podman.ok("wait", "killed") == "3"


def test_restart(podman: Podman) -> None:
    podman.waiting("again")
    before = podman.inspect("again", "{{.State.Pid}}")
    podman.ok("restart", "--time", "1", "again")
    assert podman.inspect("again", "{{.State.Running}}") == "true"
    assert podman.inspect("again", "{{.State.Pid}}") != before


def test_create_and_start(podman: Podman) -> None:
    podman.ok("create", "--name", "made", "bb", "echo", "started")
    assert podman.ok("start", "--attach", "made") == "started"


def test_init_then_start(podman: Podman) -> None:
    """`podman init` calls create; the container waits in it."""
    podman.ok("create", "--name", "initial", "bb", "echo", "later")
    podman.ok("init", "initial")
    assert podman.inspect("initial", "{{.State.Status}}") == "initialized"
    assert podman.ok("start", "--attach", "initial") == "later"


def test_ps_and_top(podman: Podman, box: str) -> None:
    assert f"{box} Up " in podman.ok("ps", "--format", "{{.Names}} {{.Status}}")
    assert "sleep 1000" in podman.ok("top", box, "args")


def test_cp(podman: Podman, box: str) -> None:
    podman.ok("exec", box, "sh", "-c", "echo inside >/tmp/file")
    target = podman.folder / "copied"
    podman.ok("cp", f"{box}:/tmp/file", str(target))
    assert target.read_text() == "inside\n"


def test_commit_and_diff(podman: Podman) -> None:
    podman.ok("run", "--name", "wrote", "bb", "sh", "-c", "echo new >/new")
    assert "A /new" in podman.ok("diff", "wrote").splitlines()
    podman.ok("commit", "--quiet", "wrote", "committed")
    assert podman.ok("run", "--rm", "committed", "cat", "/new") == "new"


def test_save_and_load(podman: Podman) -> None:
    archive = f"{podman.folder}/saved.tar"
    podman.ok("tag", "bb", "saved")
    podman.ok("save", "--output", archive, "saved")
    podman.ok("untag", "saved", "localhost/saved:latest")
    podman.ok("load", "--input", archive)
    assert podman.ok("run", "--rm", "saved", "echo", "loaded") == "loaded"


def test_build(podman: Podman) -> None:
    (podman.folder / "recipe").write_text(
        "FROM bb\nENV COLOUR=green\nRUN echo $COLOUR >/made && chown 1000 /made\nUSER guest\nRUN id -un >/tmp/user\n"
    )
    (podman.folder / "context").mkdir()
    podman.ok(
        "build",
        "--network",
        "none",
        "--tag",
        "built",
        "--file",
        f"{podman.folder}/recipe",
        str(podman.folder / "context"),
    )
    assert podman.ok("run", "--rm", "built", "cat", "/made", "/tmp/user") == "green\nguest"


def test_volume(podman: Podman) -> None:
    podman.ok("run", "--rm", "--volume", "kept:/data", "bb", "sh", "-c", "echo kept >/data/file")
    assert podman.ok("run", "--rm", "--volume", "kept:/other:ro", "bb", "cat", "/other/file") == "kept"


def test_read_only_and_tmpfs(podman: Podman) -> None:
    result = podman("run", "--rm", "--read-only", "bb", "sh", "-c", "touch /tmp/x && echo tmpfs; touch /x")
    assert (result.status, result.out) == (1, "tmpfs")
    assert "Read-only file system" in result.err


def test_capabilities_and_no_new_privileges(podman: Podman) -> None:
    flags = ("--cap-drop", "ALL", "--cap-add", "CHOWN", "--security-opt", "no-new-privileges")
    seen = podman.ok("run", "--rm", *flags, "bb", "cat", "/proc/self/status")
    assert int(engines.field(seen, "CapEff"), 16) == 1
    assert (engines.field(seen, "NoNewPrivs"), engines.field(seen, "Seccomp")) == ("1", "2")


def test_privileged(podman: Podman) -> None:
    script = "mount -t tmpfs none /tmp && echo mounted"
    assert podman.ok("run", "--rm", "--privileged", "bb", "sh", "-c", script) == "mounted"


def test_without_a_cgroup(podman: Podman) -> None:
    if engines.RUNTIME == "runc":
        pytest.skip("Podman allows it for crun alone, and for runtimes that are said to have it")
    assert podman.ok("run", "--rm", "--cgroups", "disabled", "bb", "echo", "ran") == "ran"


def test_health_check(podman: Podman) -> None:
    podman.waiting("patient", "--health-cmd", "test ! -e /tmp/ill", "--health-interval", "disable")
    assert podman("healthcheck", "run", "patient").status == 0
    podman.ok("exec", "patient", "touch", "/tmp/ill")
    assert podman("healthcheck", "run", "patient").status == 1


def test_restart_policy(podman: Podman) -> None:
    podman.ok("run", "--detach", "--name", "retry", "--restart", "on-failure:2", "bb", "false")
    engines.until(lambda: podman.inspect("retry", "{{.RestartCount}} {{.State.Status}}") == "2 exited")


def test_buildah(podman: Podman) -> None:
    """From, run, config and commit; what it makes is Podman's image, too."""
    buildah = podman.buildah()
    made = buildah.ok("from", "--pull-never", "localhost/bb")
    buildah.ok("run", "--network", "none", made, "--", "sh", "-c", "echo by hand >/made; id -u >>/made")
    buildah.ok("config", "--cmd", "cat /made", made)
    buildah.ok("commit", "--quiet", made, "hand")
    buildah.ok("rm", made)
    assert podman.ok("run", "--rm", "localhost/hand") == "by hand\n0"


def test_pod_shares_namespaces(podman: Podman) -> None:
    podman.ok("pod", "create", "--name", "pod", "--share", "net,ipc,uts", "--network", "none", "--hostname", "peas")
    podman.waiting("first", "--pod", "pod")
    script = "hostname; readlink /proc/self/ns/net; readlink /proc/self/ns/ipc"
    seen = podman.ok("run", "--rm", "--pod", "pod", "bb", "sh", "-c", script).split()
    assert seen == podman.ok("exec", "first", "sh", "-c", script).split()
    assert seen[0] == "peas"
    podman.ok("pod", "rm", "--force", "--time", "0", "pod")


KUBE = """\
apiVersion: v1
kind: Pod
metadata: {name: play}
spec:
  hostNetwork: true
  containers:
  - name: one
    image: localhost/bb
    imagePullPolicy: Never
    command: [sh, -c, "trap 'exit 0' TERM; cat /data/* >/shared/out; sleep 1000 & wait"]
    securityContext: {capabilities: {drop: [ALL]}}
    volumeMounts: [{name: words, mountPath: /data}, {name: empty, mountPath: /shared}]
  volumes:
  - {name: words, configMap: {name: words}}
  - {name: empty, emptyDir: {}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: words}
data: {word: played}
"""


def test_play_kube(podman: Podman) -> None:
    (podman.folder / "kube.yaml").write_text(KUBE)
    podman.ok("kube", "play", f"{podman.folder}/kube.yaml")
    engines.until(lambda: podman("exec", "play-one", "cat", "/shared/out").out == "played")
    podman.ok("kube", "down", f"{podman.folder}/kube.yaml")
    assert podman.ok("pod", "ps", "--quiet") == ""


def test_nothing_is_left(podman: Podman) -> None:
    """The last test: without containers the runtime knows none, and no cgroup of theirs is there."""
    assert podman.left() == []
