# SPDX-License-Identifier: Apache-2.0
"""What `state` says of a container, and how it is written: runtime.md#state."""

import os
import pathlib
from typing import Any

from conformance.box import Box
from conformance.requirements import case

STATUS = ("creating", "created", "running", "stopped")


def schema(state: dict[str, Any]) -> list[str]:
    """What state-schema.json asks and is not so."""
    wrong = [key for key in ("ociVersion", "id", "status", "bundle") if not isinstance(state.get(key), str)]
    if state.get("status") in {"created", "running"} and not isinstance(state.get("pid"), int):
        wrong.append("pid")
    if isinstance(state.get("pid"), int) and state["pid"] < 0:
        wrong.append("pid below 0")
    annotations = state.get("annotations", {})
    if not isinstance(annotations, dict) or not all(isinstance(text, str) for text in annotations.values()):
        wrong.append("annotations")
    return wrong


@case("SPEC-326", "SPEC-329", "SPEC-330", "SPEC-325")
def through_its_life(box: Box) -> None:
    """The pid is that of the process, the annotations those of config.json; the form is right at each moment."""
    notes = {"org.example.one": "1", "org.example.empty": "", "com.example.ü": 'a "b"\n'}
    box.create({"annotations": notes}, "sleep 600")
    created = box.state()
    box.start()
    running = box.state()
    box.kill()
    stopped = box.state()
    for name, state in (("created", created), ("running", running), ("stopped", stopped)):
        box.same("SPEC-330", schema(state), [], name)
        box.same("SPEC-325", state.get("status"), name, "status")
        found = {key: (state.get("annotations") or {}).get(key) for key in notes}
        box.same("SPEC-329", found, notes, f"annotations when {name}")
    box.same("SPEC-326", created.get("pid"), running.get("pid"), "pid when created and when running")
    box.holds("SPEC-326", isinstance(running.get("pid"), int) and running["pid"] > 1, f"pid {running.get('pid')!r}")


@case("SPEC-326")
def pid_is_the_process(box: Box) -> None:
    box.start({}, "sleep 601")
    pid = box.pid()
    namespaces = [os.readlink(f"/proc/{one}/ns/mnt") for one in ("self", pid)]
    box.holds("SPEC-326", namespaces[0] != namespaces[1], "the pid is of a process outside the container")
    words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    box.holds("SPEC-326", b"sleep 601" in words or b"601" in words, f"the pid is of {words}")
