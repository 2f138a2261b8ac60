# SPDX-License-Identifier: Apache-2.0
"""`exec`: another process in the container, with each of its flags."""

import json
import os
import signal
import time

import pytest

from tests.containers.box import Box, is_v2, wait_for


@pytest.fixture(autouse=True)
def _running(box: Box) -> None:
    patch = {"hostname": "inside", "process": {"env": ["PATH=/bin", "HOME=/root", "A=1"]}}
    box.start(patch, "sleep 1000")


@pytest.mark.parametrize("file", ["pid", "net", "ipc", "uts", "mnt", "cgroup", "user", "time"])
def test_it_is_in_the_namespaces(box: Box, file: str) -> None:
    assert box.exec("readlink", f"/proc/self/ns/{file}").out == os.readlink(f"/proc/{box.pid}/ns/{file}")


def test_it_sees_what_the_container_sees(box: Box) -> None:
    assert box.exec("hostname; ls /; ps | wc -l").lines[0] == "inside"


@pytest.mark.parametrize(("line", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)])
def test_the_exit_status(box: Box, line: str, status: int) -> None:
    box.exec(line, status=status)
    assert box.status == "running"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", "executable file not found in $path"),
        ("/missing", "no such file or directory"),
        ("/etc", "is a directory"),
    ],
)
def test_errors_are_255(box: Box, name: str, words: str) -> None:
    assert words in box.exec(name, "x", status=255).err.lower()


def test_the_defaults_are_those_of_the_container(box: Box) -> None:
    assert box.exec("guest", "env").json["env"] == ["PATH=/bin", "HOME=/root", "A=1"]
    assert "CapEff:\t0000000020000420" in box.exec("cat", "/proc/self/status").out


def test_env(box: Box) -> None:
    found = box.exec("guest", "env", flags=("-e", "B=2", "--env", "A=3", "--env=C=")).json["env"]
    assert found == ["PATH=/bin", "HOME=/root", "B=2", "A=3", "C="]


@pytest.mark.parametrize("flag", [("--cwd", "/tmp"), ("--cwd=/tmp",)])
def test_cwd(box: Box, flag: tuple[str, ...]) -> None:
    assert box.exec("pwd", flags=flag).out == "/tmp"


@pytest.mark.parametrize(("user", "seen"), [("5", "5:0"), ("5:6", "5:6"), ("0:7", "0:7")])
def test_user(box: Box, user: str, seen: str) -> None:
    assert box.exec("echo $(id -u):$(id -g)", flags=("-u", user)).out == seen


def test_additional_groups(box: Box) -> None:
    found = box.exec("grep Groups /proc/self/status", flags=("-g", "5", "--additional-gids", "9"))
    assert found.out.split()[1:] == ["5", "9"]


def test_capability(box: Box) -> None:
    error = box.exec("true", flags=("--cap", "CAP_CHOWM"), status=255).err
    assert error == "pyrunc: --cap CAP_CHOWM: no such capability"
    found = box.exec("cat", "/proc/self/status", flags=("--cap", "CAP_CHOWN", "-c", "CAP_SYS_CHROOT"))
    rows = dict(line.split(":\t") for line in found.lines)
    assert int(rows["CapEff"], 16) & 0x40001 == 0x40001
    assert int(rows["CapBnd"], 16) & 0x40001 == 0x40001


@pytest.mark.parametrize(("flags", "seen"), [(("--no-new-privs",), "1"), ((), "0")])
def test_no_new_privileges(box: Box, flags: tuple[str, ...], seen: str) -> None:
    assert box.exec("grep", "NoNewPrivs", "/proc/self/status", flags=flags).out.split()[1] == seen


def test_a_process_file(box: Box) -> None:
    file = box.folder / "process.json"
    user = {"uid": 3, "gid": 4}
    file.write_text(json.dumps({"args": ["guest", "env"], "cwd": "/tmp", "env": ["X=1", "HOME=/"], "user": user}))
    result = box.pyrunc("exec", "--process", file, box.id, status=None)
    assert "executable file not found" in result.err or result.json == {"env": ["X=1", "HOME=/"]}


def test_a_process_file_without_terminal_and_exact(box: Box) -> None:
    file = box.folder / "process.json"
    process = {
        "args": ["/bin/guest", "env", "umask"],
        "cwd": "/",
        "env": ["X=1", "HOME=/"],
        "user": {"uid": 3, "gid": 4},
    }
    file.write_text(json.dumps(process))
    assert box.pyrunc("exec", "--process", file, box.id).json == {"env": ["X=1", "HOME=/"], "umask": 0o022}


@pytest.mark.parametrize("text", ["{", "[]", '{"args": []}', '{"args": ["x"], "cwd": "relative"}', '{"cwd": "/"}'])
def test_a_process_file_that_is_wrong(box: Box, text: str) -> None:
    file = box.folder / "process.json"
    file.write_text(text)
    assert box.pyrunc("exec", "--process", file, box.id, status=255).err != ""


def test_detached(box: Box) -> None:
    box._detached("exec", "--detach", "--pid-file", box.folder / "pid", box.id, "sh", "-c", "echo out; sleep 1000")
    wait_for(lambda: box.output() == "out\n")
    pid = int((box.folder / "pid").read_text())
    assert os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(f"/proc/{box.pid}/ns/pid")


def test_standard_input(box: Box) -> None:
    assert box.exec("cat", "-", stdin="words").out == "words"


def test_signals_go_on_to_the_process(box: Box) -> None:
    line = "trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.01; done"
    process = box.spawn("exec", box.id, "sh", "-c", line)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 5
    assert process.communicate()[0] == "got\n"


def test_kill_of_the_runtime_ends_no_command(box: Box) -> None:
    process = box.spawn("exec", box.id, "sh", "-c", "echo ready; sleep 1; echo done > /done")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.communicate()
    wait_for((box.rootfs / "done").exists)


def test_a_sub_cgroup(box: Box) -> None:
    for controller in ("",) if is_v2() else ("", "memory"):
        (box.cgroup(controller) / "sub").mkdir()
    flags = ("--cgroup", "/sub") if is_v2() else ("--cgroup", "memory:/sub")
    assert "/sub" in box.exec("cat /proc/self/cgroup", flags=flags).out


def test_a_sub_cgroup_that_is_not_there(box: Box) -> None:
    assert "/none" in box.exec("true", "", flags=("--cgroup", "/none"), status=255).err


def test_a_command_in_a_created_container(box: Box) -> None:
    box.write({}, "sleep 100")
    box._detached("create", "--bundle", box.bundle, f"{box.id}-2")
    assert box.pyrunc("exec", f"{box.id}-2", "/bin/busybox", "echo", "ran").out == "ran"


def test_nothing_of_the_host_is_open(box: Box) -> None:
    assert box.exec("guest", "fds").json["fds"] == [0, 1, 2]


def test_many_at_once(box: Box) -> None:
    running = [box.spawn("exec", box.id, "sh", "-c", f"echo {number}") for number in range(6)]
    assert [process.communicate(timeout=20)[0] for process in running] == [f"{number}\n" for number in range(6)]


def test_when_the_container_ends_the_command_does(box: Box) -> None:
    process = box.spawn("exec", box.id, "sh", "-c", "echo ready; sleep 1000")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    start = time.monotonic()
    box.pyrunc("kill", box.id, "KILL")
    assert process.wait(10) == 137
    process.communicate()
    assert time.monotonic() - start < 5
