# SPDX-License-Identifier: Apache-2.0
"""What a runtime leaves that is killed in the middle: `delete --force` removes all of it."""

import os
import shutil
import time
from subprocess import DEVNULL

import pytest

from tests.containers import leaks
from tests.containers.box import Box, Patch, wait_for

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart")


def slow(box: Box, kind: str) -> Patch:
    """A hook that says that it runs, and takes long."""
    mark = "/mark" if kind == "startContainer" else f"{box.rootfs}/mark"
    return {"hooks": {kind: [{"path": "/bin/sh", "args": ["sh", "-c", f"echo > {mark}; exec /bin/sleep 20"]}]}}


@pytest.mark.parametrize("kind", KINDS)
def test_killed_while_a_hook_runs(box: Box, kind: str) -> None:
    if kind == "startContainer":
        (box.rootfs / "bin/sleep").unlink()
        (box.rootfs / "bin/sleep").symlink_to("busybox")
    box.write(slow(box, kind), "sleep 100")
    process = box.spawn("run", "--bundle", box.bundle, box.id, stdout=DEVNULL, stderr=DEVNULL)
    wait_for((box.rootfs / "mark").exists)
    process.kill()
    process.wait()
    left_hook(box)
    box.pyrunc("delete", "--force", box.id)
    box.check_clean()


def left_hook(box: Box) -> None:
    """Hooks of the host are the caller's processes: they end by themselves, or we end them."""
    for row in leaks.descendants():
        pid, name = row.split(" ", 1)
        try:
            if name == "sleep" and os.readlink(f"/proc/{pid}/root") == "/":
                os.kill(int(pid), 9)
        except (FileNotFoundError, ProcessLookupError):
            continue


@pytest.mark.parametrize("milliseconds", range(20, 200, 12))
def test_killed_at_any_time(box: Box, milliseconds: int) -> None:
    row = {"destination": "/mnt", "type": "tmpfs", "source": "tmpfs"}
    box.write({"+mounts": [row], "linux": {"cgroupsPath": f"/{box.id}/a/b"}}, "sleep 100")
    process = box.spawn("create", "--bundle", box.bundle, box.id, stdout=DEVNULL, stderr=DEVNULL)
    time.sleep(milliseconds / 1000)
    process.kill()
    process.wait()
    box.pyrunc("delete", "--force", box.id)
    box.check_clean()


@pytest.mark.parametrize("milliseconds", range(5, 80, 15))
def test_delete_killed_at_any_time(box: Box, milliseconds: int) -> None:
    box.start({"linux": {"cgroupsPath": f"/{box.id}/a/b"}}, "sleep 100")
    process = box.spawn("delete", "--force", box.id, stdout=DEVNULL, stderr=DEVNULL)
    time.sleep(milliseconds / 1000)
    process.kill()
    process.wait()
    box.pyrunc("delete", "--force", box.id)
    box.check_clean()


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"null", b"\xff" * 100, None])
def test_a_spoilt_state_can_be_deleted_by_force(box: Box, content: bytes | None) -> None:
    box.start({}, "sleep 100")
    file = box.root / box.id / "state.json"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    assert box.pyrunc("state", box.id, status=1).err != ""
    box.pyrunc("delete", "--force", box.id)
    box.check_clean()


def test_the_bundle_may_be_gone_at_delete(box: Box) -> None:
    box.start({}, "sleep 100")
    shutil.rmtree(box.bundle)
    box.pyrunc("delete", "--force", box.id)
    box.check_clean()


def test_the_container_ends_with_a_runtime_that_is_killed_before_start(box: Box) -> None:
    """PR_SET_PDEATHSIG: half a container does not stay."""
    box.write(slow(box, "createContainer"), "sleep 100")
    process = box.spawn("create", "--bundle", box.bundle, box.id, stdout=DEVNULL, stderr=DEVNULL)
    wait_for((box.rootfs / "mark").exists)
    process.kill()
    process.wait()
    wait_for(lambda: box.status == "stopped")
    box.pyrunc("delete", "--force", box.id)


def test_a_signal_in_the_middle_of_create_undoes_it(box: Box) -> None:
    box.write(slow(box, "createRuntime"), "sleep 100")
    process = box.spawn("create", "--bundle", box.bundle, box.id, stdout=DEVNULL, stderr=DEVNULL)
    wait_for((box.rootfs / "mark").exists)
    process.send_signal(2)
    assert process.wait(20) != 0
    left_hook(box)
    box.pyrunc("delete", "--force", box.id)
    box.check_clean()
