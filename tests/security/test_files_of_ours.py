# SPDX-License-Identifier: Apache-2.0
"""Files that the runtime writes and reads beside the state: modes, pid files, the cache of filters; and callers at
once.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from pyrunc.seccomp import cache
from tests.containers.box import Box

ALLOW = bytes.fromhex("060000000000ff7f")
"""BPF_RET, SECCOMP_RET_ALLOW."""


def test_state_perms_umask0(box: Box) -> None:
    """CVE-2024-25621. The caller's umask is 0 (a daemon's): nothing of the state can be read or written by others, nor
    the log; the pid file is 0644 as engines read it.
    """
    log, pid_file = box.folder / "log", box.folder / "pid"
    box.root.rmdir()
    box.write({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}}, "true")
    process = box.spawn(
        *("--log", log, "create", "--pid-file", pid_file, "--bundle", box.bundle, box.id),
        preexec_fn=lambda: os.umask(0),
        stdout=None,
        stderr=None,
    )
    assert process.wait() == 0
    assert box.root.stat().st_mode & 0o777 == 0o700
    for path in box.root.rglob("*"):
        assert not path.lstat().st_mode & 0o077, path
    assert not log.exists() or not log.stat().st_mode & 0o077
    assert pid_file.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("kind", ["symlink", "fifo", "foreign file", "hard link"])
def test_pid_file_symlink(box: Box, canary: Path, kind: str) -> None:
    """The pid file, or the file beside it that is renamed to it, is there already: a symlink to a file of the host, a
    fifo, another user's file. It is replaced, nothing is followed, nothing blocks, and the new file is ours.
    """
    pid_file = box.folder / "pid"
    names = [pid_file, *(box.folder / f".pid.{pid}" for pid in range(_pid() + 1, _pid() + 400))]
    for path in names:
        if kind == "symlink":
            path.symlink_to(canary / "file")
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "hard link":
            path.hardlink_to(canary / "file")
        else:
            path.write_text("")
            os.chown(path, 1000, 1000)
    box.create({}, "true", flags=("--pid-file", pid_file))
    assert not pid_file.is_symlink()
    assert pid_file.read_text() == str(box.pid)
    assert pid_file.stat().st_uid == 0


def _pid() -> int:
    """The number that the next process is likely to get."""
    return int(Path("/proc/loadavg").read_text().split()[-1])


def test_seccomp_cache_poisoning(box: Box) -> None:
    """A cached filter decides what a container may do: one that another user could have written, that is of another
    profile, or that is damaged, is not taken, wherever it comes from.
    """
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["uname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7}],
    }
    patch = {"linux": {"seccomp": profile}}
    other = {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}}
    probe = ("/bin/guest", "call:63")
    assert box.run(patch, *probe).json == {"call:63": 7}
    (strict,) = cached(box)
    box.run(other, "true")
    (lax,) = (path for path in cached(box) if path != strict)
    content, harmless = strict.read_bytes(), lax.read_bytes()
    strict.write_bytes(harmless)
    assert box.run(patch, *probe).json == {"call:63": 7}, "the filter of another profile"
    size = cache._HEADER.unpack_from(content)[3]
    strict.write_bytes(content[:-size] + ALLOW * (size // 8))
    assert box.run(patch, *probe).json == {"call:63": 7}, "a damaged filter"
    forged = forge(content)
    for spoil in ("owner", "mode", "symlink", "folder"):
        folder = strict.parent
        strict.unlink(missing_ok=True)
        strict.write_bytes(forged)
        strict.chmod(0o600)
        if spoil == "owner":
            os.chown(strict, 1000, 1000)
        elif spoil == "mode":
            strict.chmod(0o620)
        elif spoil == "symlink":
            strict.rename(box.folder / "elsewhere")
            strict.symlink_to(box.folder / "elsewhere")
        else:
            folder.chmod(0o770)
        assert box.run(patch, *probe).json == {"call:63": 7}, spoil
        folder.chmod(0o700)
    strict.unlink(missing_ok=True)
    strict.write_bytes(forged)
    strict.chmod(0o600)
    assert box.run(patch, *probe).json == {"call:63": 14}, "the test's own forgery works where it is ours"


def cached(box: Box) -> list[Path]:
    return [path for path in (box.root / ".seccomp").iterdir() if path.is_file()]


def forge(content: bytes) -> bytes:
    """A cache file with a filter that allows everything, its checksum right."""
    _, key, library, _, _ = cache._HEADER.unpack_from(content)
    rest = content[cache._HEADER.size :]
    return cache.pack(rest[:key], rest[key : key + library], ALLOW)


def test_concurrent_create(box: Box) -> None:
    """C4. Twenty callers want one id: one gets it, the others are told so, and nothing of theirs is left."""
    box.write({}, "sleep", "100")
    callers = [box.spawn("create", "--bundle", box.bundle, box.id) for _ in range(20)]
    results = []
    for caller in callers:
        assert caller.stdout is not None
        assert caller.stderr is not None
        caller.stdout.close()
        results.append((caller.wait(), caller))
    assert sorted(code for code, _ in results) == [0] + [1] * 19
    for code, caller in results:
        assert caller.stderr is not None
        if code:
            assert "already exists" in caller.stderr.read()
        caller.stderr.close()


def test_concurrent_start_delete(box: Box) -> None:
    """C4. Starts and deletes of one container at once: exactly one start wins, or the container is gone; nothing is
    left.
    """
    for _ in range(5):
        box.create({}, "sleep", "100")
        null: dict[str, Any] = {"stdout": None, "stderr": None}
        starts = [box.spawn("start", box.id, **null) for _ in range(4)]
        ends = [box.spawn("delete", "--force", box.id, **null) for _ in range(2)]
        assert sum(start.wait() == 0 for start in starts) <= 1
        assert {end.wait() for end in ends} == {0}
        box.check_clean()
