# SPDX-License-Identifier: Apache-2.0
"""SPEC-157 to SPEC-164: annotations, in the state and for kill."""

import json

import pytest

from tests.containers.box import Box, wait_for


def test_they_are_in_the_state(box: Box) -> None:
    wanted = {"com.example.key": "value", "empty": "", "unicode": '\u00e9\n"', "org.opencontainers.other": "x"}
    box.create({"annotations": wanted}, "true")
    assert box.state()["annotations"] == wanted


@pytest.mark.parametrize("annotations", [{"key": 1}, {"key": None}, {"": "value"}, ["key"], "key"])
def test_refused(box: Box, annotations: object) -> None:
    box.write({})
    file = box.bundle / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "annotations": annotations}))
    assert "/annotations" in box.pyrunc("run", "--bundle", box.bundle, box.id, status=1).err


@pytest.mark.parametrize("word", ["SIGUSR1", "USR1", "10"])
def test_the_stop_signal_is_the_default_of_kill(box: Box, word: str) -> None:
    patch = {"annotations": {"org.opencontainers.image.stopSignal": word}}
    box.start(patch, "trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.01; done")
    wait_for(lambda: "ready" in box.output())
    box.pyrunc("kill", box.id)
    box.until("stopped")
    assert box.output().endswith("got\n")
