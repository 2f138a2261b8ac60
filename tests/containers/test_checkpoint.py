# SPDX-License-Identifier: Apache-2.0
"""checkpoint and restore with the real criu: what goes on, and what is as it was."""

import array
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.box import Box, Patch, is_v2, namespaces, wait_for
from tests.containers.counter import COUNT, SECONDS, checkpoint, count, counting, goes_on, images, restore
from tests.containers.test_cgroup_mount import mount
from tests.containers.test_console import Terminal, listener, terminal

__all__ = ["images", "listener"]

pytestmark = [pytest.mark.criu, pytest.mark.timeout(600)]


def mounted(box: Box) -> list[str]:
    """Mount points with root, flags and type; without the numbers, which are new ones."""
    found = []
    for line in Path(f"/proc/{box.pid}/mountinfo").read_text().splitlines():
        words = line.split()
        found.append(" ".join((*words[3:6], words[words.index("-") + 1])))
    return sorted(found)


def test_it_goes_on_counting(box: Box, images: Path) -> None:
    counting(box)
    checkpoint(box, images)
    assert "does not exist" in box.pyrunc("state", box.id, status=1).err
    box.check_clean()
    assert json.loads((images / "descriptors.json").read_text())[0] == "/dev/null"
    stopped = count(box)
    pid_file = box.folder / "pid"
    restore(box, images, "--pid-file", pid_file)
    goes_on(box)
    assert count(box) > stopped
    assert box.status == "running"
    assert int(pid_file.read_text()) == box.pid
    assert box.exec("cat /proc/1/comm").out == "sh"
    assert "inet addr:127.0.0.1" in box.exec("ifconfig lo").out
    box.pyrunc("kill", box.id, "KILL")
    box.until("stopped")


def test_again_and_again(box: Box, images: Path) -> None:
    """What was restored is a container as any other, also for a checkpoint."""
    counting(box)
    for turn in range(2):
        checkpoint(box, images / str(turn))
        restore(box, images / str(turn))
        goes_on(box)


def test_leave_running(box: Box, images: Path) -> None:
    counting(box)
    pid = box.pid
    checkpoint(box, images, "--leave-running")
    goes_on(box)
    assert (box.status, box.pid) == ("running", pid)


def test_a_paused_container_stays_paused(box: Box, images: Path) -> None:
    """As containerd does it: pause, checkpoint with --leave-running, resume."""
    counting(box)
    box.pyrunc("pause", box.id)
    checkpoint(box, images, "--leave-running")
    assert box.status == "paused"
    box.pyrunc("resume", box.id)
    goes_on(box)


def test_a_stopped_process_stays_stopped(box: Box, images: Path) -> None:
    """A freezer of v1 lets criu attach to no process that SIGSTOP has stopped."""
    counting(box, {}, f"sleep 1000 & kill -STOP $!; echo $! >/tmp/stopped; {COUNT}")
    state = "grep State: /proc/$(cat /tmp/stopped)/status"
    assert "T (stopped)" in box.exec(state).out
    checkpoint(box, images)
    restore(box, images)
    goes_on(box)
    assert "T (stopped)" in box.exec(state).out


@pytest.mark.view("v1")
def test_a_stopped_process_in_a_paused_container_is_refused(box: Box, images: Path) -> None:
    counting(box, {}, f"sleep 1000 & kill -STOP $!; {COUNT}")
    box.pyrunc("pause", box.id)
    assert "stopped process (SIGSTOP)" in checkpoint(box, images, status=1).err
    assert box.status == "paused"
    box.pyrunc("resume", box.id)
    goes_on(box)


def tracks_memory() -> bool:
    done = subprocess.run(["criu", "check", "--feature", "mem_dirty_track"], capture_output=True, check=False)
    return done.returncode == 0


def test_pre_dump(box: Box, images: Path) -> None:
    """Where the kernel tracks changes; elsewhere that is said, and nothing has happened."""
    counting(box)
    if not tracks_memory():
        error = checkpoint(box, images / "1", "--pre-dump", status=1).err
        assert "--pre-dump: criu cannot track changes of memory on this kernel (CONFIG_MEM_SOFT_DIRTY)" in error
        assert not images.exists()
        goes_on(box)
        return
    checkpoint(box, images / "1", "--pre-dump")
    goes_on(box)
    checkpoint(box, images / "2", "--pre-dump", "--parent-path", "../1")
    goes_on(box)
    checkpoint(box, images / "3", "--parent-path", "../2")
    assert (images / "3/parent").readlink() == Path("../2")
    restore(box, images / "3")
    goes_on(box)


def test_mounts_are_as_they_were(box: Box, images: Path) -> None:
    """Flags, too, of two binds of one directory: criu 4.2 by itself makes the second one writable."""
    volume = box.folder / "volume"
    (volume / "below").mkdir(parents=True)
    ro = ["bind", "ro", "nosuid"]
    patch: Patch = {
        "+mounts": [
            {"destination": "/one", "source": str(volume), "options": ro},
            {"destination": "/two", "source": str(volume), "options": ro},
            {"destination": "/two/below", "source": str(box.folder), "options": ["rbind"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
        ],
        "linux": {
            "maskedPaths": ["/proc/keys", "/proc/timer_list", "/proc/acpi", "/sys/firmware"],
            "readonlyPaths": ["/proc/sys", "/proc/bus"],
        },
    }
    counting(box, patch)
    before = mounted(box)
    checkpoint(box, images)
    restore(box, images)
    assert mounted(box) == before
    assert box.exec("touch /two/file", status=1).err
    assert not (volume / "file").exists()


@pytest.mark.parametrize("options", [[], ["ro"]], ids=["writable", "read-only"])
def test_cgroups_of_the_host_are_seen_again(box: Box, images: Path, options: list[str]) -> None:
    """Without a cgroup namespace they are binds, and slaves of mounts that are shared on the host."""
    counting(box, mount(*options, private=False))
    before = mounted(box)
    listing = "find /sys/fs/cgroup -maxdepth 3 -name cgroup.procs | wc -l"
    seen = box.exec(listing).out
    checkpoint(box, images)
    restore(box, images)
    goes_on(box)
    assert mounted(box) == before
    assert box.exec(listing).out == seen != "0"


@pytest.mark.controller("pids")
def test_it_is_in_its_cgroup_with_its_limits(box: Box, images: Path) -> None:
    counting(box, {"linux": {"resources": {"pids": {"limit": 17}}}})
    before = Path(f"/proc/{box.pid}/cgroup").read_text()
    checkpoint(box, images)
    restore(box, images)
    assert Path(f"/proc/{box.pid}/cgroup").read_text() == before
    assert (box.cgroup("" if is_v2() else "pids") / "pids.max").read_text() == "17\n"


def test_the_host_keeps_the_flags_of_its_cgroups(box: Box, images: Path) -> None:
    """A mount of cgroup2 by criu would take nsdelegate from systemd's (seen with 4.1)."""

    def flags() -> list[str]:
        rows = Path("/proc/self/mountinfo").read_text().splitlines()
        return sorted(row.partition(" - ")[2] for row in rows if " - cgroup2 " in row)

    before = flags()
    counting(box)
    checkpoint(box, images)
    assert flags() == before
    restore(box, images)
    assert flags() == before


def test_a_file_of_the_host_as_output(box: Box, images: Path) -> None:
    """A log that `run -d >log` was given: what restore is given in its place must be as long, criu sees to that."""
    counting(box, {}, COUNT.replace("sleep", "echo tick $i; sleep"))
    checkpoint(box, images)
    assert json.loads((images / "descriptors.json").read_text())[1].startswith("file[")
    seen = box.output()
    assert "has bad size 0 (expect " in restore(box, images, status=1).err
    with (box.folder / "out").open("a") as log:
        restore(box, images, stdout=log)
    wait_for(lambda: box.output() > seen, "output")
    assert box.output().startswith(seen)


def test_a_pipe_goes_to_who_restores(box: Box, images: Path) -> None:
    """As engines have it: conmon, and containerd's shim."""
    box.write({}, COUNT.replace("sleep", "echo tick $i; sleep"))
    reader, writer = os.pipe()
    box.spawn("run", "--detach", "--bundle", box.bundle, box.id, stdout=writer, stderr=writer).wait(20)
    os.close(writer)
    assert b"tick" in os.read(reader, 4096)
    checkpoint(box, images)
    os.close(reader)
    assert json.loads((images / "descriptors.json").read_text())[1].startswith("pipe:[")
    reader, writer = os.pipe()
    restore(box, images, stdout=writer, stderr=writer)
    os.close(writer)
    assert b"tick" in os.read(reader, 4096)
    os.close(reader)


def test_a_pipe_of_its_own_stays_its_own(box: Box, images: Path) -> None:
    """A script may lay pipes on 0, 1 and 2 by itself (here-documents, exec > >(tee log)): they are not restore's."""
    later = "test -e /tmp/go && { read line; echo $line > /tmp/got; exit; }; sleep"
    counting(box, {}, "exec 0<<END\nfirst\nsecond\nEND\nread line\n" + COUNT.replace("sleep", later))
    assert os.readlink(f"/proc/{box.pid}/fd/0").startswith("pipe:")
    checkpoint(box, images)
    assert json.loads((images / "descriptors.json").read_text())[0] == ""
    restore(box, images)
    (box.rootfs / "tmp/go").touch()
    box.until("stopped")
    assert (box.rootfs / "tmp/got").read_text() == "second\n"


def test_in_the_foreground(box: Box, images: Path) -> None:
    """Its exit status is the call's, and then the container is deleted; a `run` sees its container killed."""
    box.write({}, COUNT.replace("sleep", "echo tick; test -e /tmp/end && exit 7; sleep"))
    before = box.spawn("run", "--bundle", box.bundle, box.id)
    goes_on(box)
    checkpoint(box, images)
    assert "tick" in before.communicate(timeout=SECONDS)[0]
    assert before.returncode == 137
    process = box.spawn("restore", "--bundle", box.bundle, "--image-path", images, box.id)
    goes_on(box)
    (box.rootfs / "tmp/end").touch()
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (7, "")
    assert "tick" in out
    assert "does not exist" in box.pyrunc("state", box.id, status=1).err


ECHO = "while read line; do echo got $line; done"


def received(listening: socket.socket) -> int:
    """The descriptor that came over a console socket."""
    connection, _ = listening.accept()
    with connection:
        _, rights, _, _ = connection.recvmsg(64, socket.CMSG_SPACE(4))
    numbers = array.array("i")
    numbers.frombytes(rights[0][2])
    return numbers[0]


def answer(master: int) -> str:
    os.write(master, b"hello\n")
    text = ""
    while "got hello" not in text:
        text += os.read(master, 4096).decode()
    os.close(master)
    return text


def test_a_terminal_comes_over_the_console_socket(box: Box, images: Path, listener: socket.socket) -> None:
    path = listener.getsockname()
    box.create(terminal(), ECHO, flags=("--console-socket", path))
    first = received(listener)
    box.start()
    checkpoint(box, images)
    os.close(first)
    restore(box, images, "--console-socket", path)
    assert "got hello" in answer(received(listener))


def test_a_terminal_in_the_foreground(box: Box, images: Path, listener: socket.socket) -> None:
    box.create(terminal(), ECHO, flags=("--console-socket", listener.getsockname()))
    first = received(listener)
    box.start()
    checkpoint(box, images)
    os.close(first)
    person = Terminal(box, "restore", "--bundle", box.bundle, "--image-path", images, box.id)
    wait_for(lambda: box.pyrunc("state", box.id, status=None).out.find("running") > 0, "running")
    person.write("hello\n")
    person.until("got hello")
    box.pyrunc("kill", box.id, "KILL")
    assert person.end() == 137


def test_a_network_namespace_by_path_is_found_again(box: Box, images: Path, holder: Path) -> None:
    patch = namespaces("pid", "ipc", "uts", "mount", "cgroup", network=holder)
    counting(box, patch)
    before = os.readlink(f"/proc/{box.pid}/ns/net")
    checkpoint(box, images)
    restore(box, images)
    assert os.readlink(f"/proc/{box.pid}/ns/net") == before == os.readlink(holder)
    goes_on(box)


@pytest.fixture
def holder() -> Iterator[Path]:
    """A network namespace of somebody else."""
    process = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
    path = Path(f"/proc/{process.pid}/ns/net")
    wait_for(lambda: os.readlink(path) != os.readlink("/proc/self/ns/net"), "the namespace")
    yield path
    process.kill()
    process.wait()


def test_hooks_of_a_restore(box: Box, images: Path) -> None:
    """Those that engines set networks up with run, with the pid of the process; and poststop when it ends."""
    kinds = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    line = f"read state; echo $kind $state >> {box.folder}/log"
    hooks = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", f"kind={kind}; {line}"]}] for kind in kinds}
    hooks.pop("createContainer")
    hooks.pop("startContainer")
    counting(box, {"hooks": hooks})
    checkpoint(box, images)
    (box.folder / "log").unlink()
    restore(box, images)
    said = [line.split(" ", 1) for line in (box.folder / "log").read_text().splitlines()]
    assert [kind for kind, _ in said] == ["prestart", "createRuntime"]
    assert {json.loads(state)["pid"] for _, state in said} == {box.pid}
    box.delete("--force")
    assert (box.folder / "log").read_text().splitlines()[-1].startswith("poststop")


def test_a_supervisor_that_is_gone_is_no_hindrance(box: Box, images: Path) -> None:
    """The container has a mount for its socket (NOTIFY_SOCKET), which config.json does not name."""
    path = f"/tmp/{box.id}.notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(path)
        box.create({}, COUNT, env={**os.environ, "NOTIFY_SOCKET": path})
        box.start()
        wait_for(lambda: count(box) > 3, "the counter")
        checkpoint(box, images)
        restore(box, images)
        goes_on(box)
    os.unlink(path)
