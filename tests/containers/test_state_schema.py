# SPDX-License-Identifier: Apache-2.0
"""What `state` prints and hooks read keeps to spec/state.schema.json, and to the specification's own schema."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pyrunc.config import schema
from tests.containers.box import Box, combine
from tests.containers.test_hooks import KINDS, hook, hooks
from tests.test_every_property import SCHEMA

NOTES = {"annotations": {"org.example.note": "kept", "org.example.empty": ""}}

Json = Any


def mistakes(state: Json) -> list[str]:
    """What either schema has against a state, and members that ours does not describe."""
    ours = schema.load("state")
    found = [error.message for error in jsonschema.Draft202012Validator(ours).iter_errors(state)]
    if SCHEMA.is_dir():
        text = (SCHEMA / "state-schema.json").read_text("utf-8")
        definitions = json.loads((SCHEMA / "defs.json").read_text("utf-8"))["definitions"]
        official = json.loads(text.replace("defs.json#", "#")) | {"definitions": definitions}
        # "Additional values MAY be defined by the runtime", which the official schema does not say
        known = state | ({"status": "running"} if state.get("status") == "paused" else {})
        found += [error.message for error in jsonschema.Draft4Validator(official).iter_errors(known)]
    return [*found, *(f"{name} is not described" for name in state if name not in ours["properties"])]


def test_the_judge_sees_what_is_wrong() -> None:
    good = {"ociVersion": "1.3.0", "id": "a", "status": "running", "bundle": "/b", "pid": 1}
    assert mistakes(good) == []
    for wrong in ({"pid": "1"}, {"bundle": "b"}, {"status": "gone"}, {"annotations": {"a": 1}}, {"new": 1}):
        assert mistakes(good | wrong)


def test_the_state_at_each_moment_of_a_life(box: Box) -> None:
    box.create(NOTES, "sleep 100")
    states = [box.state()]
    box.start()
    states.append(box.state())
    box.pyrunc("pause", box.id)
    states.append(box.state())
    box.pyrunc("resume", box.id)
    box.pyrunc("kill", box.id, "KILL")
    box.until("stopped")
    states.append(box.state())
    assert [state["status"] for state in states] == ["created", "running", "paused", "stopped"]
    assert [mistakes(state) for state in states] == [[]] * 4


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_that_a_hook_reads(box: Box, kind: str) -> None:
    inside = kind == "startContainer"
    path = "/state.json" if inside else str(box.rootfs / "state.json")
    box.run(combine(NOTES, hooks(**{kind: hook(f"cat > {path}")})), "true")
    assert mistakes(json.loads(Path(box.rootfs / "state.json").read_text())) == []


def test_a_state_without_annotations(box: Box) -> None:
    box.create({}, "true")
    assert mistakes(box.state()) == []
