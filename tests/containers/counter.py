# SPDX-License-Identifier: Apache-2.0
"""A container that counts, for tests of checkpoint and restore: whether it goes on can be seen in a file."""

from pathlib import Path
from typing import Any

import pytest

from tests.containers.box import Box, Patch, Result, wait_for

SECONDS = 120
"""For one call: criu takes 20 s in an emulated machine that others keep busy."""

COUNT = "i=0; while :; do i=$((i+1)); echo $i > /tmp/count.new; mv /tmp/count.new /tmp/count; sleep 0.05; done"


@pytest.fixture
def images(box: Box) -> Path:
    return box.folder / "images"


def count(box: Box) -> int:
    path = box.rootfs / "tmp/count"
    return int(path.read_text()) if path.exists() else 0


def counting(box: Box, patch: Patch | None = None, script: str = COUNT) -> None:
    box.start(patch or {}, script)
    wait_for(lambda: count(box) > 3, "the counter")


def goes_on(box: Box) -> None:
    before = count(box)
    wait_for(lambda: count(box) > before + 3, f"more than {before}", 60)


def checkpoint(box: Box, images: Path, *flags: object, status: int = 0) -> Result:
    process = box.spawn("checkpoint", "--image-path", images, *flags, box.id)
    out, err = process.communicate(timeout=SECONDS)
    result = Result(process.returncode, out, err)
    assert result.status == status, repr(result)
    return result


def restore(box: Box, images: Path, *flags: object, name: str = "", status: int = 0, **options: Any) -> Result:
    """Detached; its process writes to the file out2. name: its id, where it is not the box's."""
    command = ("restore", "--detach", "--bundle", box.bundle, "--image-path", images, *flags, name or box.id)
    with (box.folder / "out2").open("w") as out, (box.folder / "err2").open("w") as err:
        code = box.spawn(*command, **{"stdout": out, "stderr": err} | options).wait(SECONDS)
    result = Result(code, (box.folder / "out2").read_text(), (box.folder / "err2").read_text())
    assert code == status, repr(result)
    return result
