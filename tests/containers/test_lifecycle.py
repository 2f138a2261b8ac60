# SPDX-License-Identifier: Apache-2.0
"""SPEC-322 to SPEC-368: create, start, state, kill and delete, and the words that engines look for."""

import json
import os
import signal
import stat
import subprocess
import threading
import time

import pytest

from tests.containers.box import CONFIG, Box, Patch, combine, wait_for

SHARED_PIDS: Patch = {"linux": {"namespaces": [row for row in CONFIG["linux"]["namespaces"] if row["type"] != "pid"]}}


def refusal(box: Box, *words: str) -> str:
    return box.pyrunc(*words, status=1).err


def in_status(box: Box, status: str) -> None:
    """Bring a container into a status."""
    if status == "created":
        box.create({}, "sleep 100")
    elif status == "running":
        box.start({}, "sleep 100")
    elif status == "stopped":
        box.start({}, "true")
        box.until("stopped")


def test_the_statuses_of_a_life(box: Box) -> None:
    box.create({}, "sleep 100")
    assert (box.status, box.pid > 0) == ("created", True)
    box.start()
    assert box.status == "running"
    box.pyrunc("kill", box.id, "KILL")
    box.until("stopped")
    assert box.pid == 0
    box.delete()
    assert "does not exist" in refusal(box, "state", box.id)


def test_create_does_not_run_the_program(box: Box) -> None:
    box.create({}, "echo ran > /file")
    time.sleep(0.1)
    assert not (box.rootfs / "file").exists()
    box.start()
    wait_for((box.rootfs / "file").exists)


def test_changes_of_config_after_create_do_not_count(box: Box) -> None:
    box.create({}, "echo before > /file")
    box.write({"process": None})
    box.start()
    wait_for(lambda: (box.rootfs / "file").exists() and (box.rootfs / "file").read_text() == "before\n")


def test_the_state(box: Box) -> None:
    box.create({}, "true")
    state = box.state()
    assert list(state)[:3] == ["ociVersion", "id", "pid"]
    assert state["id"] == box.id
    assert state["bundle"] == str(box.bundle)
    assert state["rootfs"] == str(box.rootfs)


def test_a_created_container_has_the_helpers_name_and_nothing_open(box: Box) -> None:
    box.create({}, "true")
    assert os.readlink(f"/proc/{box.pid}/exe").startswith("/memfd:")
    targets = [os.readlink(f"/proc/{box.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{box.pid}/fd") if int(fd) > 2]
    assert all("exec." in target for target in targets)


@pytest.mark.parametrize(
    ("verb", "status", "words"),
    [
        ("start", "running", "cannot start an already running container"),
        ("start", "stopped", "cannot start a container that has stopped"),
        ("delete", "running", "is not stopped"),
        ("kill", "stopped", "container not running"),
        ("exec", "stopped", "cannot exec in a stopped container"),
    ],
)
def test_moves_that_are_refused(box: Box, verb: str, status: str, words: str) -> None:
    in_status(box, status)
    result = box.pyrunc(verb, box.id, *(["true"] if verb == "exec" else []), status=255 if verb == "exec" else 1)
    assert words in result.err
    assert box.status == status


@pytest.mark.parametrize("verb", ["start", "state", "kill", "delete", "exec"])
def test_an_unknown_id(box: Box, verb: str) -> None:
    result = box.pyrunc(verb, "no-such", *(["true"] if verb == "exec" else []), status=255 if verb == "exec" else 1)
    assert "container does not exist" in result.err


@pytest.mark.parametrize("verb", ["create", "start", "state", "kill", "delete", "run"])
def test_an_id_is_required(box: Box, verb: str) -> None:
    assert box.pyrunc(verb, status=1).err != ""


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "\u00e9", "a\n", "x" * 2000])
def test_ids_that_are_refused(box: Box, name: str) -> None:
    box.write({})
    assert box.pyrunc("create", "--bundle", box.bundle, "--", name, status=1).err != ""
    box.check_clean()


@pytest.mark.parametrize("status", ["created", "running", "stopped"])
def test_an_id_in_use_is_refused_and_the_first_is_untouched(box: Box, status: str) -> None:
    in_status(box, status)
    before = box.state()
    box.write({})
    error = refusal(box, "create", "--bundle", str(box.bundle), box.id)
    assert "container with given ID already exists" in error
    assert box.state() == before


@pytest.mark.parametrize("status", ["created", "stopped"])
def test_delete(box: Box, status: str) -> None:
    in_status(box, status)
    box.delete()
    box.check_clean()


@pytest.mark.parametrize("status", ["unknown", "created", "running", "stopped"])
def test_delete_by_force(box: Box, status: str) -> None:
    in_status(box, status)
    assert box.pyrunc("delete", "--force", box.id).err == ""
    box.check_clean()


def test_an_id_can_be_used_again(box: Box) -> None:
    assert [box.run({}, "echo one").out, box.run({}, "echo two").out] == ["one", "two"]


def test_without_process_create_works_and_start_does_not(box: Box) -> None:
    box.create({"process": None})
    assert box.status == "created"
    assert "/process" in refusal(box, "start", box.id)


@pytest.mark.parametrize("word", ["USR1", "SIGUSR1", "usr1", "10", "sigusr1"])
def test_names_and_numbers_of_signals(box: Box, word: str) -> None:
    box.start({}, "trap 'echo got; exit' USR1; echo ready; while :; do sleep 0.01; done")
    wait_for(lambda: "ready" in box.output())
    box.pyrunc("kill", box.id, word)
    box.until("stopped")
    assert box.output() == "ready\ngot\n"


@pytest.mark.parametrize("word", ["NO", "0x9", "-1", "65", "SIG", ""])
def test_signals_that_do_not_exist(box: Box, word: str) -> None:
    box.create({}, "true")
    assert refusal(box, "kill", box.id, "--", word) != ""
    assert box.status == "created"


def test_kill_is_term_by_default_and_of_a_created_container_too(box: Box) -> None:
    box.start({}, "trap 'echo term; exit' TERM; echo ready; while :; do sleep 0.01; done")
    wait_for(lambda: "ready" in box.output())
    box.pyrunc("kill", box.id)
    box.until("stopped")
    assert box.output().endswith("term\n")


def test_kill_of_a_created_container(box: Box) -> None:
    box.create({}, "true")
    box.pyrunc("kill", box.id, "KILL")
    box.until("stopped")


def test_kill_all_of_a_stopped_container_is_silent(box: Box) -> None:
    in_status(box, "stopped")
    assert box.pyrunc("kill", "--all", box.id, "KILL").err == ""


@pytest.mark.parametrize("flags", [("--all",), ("-a",), ()])
def test_kill_with_shared_pids_reaches_every_process(box: Box, flags: tuple[str, ...]) -> None:
    """Without a pid namespace the end of the first process ends no other; SIGKILL is for all of the cgroup."""
    box.start(SHARED_PIDS, "sleep 1000 & sleep 1000 & wait")
    wait_for(lambda: len((box.cgroup("") / "cgroup.procs").read_text().split()) == 3)
    procs = box.cgroup("") / "cgroup.procs"
    box.pyrunc("kill", *flags, box.id, "KILL")
    box.until("stopped")
    # systemd may have removed it by then
    wait_for(lambda: not procs.exists() or not procs.read_text().split())


def test_kill_all_sends_the_signal_that_is_named(box: Box) -> None:
    box.start(
        SHARED_PIDS, "(trap 'echo child; exit' USR1; while :; do sleep 0.01; done) & trap 'echo first' USR1; wait; wait"
    )
    time.sleep(0.3)
    box.pyrunc("kill", "--all", box.id, "USR1")
    wait_for(lambda: sorted(box.output().split()) == ["child", "first"])


def test_delete_with_shared_pids_leaves_no_process(box: Box) -> None:
    box.start(SHARED_PIDS, "sleep 1000 & true")
    box.until("stopped")
    box.delete()
    box.check_clean()


def test_a_process_that_is_not_reaped_is_stopped(box: Box) -> None:
    """We are the parent and do not wait: a zombie does not run."""
    box.start({}, "true")
    box.until("stopped")
    assert "not running" in refusal(box, "kill", box.id)


def test_the_pid_file(box: Box) -> None:
    file = box.folder / "pid"
    box.create({}, "true", flags=("--pid-file", file))
    assert file.read_bytes() == str(box.pid).encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_the_pid_file_replaces_what_is_there_and_no_more(box: Box) -> None:
    file = box.folder / "pid"
    (box.folder / "other").write_text("other")
    file.symlink_to("other")
    box.create({}, "true", flags=("--pid-file", file))
    assert (box.folder / "other").read_text() == "other"


def test_a_pid_file_that_cannot_be_written_leaves_nothing(box: Box) -> None:
    box.create({}, "true", flags=("--pid-file", "/no/such/pid"), status=1)
    box.check_clean()


def test_of_several_creates_of_one_id_one_wins(box: Box) -> None:
    box.write({}, "sleep 100")
    command = ("create", "--bundle", box.bundle, box.id)
    running = [box.spawn(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(4)]
    assert sorted(process.wait(20) for process in running) == [0, 1, 1, 1]
    assert box.status == "created"


def test_start_and_delete_at_once(box: Box) -> None:
    """Whatever the order is, one of the ends is reached and nothing is left after it."""
    for _ in range(3):
        box.create({}, "sleep 100")
        threads = [
            threading.Thread(target=box.pyrunc, args=(verb, *rest, box.id), kwargs={"status": None})
            for verb, rest in (("start", ()), ("delete", ("--force",)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        box.pyrunc("delete", "--force", box.id)
        box.check_clean()


def test_a_table_and_json_of_all_containers(box: Box) -> None:
    assert box.pyrunc("list", "-q").out == ""
    box.create({}, "true")
    assert box.pyrunc("list", "-q").out == box.id
    assert [row["id"] for row in box.pyrunc("list", "--format", "json").json] == [box.id]
    assert box.pyrunc("list").lines[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]


def test_errors_in_the_log_as_json(box: Box) -> None:
    log = box.folder / "log"
    box.flags = ["--log", str(log), "--log-format", "json"]
    box.refused({"hostname": "x" * 65})
    (line,) = log.read_text().splitlines()
    assert json.loads(line)["level"] == "error"
    assert "/hostname" in json.loads(line)["msg"]


def test_a_container_survives_the_end_of_its_creator(box: Box) -> None:
    box.start({}, "sleep 100")
    time.sleep(0.1)
    assert box.status == "running"


def test_failures_of_execve_after_create_are_errors_of_start(box: Box) -> None:
    (box.rootfs / "tool").write_text("#!/bin/sh\n")
    (box.rootfs / "tool").chmod(0o755)
    box.create({}, "/tool", "x")
    (box.rootfs / "tool").unlink()
    assert "no such file or directory" in refusal(box, "start", box.id)
    assert box.status == "stopped"


def test_signals_to_the_first_process_that_it_does_not_handle(box: Box) -> None:
    """pid_namespaces(7): from outside only SIGKILL and SIGSTOP reach a pid 1 without a handler."""
    box.start({}, "sleep", "100")
    box.pyrunc("kill", box.id, "TERM")
    time.sleep(0.1)
    assert box.status == "running"
    os.kill(box.pid, signal.SIGKILL)
    box.until("stopped")


def test_combined_failures_leave_nothing(box: Box) -> None:
    row = {"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["bad=1"]}
    rows = [{"destination": "/one", "type": "tmpfs", "source": "tmpfs"}, row]
    assert "/mounts/4" in box.refused(combine({"+mounts": rows}, {"linux": {"cgroupsPath": f"/{box.id}/a/b"}}))
