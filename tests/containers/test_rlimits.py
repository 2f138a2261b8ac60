# SPDX-License-Identifier: Apache-2.0
"""SPEC-101 to SPEC-105: resource limits. Hosts without CAP_SYS_RESOURCE can only lower them."""

import resource

import pytest

from tests.containers.box import Box, Patch

NAMES = [name for name in dir(resource) if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"]


def limits(*rows: tuple[str, int, int]) -> Patch:
    return {"process": {"rlimits": [{"type": name, "soft": soft, "hard": hard} for name, soft, hard in rows]}}


def test_every_type(box: Box) -> None:
    wanted = {}
    for name in NAMES:
        hard = resource.getrlimit(getattr(resource, name))[1]
        hard = 1 << 40 if hard == resource.RLIM_INFINITY else hard
        wanted[name] = (max(hard - 2, 0), max(hard - 1, 0))
    found = box.run(limits(*((name, *pair) for name, pair in wanted.items())), "guest", "rlimits").json["rlimits"]
    assert {name: tuple(found[getattr(resource, name)]) for name in NAMES} == wanted


def test_those_not_listed_are_the_callers(box: Box) -> None:
    found = box.run({}, "guest", "rlimits").json["rlimits"]
    assert found[resource.RLIMIT_NOFILE] == list(resource.getrlimit(resource.RLIMIT_NOFILE))


def test_few_descriptors_and_tasks_do_not_hinder_the_set_up(box: Box) -> None:
    found = box.run(limits(("RLIMIT_NOFILE", 4, 4), ("RLIMIT_NPROC", 1, 1)), "guest", "rlimits").json["rlimits"]
    assert found[resource.RLIMIT_NOFILE] == [4, 4]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (("RLIMIT_NO_SUCH", 1, 1), "type"),
        (("NOFILE", 1, 1), "type"),
        (("RLIMIT_NOFILE", 2, 1), "soft"),
        (("RLIMIT_NOFILE", -1, 1), "soft"),
    ],
)
def test_refused(box: Box, row: tuple[str, int, int], field: str) -> None:
    assert f"/process/rlimits/0/{field}" in box.refused(limits(row))


def test_twice_the_same_type_is_refused(box: Box) -> None:
    assert "/process/rlimits/1" in box.refused(limits(("RLIMIT_CORE", 0, 0), ("RLIMIT_CORE", 0, 0)))


def test_a_limit_that_cannot_be_raised_is_an_error(box: Box) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    result = box.run(limits(("RLIMIT_NOFILE", hard + 1, hard + 1)), "true", status=None)
    assert result.status == 0 or "/process/rlimits/0" in result.err
