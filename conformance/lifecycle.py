# SPDX-License-Identifier: Apache-2.0
"""create, start, kill, delete and what they refuse: runtime.md."""

import contextlib
import json
import os
import pathlib
import time

from conformance import host
from conformance.box import Box
from conformance.patch import combine, mount, mounts, namespaces, process
from conformance.requirements import Failed, Skipped, case

TRAPS = "trap 'echo got TERM' TERM; trap 'echo got USR1' USR1; echo ready; while :; do sleep 0.02; done"


def await_output(box: Box, word: str) -> None:
    """Until the process has written a word."""
    deadline = host.deadline(5)
    while word not in box.output():
        if time.monotonic() > deadline:
            raise Failed(f"the container's process never wrote {word!r}: {box.output()[-100:]!r}")
        time.sleep(0.01)


def await_status(box: Box, status: str) -> None:
    deadline = host.deadline(5)
    while (found := box.state().get("status")) != status:
        if time.monotonic() > deadline:
            raise Failed(f"the status never is {status}: {found}")
        time.sleep(0.02)


@case("SPEC-332", "SPEC-338", "SPEC-351", "SPEC-353", "SPEC-359")
def program_runs_at_start(box: Box) -> None:
    box.create(mounts(mount("/m", "bind", "bind", source=str(_folder(box)))), "echo ran > /m/ran")
    made = box.state().get("status")
    box.same("SPEC-351", made, "created", "status after create")
    time.sleep(0.1)
    early = (box.folder / "shared/ran").exists()
    box.start()
    box.ended()
    late = (box.folder / "shared/ran").exists()
    for id in ("SPEC-332", "SPEC-353"):
        box.holds(id, late and not early, f"the program ran before start: {early}; after it: {late}")
    for id in ("SPEC-338", "SPEC-359"):
        box.holds(id, late, "start has not run the program")


def _folder(box: Box) -> pathlib.Path:
    folder = box.folder / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@case("SPEC-352")
def applied_by_create(box: Box) -> None:
    """Mounts and namespaces are there before start."""
    box.create(mounts(mount("/m", "tmpfs", "size=123k")), "true")
    try:
        lines = pathlib.Path(f"/proc/{box.pid()}/mountinfo").read_text().splitlines()
    except PermissionError:
        raise Skipped("an ordinary user may not look at the process that waits for `start`") from None
    box.holds("SPEC-352", any(" /m " in line and "size=12" in line for line in lines), "no mount on /m after create")
    own, theirs = (os.readlink(f"/proc/{pid}/ns/mnt") for pid in ("self", box.pid()))
    box.holds("SPEC-352", own != theirs, "after create the process is in the runtime's mount namespace")


@case("SPEC-333")
def config_is_read_once(box: Box) -> None:
    box.create({"hostname": "first"}, "hostname")
    box.write({"hostname": "second"}, "echo second")
    box.start()
    box.ended()
    box.same("SPEC-333", box.output(), "first\n")
    box.write({}, "true")
    (box.bundle / "config.json").unlink()
    box.same("SPEC-333", box.call("delete", box.id).status, 0, "status of delete without config.json")


@case("SPEC-322", "SPEC-325", "SPEC-363", "SPEC-340", "SPEC-366", "SPEC-368")
def a_life(box: Box) -> None:
    """Every operation, in their order; afterwards all is as it was."""
    box.create({}, TRAPS)
    seen = [box.state().get("status")]
    box.start()
    await_output(box, "ready")
    seen.append(box.state().get("status"))
    for word in ("USR1", "TERM"):
        box.succeed("kill", box.id, word)
        await_output(box, word)
    box.same("SPEC-363", box.output().split(), ["ready", "got", "USR1", "got", "TERM"], "signals")
    box.succeed("kill", box.id, "KILL")
    box.ended()
    await_status(box, "stopped")
    seen.append(box.state().get("status"))
    box.same("SPEC-325", seen, ["created", "running", "stopped"])
    box.delete()
    left = box.left()
    for id in ("SPEC-340", "SPEC-366"):
        box.holds(id, not left, f"left behind {left}")
    box.same("SPEC-368", box.fact({}, "echo again"), "again")
    box.holds("SPEC-322", True, "")


@case("SPEC-363")
def signal_by_number(box: Box) -> None:
    box.start({}, TRAPS)
    await_output(box, "ready")
    box.succeed("kill", box.id, "10")
    await_output(box, "USR1")
    box.same("SPEC-363", box.output().split(), ["ready", "got", "USR1"])


@case("SPEC-363")
def signal_before_start(box: Box) -> None:
    """A created container has a process as well."""
    box.create({}, "true")
    pid = box.pid()
    box.succeed("kill", box.id, "KILL")
    box.ended()
    box.holds("SPEC-363", not pathlib.Path(f"/proc/{pid}").exists(), "the process of the created container lives on")


@case("SPEC-345", "SPEC-348", "SPEC-357", "SPEC-361", "SPEC-364")
def without_id(box: Box) -> None:
    box.control({})
    before = box.snapshot()
    for id, verb in (("SPEC-345", "state"), ("SPEC-357", "start"), ("SPEC-361", "kill"), ("SPEC-364", "delete")):
        box.holds(id, box.call(verb).status != 0, f"`{verb}` without id is no error")
    box.write({}, "true")
    box.judge_refusal("SPEC-348", box.call("create", "--bundle", box.bundle), before)
    box.judge_refusal("SPEC-348", box.call("create", "--bundle", box.folder / "missing", box.id), before)


@case("SPEC-346", "SPEC-358", "SPEC-362", "SPEC-365")
def unknown_id(box: Box) -> None:
    box.control({})
    name = f"{box.id}-none"
    rows = (("SPEC-346", "state"), ("SPEC-358", "start"), ("SPEC-362", "kill"), ("SPEC-365", "delete"))
    for id, verb in rows:
        box.holds(
            id, box.call(verb, name, *(["TERM"] if verb == "kill" else [])).status != 0, f"`{verb}` of no container"
        )


@case("SPEC-349", "SPEC-324")
def id_in_use(box: Box) -> None:
    box.start({}, TRAPS)
    await_output(box, "ready")
    before, snapshot = box.state(), box.snapshot()
    said = box.said
    second = box.try_create({"hostname": "second", "linux": {"cgroupsPath": None}}, "true")
    for id in ("SPEC-349", "SPEC-324"):
        box.holds(id, second.status != 0, "a second container has the same id")
    box.said = said
    after = box.state()
    pairs = [(key, before.get(key), after.get(key)) for key in ("pid", "status", "bundle")]
    box.holds("SPEC-349", all(one == other for _, one, other in pairs), f"the first has changed: {pairs}")
    now = box.snapshot()
    more = {kind: now[kind] - snapshot[kind] for kind in now if now[kind] - snapshot[kind]}
    box.holds("SPEC-343", not more, f"a second create of an id left {more}")
    box.succeed("kill", box.id, "USR1")
    await_output(box, "USR1")


@case("SPEC-350", "SPEC-343")
def invalid_ids(box: Box) -> None:
    """No id leads out of the state directory. These are harmless where they are accepted."""
    box.control({})
    box.write({}, "true")
    for name in (f"{box.id}/sub", f"../{box.id}", f"{box.id}/../{box.id}-b", ""):
        before = box.snapshot()
        outside = set(os.listdir(box.folder))
        result = box.create_as_is(id=name) if name else box.call("create", "--bundle", box.bundle, "")
        made = {one for one in set(os.listdir(box.folder)) - outside if one.startswith("conformance-")}
        box.holds("SPEC-350", result.status != 0 and not made, f"{name!r}: {result.why}; made {made or 'nothing'}")
        if result.status == 0:
            box.call("delete", "--force", name)
        else:
            now = box.snapshot()
            more = {kind: now[kind] - before[kind] for kind in now if now[kind] - before[kind]}
            box.holds("SPEC-343", not more, f"an invalid id left {more}")
        box.clean()


@case("SPEC-358")
def start_twice(box: Box) -> None:
    box.start({}, TRAPS)
    await_output(box, "ready")
    box.holds("SPEC-358", box.call("start", box.id).status != 0, "start of a running container is no error")
    box.same("SPEC-358", box.state().get("status"), "running", "status after a second start")
    box.kill()
    box.holds("SPEC-358", box.call("start", box.id).status != 0, "start of a stopped container is no error")
    box.same("SPEC-358", box.state().get("status"), "stopped", "status after start of a stopped one")
    box.same("SPEC-358", box.output().count("ready"), 1, "times that the program ran")


@case("SPEC-362")
def kill_when_stopped(box: Box) -> None:
    box.start({}, "true")
    box.ended()
    await_status(box, "stopped")
    box.holds("SPEC-362", box.call("kill", box.id, "TERM").status != 0, "kill of a stopped container is no error")
    box.same("SPEC-362", box.state().get("status"), "stopped")


@case("SPEC-365")
def delete_when_running(box: Box) -> None:
    box.start({}, TRAPS)
    await_output(box, "ready")
    box.holds("SPEC-365", box.call("delete", box.id).status != 0, "delete of a running container is no error")
    box.same("SPEC-365", box.state().get("status"), "running", "status after the attempt")
    box.succeed("kill", box.id, "USR1")
    await_output(box, "USR1")


@case("SPEC-365")
def delete_when_created(box: Box) -> None:
    """A container that was never started is not stopped, either."""
    box.create({}, "echo ran")
    refused = box.call("delete", box.id)
    box.holds("SPEC-365", refused.status != 0, "delete of a created container is no error")
    if refused.status != 0:
        box.same("SPEC-365", box.state().get("status"), "created", "status after the attempt")


@case("SPEC-367")
def delete_spares_others(box: Box) -> None:
    """What a bind mount shows, and the root itself, are not of the container's making."""
    folder = _folder(box)
    (folder / "kept").write_text("kept")
    box.fact(mounts(mount("/m", "bind", "rbind", source=str(folder))), "cat /m/kept")
    box.holds("SPEC-367", (folder / "kept").exists(), "the source of a bind mount is deleted")
    box.holds("SPEC-367", (box.rootfs / "bin/busybox").exists(), "the root file system is deleted")
    box.holds("SPEC-367", (box.bundle / "config.json").exists(), "config.json is deleted")


@case("SPEC-367", needs="root")
def delete_spares_namespaces(box: Box) -> None:
    """The network of a first container outlives a second one that shares it."""
    box.start({}, "sleep 600")
    first, pid = box.id, box.pid()
    where = os.readlink(f"/proc/{pid}/ns/net")
    box.id = f"{first}-b"
    shared = namespaces("pid", "ipc", "uts", "mount", network=f"/proc/{pid}/ns/net")
    box.create(combine(shared, {"linux": {"cgroupsPath": f"/{box.id}"}}), "true")
    box.start()
    with contextlib.suppress(Failed):
        await_status(box, "stopped")
    box.succeed("delete", box.id)
    box.id = first
    box.same("SPEC-367", box.state().get("status"), "running", "the first container")
    box.same("SPEC-367", os.readlink(f"/proc/{pid}/ns/net"), where)


@case("SPEC-091", "SPEC-360")
def no_process(box: Box) -> None:
    """Create has no need of a process; start has."""
    box.control({})
    before = box.snapshot()
    result = box.try_create({"process": None})
    box.holds("SPEC-091", result.status == 0, f"create without process: {result.why}")
    if result.status != 0:
        raise Failed("a container without process cannot be created, so there is nothing to start")
    box.holds("SPEC-360", box.call("start", box.id).status != 0, "start without process is no error")
    box.clean()
    box.holds("SPEC-360", not _difference(before, box.snapshot()), "it left something behind")


def _difference(before: dict[str, set[str]], after: dict[str, set[str]]) -> dict[str, set[str]]:
    return {kind: after[kind] - before[kind] for kind in after if after[kind] - before[kind]}


@case("SPEC-344", "SPEC-108")
def warnings_change_nothing(box: Box) -> None:
    """A capability that nobody knows is worth a warning, and no more."""
    bad = {"capabilities": {"bounding": ["CAP_KILL", "CAP_CONFORMANCE"], "permitted": ["CAP_KILL"], "effective": []}}
    result = box.try_create(process(**bad), "echo ran")
    if result.status != 0:
        raise Failed(f"a capability that is to be warned of ends create: {result.why}")
    box.start()
    box.ended()
    for id in ("SPEC-108", "SPEC-344"):
        box.same(id, box.output()[-4:], "ran\n")


@case("SPEC-347", "SPEC-323", "SPEC-328")
def state_has_all(box: Box) -> None:
    box.start({}, "sleep 600")
    state = box.state()
    for id in ("SPEC-323", "SPEC-347"):
        missing = [key for key in ("ociVersion", "id", "status", "bundle", "pid") if not state.get(key)]
        box.holds(id, not missing, f"the state has no {missing}: {json.dumps(state)[:200]}")
    box.same("SPEC-323", state.get("id"), box.id, "id")
    found = str(state.get("bundle"))
    box.holds("SPEC-328", found.startswith("/") and os.path.samefile(found, box.bundle), f"bundle: {found!r}")


@case("SPEC-328")
def bundle_given_relatively(box: Box) -> None:
    box.write({}, "true")
    box.succeed("create", "--bundle", "bundle", box.id)
    found = str(box.state().get("bundle"))
    box.holds("SPEC-328", found.startswith("/") and os.path.samefile(found, box.bundle), f"bundle: {found!r}")
