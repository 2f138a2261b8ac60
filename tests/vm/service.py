# SPDX-License-Identifier: Apache-2.0
"""Engines as docs/engines sets them up: files of contrib/ in their places, and services of systemd."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.vm import engines


def systemctl(*words: str) -> None:
    result = engines.call("systemctl", *words, seconds=2 * engines.SECONDS)
    assert result.status == 0, f"systemctl {' '.join(words)}: {result!r}"


@contextlib.contextmanager
def files(texts: Mapping[str, str]) -> Iterator[None]:
    """Files at these paths; what was there before comes back."""
    before = {path: Path(path).read_text("utf-8") if Path(path).exists() else None for path in texts}
    try:
        for path, text in texts.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(text, "utf-8")
        yield
    finally:
        for path, old in before.items():
            if old is None:
                Path(path).unlink()
            else:
                Path(path).write_text(old, "utf-8")


@contextlib.contextmanager
def services(*names: str) -> Iterator[None]:
    """These run, started anew in this order; afterwards none does."""
    systemctl("daemon-reload")
    try:
        for name in names:
            systemctl("restart", name)
        yield
    finally:
        engines.call("systemctl", "stop", *reversed(names), "docker.socket")
        engines.call("systemctl", "reset-failed", *names)
