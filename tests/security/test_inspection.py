# SPDX-License-Identifier: Apache-2.0
"""A process that waits for `start`, or is on its way into a container, and others that share its pid namespace."""

import ctypes
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from pyrunc.process import spawn
from tests.containers.box import Box, capabilities, namespaces
from tests.containers.leaks import fields

DENIED = {1, 13}  # EPERM, EACCES
USER = {
    "linux": {
        "uidMappings": [{"containerID": 0, "hostID": 200000, "size": 65536}],
        "gidMappings": [{"containerID": 0, "hostID": 200000, "size": 65536}],
    }
}
OWN = ("ipc", "uts", "mount")


def inner_pid(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    raise AssertionError(pid)


def neighbours(box: Box, other: Box, patch: dict[str, Any], mapped: bool = False) -> int:
    """Start `box`, and create `other` in its pid namespace (and user namespace); the pid of the second for
    the first.
    """
    words = ("pid", *OWN, *(("user",) if mapped else ()))
    first = {**namespaces(*words)}
    if mapped:
        first["linux"] = {**first["linux"], **USER["linux"]}
        os.chown(box.rootfs, 200000, 200000)
    box.start({**patch, **first}, "sleep 100")
    paths = {"pid": f"/proc/{box.pid}/ns/pid"} | ({"user": f"/proc/{box.pid}/ns/user"} if mapped else {})
    other.create({**patch, **namespaces(*OWN, **paths)}, "true")
    return inner_pid(other.pid)


@pytest.mark.parametrize("mapped", [False, True])
def test_cve_2016_9962_init_inspect(box: Box, other: Box, mapped: bool) -> None:
    """CVE-2016-9962. A root process of a container, in a user namespace with every capability there, shares its pid
    namespace with a container that waits for `start`. None of its descriptors, memory, environment or root is told.
    """
    strong = capabilities(["CAP_DAC_OVERRIDE", *(["CAP_SYS_PTRACE", "CAP_SYS_ADMIN"] if mapped else [])])
    pid = neighbours(box, other, strong, mapped)
    answers = box.exec("/bin/attack", f"inspect:{pid}").json[f"inspect:{pid}"]
    opened = {door: error for door, error in answers.items() if error not in DENIED}
    assert not opened


def test_cve_2016_9962_what_ptrace_finds(box: Box, other: Box) -> None:
    """CVE-2016-9962. With CAP_SYS_PTRACE over the host's user namespace nothing can be hidden. Then there must be
    nothing to find: no directory of the host and no socket of the engine among the descriptors, no environment, a
    sealed program.
    """
    pid = neighbours(box, other, capabilities(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"]))
    links, program, environment = box.exec("/bin/attack", f"entries:{pid}").json[f"entries:{pid}"]
    extra = [link.split(" ", 1)[1] for link in links if int(link.split()[0]) > 2]
    assert all(Path(link).name in ("exec.fifo", "exec.result") for link in extra), extra
    assert program.startswith("/memfd:pyrunc-init")
    assert environment == 0


def test_cve_2016_9962_created(box: Box) -> None:
    """CVE-2016-9962, CVE-2024-21626. A created container waits for ever: it holds three streams and two fifos, no
    directory, no cgroup, no socket, with masks, a terminal's socket, hooks and limits asked for. It is not dumpable.
    """
    hook = {"path": "/bin/true"}
    patch = {
        "hooks": {"createContainer": [hook], "createRuntime": [hook]},
        "linux": {
            "maskedPaths": ["/proc/keys", "/tmp"],
            "readonlyPaths": ["/proc/sys"],
            "resources": {"pids": {"limit": 10}, "devices": [{"allow": False, "access": "rwm"}]},
            "sysctl": {"net.ipv4.ip_forward": "1"},
        },
    }
    box.create(patch, "true")
    folder = Path(f"/proc/{box.pid}/fd")
    links = {int(fd.name): os.readlink(fd) for fd in folder.iterdir()}
    assert sorted(Path(link).name for fd, link in links.items() if fd > 2) == ["exec.fifo", "exec.result"]
    assert Path(f"/proc/{box.pid}/environ").read_bytes() == b""
    assert Path(f"/proc/{box.pid}").stat().st_uid == 0
    assert not _dumpable(box.pid)


def _dumpable(pid: int) -> bool:
    """The files of a process that is not dumpable belong to root (proc_pid(5)); asked of a process that is
    not root's.
    """
    owners = {entry.name: entry.stat().st_uid for entry in (Path(f"/proc/{pid}/stat"), Path(f"/proc/{pid}/comm"))}
    real = int(Path(f"/proc/{pid}/status").read_text().partition("\nUid:\t")[2].split()[0])
    return real != 0 and set(owners.values()) == {real}


@pytest.mark.parametrize("words", [(), ("user",)])
def test_cve_2016_9962_created_is_not_dumpable(box: Box, words: tuple[str, ...]) -> None:
    """CVE-2016-9962. setresuid(2) and new user namespaces make a process dumpable as fs.suid_dumpable says: at the end
    it must not be, whoever its user is.
    """
    patch: dict[str, Any] = {"process": {"user": {"uid": 1000, "gid": 1000}}}
    patch |= namespaces("pid", *OWN, *words)
    if words:
        patch["linux"] |= USER["linux"]
        os.chown(box.rootfs, 200000, 200000)
    setting = Path("/proc/sys/fs/suid_dumpable")
    before = setting.read_text()
    setting.write_text("1")
    try:
        box.create(patch, "true")
    finally:
        setting.write_text(before)
    assert not _dumpable(box.pid)


def test_env_leak(box: Box) -> None:
    """(crun 1.8.1.) The caller's environment has secrets. Neither the waiting helper nor the process has any of it."""
    environment = {**os.environ, "SECRET": "hunter2"}
    box.create({"process": {"env": ["A=1", "HOME=/"]}}, "/bin/guest", "env", env=environment)
    assert Path(f"/proc/{box.pid}/environ").read_bytes() == b""
    box.pyrunc("start", box.id, env=environment)
    box.until("stopped")
    assert json.loads(box.output()) == {"env": ["A=1", "HOME=/"]}


@pytest.mark.parametrize("target", ["1", "self"])
def test_cve_2019_5736_exe_created(box: Box, target: str) -> None:
    """CVE-2019-5736. The image's program is a script with /proc/self/exe, or /proc/1/exe, as interpreter: the helper's
    own binary is run again, and opened for writing. The binary on the host stays as it is.
    """
    helper = Path(spawn.__file__).parent.parent / "init/pyrunc-init"
    before = helper.read_bytes()
    (box.rootfs / "script").write_text(f"#!/proc/{target}/exe\n")
    (box.rootfs / "script").chmod(0o755)
    box.create({"+mounts": []}, "/script")
    assert os.readlink(f"/proc/{box.pid}/exe").startswith("/memfd:pyrunc-init")
    _is_sealed(Path(f"/proc/{box.pid}/exe"))
    box.pyrunc("start", box.id, status=None)
    assert helper.read_bytes() == before


def _is_sealed(exe: Path) -> None:
    """A new descriptor of it can be had for writing once it runs no more; the seals are what holds then."""
    from fcntl import fcntl

    fd = os.open(exe, os.O_RDONLY)
    try:
        assert fcntl(fd, 1034) & 0xF == 0xF, "F_GET_SEALS"  # SEAL, SHRINK, GROW, WRITE
    finally:
        os.close(fd)


def test_cve_2019_5736_exe_exec(box: Box) -> None:
    """CVE-2019-5736. A root process of the container waits for the helper that exec brings in, opens its program by
    /proc/PID/exe, and writes to it as soon as it runs no more. EPERM, as the program is sealed memory, or no such
    chance.
    """
    box.start({**capabilities(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"])}, "/bin/attack", "overwrite")
    helper = Path(spawn.__file__).parent.parent / "init/pyrunc-init"
    before = helper.read_bytes()
    end = time.monotonic() + 8
    while time.monotonic() < end and box.status == "running":
        box.exec("true", status=None)
    assert helper.read_bytes() == before
    assert json.loads(box.output()) == {"overwrite": 1}, "EPERM of the seals, once a helper was caught"


def test_cve_2020_15257_abstract_sockets(box: Box) -> None:
    """CVE-2020-15257. Whoever shares the host's network namespace reaches abstract sockets: a container that is made,
    and that waits, adds none.
    """

    def abstract() -> set[str]:
        lines = Path("/proc/net/unix").read_text().splitlines()
        return {line.split()[-1] for line in lines if line.split()[-1][:1] == "@"}

    before = abstract()
    box.create({}, "true")
    assert abstract() <= before


def test_session_keyring(box: Box) -> None:
    """(contract of runc.) The caller's session keyring has a key. Neither the container's process nor one that exec
    brings in finds it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    assert libc.syscall(250, 1, None) >= 0, "KEYCTL_JOIN_SESSION_KEYRING"
    key = libc.syscall(248, b"user", b"pyrunc-canary", b"secret", 6, -3)
    if key < 0:
        pytest.skip("this machine has no keyrings")
    assert libc.syscall(250, 5, key, 0x3F3F3F3F) == 0, "KEYCTL_SETPERM"
    assert box.run({}, "/bin/attack", "sharedkey").json["sharedkey"] != 0
    box.start({}, "sleep 100")
    assert box.exec("/bin/attack", "sharedkey").json["sharedkey"] != 0
    box.delete("--force")
    flag = ("--no-new-keyring",)
    box.start({}, "sleep 100", flags=flag)
    assert box.exec("/bin/attack", "sharedkey").json["sharedkey"] == 0, "the test would not see a key that is there"


def test_zombie_leak(box: Box) -> None:
    """A container without a pid namespace leaves orphans; they become children of the runtime that waits for it. It
    reaps them, and the stages of its helper, at once.
    """
    box.write(namespaces(*OWN), "for i in 1 2 3; do (sleep 0.1 & sleep 0.01); done; echo; sleep 100")
    process = box.spawn("run", "--bundle", box.bundle, box.id)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.4)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    states = [fields(child)[0] for child in children]
    box.pyrunc("kill", box.id, "KILL")
    process.communicate()
    assert states, "the container is the runtime's child"
    assert "Z" not in states
