# SPDX-License-Identifier: Apache-2.0
"""SPEC-107 to SPEC-114: the five capability sets, no_new_privs."""

import pytest

from tests.containers.box import Box

BITS = {
    "CAP_CHOWN": 0,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_SYS_ADMIN": 21,
    "CAP_MKNOD": 27,
}
WORDS = {"effective": "Eff", "permitted": "Prm", "inheritable": "Inh", "bounding": "Bnd", "ambient": "Amb"}


def see(box: Box, sets: dict[str, list[str]], user: int = 0) -> dict[str, set[str]]:
    """The sets of the process, in names."""
    wanted = {name: sets.get(name, []) for name in WORDS}
    patch = {"process": {"capabilities": wanted, "user": {"uid": user, "gid": 0}}}
    rows = dict(line.split(":\t") for line in box.run(patch, "cat", "/proc/self/status").lines)
    masks = {name: int(rows[f"Cap{word}"], 16) for name, word in WORDS.items()}
    assert all(mask < 1 << 41 for mask in masks.values())
    return {name: {cap for cap, bit in BITS.items() if mask >> bit & 1} for name, mask in masks.items()}


def test_none(box: Box) -> None:
    assert see(box, {}) == {name: set() for name in WORDS}


def test_none_when_the_object_is_absent(box: Box) -> None:
    lines = box.run({"process": {"capabilities": None}}, "grep", "^Cap", "/proc/self/status").out.split()
    assert lines[1::2] == ["0" * 16] * 5


def test_bounding_alone(box: Box) -> None:
    assert see(box, {"bounding": ["CAP_KILL"]})["bounding"] == {"CAP_KILL"}


@pytest.mark.parametrize("user", [0, 1000])
def test_ambient_survives_execve(box: Box, user: int) -> None:
    every = {name: ["CAP_CHOWN", "CAP_MKNOD"] for name in WORDS}
    assert see(box, every, user) == {name: {"CAP_CHOWN", "CAP_MKNOD"} for name in WORDS}


def test_without_ambient_another_user_has_none_after_execve(box: Box) -> None:
    found = see(box, {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]}, 1000)
    assert found["effective"] == found["permitted"] == set()
    assert found["bounding"] == {"CAP_KILL"}


def test_inheritable(box: Box) -> None:
    sets = {name: ["CAP_SETGID"] for name in ("bounding", "permitted", "inheritable")}
    found = see(box, sets, 1000)
    assert found["inheritable"] == {"CAP_SETGID"}
    assert found["ambient"] == set()


def test_root_takes_what_is_bounding(box: Box) -> None:
    """capabilities(7): execve by uid 0 gives what inheritable and bounding have."""
    assert see(box, {"bounding": ["CAP_KILL", "CAP_CHOWN"]})["permitted"] == {"CAP_KILL", "CAP_CHOWN"}


def test_unknown_ones_are_a_warning(box: Box) -> None:
    box.flags = ["--log-level", "warning"]
    result = box.run({"process": {"capabilities": {"bounding": ["CAP_NO_SUCH", "CAP_KILL"]}}}, "echo", "ran")
    assert result.out == "ran"
    assert "CAP_NO_SUCH" in result.err


def test_one_that_the_host_has_not_is_a_warning(box: Box) -> None:
    result = box.run(
        {"process": {"capabilities": {"bounding": ["CAP_SYS_RESOURCE"]}}}, "grep", "CapBnd", "/proc/self/status"
    )
    assert result.out.split()[1] in {"0" * 16, "0000000001000000"}


@pytest.mark.parametrize(("wanted", "seen"), [(True, "1"), (False, "0"), (None, "0")])
def test_no_new_privileges(box: Box, wanted: bool | None, seen: str) -> None:
    found = box.run({"process": {"noNewPrivileges": wanted}}, "grep", "NoNewPrivs", "/proc/self/status")
    assert found.out.split()[1] == seen


def test_what_is_not_bounding_cannot_be_done(box: Box) -> None:
    assert box.run({}, "guest", "mknod:/tmp/x:c:1:3").json == {"mknod:/tmp/x:c:1:3": 1}
    assert "not permitted" in box.run({}, "chown 1 /tmp", status=1).err
