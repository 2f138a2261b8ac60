# SPDX-License-Identifier: Apache-2.0
"""Errors that the host or the command line causes: rights that the runtime lacks, sockets, pid files, hooks, limits."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.containers.box import Box, Patch, runtime
from tests.containers.error_patches import both, mount, resources, rlimit

ENGINE_WORDS = ("no such file or directory", "permission denied", "operation not permitted", "is a directory")
WITHOUT: dict[str, tuple[str, Patch, str]] = {
    "mknod": (
        "-mknod",
        {},
        (
            'pyrunc: /linux/devices: mknodat(dev, "null", S_IFCHR|0666, 1:3): not allowed (EPERM): '
            "the device rules of the cgroup (/linux/resources/devices), or a missing CAP_MKNOD, forbid to make it"
        ),
    ),
    "setuid": (
        "-setuid",
        {"process": {"user": {"uid": 5}}},
        "pyrunc: /process/user/uid: setresuid(5, 5, 5): not allowed (EPERM): the runtime has no CAP_SETUID",
    ),
    "setgid": (
        "-setgid",
        {"process": {"user": {"gid": 5, "additionalGids": []}}},
        "not allowed (EPERM): ",
    ),
    "net_admin": (
        "-net_admin",
        {},
        (
            'pyrunc: /linux/namespaces: ioctl(socket, SIOCSIFFLAGS, {"lo", IFF_UP}): not allowed (EPERM): it needs'
            " CAP_NET_ADMIN in the user namespace of the network namespace"
        ),
    ),
    "sys_resource-rlimit": (
        "-sys_resource",
        rlimit("RLIMIT_NOFILE", 400, 800),
        (
            "pyrunc: /process/rlimits/0: prlimit64(0, RLIMIT_NOFILE, {soft=400, hard=800}, NULL): not allowed (EPERM): "
            "it is above the hard limit of the runtime itself, 700, and the runtime has no CAP_SYS_RESOURCE"
        ),
    ),
    "sys_resource-oom": (
        "-sys_resource",
        {"process": {"oomScoreAdj": -1000}},
        (
            'pyrunc: /process/oomScoreAdj: write(oom, "-1000", 5): not allowed (EACCES): '
            "the runtime itself has 0, and to go lower it needs CAP_SYS_RESOURCE, which it does not have"
        ),
    ),
}


def without(box: Box, capability: str, limit: int = 0) -> str:
    """The error of a runtime that lacks a capability, and may have `limit` open files."""
    command = ["setpriv", "--bounding-set", capability, "--inh-caps", capability]
    if limit:
        command = ["prlimit", f"--nofile={limit}", *command]
    command += [runtime(), "--root", str(box.root), "run", "--bundle", str(box.bundle), box.id]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stderr.removesuffix("\n")


@pytest.mark.parametrize("name", WITHOUT)
def test_a_capability_that_the_runtime_lacks(box: Box, name: str) -> None:
    capability, patch, expected = WITHOUT[name]
    box.write(patch, "true", "x")
    error = without(box, capability, 700 if name == "sys_resource-rlimit" else 0)
    assert expected in error
    assert not any(words in error.lower() for words in ENGINE_WORDS)
    box.check_clean()


def test_a_runtime_that_may_open_few_files(box: Box) -> None:
    box.write({}, "true", "x")
    assert without(box, "-sys_resource", 70) == (
        "pyrunc: cannot start pyrunc-init: too many open files (EMFILE): "
        "the limit on open files (RLIMIT_NOFILE) of the runtime is too low"
    )
    box.check_clean()


def test_a_new_proc_where_the_old_one_is_covered(box: Box, tmp_path: Path) -> None:
    """A container in a container: the outer runtime has masked parts of /proc (runc#1658)."""
    box.write(
        {
            "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        }
    )
    inner = f"{runtime()} --root {tmp_path}/inner --cgroup-manager disabled run --bundle {box.bundle} {box.id}"
    outer = f"mount -t tmpfs none /proc/fs && exec unshare --user --map-root-user --mount --pid --fork {inner}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", outer], capture_output=True, text=True, check=False, timeout=20
    )
    assert done.stderr == (
        "pyrunc: /mounts/0: fsmount(context, FSMOUNT_CLOEXEC, 0): not allowed (EPERM): VFS: Mount too revealing: "
        "a new proc needs an old one that nothing covers, and here lies something over /proc/fs\n"
    )


HOOK_KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart")


@pytest.mark.parametrize("kind", HOOK_KINDS)
def test_hooks_fail_alike(box: Box, kind: str) -> None:
    """In the runtime's namespaces and in the container's: one wording, the path and the last words in it."""
    where = "in the container" if kind == "startContainer" else "on the host"
    file = "/etc/file" if kind == "startContainer" else str(box.rootfs / "etc/file")
    (box.rootfs / "etc/file").write_text("")
    shell = {"path": "/bin/sh"}
    rows = [
        ({"path": "/etc/nope/x"}, f'/etc/nope/x: cannot be run: not there (ENOENT): "/etc/nope" is missing {where}'),
        (
            {"path": file},
            f"{file}: cannot be run: not allowed (EACCES): it has no execute permission (mode 0644)",
        ),
        ({**shell, "args": ["sh", "-c", "echo one; echo two >&2; exit 3"]}, "/bin/sh: exit status 3~: one\\ntwo"),
        ({**shell, "args": ["sh", "-c", "echo bye; kill -9 $$"]}, "/bin/sh: killed by signal 9~: bye"),
        ({**shell, "args": ["sh", "-c", "echo slow; sleep 9"], "timeout": 1}, "/bin/sh: timed out after 1 s: slow"),
    ]
    for hook, expected in rows:
        error = box.refused({"hooks": {kind: [hook]}}, "true", "x")
        start, _, end = expected.partition("~")
        assert error.startswith(f"pyrunc: /hooks/{kind}/0: error running {kind} hook #0: {start}")
        assert error.endswith(end)


def test_pid_files(box: Box) -> None:
    for path, reason in (
        ("/etc/nope/pid", 'not there (ENOENT): "/etc/nope" is missing on the host'),
        ("/etc", "a directory, no file (EISDIR)"),
        ("/etc/passwd/pid", 'no directory (ENOTDIR): "/etc/passwd" is a file on the host'),
    ):
        error = box.refused({}, "true", "x", flags=("--pid-file", path))
        assert error.startswith(f'pyrunc: cannot write the pid file "{path}": {reason}')


@pytest.mark.parametrize("flag", ["--console-socket", "--pidfd-socket"])
def test_sockets(box: Box, flag: str, tmp_path: Path) -> None:
    patch: Patch = {"process": {"terminal": True}} if flag == "--console-socket" else {}
    flags: tuple[str, ...] = ("--detach", flag) if patch else (flag,)
    unused = tmp_path / "unused.sock"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(unused))
    for path, reason in (
        ("/etc/nope.sock", 'not there (ENOENT): "/etc/nope.sock" is missing on the host'),
        ("/etc/passwd", "connection refused (ECONNREFUSED): it is a file, no socket"),
        (str(unused), "connection refused (ECONNREFUSED): nobody listens there"),
    ):
        error = box.refused(patch, "true", "x", flags=(*flags, path))
        assert error == f"pyrunc: cannot connect to the socket {path}: {reason}"


@pytest.mark.parametrize(
    ("patch", "flags", "expected"),
    [
        ({}, ("--console-socket", "/x"), "cannot use console socket if pyrunc will not detach or allocate tty"),
        (
            {"process": {"terminal": True}},
            ("--detach",),
            "cannot allocate tty if pyrunc will detach without setting console socket",
        ),
        ({}, ("--preserve-fds", "5000"), "--preserve-fds 5000: more than 1024 of these are not open"),
        ({}, ("--config", "/etc/nope.json"), "JSON specification file /etc/nope.json not found"),
    ],
)
def test_the_command_line(box: Box, patch: Patch, flags: tuple[str, ...], expected: str) -> None:
    assert box.refused(patch, "true", "x", flags=flags) == f"pyrunc: {expected}"


def test_bundles(box: Box) -> None:
    for bundle, reason in (("/etc/nope", "not found"), ("/etc/passwd", "not a bundle: no folder")):
        error = box.pyrunc("create", "--bundle", bundle, box.id, status=1).err
        assert error == f"pyrunc: bundle {bundle} {reason}"
    box.check_clean()


@pytest.mark.controller("pids")
def test_a_pids_limit_of_the_container_is_not_the_runtimes(box: Box) -> None:
    """pids.limit 1 starts a program, and what the program may not do is its own failure (runc#1914)."""
    assert box.run(resources(pids={"limit": 1}), "true", "x").status == 0
    result = box.run(resources(pids={"limit": 1}), "sleep 0; echo $?", status=None)
    assert "fork" in result.err
    assert "pyrunc" not in result.err


@pytest.mark.controller("memory")
def test_memory_for_a_small_container(box: Box) -> None:
    """What the error of a limit that is too low promises (container/killed.py)."""
    assert box.run(both(resources(memory={"limit": 512 << 10}), mount("/data", "tmpfs", "x")), "true", "x").status == 0


def test_start_has_its_calls_as_written(box: Box) -> None:
    """After the wait the program is gone; its calls are kept (state.json)."""
    filtered = {
        "linux": {
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}],
            }
        }
    }
    box.create(filtered, "true", "x")
    assert box.pyrunc("start", box.id, status=1).err == (
        'pyrunc: /linux/seccomp: execve("true"): function not implemented (ENOSYS): '
        "the filter does not let execve through, by which the program is started"
    )
    box.delete()


def test_a_process_that_is_killed_before_start(box: Box) -> None:
    box.create({}, "true", "x")
    os.kill(box.pid, 9)
    box.until("stopped")
    assert box.pyrunc("start", box.id, status=1).err == "pyrunc: cannot start a container that has stopped"
    box.delete()
