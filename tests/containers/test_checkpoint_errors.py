# SPDX-License-Identifier: Apache-2.0
"""checkpoint and restore that fail: what is said, and that nothing is changed, or left."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.containers.box import Box, runtime, wait_for
from tests.containers.counter import COUNT, SECONDS, checkpoint, count, counting, goes_on, images, restore

__all__ = ["images"]

pytestmark = [pytest.mark.criu, pytest.mark.timeout(600)]


def test_states_that_cannot_be_saved(box: Box, images: Path) -> None:
    box.create({}, "true")
    assert "container cannot be checkpointed in created state" in checkpoint(box, images, status=1).err
    box.pyrunc("start", box.id)
    box.until("stopped")
    assert "container cannot be checkpointed in stopped state" in checkpoint(box, images, status=1).err
    assert not images.exists()


def test_a_dump_that_fails_says_why_and_changes_nothing(box: Box, images: Path) -> None:
    """A unix socket whose other end is outside: criu's own line, and where its log is."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        box.create({}, COUNT, stdin=theirs)
        box.start()
        wait_for(lambda: count(box) > 3, "the counter")
        work = box.folder / "work"
        error = checkpoint(box, images, "--work-path", work, status=1).err
        assert error.startswith("pyrunc: criu dump failed: unix: ")
        assert error.endswith(f"(see {work}/dump.log)")
        assert box.status == "running"
        goes_on(box)
        box.delete("--force")


def test_a_restore_that_fails_leaves_nothing(box: Box, images: Path) -> None:
    counting(box)
    checkpoint(box, images)
    (images / "core-1.img").write_bytes(b"")
    error = restore(box, images, status=1).err
    assert error.startswith("pyrunc: criu restore failed: ")
    assert f"(see {images}/restore.log)" in error
    box.check_clean()


def test_an_interrupted_restore_leaves_nothing(box: Box, images: Path) -> None:
    """While criu works: with an empty image of pages version 4.2 never ends, and fills its log."""
    counting(box)
    checkpoint(box, images)
    (images / "pages-1.img").write_bytes(b"")
    process = box.spawn("restore", "--detach", "--bundle", box.bundle, "--image-path", images, box.id)
    log = images / "restore.log"
    wait_for(lambda: log.exists() and log.stat().st_size > 200_000, "criu that turns in circles")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    box.check_clean()


def test_a_hook_that_fails_ends_the_restore(box: Box, images: Path) -> None:
    flag = box.folder / "flag"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"test ! -e {flag} || {{ echo no network; exit 3; }}"]}
    counting(box, {"hooks": {"createRuntime": [hook]}})
    checkpoint(box, images)
    flag.touch()
    error = restore(box, images, status=1).err
    assert "error running createRuntime hook #0: /bin/sh: exit status 3" in error
    assert "no network" in error
    box.check_clean()


@pytest.mark.parametrize("missing", ["images", "descriptors.json"])
def test_no_checkpoint_there(box: Box, images: Path, missing: str) -> None:
    box.write({}, "true")
    if missing != "images":
        images.mkdir()
    error = restore(box, images, status=1).err
    assert f"{images if missing == 'images' else images / missing}: not there (ENOENT)" in error
    box.check_clean()


def test_without_criu(box: Box, images: Path) -> None:
    """One line that says what to install; the container runs on. Where there is a criu, it is hidden from the call."""
    counting(box)
    places = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    there = [path for place in places if (path := Path(place, "criu")).exists()]
    hide = "".join(f"mount --bind /dev/null {path}; " for path in there)
    call = [runtime(), "--root", str(box.root), *box.flags, "checkpoint", "--image-path", str(images), box.id]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", f'{hide}exec "$0" "$@"', *call],
        env={**os.environ, "PATH": ":".join(places)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the program criu is not installed" in done.stderr
    goes_on(box)
