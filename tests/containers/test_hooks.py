# SPDX-License-Identifier: Apache-2.0
"""SPEC-134 to SPEC-156, SPEC-334 to SPEC-342: all six kinds of hooks."""

import json
import os
import time

import pytest

from tests.containers.box import CONFIG, Box, Patch, combine

HOST = ("prestart", "createRuntime", "poststart", "poststop")
CREATE = ("prestart", "createRuntime", "createContainer")
KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def hook(line: str, **fields: object) -> Patch:
    """A hook that is a line of shell."""
    return {"path": "/bin/sh", "args": ["sh", "-c", line], "env": ["PATH=/bin"], **fields}


def hooks(**kinds: object) -> Patch:
    return {"hooks": {kind: value if isinstance(value, list) else [value] for kind, value in kinds.items()}}


def log(box: Box, kind: str) -> str:
    """A file in the container's root, as a hook of this kind sees it."""
    return "/log" if kind == "startContainer" else f"{box.rootfs}/log"


def logged(box: Box) -> list[str]:
    file = box.rootfs / "log"
    return file.read_text().splitlines() if file.exists() else []


def every(box: Box, line: str) -> Patch:
    """Each kind appends what `line` prints to the log, with its name before."""
    return hooks(**{kind: hook(f'echo {kind} "$({line})" >> {log(box, kind)}') for kind in KINDS})


def see(box: Box, kind: str, line: str) -> str:
    """What one hook of this kind prints, in a whole life."""
    box.run(hooks(**{kind: hook(f"({line}) > {log(box, kind)}")}), "true")
    return "\n".join(logged(box))


def test_kinds_run_in_their_order(box: Box) -> None:
    patch = every(box, "true")
    box.create(patch, "echo program >> /log")
    assert [line.strip() for line in logged(box)] == ["prestart", "createRuntime", "createContainer"]
    box.start()
    box.until("stopped")
    assert sorted(line.strip() for line in logged(box)[3:]) == ["poststart", "program", "startContainer"]
    assert logged(box)[3].strip() == "startContainer"
    box.delete()
    assert logged(box)[-1].strip() == "poststop"


@pytest.mark.parametrize("kind", KINDS)
def test_hooks_of_one_kind_run_in_the_listed_order(box: Box, kind: str) -> None:
    rows = [hook(f"echo {number} >> {log(box, kind)}") for number in range(5)]
    box.run(hooks(**{kind: rows}), "true")
    assert logged(box) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_is_on_stdin(box: Box, kind: str) -> None:
    patch = hooks(**{kind: hook(f"cat > {log(box, kind)}")}) | {"annotations": {"key": "value"}}
    box.run(patch, "true")
    state = json.loads("\n".join(logged(box)))
    status = {"startContainer": "created", "poststart": "running", "poststop": "stopped"}.get(kind, "creating")
    assert state["status"] == status
    assert state["id"] == box.id
    assert state["bundle"] == str(box.bundle)
    assert state["annotations"] == {"key": "value"}
    assert state["ociVersion"]


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "poststart"])
def test_the_pid_in_the_state_is_the_runtimes(box: Box, kind: str) -> None:
    box.start(hooks(**{kind: hook(f"cat > {log(box, kind)}")}), "sleep 100")
    assert json.loads("\n".join(logged(box)))["pid"] == box.pid


@pytest.mark.parametrize("kind", ["createContainer", "startContainer"])
def test_the_pid_in_the_state_is_the_containers(box: Box, kind: str) -> None:
    """SPEC-327."""
    assert json.loads(see(box, kind, "cat"))["pid"] == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("space", ["mnt", "net", "uts", "ipc"])
def test_namespaces(box: Box, kind: str, space: str) -> None:
    """Host hooks run in the runtime's, the two others in the container's."""
    tool = "/bin/busybox" if kind == "startContainer" else "busybox"
    found = see(box, kind, f"{tool} readlink /proc/self/ns/{space}")
    assert (found == os.readlink(f"/proc/self/ns/{space}")) == (kind in HOST)


@pytest.mark.parametrize("kind", [*HOST, "createContainer"])
def test_paths_are_the_runtimes(box: Box, kind: str) -> None:
    tool = box.folder / "tool"
    tool.write_text(f"#!/bin/sh\necho host > {log(box, kind)}\n")
    tool.chmod(0o755)
    box.run(hooks(**{kind: {"path": str(tool)}}), "true")
    assert logged(box) == ["host"]


def test_the_path_of_start_container_is_the_containers(box: Box) -> None:
    (box.rootfs / "tool").write_text("#!/bin/sh\necho inside > /log\n")
    (box.rootfs / "tool").chmod(0o755)
    box.run(hooks(startContainer={"path": "/tool"}), "true")
    assert logged(box) == ["inside"]


@pytest.mark.parametrize("kind", KINDS)
def test_args_are_the_whole_argv(box: Box, kind: str) -> None:
    row = {"path": "/bin/sh", "args": ["sh", "-c", f'echo "$0|$1" > {log(box, kind)}', "a b", "c"]}
    box.run(hooks(**{kind: row}), "true")
    assert logged(box) == ["a b|c"]


@pytest.mark.parametrize("kind", KINDS)
def test_env_is_exact(box: Box, kind: str) -> None:
    env = ["A=1", "B=x y", "PATH=/bin:/usr/bin"]
    box.run(hooks(**{kind: hook(f"env > {log(box, kind)}", env=env)}), "true")
    assert [row for row in sorted(logged(box)) if row.split("=")[0] not in {"PWD", "SHLVL", "_"}] == env


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_standard_streams_are_open(box: Box, kind: str) -> None:
    found = see(box, kind, "ls /proc/self/fd").split()
    assert found in (["0", "1", "2", "3"], ["0", "1", "2"])


@pytest.mark.parametrize("kind", HOST)
def test_the_working_directory_is_the_bundle(box: Box, kind: str) -> None:
    assert see(box, kind, "pwd") == str(box.bundle)


def test_create_hooks_run_before_pivot_root(box: Box) -> None:
    """SPEC-149, SPEC-153: the mounts are there, and the host's root still is."""
    row = {"destination": "/mnt", "type": "tmpfs", "source": "marked"}
    line = f"grep -c ' {box.rootfs}/mnt ' /proc/self/mountinfo > {log(box, 'createContainer')}"
    box.run(combine({"+mounts": [row]}, hooks(createContainer=hook(line))), "true")
    assert logged(box) == ["1"]


@pytest.mark.parametrize("kind", CREATE)
def test_a_failing_create_hook_undoes_the_container(box: Box, kind: str) -> None:
    error = box.refused(hooks(**{kind: [hook("true"), hook("echo why >&2; exit 3")]}))
    assert error.startswith(f"pyrunc: /hooks/{kind}/1: ")
    assert "why" in error
    assert "3" in error


def test_a_failing_poststop_hook_is_told(box: Box) -> None:
    """runtime.md#lifecycle: it must be logged as a warning, and it is no error."""
    err = box.run(hooks(poststop=hook("exit 3")), "true").err
    assert err.startswith("pyrunc: warning: /hooks/poststop/0: poststop hook failed with exit code 3: ")
    assert len(err.splitlines()) == 1


def test_a_failing_create_hook_still_leads_to_poststop(box: Box) -> None:
    """SPEC-334: the life cycle goes on at destroy."""
    patch = hooks(createRuntime=hook("exit 1"), poststop=hook(f"echo poststop >> {box.rootfs}/log"))
    box.refused(patch)
    assert logged(box) == ["poststop"]


def test_a_failing_start_container_hook(box: Box) -> None:
    box.create(hooks(startContainer=hook("echo why; exit 3")), "echo program > /log")
    error = box.pyrunc("start", box.id, status=1).err
    assert error.startswith("pyrunc: /hooks/startContainer/0: ")
    assert "why" in error
    assert box.status == "stopped"
    assert logged(box) == []


def test_a_failing_poststart_hook_destroys_the_container(box: Box) -> None:
    """SPEC-339: the lifecycle goes on at its destruction, and after that poststop hooks run."""
    box.create(hooks(poststart=hook("exit 3"), poststop=hook(f"echo gone >> {box.rootfs}/log")), "sleep 100")
    assert "/hooks/poststart/0" in box.pyrunc("start", box.id, status=1).err
    assert "does not exist" in box.pyrunc("state", box.id, status=1).err
    assert logged(box) == ["gone"]


def test_a_failing_poststart_hook_of_run(box: Box) -> None:
    error = box.refused(hooks(poststart=hook("exit 3"), poststop=hook(f"echo gone >> {box.rootfs}/log")), "sleep 100")
    assert "/hooks/poststart/0" in error
    assert logged(box) == ["gone"]


def test_a_failing_poststop_hook_is_a_warning(box: Box) -> None:
    box.flags = ["--log-level", "warning"]
    rows = [hook("exit 3"), hook(f"echo second > {box.rootfs}/log")]
    assert "/hooks/poststop/0" in box.run(hooks(poststop=rows), "true").err
    assert logged(box) == ["second"]


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_a_hook_that_takes_too_long_is_killed_and_has_failed(box: Box, kind: str) -> None:
    start = time.monotonic()
    error = box.refused(hooks(**{kind: hook("sleep 50 & sleep 50", timeout=1)}), "sleep 100")
    assert f"/hooks/{kind}/0" in error
    assert "timed out" in error
    assert 1 <= time.monotonic() - start < 8


def test_a_hook_in_time(box: Box) -> None:
    box.run(hooks(createRuntime=hook("sleep 0.1", timeout=5)), "true")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("row", "field"),
    [({"path": "relative"}, "path"), ({}, "path"), ({"path": "/bin/sh", "timeout": 0}, "timeout")],
)
def test_refused(box: Box, kind: str, row: Patch, field: str) -> None:
    assert f"/hooks/{kind}/0/{field}" in box.refused(hooks(**{kind: row}))


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_a_hook_that_is_not_there(box: Box, kind: str) -> None:
    assert f"/hooks/{kind}/0" in box.refused(hooks(**{kind: {"path": "/no/such/hook"}}))


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_a_hook_that_a_signal_ends(box: Box, kind: str) -> None:
    assert "signal" in box.refused(hooks(**{kind: hook("kill -9 $$")}))


def test_a_hook_that_does_not_read_its_stdin(box: Box) -> None:
    annotations = {f"key{number}": "x" * 1000 for number in range(200)}
    box.run(hooks(createRuntime=hook("true")) | {"annotations": annotations}, "true")


def test_a_hook_that_writes_much(box: Box) -> None:
    box.run(
        hooks(createRuntime=hook("head -c 300000 /dev/zero"), createContainer=hook("head -c 300000 /dev/zero")), "true"
    )


def test_hooks_can_enter_the_network_of_the_container(box: Box) -> None:
    """What CNI does: a prestart hook sets the network up by the pid of the state."""
    line = (
        "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); nsenter -t $pid -n ip link add veth0 type veth peer name veth1"
    )
    box.run(hooks(createRuntime=hook(line, env=["PATH=/usr/sbin:/sbin:/bin:/usr/bin"])), "ifconfig veth0")


def test_hooks_without_a_mount_namespace(box: Box) -> None:
    rows = [row for row in CONFIG["linux"]["namespaces"] if row["type"] != "mount"]
    patch = combine(hooks(createContainer=hook(f"echo ran >> {box.rootfs}/log")), {"mounts": None})
    box.run(combine(patch, {"linux": {"namespaces": rows}}), "true")
    assert logged(box) == ["ran"]
