# SPDX-License-Identifier: Apache-2.0
"""`run`: exit statuses, signals, detached and kept containers."""

import os
import signal
import time

import pytest

from tests.containers.box import CONFIG, Box, wait_for


@pytest.mark.parametrize(("line", "status"), [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 0)])
def test_the_exit_status(box: Box, line: str, status: int) -> None:
    box.run({}, line, status=status)
    box.check_clean()


@pytest.mark.parametrize("number", [9, 15, 11, 6])
def test_a_signal_is_128_more(box: Box, number: int) -> None:
    """In the host's pid namespace, as the first process of another is ended by SIGKILL alone (pid_namespaces(7))."""
    rows = [row for row in CONFIG["linux"]["namespaces"] if row["type"] != "pid"]
    box.write({"linux": {"namespaces": rows}}, "sleep", "100")
    process = box.spawn("run", "--bundle", box.bundle, box.id)
    wait_for(lambda: (box.pyrunc("state", box.id, status=None).out or "").find('"running"') > 0)
    box.pyrunc("kill", box.id, str(number))
    assert process.wait(10) == 128 + number
    process.communicate()


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1", "USR2", "QUIT", "CONT", "WINCH", "ALRM"])
def test_signals_go_on_to_the_process(box: Box, name: str) -> None:
    box.write({}, f"trap 'echo got; exit 5' {name}; echo ready; while :; do sleep 0.01; done")
    process = box.spawn("run", "--bundle", box.bundle, box.id)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, f"SIG{name}"))
    if name == "WINCH":
        time.sleep(0.2)
        box.pyrunc("kill", box.id, "WINCH")  # of a run without a terminal it is not passed on
    assert process.wait(10) == 5
    assert process.communicate()[0] == "got\n"


def test_signals_that_come_early_are_not_lost(box: Box) -> None:
    box.write({}, "trap 'exit 5' TERM; while :; do sleep 0.01; done")
    process = box.spawn("run", "--bundle", box.bundle, box.id)
    wait_for((box.root / box.id).exists)
    time.sleep(0.2)
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    assert process.returncode in {5, 143, 1}
    process.communicate()


def test_keep(box: Box) -> None:
    assert box.run({}, "exit 3", flags=("--keep",), status=3).err == ""
    assert box.status == "stopped"
    box.delete()


def test_keep_of_a_container_that_does_not_start(box: Box) -> None:
    box.run({}, "/missing", "x", flags=("--keep",), status=1)
    box.check_clean()


@pytest.mark.parametrize("flag", ["-d", "--detach", "--detach=true"])
def test_detached(box: Box, flag: str) -> None:
    box.write({}, "echo out; sleep 100")
    box._detached("run", flag, "--bundle", box.bundle, box.id)
    assert box.status == "running"
    wait_for(lambda: box.output() == "out\n")


def test_detached_and_a_pid_file(box: Box) -> None:
    box.write({}, "sleep 100")
    box._detached("run", "-d", "--pid-file", box.folder / "pid", "--bundle", box.bundle, box.id)
    assert int((box.folder / "pid").read_text()) == box.pid


def test_orphans_are_reaped(box: Box) -> None:
    """Without a pid namespace they become children of the runtime."""
    rows = [{"type": "mount"}]
    assert box.run({"linux": {"namespaces": rows}}, "(sleep 0.05 &) ; sleep 0.2; exit 4", status=4).status == 4


def test_another_config_file(box: Box) -> None:
    box.write({}, "echo other")
    (box.bundle / "config.json").rename(box.folder / "other.json")
    assert box.pyrunc("run", "--config", box.folder / "other.json", "--bundle", box.bundle, box.id).out == "other"


def test_no_pivot(box: Box) -> None:
    assert box.run({}, "ls /; ls /..", flags=("--no-pivot",)).lines.count("bin") == 2


@pytest.mark.parametrize(("flags", "same"), [((), False), (("--no-new-keyring",), True)])
def test_the_session_keyring(box: Box, flags: tuple[str, ...], same: bool) -> None:
    found = box.run({}, f"grep -c _ses.{box.id} /proc/keys", flags=flags, status=None).out
    assert (found != "0") == (not same)


def test_a_large_output_comes_whole(box: Box) -> None:
    assert len(box.run({}, "head -c 1000000 /dev/zero | tr '\\0' x").out) == 1000000


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_streams(box: Box, closed: tuple[int, ...]) -> None:
    """A descriptor of the runtime's own must not become a standard stream of the container."""
    box.write({}, "ls -l /proc/self/fd > /listing")

    def close() -> None:
        for fd in closed:
            os.close(fd)

    process = box.spawn("run", "--bundle", box.bundle, box.id, preexec_fn=close)
    process.communicate(timeout=20)
    listing = (box.rootfs / "listing").read_text()
    for word in ("memfd", "exec.", "/state", "cgroup", "python"):
        assert word not in listing
