# SPDX-License-Identifier: Apache-2.0
"""Why the user's program cannot be executed: the one place where an error has the words that engines search for.

Each row is a program in the root filesystem and what run, and exec in a running container, say of it.
"""

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.containers.box import Box

Furnish = Callable[[Path], None]
MISSING = "no such file or directory"
DENIED = "permission denied"
FORMAT = "exec format error"


def program(content: bytes, mode: int = 0o755, name: str = "x") -> Furnish:
    """Make /opt/NAME."""

    def make(rootfs: Path) -> None:
        (rootfs / "opt").mkdir(exist_ok=True)
        (rootfs / "opt" / name).write_bytes(content)
        (rootfs / "opt" / name).chmod(mode)

    return make


def link(target: str, place: str = "opt/x") -> Furnish:
    def make(rootfs: Path) -> None:
        (rootfs / "opt").mkdir(exist_ok=True)
        (rootfs / place).symlink_to(target)

    return make


def several(*parts: Furnish) -> Furnish:
    def make(rootfs: Path) -> None:
        for part in parts:
            part(rootfs)

    return make


def closed(rootfs: Path) -> None:
    program(b"#!/bin/sh\n")(rootfs)
    (rootfs / "opt").chmod(0o700)


def elf(machine: int = 62, kind: int = 2, loader: bytes = b"") -> bytes:
    """An ELF file of one program header, PT_INTERP: elf(5)."""
    loader += b"\0"
    header = struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0x1000, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    interp = struct.pack("<IIQQQQQQ", 3, 4, 120, 120, 120, len(loader), len(loader), 1)
    return b"\x7fELF\2\1\1" + bytes(9) + header + interp + loader


def nothing(rootfs: Path) -> None:
    pass


OTHER = "aarch64" if os.uname().machine == "x86_64" else "x86_64"
WRONG_ELF = elf(183 if OTHER == "aarch64" else 62)
OWN_ELF = 62 if OTHER == "aarch64" else 183

ROWS: dict[str, tuple[Furnish, str, str]] = {
    "not-in-PATH": (nothing, "nope", 'executable file not found in $PATH ("/bin")'),
    "path-missing": (nothing, "/bin/nope", MISSING),
    "folder-missing": (nothing, "/opt/bin/nope", f'{MISSING}: "/opt" is missing in the container'),
    "below-a-file": (nothing, "/bin/busybox/x", 'not a directory: "/bin/busybox" is a file in the container'),
    "dangling-symlink": (
        link("/nowhere"),
        "/opt/x",
        f'{MISSING}: "/opt/x" is a symlink to "/nowhere", which is missing in the container',
    ),
    "dangling-symlink-in-PATH": (
        link("/nowhere", "bin/dangling"),
        "dangling",
        f'{MISSING}: "/bin/dangling" is a symlink to "/nowhere", which is missing in the container',
    ),
    "symlink-to-itself": (
        link("x"),
        "/opt/x",
        'too many levels of symbolic links: "/opt/x" is a symlink that leads back to itself',
    ),
    "interpreter-missing": (
        program(b"#!/bin/bash -e\n"),
        "/opt/x",
        f'{MISSING}: its interpreter "/bin/bash" is missing',
    ),
    "interpreter's-folder-missing": (
        program(b"#!/usr/bin/env python3\n"),
        "/opt/x",
        f'{MISSING}: its interpreter "/usr/bin/env" is missing: "/usr" is missing in the container',
    ),
    "interpreter's-interpreter-missing": (
        several(program(b"#!/opt/i\n"), program(b"#!/bin/bash\n", name="i")),
        "/opt/x",
        f'{MISSING}: its interpreter "/opt/i" cannot be executed: its interpreter "/bin/bash" is missing',
    ),
    "carriage-return": (
        program(b"#!/bin/sh\r\necho hello\r\n"),
        "/opt/x",
        f'{MISSING}: the "#!" line ends with a carriage return, so that the interpreter is taken for "/bin/sh\\r"',
    ),
    "loader-of-glibc-missing": (
        program(elf(OWN_ELF, loader=b"/lib64/ld-linux-x86-64.so.2")),
        "/opt/x",
        f'{MISSING}: its library loader "/lib64/ld-linux-x86-64.so.2" of glibc is missing',
    ),
    "loader-of-musl-missing": (
        program(elf(OWN_ELF, loader=b"/lib/ld-musl-x86_64.so.1")),
        "/opt/x",
        f'{MISSING}: its library loader "/lib/ld-musl-x86_64.so.1" of musl is missing',
    ),
    "other-machine": (
        program(WRONG_ELF),
        "/opt/x",
        f"{FORMAT}: it is for {OTHER}, this machine is {os.uname().machine}",
    ),
    "interpreter-of-another-machine": (
        several(program(b"#!/opt/i\n"), program(WRONG_ELF, name="i")),
        "/opt/x",
        f'{FORMAT}: its interpreter "/opt/i": it is for {OTHER}, this machine is {os.uname().machine}',
    ),
    "object-file": (program(elf(OWN_ELF, kind=1)), "/opt/x", f"{FORMAT}: it is an object file, not a program"),
    "no-interpreter-named": (program(b"#!\n"), "/opt/x", f'{FORMAT}: its "#!" line names no interpreter'),
    "line-too-long": (program(b"#!/" + b"a" * 300), "/opt/x", f'{FORMAT}: its "#!" line is longer than 256 bytes'),
    "empty-file": (program(b""), "/opt/x", f"{FORMAT}: the file is empty"),
    "no-line-at-all": (
        program(b"echo hello\n"),
        "/opt/x",
        f'{FORMAT}: it is neither an ELF file nor a script that begins with "#!"',
    ),
    "byte-order-mark": (
        program(b"\xef\xbb\xbf#!/bin/sh\n"),
        "/opt/x",
        f'{FORMAT}: a byte order mark stands before "#!"',
    ),
    "directory": (nothing, "/etc", f"{DENIED}: it is a directory"),
    "no-permission": (
        program(b"#!/bin/sh\n", 0o644),
        "/opt/x",
        f"{DENIED}: it has no execute permission (mode 0644)",
    ),
    "no-permission-for-this-user": (
        program(b"#!/bin/sh\n", 0o700),
        "/opt/x",
        f"{DENIED}: mode 0700, owner 0:0: uid 1000 may not execute it",
    ),
    "folder-closed": (closed, "/opt/x", f'{DENIED}: "/opt" (mode 0700, owner 0:0) is closed to uid 1000'),
    "interpreter-without-permission": (
        several(program(b"#!/opt/i\n"), program(b"", 0o644, "i")),
        "/opt/x",
        f'{DENIED}: its interpreter "/opt/i": it has no execute permission (mode 0644)',
    ),
    "file-name-too-long": (nothing, "/" + "a" * 256, "file name too long"),
}
USER = {"process": {"user": {"uid": 1000, "gid": 1000}, "capabilities": None}}


@pytest.mark.parametrize("name", ROWS)
def test_run(box: Box, name: str) -> None:
    furnish, path, expected = ROWS[name]
    furnish(box.rootfs)
    assert box.refused(USER, path, "an argument") == f'pyrunc: /process/args/0: exec: "{path}": {expected}'


@pytest.mark.parametrize("name", ["not-in-PATH", "carriage-return", "other-machine", "folder-closed", "empty-file"])
def test_create_and_start(box: Box, name: str) -> None:
    """What a look-up can tell is an error of create, and what only execve can is one of start."""
    furnish, path, expected = ROWS[name]
    furnish(box.rootfs)
    line = f'pyrunc: /process/args/0: exec: "{path}": {expected}'
    created = box.create(USER, path, "an argument", status=None)
    if created.status:
        assert created.err.removesuffix("\n") == line
        box.check_clean()
        return
    assert box.pyrunc("start", box.id, status=1).err == line
    assert box.status == "stopped"
    box.delete()
    box.check_clean()


def test_exec(box: Box) -> None:
    """The same lines and the status 255, and the container runs on; one container for all rows."""
    box.start(USER, "sleep 100")
    for name, (furnish, path, expected) in ROWS.items():
        shutil.rmtree(box.rootfs / "opt", ignore_errors=True)
        (box.rootfs / "bin/dangling").unlink(missing_ok=True)
        furnish(box.rootfs)
        result = box.exec(path, "an argument", status=255)
        assert (name, result.err) == (name, f'pyrunc: /process/args/0: exec: "{path}": {expected}')
    assert box.status == "running"
    box.delete("--force")
    box.check_clean()


def test_noexec(box: Box) -> None:
    (box.folder / "opt").mkdir()
    program(b"#!/bin/sh\n")(box.folder)
    mount = {"destination": "/opt", "type": "bind", "source": str(box.folder / "opt"), "options": ["bind", "noexec"]}
    error = box.refused({"+mounts": [mount]}, "/opt/x", "an argument")
    assert error == f'pyrunc: /process/args/0: exec: "/opt/x": {DENIED}: its filesystem is mounted noexec'


def test_a_program_that_is_written_to(box: Box) -> None:
    program(b"#!/bin/sh\n")(box.rootfs)
    with (box.rootfs / "opt/x").open("ab"):
        error = box.run({}, "/opt/x", "an argument", status=1).err
    assert error == ('pyrunc: /process/args/0: exec: "/opt/x": text file busy: a process has the file open for writing')


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (("a" * 140000,), "one string of args and env has 140001 bytes, the kernel takes 131072"),
        (("a" * 100000,) * 30, "args and env have 3000301 bytes, more than RLIMIT_STACK allows"),
    ],
)
def test_too_many_arguments(box: Box, argv: tuple[str, ...], reason: str) -> None:
    error = box.refused({}, "true", *argv)
    assert error == f'pyrunc: /process/args/0: exec: "true": argument list too long: {reason}'


def test_a_relative_program_is_looked_for_where_the_process_is(box: Box) -> None:
    error = box.refused({"process": {"cwd": "/etc"}}, "./nope/x", "an argument")
    assert error == f'pyrunc: /process/args/0: exec: "./nope/x": {MISSING}: "/etc/nope" is missing in the container'


def test_exec_in_a_working_directory_that_is_missing(box: Box) -> None:
    """Not the program's fault: words that engines do not take for it."""
    box.start({}, "sleep 100")
    result = box.exec("true", flags=("--cwd", "/nope"), status=255)
    assert result.err == (
        'pyrunc: /process/cwd: chdir("/nope"): not there (ENOENT): "/nope" is missing in the container'
    )
    box.delete("--force")
