# SPDX-License-Identifier: Apache-2.0
"""kill and delete of all containers whose ids match."""

from tests.containers.box import Box


def three(box: Box) -> list[str]:
    """Containers that run: one id has `a` at its end, two have `b`."""
    ids = [f"{box.id}-{name}" for name in ("1a", "2b", "3b")]
    box.write({}, "sleep", "100")
    for container_id in ids:
        box._detached("run", "--detach", "--bundle", box.bundle, container_id)
    return ids


def test_kill_and_delete(box: Box) -> None:
    first, *_ = three(box)
    box.pyrunc("kill", "--regex", f"{box.id}-.b$", "KILL")
    error = box.pyrunc("delete", "--regex", f"^{box.id}", status=1).err
    assert f"container {first}: " in error
    assert "is not stopped: running" in error
    assert box.pyrunc("list", "-q").lines == [first], "one that cannot be deleted does not keep the others"
    box.pyrunc("delete", "-r", "--force", "no such id")
    box.pyrunc("delete", "-f", "-r", box.id)
    assert box.pyrunc("list", "-q").lines == []


def test_kill_passes_over_what_has_stopped(box: Box) -> None:
    first, *_ = three(box)
    box.pyrunc("kill", first, "KILL")
    box.pyrunc("kill", "-r", box.id, "KILL")
    box.pyrunc("delete", "-r", "--force", box.id)


def test_an_expression_that_is_none(box: Box) -> None:
    for verb in ("kill", "delete"):
        assert "invalid regular expression *" in box.pyrunc(verb, "--regex", "*", status=1).err
    box.pyrunc("kill", "--regex", "nothing")
