# SPDX-License-Identifier: Apache-2.0
"""C2: the runtime is interrupted or killed at any moment of create, run and exec."""

import os
import random
import signal
import socket
import subprocess
import time
from typing import Any

import pytest

from tests.containers import leaks
from tests.containers.box import Box, wait_for

NULL: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
HOOK = {"path": "/bin/sleep", "args": ["sleep", "0.02"]}
PATCH = {
    "hooks": {"createRuntime": [HOOK], "createContainer": [HOOK]},
    "linux": {
        "resources": {"pids": {"limit": 20}},
        "maskedPaths": ["/proc/keys"],
        "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"},
    },
}
TRIES = 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_kill9_create(box: Box, number: int) -> None:
    """(runc 1.1.5 leaks cgroups here.) create gets a signal at a random moment of its way. Nothing it has made outlives
    `delete --force`: no process, no cgroup, no mount, no directory; and the id is free again.
    """
    box.write(PATCH, "sleep", "100")
    start = time.monotonic()
    box.spawn("create", "--bundle", box.bundle, box.id, **NULL).wait()
    length = time.monotonic() - start
    box.pyrunc("delete", "--force", box.id)
    dice = random.Random(number)
    for _ in range(TRIES):
        process = box.spawn("create", "--bundle", box.bundle, box.id, **NULL)
        time.sleep(dice.uniform(0, length * 1.1))
        process.send_signal(number)
        process.wait()
        box.pyrunc("delete", "--force", box.id)
        box.check_clean()


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer"])
@pytest.mark.parametrize("verb", [["create"], ["run", "--detach"]], ids=" ".join)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_create_that_is_ended_undoes_itself(box: Box, number: int, verb: list[str], kind: str) -> None:
    """Nothing is left for `delete --force`; a second signal does not interrupt the undo."""
    slow = {"path": "/bin/sleep", "args": ["sleep", "30"]}
    box.write({"hooks": {kind: [slow]}}, "sleep", "100")
    default = {"preexec_fn": lambda: [signal.signal(n, signal.SIG_DFL) for n in (number, signal.SIGINT)]}
    process = box.spawn(*verb, "--bundle", box.bundle, box.id, **NULL, **default)
    wait_for(lambda: any("sleep" in row for row in leaks.descendants()), "the hook")
    process.send_signal(number)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) in (128 + number, 128 + signal.SIGTERM)
    box.check_clean()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_kill9_run(box: Box, number: int) -> None:
    """The same for run: whether the container has started or not, `delete --force` leaves nothing of it."""
    box.write(PATCH, "sleep", "100")
    dice = random.Random(number)
    for _ in range(TRIES):
        process = box.spawn("run", "--bundle", box.bundle, box.id, **NULL)
        time.sleep(dice.uniform(0, 0.5))
        process.send_signal(number)
        time.sleep(0.05)
        if process.poll() is None:
            process.kill()
        process.wait()
        box.pyrunc("delete", "--force", box.id)
        box.check_clean()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_kill9_exec(box: Box, number: int) -> None:
    """A killed exec leaves no helper that is half in the container; what it started belongs to the container."""
    box.start({}, "sleep 100")
    before = set(leaks.descendants())
    dice = random.Random(number)
    for _ in range(TRIES):
        process = box.spawn("exec", box.id, "true", **NULL)
        time.sleep(dice.uniform(0, 0.25))
        process.send_signal(number)
        process.wait()
    wait_for(lambda: set(leaks.descendants()) <= before, "the helpers to end")


def test_kill9_exec_at_the_last_point(box: Box) -> None:
    """The runtime is killed when the helper waits for its last word; it reads the end of the pipe, and leaves."""
    box.start({}, "sleep 100")
    before = set(leaks.descendants())
    path = str(box.folder / "s")
    # A listener that takes nobody: the runtime, which is to hand over a pidfd, waits for it at this very point.
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(path)
        listener.listen(0)
        first.connect(path)
        process = box.spawn("exec", "--pidfd-socket", path, box.id, "true", **NULL)
        wait_for(lambda: any("pyrunc:init" in row for row in leaks.descendants()), "the helper")
        time.sleep(0.2)
        process.kill()
        process.wait()
        wait_for(lambda: set(leaks.descendants()) <= before, "the helper's end", 2)


def test_helper_dies_with_the_runtime(box: Box) -> None:
    """C2. The runtime is killed while a hook in the container's namespaces runs: the helper, which is at no point
    where it would ask for it, goes at once (PR_SET_PDEATHSIG), and does not go on alone.
    """
    slow = {"path": "/bin/sleep", "args": ["sleep", "3"]}
    box.write({"hooks": {"createContainer": [slow]}}, "sleep", "100")
    process = box.spawn("create", "--bundle", box.bundle, box.id, **NULL)
    wait_for(lambda: any("sleep" in row for row in leaks.descendants()), "the hook")
    process.kill()
    process.wait()
    wait_for(lambda: not any("pyrunc" in row for row in leaks.descendants()), "the helper's end", 1)
    box.pyrunc("delete", "--force", box.id)


def test_failed_start_residue(box: Box) -> None:
    """C6. create fails at each of its last steps: no mount, cgroup, process, state or mount point on the host is left,
    and a hook that is killed at its timeout takes its process group along.
    """
    forever = {"path": "/bin/sh", "args": ["sh", "-c", "sleep 1000 & sleep 1000"], "timeout": 1}
    for patch in (
        {"process": {"args": ["/missing"]}},
        {"process": {"user": {"uid": 1, "gid": 1}, "cwd": "/file/none"}},
        {"hooks": {"createRuntime": [{"path": "/bin/false"}]}},
        {"hooks": {"createRuntime": [forever]}},
        {"hooks": {"createContainer": [forever]}},
        {"hooks": {"startContainer": [{"path": "/bin/false"}]}},
        {"linux": {"sysctl": {"net.ipv4.missing": "1"}}},
        {"+mounts": [{"destination": "/mnt", "type": "nofs", "source": "x"}]},
    ):
        (box.rootfs / "file").touch()
        box.refused({**PATCH, **patch} if "hooks" not in patch else patch)
    assert not os.path.lexists(box.rootfs / "mnt/x")
