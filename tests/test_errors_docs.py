# SPDX-License-Identifier: Apache-2.0
"""docs/errors.md shows what is really said: each example is a row of a test that makes the container."""

from pathlib import Path

import pytest

from pyrunc.linux import errnos
from tests.containers.error_rows_files import MOUNTS, ROOT
from tests.containers.error_rows_process import NAMESPACES, PROCESS, SECCOMP, V1
from tests.containers.test_errors_exec import ROWS

TEXT = (Path(__file__).parent.parent / "docs/errors.md").read_text("utf-8")
EXAMPLES = [block.partition("```")[0].strip() for block in TEXT.split("```text\n")[1:]]
KNOWN = {
    ": ".join(part for part in ("pyrunc", field, call, reason) if part).replace("~", "/srv/box")
    for rows in (MOUNTS, ROOT, PROCESS, NAMESPACES, SECCOMP, V1)
    for _, field, call, reason in rows.values()
} | {f'pyrunc: /process/args/0: exec: "{path}": {reason}' for _, path, reason in ROWS.values()}


def test_there_are_ten() -> None:
    assert len(EXAMPLES) == 10


@pytest.mark.parametrize("number", range(10))
def test_example(number: int) -> None:
    assert EXAMPLES[number] in KNOWN


@pytest.mark.parametrize("number", [2, 13, 20])
def test_words(number: int) -> None:
    assert f"`{errnos.reason(number)}`" in TEXT
