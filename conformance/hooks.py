# SPDX-License-Identifier: Apache-2.0
"""Hooks: when, where, in which order and with what they run."""

import json
import os
import pathlib
import shlex
import time
from typing import Any

from conformance import host
from conformance.box import Box
from conformance.patch import Patch, mount, mounts
from conformance.requirements import Failed, case

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
IN_CONTAINER = {"createContainer", "startContainer"}
RUNS_IN = {"prestart": 139, "createRuntime": 140, "createContainer": 142, "startContainer": 144, "poststart": 145}
RUNS_IN["poststop"] = 146
RESOLVES_IN = {"prestart": 139, "createRuntime": 140, "createContainer": 141, "startContainer": 143, "poststart": 145}
RESOLVES_IN["poststop"] = 146


def notes(box: Box) -> pathlib.Path:
    """Where the hooks write; the container has it at /m."""
    folder = box.folder / "notes"
    folder.mkdir(exist_ok=True, mode=0o777)
    folder.chmod(0o777)
    return folder


def shared(box: Box) -> Patch:
    return mounts(mount("/m", "bind", "bind", source=str(notes(box))))


def hook(box: Box, kind: str, line: str, name: str = "hook", **fields: Any) -> Patch:
    """A hook that is a shell's line, in which $N is the folder of notes and `b` is busybox, wherever it runs; $STATE is
    what it was given on stdin, which it reads: not every runtime lives on when a hook does not.
    """
    where = "/m" if kind == "startContainer" else str(notes(box))
    program = "/bin/busybox" if kind == "startContainer" else str(box.kit.busybox)
    script = f'N={shlex.quote(where)}; BUSYBOX={shlex.quote(program)}; b() {{ $BUSYBOX "$@"; }}; STATE=$(b cat); {line}'
    return {"path": program, "args": ["sh", "-c", script, name], **fields}


def record(name: str) -> str:
    """A line that writes down all that a hook can know, beneath a name."""
    return (
        f'echo {name} >> $N/order; echo "$STATE" > $N/{name}.state; '
        f"for n in mnt pid net ipc uts; do b readlink /proc/self/ns/$n; done > $N/{name}.ns 2>&1; "
        f"b env > $N/{name}.env; [ -e $N/program ] && echo yes > $N/{name}.after; "
        f"b cat /proc/self/mountinfo > $N/{name}.mounts; [ -e /conformance-root ] && echo yes > $N/{name}.pivoted; true"
    )


def text(box: Box, name: str) -> str:
    path = notes(box) / name
    return path.read_text(errors="replace") if path.exists() else ""


def whole_life(box: Box) -> dict[str, Any]:
    """A container with two hooks of each kind; what is known at each step."""
    (box.rootfs / "conformance-root").touch()
    hooks = {kind: [hook(box, kind, record(f"{kind}{number}")) for number in (1, 2)] for kind in KINDS}
    patch = {"hooks": hooks, "annotations": {"org.example.note": "kept"}, **shared(box)}
    seen: dict[str, Any] = {}
    box.create(patch, "echo program >> /m/order; echo x > /m/program; sleep 600")
    seen["create"], seen["state"] = text(box, "order").split(), box.state()
    box.start()
    seen["start"] = [word for word in text(box, "order").split() if word not in seen["create"]]
    deadline = host.deadline(3)  # what was to run before `start` returned may run still: that is another's finding
    while "program" not in text(box, "order").split() and time.monotonic() < deadline:
        time.sleep(0.02)
    # Only now: a runtime may forbid an ordinary user to look at what waits for `start`
    names = ("mnt", "pid", "net", "ipc", "uts")
    seen["own"] = [os.readlink(f"/proc/self/ns/{name}") for name in names]
    seen["theirs"] = [os.readlink(f"/proc/{box.pid()}/ns/{name}") for name in names]
    box.kill()
    seen["before delete"] = text(box, "order").split()
    box.delete()
    seen["delete"] = [word for word in text(box, "order").split() if word not in seen["before delete"]]
    if not text(box, "order"):
        raise Failed("no hook has run")
    return seen


@case(
    *(f"SPEC-{number}" for number in (*range(139, 157), 163, 326, 327, 334, 335, 336, 337, 339, 341)),
)
def life(box: Box) -> None:
    """Two hooks of each kind, once through everything."""
    seen = whole_life(box)
    _order(box, seen)
    _places(box, seen)
    for kind in KINDS:
        _state(box, kind, seen["state"])


def _order(box: Box, seen: dict[str, Any]) -> None:
    for kind, number in zip(KINDS, (334, 335, 336, 337, 339, 341), strict=True):
        ran = [word for word in text(box, "order").split() if word.startswith(kind)]
        box.same(f"SPEC-{number}", sorted(ran), [f"{kind}1", f"{kind}2"], "hooks that ran")
        box.same("SPEC-147", ran, [f"{kind}1", f"{kind}2"], "order")
    create = [word[:-1] for word in seen["create"]]
    for kind, number in (("prestart", 149), ("createRuntime", 151), ("createContainer", 152)):
        box.holds(f"SPEC-{number}", kind in create, f"{kind} hooks are not run by create: {create}")
    box.holds("SPEC-150", _before(create, "prestart", "createRuntime"), f"{create}")
    box.holds("SPEC-152", _before(create, "createRuntime", "createContainer"), f"{create}")
    # poststart and the program run at one time: the order of their notes says nothing, but that start returned does
    start = [word for word in seen["start"] if word != "program"]
    box.same("SPEC-154", start[:2], ["startContainer1", "startContainer2"], "run by start")
    box.holds("SPEC-154", not text(box, "startContainer2.after"), "the program ran before the startContainer hooks")
    box.same("SPEC-155", start[2:], ["poststart1", "poststart2"], "run by start after startContainer")
    box.same("SPEC-156", seen["delete"], ["poststop1", "poststop2"], "run by delete")


def _before(words: list[str], one: str, other: str) -> bool:
    """Whether every `one` comes before every `other`, and both are there."""
    first = [number for number, word in enumerate(words) if word == one]
    second = [number for number, word in enumerate(words) if word == other]
    return bool(first and second) and max(first) < min(second)


def _places(box: Box, seen: dict[str, Any]) -> None:
    names = ("mnt", "pid", "net", "ipc", "uts")
    for kind in KINDS:
        found = text(box, f"{kind}1.ns").split()
        expected = seen["theirs"] if kind in IN_CONTAINER else seen["own"]
        # A hook's own pid namespace is that of its parent: the helper that runs it may be outside the container's.
        wrong = [
            name for name, one, right in zip(names, found, expected, strict=False) if one != right and name != "pid"
        ]
        box.holds(f"SPEC-{RUNS_IN[kind]}", len(found) == 5 and not wrong, f"{kind}: other namespaces {wrong or found}")
        ran = bool(text(box, f"{kind}1.env"))
        box.holds(f"SPEC-{RESOLVES_IN[kind]}", ran, f"{kind}: its path was not found")
    for kind, number in (("prestart", 149), ("createRuntime", 151), ("createContainer", 153)):
        ran = bool(text(box, f"{kind}1.mounts"))
        box.holds(f"SPEC-{number}", ran and not text(box, f"{kind}1.pivoted"), f"{kind} runs after pivot_root, or not")
    box.holds("SPEC-153", f" {box.rootfs}/m " in text(box, "createContainer1.mounts"), "the mounts are not there yet")


def _state(box: Box, kind: str, outside: dict[str, Any]) -> None:
    try:
        state = json.loads(text(box, f"{kind}1.state"))
    except ValueError:
        box.holds("SPEC-148", False, f"{kind}: no JSON on stdin: {text(box, f'{kind}1.state')[:60]!r}")
        return
    missing = [key for key in ("ociVersion", "id", "status", "bundle") if not state.get(key)]
    box.holds("SPEC-148", not missing and state["id"] == box.id, f"{kind}: the state has no {missing}")
    # Between the making of the environment and the end of create: both words fit
    right = {"startContainer": ["created"], "poststart": ["running"], "poststop": ["stopped"]}
    good = right.get(kind, ["creating", "created"])
    box.holds("SPEC-148", state.get("status") in good, f"status for {kind}: {state.get('status')}, not {good[0]}")
    box.same("SPEC-163", (state.get("annotations") or {}).get("org.example.note"), "kept", f"annotations for {kind}")
    if kind in {"prestart", "createRuntime", "poststart"}:
        box.same("SPEC-326", state.get("pid"), outside.get("pid"), f"pid for {kind}")
    elif kind in IN_CONTAINER:
        box.same("SPEC-327", state.get("pid"), 1, f"pid for {kind}, as the container sees it")


@case("SPEC-135", "SPEC-136")
def argv_and_env(box: Box) -> None:
    """Both as they stand, and nothing of the caller's; without env there is none."""
    shows = 'printf "<%s>" "$0" "$@" > $N/KIND.argv; b cat < /proc/self/environ > $N/KIND.env'
    env = ["ONE=1", "TWO=a b", "EMPTY="]
    hooks = {}
    for kind in KINDS:
        one = hook(box, kind, shows.replace("KIND", kind), "zero", env=env)
        one["args"] += ["", "a b", "*"]
        hooks[kind] = [one]
    box.start({"hooks": hooks, **shared(box)}, "true", env={"CONFORMANCE_CANARY": "leaked"})
    box.ended()
    box.delete()
    for kind in KINDS:
        box.same("SPEC-135", text(box, f"{kind}.argv"), "<zero><><a b><*>", f"{kind}: argv")
        found = [one for one in text(box, f"{kind}.env").split("\0") if one]
        box.same("SPEC-136", found, env, f"{kind}: environment")


@case("SPEC-135")
def without_args(box: Box) -> None:
    """Path alone is enough: a program that asks nothing of its argv."""
    (notes(box) / "tool").write_text(f"#!{box.kit.busybox} sh\n{box.kit.busybox} cat > {notes(box)}/came\n")
    (notes(box) / "tool").chmod(0o755)
    box.create({"hooks": {"createRuntime": [{"path": str(notes(box) / "tool")}]}}, "true")
    box.holds("SPEC-135", (notes(box) / "came").exists(), "a hook without args does not run")


@case("SPEC-141", "SPEC-143")
def where_the_path_is_found(box: Box) -> None:
    """CreateContainer's on the host, startContainer's in the container: a file that the other has not."""
    inside = box.rootfs / "data/inside"
    inside.write_text("#!/bin/sh\ncat > /m/inside\n")
    outside = box.folder / "outside"
    outside.write_text(f"#!{box.kit.busybox} sh\n{box.kit.busybox} cat > {notes(box)}/outside\n")
    for path in (inside, outside):
        path.chmod(0o755)
    hooks = {"createContainer": [{"path": str(outside)}], "startContainer": [{"path": "/data/inside"}]}
    box.start({"hooks": hooks, **shared(box)}, "true")
    box.ended()
    box.holds("SPEC-141", (notes(box) / "outside").exists(), "createContainer's path is not the runtime's")
    box.holds("SPEC-143", (notes(box) / "inside").exists(), "startContainer's path is not the container's")
