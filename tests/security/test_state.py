# SPDX-License-Identifier: Apache-2.0
"""Part C: hostile ids, records, journals and state directories, each in a root to throw away."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.containers.box import CONFIG, wait_for
from tests.security.throwaway import Throwaway

ROOT = "/run/pyrunc"
BAD_IDS = (
    *("/", "//", "..", ".", "", "../victim", "../../home/precious", "/home/precious", "a/b", "a/../..", "..%2f", "./x"),
    *(
        "x\n",
        "\nx",
        "x y",
        "x\ty",
        "\u0661",
        "\xff",
        "x*",
        "~",
        "$HOME",
        "x;y",
        "`id`",
        "a" * 256,
        ".hidden",
        ".seccomp",
    ),
)
VERBS = (
    *(("state",), ("kill",), ("start",), ("delete",), ("delete", "--force"), ("pause",), ("resume",), ("ps",)),
    *(("exec",), ("create", "--bundle", "/run/bundle"), ("run", "--bundle", "/run/bundle")),
)


@pytest.mark.parametrize("identity", BAD_IDS, ids=repr)
def test_id_validation(throwaway: Throwaway, identity: str) -> None:
    """C1. An old crun removes the machine's root for the id "/", and another container's folder for "../victim". Every
    verb refuses such an id before it makes a path of it; nothing is gone, nothing is made.
    """
    make(throwaway, "victim")
    before = listing(throwaway)
    for verb in VERBS:
        command = ("true",) if verb[0] == "exec" else ()
        result = throwaway.pyrunc("--root", ROOT, *verb, "--", identity, *command)
        assert result.status in (1, 255), verb
        assert len(result.err.splitlines()) == 1 or not identity, (verb, result)
        assert "Traceback" not in result.err
        assert listing(throwaway) == before, verb
        assert throwaway.intact()


def make(throwaway: Throwaway, name: str, **record: Any) -> Path:
    """A state directory as pyrunc would have left it, with members of the record replaced."""
    folder = throwaway.path(f"{ROOT}/{name}")
    folder.mkdir(parents=True)
    for parent in (folder, folder.parent):
        parent.chmod(0o700)
    code = (
        "import json; from pyrunc.state.record import Record;"
        "print(Record(id=sys.argv[1], bundle='/b', rootfs='/b/r', oci_version='1.0.2', status='running',"
        " cgroup={'mode':'disabled','root':'/sys/fs/cgroup','paths':{},'made':[]}).to_bytes().decode())"
    )
    written = throwaway.python(code, name)
    assert written.status == 0, written
    state = {**json.loads(written.out), **record}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "lock").write_text("")
    return folder


def listing(throwaway: Throwaway) -> list[str]:
    found = []
    for top in ("/run", "/home", "/etc", "/tmp"):
        for folder, names, files in os.walk(throwaway.path(top)):
            found += [f"{folder}/{name}" for name in (*names, *files)]
    return sorted(found)


HOSTILE_PIDS = [-1, 0, 1, -9999, 2**31, 2**32 + 1, 2**63, True, "1", None, 1.0, [1]]


@pytest.mark.parametrize("pid", HOSTILE_PIDS, ids=repr)
def test_state_hostile_pid(throwaway: Throwaway, pid: object) -> None:
    """kill(-1) of root ends the machine, kill(0) the caller, 1 is the host's init. A record with such a pid signals
    nobody, and delete --force removes it.
    """
    make(throwaway, "victim", pid=pid, start=1)
    bystander = throwaway.run("sh", "-c", "setsid sleep 100 >/dev/null 2>&1 </dev/null & echo $!").out
    for signal in ("TERM", "KILL"):
        throwaway.pyrunc("--root", ROOT, "kill", "victim", signal)
        throwaway.pyrunc("--root", ROOT, "kill", "--all", "victim", signal)
    throwaway.pyrunc("--root", ROOT, "state", "victim")
    assert throwaway.pyrunc("--root", ROOT, "list").status == 0
    assert throwaway.pyrunc("--root", ROOT, "delete", "--force", "victim").status == 0
    assert not throwaway.path(f"{ROOT}/victim").exists()
    assert throwaway.run("kill", "-0", bystander).status == 0
    assert throwaway.signals == []
    assert throwaway.intact()


@pytest.mark.parametrize("wrong", ["start", "boot", "both"])
def test_state_pid_reuse(throwaway: Throwaway, wrong: str) -> None:
    """The container's process has ended, and its number is another process by now, or another boot's. It is not
    signalled; the container is stopped. With the right start time it is: the test would see a signal.
    """
    bystander = throwaway.run("sh", "-c", "setsid sleep 100 >/dev/null 2>&1 </dev/null & echo $!").out
    code = "from pyrunc.state.record import process_stat; print(process_stat(int(sys.argv[1]))[1])"
    start = int(throwaway.python(code, bystander).out)
    changed: dict[str, object] = {"pid": int(bystander), "start": start}
    if wrong != "boot":
        changed["start"] = start - 1
    if wrong != "start":
        changed["boot"] = "00000000-0000-0000-0000-000000000000"
    make(throwaway, "victim", **changed)
    assert json.loads(throwaway.pyrunc("--root", ROOT, "state", "victim").out)["status"] == "stopped"
    for verb in (("kill", "victim", "KILL"), ("kill", "--all", "victim", "KILL"), ("delete", "--force", "victim")):
        throwaway.pyrunc("--root", ROOT, *verb)
    assert throwaway.run("kill", "-0", bystander).status == 0
    make(throwaway, "owner", pid=int(bystander), start=start)
    assert throwaway.pyrunc("--root", ROOT, "kill", "owner", "KILL").status == 0
    wait_for(lambda: throwaway.run("kill", "-0", bystander).status != 0, "the end of the right process")


def fake_cgroups(throwaway: Throwaway) -> Path:
    """What looks like a cgroup2 tree, in which every process of the place is in the root; "cgroup.kill" ends it all."""
    root = throwaway.path("/sys/fs/cgroup")
    for folder in (root, root / "victim", root / "host.slice", root / "host.slice/inner"):
        folder.mkdir(exist_ok=True)
        for name in ("cgroup.controllers", "cgroup.kill", "cgroup.freeze", "cgroup.subtree_control"):
            (folder / name).write_text("")
        (folder / "cgroup.events").write_text("populated 0\nfrozen 0\n")
        (folder / "cgroup.procs").write_text("1\n" if folder == root else "")
    return root


HOSTILE_CGROUPS = (
    {"paths": {"": "/sys/fs/cgroup"}, "made": ["/sys/fs/cgroup"]},
    {"paths": {"": "/sys/fs/cgroup/"}, "made": []},
    {"paths": {"": "/sys/fs/cgroup/victim/.."}, "made": []},
    {"paths": {"": "/sys/fs/cgroup/../../../home/precious"}, "made": ["/home/precious"]},
    {"root": "/home", "paths": {"": "/home/precious"}, "made": ["/home/precious"]},
    {"root": "/", "paths": {"": "/home/precious"}, "made": ["/home/precious/empty"]},
    {"root": "", "paths": {"": "home"}, "made": []},
    {"mode": "v1", "paths": {"devices": "/sys/fs/cgroup/host.slice"}, "made": []},
    {"mode": "hybrid", "paths": {"": "/sys/fs/cgroup/host.slice", "pids": "/sys/fs/cgroup/host.slice"}, "made": []},
    {"mode": "v3"},
    {"paths": {"": 7}},
    {"paths": {"memory\n": "/sys/fs/cgroup/victim"}},
    {"made": [None]},
    {"mode": None, "root": None, "paths": None, "made": None},
)


@pytest.mark.parametrize("place", range(len(HOSTILE_CGROUPS)))
def test_state_hostile_cgroup(throwaway: Throwaway, place: int) -> None:
    """A record names for the container's cgroup the root of a hierarchy, in which the whole host is, or a folder that
    is no cgroup. delete --force removes the container, and ends and removes nothing else.
    """
    root = fake_cgroups(throwaway)
    (throwaway.path("/home/precious") / "empty").mkdir()
    cgroup = {"mode": "v2", "root": "/sys/fs/cgroup", "paths": {}, "made": [], **HOSTILE_CGROUPS[place]}
    make(throwaway, "victim", cgroup=cgroup)
    assert throwaway.pyrunc("--root", ROOT, "list").status == 0
    for verb in (("kill", "--all", "victim", "KILL"), ("kill", "victim", "KILL"), ("pause", "victim")):
        throwaway.pyrunc("--root", ROOT, *verb)
    result = throwaway.pyrunc("--root", ROOT, "delete", "--force", "victim")
    assert result.status == 0, result
    assert not throwaway.path(f"{ROOT}/victim").exists()
    assert throwaway.signals == []
    assert (throwaway.path("/home/precious") / "empty").exists()
    for folder in (root, root / "host.slice"):
        assert (folder / "cgroup.kill").read_text() == (folder / "cgroup.freeze").read_text() == ""


GARBAGE = {  # name: state.json
    "empty": b"",
    "null": b"null",
    "array": b"[]",
    "truncated": b'{"format": 1, "id": "vic',
    "binary": bytes(range(256)) * 16,
    "deep": b"[" * 200_000,
    "of another runtime": b'{"id": "victim", "init_process_pid": 1, "cgroup_paths": {"memory": "/sys/fs/cgroup"}}',
    "of another container": b'{"format": 1, "id": "other"}',
    "huge numbers": b'{"format": 1, "pid": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.parametrize(
    "journal",
    [b"", b"\ncgroup /home/precious/empty;", b"\xff\x00;;\n\n\ncgroup", b"\nprocess -1 1;\nprocess 1 1;\nprocess x;"],
)
def test_state_corrupted(throwaway: Throwaway, name: str, journal: bytes) -> None:
    """C3. state.json, and the journal beside it, are not what pyrunc wrote. No verb crashes or signals anybody, list
    goes on with the others, and delete --force removes the container and nothing else.
    """
    folder = make(throwaway, "victim")
    make(throwaway, "good")
    fake_cgroups(throwaway)
    (folder / "state.json").write_bytes(GARBAGE[name])
    (folder / "journal").write_bytes(journal)
    (throwaway.path("/home/precious") / "empty").mkdir()
    for verb in (("state", "victim"), ("kill", "victim"), ("start", "victim"), ("delete", "victim")):
        result = throwaway.pyrunc("--root", ROOT, *verb)
        assert result.status == 1, verb
        assert len(result.err.splitlines()) == 1, result
        assert "Traceback" not in result.err
        assert "internal error" not in result.err
    listed = throwaway.pyrunc("--root", ROOT, "list", "--quiet")
    assert listed.status == 0
    assert listed.lines == ["good"]
    result = throwaway.pyrunc("--root", ROOT, "delete", "--force", "victim")
    assert result.status == 0, result
    assert not folder.exists()
    assert throwaway.path(f"{ROOT}/good").exists()
    assert throwaway.signals == []
    assert (throwaway.path("/home/precious") / "empty").exists()


@pytest.mark.parametrize("kind", ["symlink", "symlink to a container", "file", "mount", "foreign", "nested", "device"])
def test_delete_traversal(throwaway: Throwaway, kind: str) -> None:
    """B11, C1. In place of the state directory, or in it, lies a symlink, a mount or what pyrunc never makes: delete
    --force follows nothing, crosses no mount, and removes nothing of it.
    """
    good = make(throwaway, "good")
    folder = throwaway.path(f"{ROOT}/victim")
    if kind == "symlink":
        folder.symlink_to("/home/precious")
    elif kind == "symlink to a container":
        folder.symlink_to("good")
    elif kind == "file":
        folder.write_text("")
    else:
        make(throwaway, "victim")
        if kind == "mount":
            (folder / "inner").mkdir()
            throwaway.run("mount", "--bind", "/home/precious", f"{ROOT}/victim/inner")
        elif kind == "foreign":
            (folder / "lock").unlink()
        elif kind == "nested":
            (folder / "a/b").mkdir(parents=True)
            (folder / "a/b/file").write_text("")
        else:
            os.mknod(folder / "null", 0o020666, os.makedev(1, 3))
    before = listing(throwaway)
    result = throwaway.pyrunc("--root", ROOT, "delete", "--force", "victim")
    assert result.status == 1
    assert len(result.err.splitlines()) == 1
    assert [path for path in listing(throwaway) if not path.endswith("/lock")] == [
        path for path in before if not path.endswith("/lock")
    ]
    assert good.exists()
    assert throwaway.intact()


def test_delete_traversal_inside(throwaway: Throwaway) -> None:
    """The counterpart: symlinks within the directory are removed as such, not what they point to."""
    folder = make(throwaway, "victim")
    (folder / "link").symlink_to("/home/precious")
    (folder / "exec.fifo").symlink_to("/home/precious/file")
    assert throwaway.pyrunc("--root", ROOT, "delete", "--force", "victim").status == 0
    assert throwaway.intact()


@pytest.mark.parametrize("owner", [0, 1000])
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o777, 0o1777, 0o770])
@pytest.mark.parametrize("level", ["root", "container"])
def test_state_dir_pre_created(throwaway: Throwaway, owner: int, mode: int, level: str) -> None:
    """Whoever may write to the state decides what is signalled and removed: a --root, or a directory in it, that
    another user has made, or may write to, is refused.
    """
    folder = make(throwaway, "victim", pid=0)
    changed = folder if level == "container" else folder.parent
    os.chown(changed, owner, owner)
    changed.chmod(mode)
    good = owner == 0 and not mode & 0o022
    result = throwaway.pyrunc("--root", ROOT, "delete", "--force", "victim")
    assert result.status == (0 if good else 1), result
    assert folder.exists() != good


@pytest.mark.parametrize("owner", [0, 1000])
def test_state_dir_symlinked(throwaway: Throwaway, owner: int) -> None:
    """--root is a symlink that another user has put there, for instance to /etc: nothing is made where it leads. One
    of our own is an arrangement of ours.
    """
    link = throwaway.path("/tmp/state")
    link.symlink_to("/etc")
    os.chown(link, owner, owner, follow_symlinks=False)
    bundle(throwaway)
    result = throwaway.pyrunc("--root", "/tmp/state", "create", "--bundle", "/run/bundle", "name")
    if owner:
        assert result.status == 1
        assert "symlink" in result.err
    assert not throwaway.path("/etc/name").exists() or not owner
    throwaway.pyrunc("--root", "/tmp/state", "delete", "--force", "name")


def bundle(throwaway: Throwaway) -> None:
    folder = throwaway.path("/run/bundle")
    (folder / "rootfs").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
