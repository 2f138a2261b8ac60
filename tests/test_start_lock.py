# SPDX-License-Identifier: Apache-2.0
"""`start` beside another call that keeps the container's lock; the facts of a host whose /proc/sys is covered."""

from pathlib import Path

import pytest

from pyrunc.container import start
from pyrunc.container.settings import Settings
from pyrunc.errors import StateError
from pyrunc.linux import host
from pyrunc.state.store import claim


def test_start_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "LOCK_SECONDS", 0.05)
    entry = claim(str(tmp_path / "root"), "box")
    entry.lock()
    with pytest.raises(StateError, match="container box is in use by another call"):
        start.start(Settings(str(tmp_path / "root"), print), "box")
    entry.close()


def test_capabilities_where_proc_sys_is_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container whose /proc/sys is masked: what the process has is all that it can give."""
    read = host._read

    def covered(path: str, size: int = 4096) -> bytes:
        if path.startswith("/proc/sys/"):
            raise FileNotFoundError(path)
        return read(path, size)

    whole = host.probe()
    monkeypatch.setattr(host, "_read", covered)
    found = host.probe()
    assert found.last_cap == (whole.bounding | whole.permitted).bit_length() - 1
    assert found.bounding == whole.bounding
