# SPDX-License-Identifier: Apache-2.0
"""What a container gets from its caller: descriptors, working directory, environment, signals, masks."""

import json
import os
import resource
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.containers.box import Box, capabilities, namespaces
from tests.containers.conftest import BUSYBOX

STREAMS = [0, 1, 2]


def leak() -> None:
    """Fifty descriptors from 3 on, as an engine leaks them: inheritable, of the host's root, of a socket, of a file."""
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    ends = socket.socketpair()
    for number in range(60, 9, -1):
        os.dup2(root if number % 3 else ends[0].fileno(), number)
    for number in range(3, 10):
        os.dup2(10 if number % 3 else 12, number)


LEAK: dict[str, Any] = {"close_fds": False, "preexec_fn": leak}


def test_fd_leak_container(box: Box) -> None:
    """(CVE-2024-21626, CVE-2016-9962.) The caller's descriptors are inheritable, among them the host's root. The
    process, one that exec brings in, and hooks inside and outside have 0, 1 and 2, and the helper that waits only its
    fifos beside.
    """
    script = "exec > {}/hook.$PHASE; echo; for n in $(seq 0 70); do [ -e /proc/self/fd/$n ] && echo $n; done; true"
    folders = dict.fromkeys(("createRuntime", "createContainer", "poststart", "poststop"), box.folder)
    folders["startContainer"] = Path("/tmp")
    hooks = {
        kind: [{"path": "/bin/sh", "args": ["sh", "-c", script.format(folder)], "env": ["PATH=/bin", f"PHASE={kind}"]}]
        for kind, folder in folders.items()
    }
    box.create({"hooks": hooks}, "/bin/guest fds; sleep 100", **LEAK)
    extra = [os.readlink(fd) for fd in Path(f"/proc/{box.pid}/fd").iterdir() if int(fd.name) > 2]
    assert not [link for link in extra if "exec." not in link and "memfd:state" not in link], extra
    box.pyrunc("start", box.id, **LEAK)
    assert box.exec("/bin/guest", "fds", **LEAK).json == {"fds": STREAMS}
    box.pyrunc("delete", "--force", box.id, **LEAK)
    assert json.loads(box.output()) == {"fds": STREAMS}
    for kind, folder in folders.items():
        listed = (box.rootfs / "tmp" if folder == Path("/tmp") else folder) / f"hook.{kind}"
        assert [int(fd) for fd in listed.read_text().split()] == STREAMS, kind


@pytest.mark.parametrize("verb", ["run", "exec"])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_preserve_fds_exact(box: Box, verb: str, count: int) -> None:
    """--preserve-fds N passes 3 to 2+N and none above, though all of them are inheritable."""
    flags = ("--preserve-fds", count)
    if verb == "run":
        answer = box.run({}, "/bin/guest", "fds", flags=flags, **LEAK)
    else:
        box.start({}, "sleep 100")
        answer = box.exec("/bin/guest", "fds", flags=flags, **LEAK)
    assert answer.json["fds"] == list(range(3 + count))


def test_preserve_fds_that_is_not_open(box: Box) -> None:
    """A number that is not open does not become a descriptor of the runtime; nor is a mistake of a number followed."""
    flags = ("--preserve-fds", 100)
    assert box.run({}, "/bin/guest", "fds", flags=flags).json["fds"] == STREAMS
    said = box.run({}, "true", flags=("--preserve-fds", 4000000000), status=1).err
    assert "--preserve-fds 4000000000: more than 1024 of these are not open" in said


@pytest.mark.parametrize("listen_pid", ["1", "", "999999", None])
def test_listen_fds_of_another(box: Box, listen_pid: str | None) -> None:
    """An engine was started by systemd and passes LISTEN_FDS on; its fd 3 is the host's root. sd_listen_fds(3): only
    the process LISTEN_PID may take them.
    """
    environment = {**os.environ, "LISTEN_FDS": "1"} | ({} if listen_pid is None else {"LISTEN_PID": listen_pid})
    answer = box.run({}, "/bin/guest", "fds", "env", **LEAK, env=environment).json
    assert answer["fds"] == STREAMS
    assert not [text for text in answer["env"] if text.startswith("LISTEN")]


def test_listen_fds_of_ours(box: Box) -> None:
    """The counterpart: systemd gives the runtime itself one descriptor."""
    box.write({}, "/bin/guest", "fds", "env")
    from tests.containers.box import runtime

    line = (
        f"LISTEN_FDS=1 LISTEN_PID=$$ exec {runtime()} --root {box.root} run --bundle {box.bundle} {box.id} 3</dev/null"
    )
    answer = json.loads(subprocess.run(line, shell=True, check=True, capture_output=True, pass_fds=()).stdout)
    assert answer["fds"] == [0, 1, 2, 3]
    assert "LISTEN_FDS=1" in answer["env"]
    assert "LISTEN_PID=1" in answer["env"]


def host_link(number: int) -> str:
    return f"/proc/self/fd/{number}"


NUMBERS = (3, 4, 5, 6, 7, 8, 19, 20, 22, 26, 37, 52)
"""Low ones are, for a while, the helper's own; from about 20 on those that the caller leaked."""


@pytest.mark.parametrize("number", NUMBERS)
def test_cve_2024_21626_run_cwd(box: Box, number: int) -> None:
    """CVE-2024-21626. process.cwd (an image's WORKDIR) names a descriptor of the runtime by /proc/self/fd/N; one that
    the caller leaked is the host's root. The container is refused, or runs in its own root.
    """
    result = box.run({"process": {"cwd": host_link(number)}}, "pwd; ls", **LEAK, status=None)
    assert result.status == 1
    assert "/process/cwd" in result.err


@pytest.mark.parametrize("number", NUMBERS)
def test_cve_2024_21626_symlink_cwd(box: Box, number: int) -> None:
    """CVE-2024-21626. The working directory is a symlink of the image to /proc/self/fd/N, or lies beyond one."""
    (box.rootfs / "place").symlink_to(host_link(number))
    for cwd in ("/place", "/place/../../..", "/place/new/folder"):
        result = box.run({"process": {"cwd": cwd}}, "pwd; ls", **LEAK, status=None)
        assert result.status == 1
        assert "/process/cwd" in result.err


@pytest.mark.parametrize("flags", [(), ("--tty",), ("--user", "1000:1000")])
def test_cve_2024_21626_exec_cwd(box: Box, flags: tuple[str, ...]) -> None:
    """CVE-2024-21626. exec with --cwd /proc/self/fd/N, by itself, by a symlink that the container makes, and as a
    user.
    """
    box.start({}, "for n in $(seq 3 60); do ln -s /proc/self/fd/$n /tmp/$n; done; echo; sleep 100")
    for number in NUMBERS:
        for cwd in (host_link(number), f"/tmp/{number}", f"/proc/1/fd/{number}"):
            result = box.exec("pwd", flags=(*flags, "--cwd", cwd), **LEAK, status=None)
            assert result.status == 255
            assert "/process/cwd" in result.err + result.out


def test_cve_2024_21626_binary_path(box: Box) -> None:
    """CVE-2024-21626. args[0] goes through a descriptor to a program of the host."""
    for number in NUMBERS:
        box.refused({}, f"{host_link(number)}{BUSYBOX}", "true", **LEAK)
        (box.rootfs / "program").unlink(missing_ok=True)
        (box.rootfs / "program").symlink_to(f"{host_link(number)}{BUSYBOX}")
        box.refused({}, "/program", "true", **LEAK)


@pytest.mark.parametrize("no_pivot", [False, True])
def test_inherited_fd_cwd(box: Box, tmp_path: Path, no_pivot: bool) -> None:
    """(CVE-2024-21626, last proof.) A descriptor that is kept on purpose is a directory of the host, and the image's
    working directory leads there. getcwd(2) tells that it is outside the root: refused.
    """
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    flags = ("--preserve-fds", 1, *(("--no-pivot",) if no_pivot else ()))
    (box.rootfs / "place").symlink_to("/proc/self/fd/3")
    try:
        box.write({}, "true")
        save = os.dup(3) if _is_open(3) and fd != 3 else -1
        os.dup2(fd, 3)
        os.set_inheritable(3, True)
        box.start({}, "sleep 100", flags=flags, pass_fds=(3,))
        result = box.exec("ls", flags=("--preserve-fds", 1, "--cwd", "/place"), pass_fds=(3,), status=255)
        if save >= 0:
            os.dup2(save, 3)
            os.close(save)
    finally:
        if fd != 3:
            os.close(fd)
    assert "outside the container's root" in result.err


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
@pytest.mark.parametrize("verb", ["create", "run", "exec"])
def test_closed_stdio(box: Box, closed: tuple[int, ...], verb: str) -> None:
    """The caller has closed 0, 1 or 2. A file of the state or a directory must not get its number: they
    are /dev/null.
    """

    def close() -> None:
        for fd in closed:
            os.close(fd)

    out = box.rootfs / "tmp/streams"
    command = "for n in 0 1 2; do readlink /proc/self/fd/$n; done > /tmp/streams; /bin/guest fds >> /tmp/streams"
    if verb == "exec":
        box.start({}, "sleep 100")
        box.spawn("exec", box.id, "sh", "-c", command, preexec_fn=close).communicate()
    elif verb == "run":
        box.write({}, command)
        box.spawn("run", "--bundle", box.bundle, box.id, preexec_fn=close).communicate()
    else:
        box.write({}, command)
        null = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        box.spawn("create", "--bundle", box.bundle, box.id, preexec_fn=close, **null).wait()
        box.start()
        box.until("stopped")
    lines = out.read_text().splitlines()
    assert all(lines[fd] == "/dev/null" for fd in closed if fd != 1)
    assert json.loads(lines[3]) == {"fds": STREAMS}


def test_container_umask_rlimit_sigmask(box: Box) -> None:
    """The caller ignores and blocks signals, has a mask of 0 and low limits; Python ignores SIGPIPE and SIGXFSZ.
    Nothing of it reaches the process, nor one that exec brings in, but the limits that config.json does not set.
    """

    def spoil() -> None:
        os.umask(0)
        for number in set(signal.valid_signals()) - {9, 19}:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    limits = {"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}]}}
    show = "grep -E '^Sig(Blk|Ign)|^Shd' /proc/self/status; umask; ulimit -n; ulimit -Hn; ulimit -c"
    expected = ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "0022", "64", "128", "0"]
    show = show.replace("|^Shd", "")
    assert box.run(limits, show, preexec_fn=spoil).lines == expected
    box.start(limits, "sleep 100", preexec_fn=spoil)
    assert box.exec(show, preexec_fn=spoil).lines == expected


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_cve_2022_29162_inheritable_caps(box: Box, verb: str) -> None:
    """CVE-2022-29162. A capability of the configuration or of exec --cap is inheritable or ambient only where
    config.json says so; else a file with inheritable capabilities brings it back.
    """
    show = "grep -E '^Cap' /proc/self/status"
    three = capabilities(["CAP_NET_RAW", "CAP_CHOWN"])
    if verb == "run":
        lines = box.run(three, show).lines
    else:
        box.start(three, "sleep 100")
        lines = box.exec(show, flags=("--cap", "CAP_SYS_PTRACE", "--cap", "NET_ADMIN")).lines
    sets = {line.split(":")[0]: int(line.split()[1], 16) for line in lines}
    assert sets["CapInh"] == sets["CapAmb"] == 0
    added = 1 << 19 | 1 << 12 if verb == "exec" else 0
    assert sets["CapPrm"] == sets["CapEff"] == sets["CapBnd"] == 1 << 13 | 1 << 0 | added


@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize(
    "patch", [{"capabilities": None}, {"capabilities": dict.fromkeys(("bounding", "effective", "permitted"))}]
)
def test_cap_drop_complete(box: Box, uid: int, patch: dict[str, Any]) -> None:
    """Without capabilities in config.json all five sets are empty up to cap_last_cap, the bounding set too;
    no_new_privs is as asked.
    """
    process = {"process": {**patch, "user": {"uid": uid, "gid": uid}, "noNewPrivileges": True}}
    lines = box.run(process, "grep -E '^(Cap|NoNew)' /proc/self/status").lines
    assert lines == [f"Cap{name}:\t{0:016x}" for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")] + ["NoNewPrivs:\t1"]


BAD_USERS = (
    *(
        "root",
        "0x0",
        "-1",
        "+0",
        " 0",
        "0 ",
        "1_0",
        "\u0661",
        "4294967295",
        "4294967296",
        "99999999999",
        "1:",
        ":1",
        "",
    ),
    *("1:4294967295", "1:-1", "1:root", "1:2:3", "1\n", "1.0", "1e3"),
)


@pytest.mark.parametrize("user", BAD_USERS, ids=repr)
def test_cve_2026_30892_exec_user(box: Box, user: str) -> None:
    """CVE-2026-30892, CVE-2016-3697. The image's passwd has users whose names are numbers and "root"; exec --user
    takes two numbers in range, in ASCII, and never a name: anything else is refused, and nothing becomes 0.
    """
    (box.rootfs / "etc/passwd").write_text("1000:x:0:0::/:/bin/sh\nroot:x:0:0::/:/bin/sh\n")
    box.start({}, "sleep 100")
    result = box.exec("id", flags=(f"--user={user}",), status=255)
    assert result.out == ""


def test_cve_2026_30892_exec_user_is_that_user(box: Box) -> None:
    """CVE-2026-30892. What is accepted is what the process gets, all three ids of it."""
    (box.rootfs / "etc/passwd").write_text("1000:x:0:0::/:/bin/sh\n")
    box.start({"process": {"user": {"uid": 0, "gid": 0, "additionalGids": [7]}}}, "sleep 100")
    show = "grep -E '^(Uid|Gid|Groups)' /proc/self/status"
    for user, uid, gid in (("1", 1, 0), ("1000:2000", 1000, 2000), ("4294967294:4294967294", 4294967294, 4294967294)):
        uids, gids, groups = box.exec(show, flags=("--user", user)).lines
        assert uids.split()[1:] == [str(uid)] * 4
        assert gids.split()[1:] == [str(gid)] * 4
        assert groups.split()[1:] == ["7"]


@pytest.mark.parametrize("value", [-1, 4294967295, 4294967296, 2**63, 1.0, "0", True, 1e3, None], ids=repr)
@pytest.mark.parametrize("field", ["uid", "gid"])
def test_cve_2024_40635_config_uid_overflow(box: Box, field: str, value: object) -> None:
    """CVE-2024-40635. 2^32-1 is "no change" to setresuid(2), and greater numbers wrap to 0: each is refused."""
    box.write({}, "id")
    config = json.loads((box.bundle / "config.json").read_text())
    config["process"]["user"][field] = value
    (box.bundle / "config.json").write_text(json.dumps(config))
    error = box.pyrunc("run", "--bundle", box.bundle, box.id, status=1).err
    assert f"/process/user/{field}" in error


def test_exec_without_a_mount_namespace(box: Box) -> None:
    """A container that has the host's mount namespace has no other root to join by setns(2). exec runs in its root,
    not in that of the host.
    """
    (box.rootfs / "mark").write_text("")
    patch = {**namespaces("pid", "ipc", "uts"), "mounts": None}
    box.start(patch, "sleep 100")
    assert "mark" in box.exec("ls", "/").lines
