# SPDX-License-Identifier: Apache-2.0
"""The flags of checkpoint and restore, each with what it is for, and with what criu says where it is missing."""

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.containers.box import Box, is_v2, wait_for
from tests.containers.counter import COUNT, SECONDS, checkpoint, counting, goes_on, images, restore

__all__ = ["images"]

pytestmark = [pytest.mark.criu, pytest.mark.timeout(600)]

TALK = "mkfifo /tmp/in; guest talk <>/tmp/in >/tmp/heard & "
"""Words written to /tmp/in come out in /tmp/heard, by a TCP connection. (Programs like nc end when criu interrupts them
in poll(2).)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def hears(box: Box, word: str) -> None:
    (box.rootfs / "tmp/word").write_text(word + "\n")
    box.exec("cat /tmp/word >/tmp/in")
    heard = box.rootfs / "tmp/heard"
    wait_for(lambda: heard.exists() and word in heard.read_text(), f"{word} by the connection", SECONDS)


def talking(box: Box) -> None:
    counting(box, {}, TALK + COUNT)
    hears(box, "before")


def test_tcp_established(box: Box, images: Path) -> None:
    """The connection is there again; without the flag it is refused, and goes on."""
    talking(box)
    error = checkpoint(box, images, status=1).err
    assert "--tcp-established" in error
    hears(box, "between")
    checkpoint(box, images, "--tcp-established")
    restore(box, images, "--tcp-established")
    hears(box, "after")


def test_tcp_close(box: Box, images: Path) -> None:
    """Restored with its connections closed."""
    talking(box)
    checkpoint(box, images, "--tcp-established")
    restore(box, images, "--tcp-close")
    goes_on(box)
    assert "ESTABLISHED" not in box.exec("netstat -tn").out


def test_link_remap(box: Box, images: Path) -> None:
    """A file that is open under a name which is gone, while it has another."""
    script = "echo kept >/tmp/one; exec 9</tmp/one; ln /tmp/one /tmp/two; rm /tmp/one; "
    counting(box, {}, script + COUNT.replace("sleep", "test -e /tmp/ask && cat <&9 >/tmp/answer && rm /tmp/ask; sleep"))
    assert "link-remap" in checkpoint(box, images, status=1).err
    checkpoint(box, images, "--link-remap")
    restore(box, images)
    (box.rootfs / "tmp/ask").touch()
    answer = box.rootfs / "tmp/answer"
    wait_for(lambda: answer.exists() and answer.read_text() == "kept\n", "what the file has", SECONDS)


@pytest.mark.parametrize(
    "flag",
    ["--ext-unix-sk", "--shell-job", "--file-locks", "--tcp-skip-in-flight", "--link-remap", "--empty-ns=network"],
)
def test_flags_that_allow_what_is_not_there(box: Box, images: Path, flag: str) -> None:
    """Criu takes them, and a container that has nothing of the kind is saved and restored as without."""
    counting(box)
    checkpoint(box, images, flag)
    restore(box, images, *([flag] if flag not in {"--tcp-skip-in-flight", "--link-remap"} else []))
    goes_on(box)


@pytest.mark.parametrize("mode", ["soft", "full", "strict", "ignore"])
def test_manage_cgroups_mode(box: Box, images: Path, mode: str) -> None:
    counting(box)
    checkpoint(box, images, "--manage-cgroups-mode", mode)
    restore(box, images, "--manage-cgroups-mode", mode)
    goes_on(box)


@pytest.mark.cgroupfs
def test_strict_takes_no_cgroup_that_is_there(box: Box, images: Path) -> None:
    """With the default an empty one is taken."""
    counting(box)
    cgroup = box.cgroup("" if is_v2() else "pids")
    checkpoint(box, images)
    cgroup.mkdir()
    error = restore(box, images, "--manage-cgroups-mode", "strict", status=1).err
    assert f"--manage-cgroups-mode strict: there is a cgroup {cgroup} already" in error
    assert cgroup.is_dir()
    restore(box, images)
    goes_on(box)
    box.delete("--force")
    cgroup.rmdir()


@pytest.fixture
def server(box: Box) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a server of criu's, which ends with the test."""
    found: list[subprocess.Popen[bytes]] = []

    def start(*words: object) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["criu", *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        found.append(process)
        return process

    yield start
    for process in found:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    return f":{port:04X} " in "".join(Path(f"/proc/net/tcp{kind}").read_text() for kind in ("", "6"))


def test_page_server(box: Box, images: Path, server: Callable[..., subprocess.Popen[bytes]]) -> None:
    """The memory goes there, and not among the images."""
    counting(box)
    there = box.folder / "there"
    there.mkdir()
    port = free_port()
    pages = server("page-server", "--images-dir", there, "--address", "127.0.0.1", "--port", port)
    wait_for(lambda: listens(port), "the page server", SECONDS)
    checkpoint(box, images, "--page-server", f"127.0.0.1:{port}")
    assert pages.wait(SECONDS) == 0
    assert not list(images.glob("pages-*.img"))
    for file in there.glob("page*.img"):
        shutil.copy(file, images)
    restore(box, images)
    goes_on(box)


def grows_pipes() -> bool:
    """Whether criu gets the pipes of 819 pages in which it serves memory (pipe(7), fs.pipe-max-size)."""
    capable = int(re.findall(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())[0], 16) >> 24 & 1
    return bool(capable) or int(Path("/proc/sys/fs/pipe-max-size").read_text()) >= 819 * 4096


@pytest.mark.skipif(not grows_pipes(), reason="needs CAP_SYS_RESOURCE, or fs.pipe-max-size of 4 MiB, for criu's pipes")
def test_lazy_pages(box: Box, images: Path, server: Callable[..., subprocess.Popen[bytes]]) -> None:
    """The container goes on elsewhere, while what it has not looked at yet is still to come; then it is gone here."""
    counting(box)
    port = free_port()
    ready, told = os.pipe()
    flags = ("--lazy-pages", "--page-server", f"127.0.0.1:{port}", "--status-fd", told, "--image-path", images)
    here = box.spawn("checkpoint", *flags, "--manage-cgroups-mode", "ignore", box.id, pass_fds=(told,))
    os.close(told)
    with open(ready, "rb") as status:
        assert status.read(1) == b"\0"
    pages = server("lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", port, "--images-dir", images)
    wait_for((images / "lazy-pages.socket").exists, "the pages' server", SECONDS)
    there = f"{box.id}-there"
    (box.bundle / "config.json").write_text((box.bundle / "config.json").read_text().replace(box.id, there))
    restore(box, images, "--lazy-pages", "--work-path", images, "--manage-cgroups-mode", "ignore", name=there)
    out, err = here.communicate(timeout=SECONDS)
    assert (here.returncode, pages.wait(SECONDS)) == (0, 0), out + err
    goes_on(box)
    assert [row["id"] for row in json.loads(box.pyrunc("list", "--format", "json").out)] == [there]


def test_auto_dedup(box: Box, images: Path) -> None:
    """Pages that were brought back are cut out of the images."""
    counting(box)
    checkpoint(box, images)
    before = sum(file.stat().st_blocks for file in images.glob("pages-*.img"))
    restore(box, images, "--auto-dedup")
    goes_on(box)
    assert sum(file.stat().st_blocks for file in images.glob("pages-*.img")) < before


def test_the_log_is_in_the_work_path(box: Box, images: Path) -> None:
    counting(box)
    work = box.folder / "work"
    checkpoint(box, images, "--work-path", work)
    restore(box, images, "--work-path", work)
    assert {"dump.log", "restore.log"} <= {file.name for file in work.iterdir()}
    assert not list(images.glob("*.log"))
