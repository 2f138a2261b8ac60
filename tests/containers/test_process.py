# SPDX-License-Identifier: Apache-2.0
"""SPEC-091 to SPEC-131: cwd, env, args, user, umask, groups, oom score, the look of the first process."""

from pathlib import Path

import pytest

from tests.containers.box import Box, Patch


def process(**fields: object) -> Patch:
    return {"process": fields}


def test_cwd_is_made(box: Box) -> None:
    assert box.run(process(cwd="/new/deep"), "pwd").out == "/new/deep"


def test_cwd_that_is_a_file_is_an_error(box: Box) -> None:
    (box.rootfs / "file").touch()
    assert "/process/cwd" in box.refused(process(cwd="/file"))


@pytest.mark.parametrize("cwd", ["relative", "", None])
def test_cwd_must_be_absolute(box: Box, cwd: str | None) -> None:
    assert "/process/cwd" in box.refused(process(cwd=cwd))


def test_cwd_behind_a_symlink_stays_inside(box: Box) -> None:
    (box.rootfs / "link").symlink_to("/../../../tmp")
    assert box.run(process(cwd="/link"), "pwd -P").out == "/tmp"


@pytest.mark.parametrize("fd", range(3, 12))
def test_cwd_in_a_leaked_descriptor(box: Box, fd: int) -> None:
    """CVE-2024-21626."""
    error = box.refused(process(cwd=f"/proc/self/fd/{fd}"))
    assert "/process/cwd" in error


def test_env_is_complete_and_in_order(box: Box) -> None:
    env = ["PATH=/bin", "B=2", "A=1", "EMPTY=", "SPACE=a b", "HOME=/x"]
    assert box.run(process(env=env), "guest", "env").json["env"] == env


def test_env_has_the_last_value_of_a_name(box: Box) -> None:
    """As with runc and crun; left as they are, getenv(3) would find the first."""
    env = ["PATH=/none", "A=1", "HOME=/x", "PATH=/bin", "A=3"]
    assert box.run(process(env=env), "guest", "env").json["env"] == ["HOME=/x", "PATH=/bin", "A=3"]


@pytest.mark.parametrize(
    ("passwd", "user", "home"),
    [
        ("root:x:0:0::/root:/bin/sh\nname:x:7:7::/home/name:\n", 7, "/home/name"),
        ("root:x:0:0::/root:/bin/sh\n", 0, "/root"),
        ("root:x:0:0::/root:/bin/sh\n", 8, "/"),
        ("", 0, "/"),
        (None, 0, "/"),
    ],
)
def test_home_is_of_the_passwd_file(box: Box, passwd: str | None, user: int, home: str) -> None:
    if passwd is not None:
        (box.rootfs / "etc/passwd").write_text(passwd)
    found = box.run(process(user={"uid": user, "gid": 0}), "guest", "env").json["env"]
    assert found == ["PATH=/bin", f"HOME={home}"]


def test_args_are_exact(box: Box) -> None:
    assert box.run({}, "printf", "%s|", "a b", "", "*", "\u00e9").out == "a b||*|\u00e9|"


def test_args_are_found_in_the_path_of_the_environment(box: Box) -> None:
    for folder, text in (("one", "first"), ("two", "second")):
        (box.rootfs / folder).mkdir()
        (box.rootfs / folder / "tool").write_text(f"#!/bin/sh\necho {text}\n")
        (box.rootfs / folder / "tool").chmod(0o755)
    assert box.run(process(env=["PATH=/none:/two:/one"]), "tool", "x").out == "second"


def test_a_file_without_permission_does_not_end_the_search(box: Box) -> None:
    (box.rootfs / "one").mkdir()
    (box.rootfs / "one/hostname").touch(0o644)
    assert box.run(process(env=["PATH=/one:/bin"]), "hostname", "-s").status == 0


def test_a_path_relative_to_cwd(box: Box) -> None:
    assert box.run(process(cwd="/bin"), "./echo", "ran").out == "ran"


@pytest.mark.parametrize("args", [[], None, [""]])
def test_args_must_name_a_program(box: Box, args: list[str] | None) -> None:
    assert "/process/args" in box.refused(process(args=args))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", "executable file not found in $path"),
        ("/missing", "no such file or directory"),
        ("/etc", "is a directory"),
        ("/plain", "permission denied"),
        ("/script", "interpreter"),
        ("/text", "exec format error"),
        ("/foreign", "exec format error"),
    ],
)
def test_what_cannot_be_executed_is_an_error_of_create(box: Box, name: str, words: str) -> None:
    (box.rootfs / "plain").write_text("x")
    for file, text in (
        ("script", b"#!/no/such\n"),
        ("text", b"text"),
        ("foreign", b"\x7fELF\x02\x01\x01" + b"\0" * 60),
    ):
        (box.rootfs / file).write_bytes(text)
        (box.rootfs / file).chmod(0o755)
    error = box.refused({}, name, "x")
    assert error.startswith("pyrunc: /process/args/0: ")
    assert words in error.lower()


def test_user_and_group(box: Box) -> None:
    found = box.run(process(user={"uid": 1000, "gid": 2000}), "grep -E '^(Uid|Gid)' /proc/self/status").out.split()
    assert found == ["Uid:", *["1000"] * 4, "Gid:", *["2000"] * 4]


@pytest.mark.parametrize("fields", [{}, {"user": {"uid": 3, "gid": 4, "additionalGids": [5]}}])
def test_groups_of_the_caller_stay_when_podman_asks_for_it(box: Box, fields: Patch) -> None:
    patch = process(**fields) | {"annotations": {"run.oci.keep_original_groups": "1"}}
    found = box.run(patch, "sed -n 's/^Groups://p' /proc/self/status", extra_groups=[7, 8]).out.split()
    assert found == ["7", "8"]


@pytest.mark.parametrize("groups", [None, [], [5, 60000, 4294967294]])
def test_additional_groups_are_exactly_these(box: Box, groups: list[int] | None) -> None:
    user = {"uid": 0, "gid": 0, "additionalGids": groups}
    found = box.run(process(user=user), "grep Groups /proc/self/status").out.split()[1:]
    assert found == [str(group) for group in groups or []]


@pytest.mark.parametrize(("mask", "seen"), [(0o077, 0o077), (0, 0), (None, 0o022)])
def test_umask(box: Box, mask: int | None, seen: int) -> None:
    assert box.run(process(user={"uid": 0, "gid": 0, "umask": mask}), "guest", "umask").json["umask"] == seen


@pytest.mark.parametrize("user", [{"gid": 0}, {"uid": 0}, {"uid": -1, "gid": 0}, {"uid": 4294967295, "gid": 0}])
def test_users_that_are_refused(box: Box, user: Patch) -> None:
    patch = {"process": {"user": {"uid": None, "gid": None} | user}}
    assert "/process/user" in box.refused(patch)


def test_oom_score_is_raised(box: Box) -> None:
    assert box.run(process(oomScoreAdj=500), "cat /proc/self/oom_score_adj").out == "500"


def test_oom_score_unset_is_the_callers(box: Box) -> None:
    assert box.run({}, "cat /proc/self/oom_score_adj").out == Path("/proc/self/oom_score_adj").read_text().strip()


def test_oom_score_that_may_not_be_lowered(box: Box) -> None:
    """CAP_SYS_RESOURCE, where the host has it, makes this legal."""
    result = box.run(process(oomScoreAdj=-1000), "cat /proc/self/oom_score_adj", status=None)
    assert result.out == "-1000" if result.status == 0 else "/process/oomScoreAdj" in result.err


@pytest.mark.parametrize("score", [1001, -1001])
def test_oom_scores_that_do_not_exist(box: Box, score: int) -> None:
    assert "/process/oomScoreAdj" in box.refused(process(oomScoreAdj=score))


def test_the_first_process_leads_its_session(box: Box) -> None:
    pid, parent, group, session, _ = box.run({}, "guest", "session").json["session"]
    assert (pid, parent, group, session) == (1, 0, 1, 1)


def test_signals_are_as_at_first(box: Box) -> None:
    lines = box.run({}, "grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status").out.split()
    assert lines[1::2] == ["0" * 16] * 3


def test_standard_input_reaches_the_process(box: Box) -> None:
    assert box.run({}, "cat", "-", stdin="words").out == "words"


def test_output_and_error_are_two(box: Box) -> None:
    result = box.run({}, "echo out; echo err >&2")
    assert (result.out, result.err) == ("out", "err")


def test_standard_streams_can_be_opened_again_by_the_user(box: Box) -> None:
    user = {"uid": 1000, "gid": 1000}
    assert box.run(process(user=user), "echo out > /dev/stdout; echo err > /dev/stderr").out == "out"
    assert box.run(process(user=user), "stat -L -c %u:%g /dev/stdout").out == f"{user['uid']}:{user['gid']}"


def test_the_name_and_root_of_the_process(box: Box) -> None:
    assert box.run({}, "cat", "/proc/self/comm").out == "cat"
    found = [box.run({}, "readlink", f"/proc/self/{link}").out for link in ("exe", "root", "cwd")]
    assert found == ["/bin/busybox", "/", "/"]
