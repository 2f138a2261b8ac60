# SPDX-License-Identifier: Apache-2.0
"""Hooks that fail, that take too long, and hooks that are no hooks."""

import time
from typing import Any

from conformance import host
from conformance.box import Box
from conformance.hooks import KINDS, hook, notes, shared, text
from conformance.patch import Patch
from conformance.requirements import case, refusal

TRUE: Patch = {"path": "/bin/busybox", "args": ["true"]}
STEP = {"prestart": 334, "createRuntime": 335, "createContainer": 336, "startContainer": 337, "poststart": 339}


def _hooks(box: Box, kind: str, line: str, **fields: Any) -> Patch:
    """Hooks that note that they ran, one that does `line`, and one that must not be reached."""
    rows = [hook(box, kind, f"echo {kind} >> $N/order"), hook(box, kind, line, **fields)]
    rows.append(hook(box, kind, "echo next >> $N/order"))
    stop = [hook(box, "poststop", "echo poststop >> $N/order")]
    return {"hooks": {"poststop": stop, kind: rows}, **shared(box)}


for kind, number in STEP.items():

    @case(f"SPEC-{number}", "SPEC-343", name=f"failing_{kind}")
    def failing(box: Box, kind: str = kind, id: str = f"SPEC-{number}") -> None:
        """An error, the hooks after it are not run, and the container is stopped and destroyed."""
        box.control({})
        before = box.snapshot()
        result = box.try_create(_hooks(box, kind, "exit 3"), "echo program >> /m/order; sleep 600")
        ran = text(box, "order").split()
        if kind in {"startContainer", "poststart"}:
            box.holds(id, result.status == 0 and not ran, f"{kind}: create: {result.why}; it ran {ran}")
            result = box.call("start", box.id)
            ran = [word for word in text(box, "order").split() if word != "program" or kind != "poststart"]
        box.holds(id, result.status != 0, f"a failing {kind} hook is no error")
        # As it is an error, "the lifecycle goes on" with poststop hooks, which some leave to delete
        rest = [word for word in ran if word != "poststop"]
        box.same(id, rest, [kind], "what ran")
        if kind in {"startContainer", "poststart"}:
            _stopped(box, id)
        else:
            now = box.snapshot()
            box.holds("SPEC-343", not now["state"] - before["state"], f"a failing {kind} hook leaves a container")
            box.holds(id, box.call("state", box.id).status != 0, "the container is there still")


def _stopped(box: Box, id: str) -> None:
    """Gone altogether, or stopped at least."""
    deadline = host.deadline(3)
    while (result := box.call("state", box.id)).status == 0 and '"stopped"' not in result.out:
        if time.monotonic() > deadline:
            box.holds(id, False, "the container is not stopped")
            return
        time.sleep(0.05)
    box.holds(id, True, "")


@case("SPEC-342", "SPEC-341")
def failing_poststop(box: Box) -> None:
    """Delete and the remaining hooks go on."""
    box.start(_hooks(box, "poststop", "exit 3") | _rows(box, "poststop", "exit 3"), "true")
    box.ended()
    result = box.call("delete", box.id)
    ran = text(box, "order").split()
    box.holds("SPEC-342", result.status == 0, f"delete fails: {result.why}")
    box.same("SPEC-342", ran, ["poststop", "next"], "what ran")
    box.same("SPEC-341", ran[:1], ["poststop"], "what ran")
    box.holds("SPEC-342", not box.left(), f"left behind {box.left()}")


def _rows(box: Box, kind: str, line: str) -> Patch:
    rows = [
        hook(box, kind, f"echo {kind} >> $N/order"),
        hook(box, kind, line),
        hook(box, kind, "echo next >> $N/order"),
    ]
    return {"hooks": {kind: rows}}


for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart"):

    @case("SPEC-138", name=f"late_{kind}")
    def late(box: Box, kind: str = kind) -> None:
        """One second is allowed, or some on a slow machine; ten minutes are tried."""
        box.control({})
        allowed = max(1, round(host.patience / 2))
        patch = {"hooks": {kind: [hook(box, kind, "echo began >> $N/order; exec $BUSYBOX sleep 600", timeout=allowed)]}}
        began = time.monotonic()
        result = box.try_create({**patch, **shared(box)}, "true")
        if kind in {"startContainer", "poststart"} and result.status == 0:
            result = box.call("start", box.id)
        took = time.monotonic() - began
        box.holds("SPEC-138", result.status != 0, f"a {kind} hook that is late is no error")
        box.holds("SPEC-138", took < 10 * host.patience, f"{kind}: it took {took:.1f} s")
        box.same("SPEC-138", text(box, "order").split(), ["began"], kind)


@case("SPEC-138", name="in_time")
def in_time(box: Box) -> None:
    """A control: one that is quicker than its timeout."""
    box.create({"hooks": {"createRuntime": [hook(box, "createRuntime", "echo x >> $N/order", timeout=60)]}}, "true")
    box.same("SPEC-138", text(box, "order").split(), ["x"])
    box.holds("SPEC-138", notes(box).exists(), "")


for kind in KINDS:
    refusal("SPEC-134", {"hooks": {kind: [{"path": "bin/busybox", "args": ["true"]}]}}, label=f"{kind}, relative")
    refusal("SPEC-134", {"hooks": {kind: [{"args": ["true"]}]}}, label=f"{kind}, absent")
    refusal("SPEC-137", {"hooks": {kind: [{**TRUE, "timeout": 0}]}}, label=f"{kind}, 0")
    refusal("SPEC-137", {"hooks": {kind: [{**TRUE, "timeout": -1}]}}, label=f"{kind}, -1")
refusal("SPEC-140", {"hooks": {"createRuntime": [{"path": "/nonexistent/hook"}]}})
refusal("SPEC-139", {"hooks": {"prestart": [{"path": "/nonexistent/hook"}]}})
refusal("SPEC-141", {"hooks": {"createContainer": [{"path": "/nonexistent/hook"}]}})
