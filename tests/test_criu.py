# SPDX-License-Identifier: Apache-2.0
"""What is said to CRIU and understood of it: messages, options, mounts, log; without the program."""

import contextlib
import posix
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.config.fields import Config
from pyrunc.criu import log, messages, mounts, session
from pyrunc.criu.options import Options
from pyrunc.errors import CriuError, HostError, UsageError
from pyrunc.linux.host import Host
from pyrunc.plan import restore as program_of

FLAGS: dict[str, Any] = {"image-path": None, "work-path": None, "manage-cgroups-mode": None, "empty-ns": []}


def options(**flags: Any) -> Options:
    return Options({**FLAGS, **{name.replace("_", "-"): value for name, value in flags.items()}}, "dump.log")


def config(**members: Any) -> Config:
    return Config({"root": {"path": "/r"}, "mounts": [], "linux": {}, **members}, "/b")


# messages


@pytest.mark.parametrize(
    ("message", "raw"),
    [
        # The examples of protobuf.dev, "Encoding": 150, "testing"
        ({"type": 150}, "08 96 01"),
        ({"opts": {"log_file": "testing"}}, "12 09 52 07 74 65 73 74 69 6e 67"),
        ({"opts": {"images_dir_fd": -1}}, "12 0b 08 ff ff ff ff ff ff ff ff ff 01"),
        ({"notify_success": True}, "18 01"),
        ({"notify_success": False}, "18 00"),
        ({"opts": {"work_dir_fd": None, "external": []}}, "12 00"),
        ({"opts": {"network_lock": 2}}, "12 03 80 04 02"),
        ({"opts": {"external": ["a", "b"]}}, "12 08 aa 02 01 61 aa 02 01 62"),
    ],
    ids=str,
)
def test_bytes_of_a_request(message: dict[str, object], raw: str) -> None:
    assert messages.encode(message, messages.REQUEST).hex(" ") == raw


@given(st.integers(-(2**31), 2**31 - 1), st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
def test_an_answer_is_understood(number: int, text: str, flag: bool) -> None:
    message = {"type": 6, "success": flag, "notify": {"script": text, "pid": number}, "cr_errno": number}
    assert messages.decode(messages.encode(message, messages.RESPONSE), messages.RESPONSE) == message


def test_fields_of_later_versions_are_skipped() -> None:
    later = bytes.fromhex("08 06 a2 06 03 61 62 63 a1 06 0102030405060708 a5 06 01020304 98 06 07 10 01")
    assert messages.decode(later, messages.RESPONSE) == {"type": 6, "success": True}


@given(st.binary(max_size=40))
def test_what_is_no_message_is_refused(data: bytes) -> None:
    """By one error, whatever is wrong; what is one by chance is taken."""
    with contextlib.suppress(HostError):
        messages.decode(data, messages.RESPONSE)


@pytest.mark.parametrize("raw", ["08", "12 05 61", "08 ff ff ff ff ff ff ff ff ff ff 01", "0b"])
def test_a_broken_message(raw: str) -> None:
    with pytest.raises(HostError, match="no message of its protocol"):
        messages.decode(bytes.fromhex(raw), messages.RESPONSE)


# options


def test_options_of_criu() -> None:
    asked = options(
        leave_running=True,
        tcp_established=True,
        page_server="[::1]:27",
        network_lock="skip",
        empty_ns=["network"],
        manage_cgroups_mode="full",
        lsm_profile="apparmor:x",
        parent_path="../before",
    )
    found = asked.request(config())
    for name in ("leave_running", "tcp_established", "track_mem", "orphan_pts_master", "notify_scripts"):
        assert found[name] is True
    assert found["ps"] == {"address": "::1", "port": 27}
    assert (found["network_lock"], found["manage_cgroups_mode"], found["empty_ns"]) == (3, 4, 0x40000000)
    assert (found["parent_img"], found["lsm_profile"], found["work_dir_fd"]) == ("../before", "apparmor:x", None)
    assert messages.encode({"type": 1, "opts": found}, messages.REQUEST)


def test_the_network_is_always_left_to_the_engine() -> None:
    assert options().request(config())["empty_ns"] == 0x40000000


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"empty_ns": ["pid"]}, '--empty-ns pid: namespace "pid" is not supported'),
        ({"manage_cgroups_mode": "hard"}, "--manage-cgroups-mode hard: must be soft, full, strict or ignore"),
        ({"page_server": "host"}, "--page-server host: must be ADDRESS:PORT"),
        ({"page_server": "host:0"}, "--page-server host:0: must be ADDRESS:PORT"),
        ({"page_server": "host:99999"}, "--page-server host:99999: must be ADDRESS:PORT"),
        ({"parent_path": "/before"}, "--parent-path must be relative, to --image-path"),
    ],
    ids=str,
)
def test_flags_that_are_wrong(flags: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        options(**flags)
    assert str(caught.value) == text


def test_directories(tmp_path: Path) -> None:
    asked = options(image_path=f"{tmp_path}/a/b", work_path=f"{tmp_path}/w", parent_path="../before")
    with pytest.raises(HostError, match=r"--image-path .*/a/b: not there \(ENOENT\)"):
        asked.open_directories(make=False)
    with pytest.raises(HostError, match=r"--parent-path .*/a/b/\.\./before: not there \(ENOENT\)"):
        asked.open_directories(make=True)
    asked.close()
    (tmp_path / "a/before").mkdir()
    asked.open_directories(make=True)
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "w").is_dir()
    asked.close()


@pytest.mark.parametrize(("annotation", "file"), [("/etc/my.conf", "/etc/my.conf"), ("", None)])
def test_the_annotation_names_the_file_of_options(annotation: str, file: str | None) -> None:
    found = options().request(config(annotations={"org.criu.config": annotation}))
    assert found["config_file"] == file


def test_nftables_where_there_is_no_iptables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(posix.environ, b"PATH", bytes(tmp_path))
    assert options().request(config())["network_lock"] == messages.NETWORK_LOCKS["nftables"]
    (tmp_path / "iptables-restore").touch(0o755)
    assert "network_lock" not in options().request(config())


# mounts

TABLE = """\
73 46 254:0 /tmp/rootfs / rw,relatime - ext4 /dev/vda rw
74 73 0:41 / /proc rw,relatime - proc proc rw
75 73 0:42 / /dev rw,nosuid - tmpfs tmpfs rw
76 75 0:43 / /dev/pts rw - devpts devpts rw
77 73 254:0 /a\\040b /run/one\\011two rw master:1 - ext4 /dev/vda rw
78 77 0:50 / /run/one\\011two/below rw - tmpfs tmpfs rw
79 77 254:0 /a\\040b/sealed /run/one\\011two/sealed ro - ext4 /dev/vda rw
80 73 254:0 /c /plain rw - ext4 /dev/vda rw
81 80 0:51 / /plain/added rw - tmpfs tmpfs rw
82 74 0:6 /null /proc/keys ro - devtmpfs devtmpfs rw
83 74 0:44 / /proc/acpi ro - tmpfs none rw
84 75 0:6 /zero /dev/zero ro - devtmpfs devtmpfs rw
85 73 0:30 /c1 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu
"""
MOUNTS = config(
    mounts=[
        {"destination": "/proc", "type": "proc"},
        {"destination": "/dev", "type": "tmpfs"},
        {"destination": "/var/run/one\ttwo", "source": "/a b", "options": ["rbind"]},
        {"destination": "/plain", "source": "/c", "options": ["bind", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup"},
        {"destination": "/plain", "options": ["remount", "bind", "ro"]},
    ],
    linux={"maskedPaths": ["/proc/keys", "/proc/acpi"], "readonlyPaths": ["/run/one\ttwo/sealed"]},
)


def resolve(path: str) -> str:
    return path.replace("/var/run", "/run")


def pairs(found: list[dict[str, str]]) -> dict[str, str]:
    return {pair["key"]: pair["val"] for pair in found}


def test_mounts_that_are_not_saved() -> None:
    """Binds with what is below an rbind, masks that are files, bound devices; a new file system is the container's."""
    rows = mounts.table(TABLE)
    found = pairs(mounts.external(MOUNTS, rows, resolve, bound_cgroups=False))
    assert found == {
        "/run/one\ttwo": "/run/one\ttwo",
        "/run/one\ttwo/below": "/run/one\ttwo/below",
        "/plain": "/plain",
        "/proc/keys": "/dev/null",
        "/dev/zero": "/dev/zero",
    }
    with_cgroups = pairs(mounts.external(MOUNTS, rows, resolve, bound_cgroups=True))
    assert with_cgroups.keys() - found.keys() == {"/sys/fs/cgroup/cpu"}


def test_where_they_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "_real", lambda path: path)
    host = mounts.table("30 1 0:9 / /a\\040b/below rw - tmpfs x rw\n31 1 0:9 / /a\\040bc rw - tmpfs x rw\n")
    cgroups = [("/cpu", "/sys/fs/cgroup/cpu/c1")]
    found = pairs(mounts.sources(MOUNTS, host, resolve, "/s", cgroups))
    assert found["/dev/null"] == "/s/null"
    assert found["/plain"] == "/s/3"
    assert found["/var/run/one\ttwo"] == found["/run/one\ttwo"] == "/s/2"
    assert found["/run/one\ttwo/below"] == "/s/2/below"
    assert found["/sys/fs/cgroup/cpu"] == "/sys/fs/cgroup/cpu/c1"
    assert not [key for key in found if "two" in key and key.endswith("c")]


def test_the_program_gives_sources_the_flags_of_their_rows() -> None:
    """Before criu is executed: it would leave the second of two equal binds without (seen with 4.2)."""
    listing = program_of.compile(MOUNTS, Host(), "/s", 1, ["/sbin/criu", "swrk", "64"], ["PATH=/bin"]).listing()
    order = [
        next(n for n, line in enumerate(listing) if text in line)
        for text in (
            'openat(AT_FDCWD, "/proc/self/ns/mnt"',
            'mkpath(rootfs, "/plain"',
            "setns(home",
            'fsopen("tmpfs"',
            'mkpath(folder, "/3"',
            'mkpath(folder, "/null"',
            "dup3(<criu 0>, 64, 0)",
            'execve(["/sbin/criu"]',
        )
    ]
    assert order == sorted(order)
    dressed = next(n for n, line in enumerate(listing) if "mount_setattr(source" in line and "RDONLY" in line)
    assert order[3] < dressed < order[4]


# the log

LOG = """\
(00.000010) Version: 4.2.1 (gitid 0)
(00.061602) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted
(00.061700) Warn  (criu/x.c:1): something
Error (criu/util.c:642): execvp("iptables-restore", ...) failed: No such file or directory
(00.065053) Error (criu/util.c:657): exited, status=1
(00.065068) Error (criu/net.c:3436): net: Locking network failed: iptables-restore returned -1.
Error (criu/util.c:642): execvp("iptables-restore", ...) failed: No such file or directory
(00.068584) Error (criu/cr-dump.c:1975): Dumping FAILED.
"""


def test_errors_of_a_log() -> None:
    assert log.of_text(LOG) == [
        'execvp("iptables-restore", ...) failed: No such file or directory',
        "net: Locking network failed: iptables-restore returned -1.",
    ]
    assert log.of_text("(1) Error (a.c:1): Dumping FAILED.\n") == ["Dumping FAILED."]
    assert log.of_text("all is well\n") == []


def test_a_log_in_an_error(tmp_path: Path) -> None:
    path = tmp_path / "dump.log"
    assert log.summary(str(path)) == ""
    path.write_text("nothing\n")
    assert log.summary(str(path)) == f": see {path}"
    path.write_text("(1) Error (a.c:1): a\tb\x1b[2J\n" + "".join(f"(1) Error (a.c:1): {n}\n" for n in range(20)))
    assert log.summary(str(path)) == f": a\\tb\\x1b[2J; 0; 1; 2; 3; 4 (see {path})"


# the conversation


def converse(*answers: dict[str, object]) -> tuple[session.Session, list[dict[str, object]], threading.Thread]:
    """A session whose other end says `answers`, one after each request."""
    ours, theirs = session.pair()
    heard: list[dict[str, object]] = []

    def speak() -> None:
        for answer in answers:
            heard.append(messages.decode(posix.read(theirs, 65536), messages.REQUEST))
            posix.write(theirs, messages.encode(answer, messages.RESPONSE))
        posix.close(theirs)

    thread = threading.Thread(target=speak)
    thread.start()
    return session.Session(0, ours), heard, thread


def test_notifications_are_answered() -> None:
    told = {"type": messages.NOTIFY, "success": True, "notify": {"script": "post-restore", "pid": 7}}
    talk, heard, thread = converse(told, {"type": messages.RESTORE, "success": True})
    noticed: list[tuple[str, int]] = []
    answer = talk.ask({"type": messages.RESTORE}, lambda name, pid, _: noticed.append((name, pid)))
    thread.join()
    talk.close()
    assert answer["success"] is True
    assert noticed == [("post-restore", 7)]
    assert heard == [{"type": messages.RESTORE}, {"type": messages.NOTIFY, "notify_success": True}]


def test_criu_that_ends_without_a_word() -> None:
    talk, _, thread = converse()
    with pytest.raises(CriuError, match="criu ended without an answer"):
        talk.ask({"type": messages.DUMP})
    talk.close()
    thread.join()


@pytest.mark.parametrize(
    ("response", "said", "text"),
    [
        ({"cr_errno": 2}, ": why (see log)", "criu dump failed: why (see log)"),
        ({"cr_errno": 2}, "", "criu dump failed: not there (ENOENT)"),
        ({"cr_errmsg": "no"}, "", "criu dump failed: no"),
        ({}, "", "criu dump failed"),
    ],
    ids=str,
)
def test_a_failure(response: dict[str, object], said: str, text: str) -> None:
    assert str(session.failure(messages.DUMP, response, said)) == text


def test_without_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(posix.environ, b"PATH", bytes(tmp_path))
    monkeypatch.setattr(session, "_PLACES", b"")
    with pytest.raises(HostError, match=r"the program criu is not installed .* package criu"):
        session.find()


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("exit 1", "it does not tell its version: criu ended without an answer"),
        (
            "printf '\\010\\012\\020\\001\\122\\004\\010\\003\\020\\017' >&3; cat <&3",
            "CRIU 3.15 is too old, 3.16 or newer",
        ),
    ],
)
def test_a_criu_of_no_use(tmp_path: Path, script: str, text: str) -> None:
    path = tmp_path / "criu"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    with pytest.raises(HostError, match=text):
        session.version(str(path))
