# SPDX-License-Identifier: Apache-2.0
"""annotations, and what they ask of a runtime."""

import pathlib

from conformance.box import Box
from conformance.lifecycle import TRAPS, await_output
from conformance.requirements import case, refusal


@case("SPEC-157", "SPEC-160", "SPEC-161", "SPEC-162")
def kept(box: Box) -> None:
    """Strings, empty ones, unknown keys, and a reserved key that nobody has defined."""
    notes = {
        "com.example.key": "value",
        "com.example.empty": "",
        "no-domain": "x",
        "org.opencontainers.image.os": "linux",
        "org.opencontainers.conformance": "undefined",
        "run.conformance.unknown": "y",
    }
    box.start({"annotations": notes}, "sleep 600")
    found = box.state().get("annotations") or {}
    for id, key in (
        ("SPEC-157", "com.example.key"),
        ("SPEC-160", "com.example.empty"),
        ("SPEC-161", "org.opencontainers.conformance"),
        ("SPEC-162", "run.conformance.unknown"),
    ):
        box.same(id, found.get(key), notes[key], key)


for value in (7, True, {"a": "b"}, ["x"]):
    refusal("SPEC-157", {"annotations": {"com.example.key": value}}, label=repr(value))
refusal("SPEC-157", {"annotations": ["com.example.key"]})
refusal("SPEC-158", {"annotations": {"": "value"}})


@case("SPEC-164")
def stop_signal(box: Box) -> None:
    """Kill without a signal sends it."""
    box.start({"annotations": {"org.opencontainers.image.stopSignal": "SIGUSR1"}}, TRAPS)
    await_output(box, "ready")
    box.succeed("kill", box.id)
    await_output(box, "got")
    box.same("SPEC-164", box.output().split(), ["ready", "got", "USR1"])
    box.holds("SPEC-164", pathlib.Path(f"/proc/{box.pid()}").exists(), "the process is gone")
