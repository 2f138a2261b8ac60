# SPDX-License-Identifier: Apache-2.0
"""The global flags as settings: whose state directory it is, and who makes cgroups."""

import posix

import pytest

from pyrunc.cli.options import settings
from pyrunc.cli.parse import split
from pyrunc.container.settings import Settings
from pyrunc.errors import UsageError

IDENTITY = b"         0          0 4294967295\n"
INNER = b"         0       1000          1\n         1     100000      65536\n"


def made(*argv: str) -> Settings:
    return settings(split(list(argv))[0], lambda _: None)


@pytest.mark.parametrize(
    ("uid", "uid_map", "runtime_dir", "user", "root"),
    [
        (0, IDENTITY, None, "root", "/run/pyrunc"),
        (0, IDENTITY, "/run/user/0", None, "/run/pyrunc"),
        (1000, IDENTITY, "/run/user/1000", "me", "/run/user/1000/pyrunc"),
        (1000, IDENTITY, "", "me", "/run/pyrunc"),
        (1000, IDENTITY, "run", "me", "/run/pyrunc"),
        (0, INNER, "/run/user/1000", "me", "/run/user/1000/pyrunc"),
        (0, INNER, "/run/user/1000", None, "/run/user/1000/pyrunc"),  # podman's start, kill and delete
        (0, INNER, "/run/user/0", "root", "/run/pyrunc"),  # root of a system container
        (0, INNER, "", None, "/run/pyrunc"),
    ],
)
def test_default_root(
    uid: int, uid_map: bytes, runtime_dir: str | None, user: str | None, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$XDG_RUNTIME_DIR for users, also as root of their user namespace; an empty one is unset."""
    given = {b"XDG_RUNTIME_DIR": runtime_dir, b"USER": user}
    monkeypatch.setattr(posix, "environ", {name: text.encode() for name, text in given.items() if text is not None})
    monkeypatch.setattr(posix, "geteuid", lambda: uid)
    monkeypatch.setattr(posix, "read", lambda _, __: uid_map)
    assert made("list").root == root


@pytest.mark.parametrize(
    ("given", "root"),
    [("/r", "/r"), ("/r/", "/r"), ("//r//s", "/r/s"), ("/r/./s/../t", "/r/t"), ("/../r", "/r"), ("é", "/cwd/é")],
)
def test_given_root(given: str, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posix, "getcwd", lambda: "/cwd")
    assert made("--root", given).root == root


@pytest.mark.parametrize("given", ["", "/", "//", "/.", "/r/..", "/../..", "/r\0s"])
def test_refused_root(given: str) -> None:
    """An engine's empty variable must not make the root directory, or the current one, a state directory."""
    with pytest.raises(UsageError, match="--root"):
        made("--root", given)


@pytest.mark.parametrize(
    ("argv", "manager"),
    [
        ("", "cgroupfs"),
        ("--systemd-cgroup", "systemd"),
        ("--cgroup-manager systemd", "systemd"),
        ("--cgroup-manager disabled", "disabled"),
        ("--systemd-cgroup --cgroup-manager disabled", "disabled"),
        ("--cgroup-manager=cgroupfs --systemd-cgroup", "cgroupfs"),
    ],
    ids=str,
)
def test_cgroup_manager(argv: str, manager: str) -> None:
    assert made(*argv.split()).cgroup_manager == manager


@pytest.mark.parametrize(("argv", "rootless"), [("", None), ("auto", None), ("true", True), ("false", False)], ids=str)
def test_rootless(argv: str, rootless: bool | None) -> None:
    assert made(*(["--rootless", argv] if argv else [])).rootless is rootless
