# SPDX-License-Identifier: Apache-2.0
"""Containers of root in a user namespace, with namespaces by path, a terminal, limits, hooks, and other users."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.box import Box, Patch, is_v2, merge, wait_for
from tests.containers.conftest import fill
from tests.containers.ordinary import own_tree, rows

BASE = 400000
SIZE = 65536
MAP = rows(0, BASE, SIZE)
USER: Patch = {"linux": {"+namespaces": [{"type": "user"}], "uidMappings": MAP, "gidMappings": MAP}}
OTHERS = {"network": "net", "ipc": "ipc", "uts": "uts", "pid": "pid"}
FLAGS = {"network": "--net", "ipc": "--ipc", "uts": "--uts", "pid": "--pid"}


@pytest.fixture
def box(open_folder: Path, programs: Path) -> Iterator[Box]:
    fill(open_folder / "bundle/rootfs", programs)
    own_tree(open_folder / "bundle/rootfs", BASE, BASE)
    box = Box(open_folder, f"pyrunc-userns-{os.getpid()}-{open_folder.name[-8:]}")
    yield box
    box.end()


def mapped(patch: Patch | None = None) -> Patch:
    return merge(USER, patch or {})


def by_path(pid: int, *words: str, new: tuple[str, ...] = ("mount",), **others: int) -> Patch:
    """A patch: these namespaces of a process, `others` of other ones, the rest new."""
    found = [{"type": word, "path": f"/proc/{pid}/ns/{OTHERS.get(word, word)}"} for word in words]
    found += [{"type": word, "path": f"/proc/{other}/ns/{OTHERS.get(word, word)}"} for word, other in others.items()]
    return {"linux": {"namespaces": found + [{"type": word} for word in new]}}


def seen(*words: str) -> str:
    return "for i in " + " ".join(OTHERS.get(word, word) for word in words) + "; do readlink /proc/self/ns/$i; done"


def links(pid: int, *words: str) -> list[str]:
    return [os.readlink(f"/proc/{pid}/ns/{OTHERS.get(word, word)}") for word in words]


def child_of(pid: int) -> int:
    words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(words[0]) if words else 0


@pytest.fixture
def holders() -> Iterator[dict[str, int]]:
    """Two processes: `inner` has a user namespace and others that belong to it, `outer` others of the host's."""
    started = [
        subprocess.Popen(["unshare", *user, *FLAGS.values(), "--fork", "--kill-child", "sleep", "100"])
        for user in (["--user"], [])
    ]
    try:
        for process in started:
            wait_for(lambda pid=process.pid: child_of(pid) and name(child_of(pid)) == "sleep\n")
        for file in ("uid_map", "gid_map"):
            Path(f"/proc/{started[0].pid}/{file}").write_text(f"0 {BASE} {SIZE}")
        yield {"inner": child_of(started[0].pid), "outer": child_of(started[1].pid)}
    finally:
        for process in started:
            if pid := child_of(process.pid):
                os.kill(pid, 9)
            process.wait()


def name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text()


# namespaces by path


def test_namespaces_of_the_joined_user_namespace(box: Box, holders: dict[str, int]) -> None:
    """Joined after it: before, the caller has no rights over them that count for the container."""
    words = ("user", *OTHERS)
    patch = by_path(holders["inner"], *words)
    assert box.run(patch, f"{seen(*words)}; id -u; cat /proc/1/comm").lines == [
        *links(holders["inner"], *words),
        *("0", "sleep"),
    ]


def test_namespaces_of_the_host_with_a_joined_user_namespace(box: Box, holders: dict[str, int]) -> None:
    """Joined before it: afterwards nobody may."""
    patch = by_path(holders["outer"], "network", "ipc", "uts", new=("mount", "pid"), user=holders["inner"])
    found = box.run(patch, seen("user", "network", "ipc", "uts")).lines
    assert found == links(holders["inner"], "user") + links(holders["outer"], "network", "ipc", "uts")


def test_some_of_each(box: Box, holders: dict[str, int]) -> None:
    patch = by_path(holders["outer"], "network", new=("mount", "pid"), user=holders["inner"], ipc=holders["inner"])
    found = box.run(patch, seen("user", "ipc", "network")).lines
    assert found == links(holders["inner"], "user", "ipc") + links(holders["outer"], "network")


def test_a_new_user_namespace_with_a_network_of_the_host(box: Box, holders: dict[str, int]) -> None:
    """As an engine makes one whose CNI works on the host."""
    space = [{"type": "network", "path": f"/proc/{holders['outer']}/ns/net"}]
    space += [{"type": word} for word in ("user", "mount", "pid", "ipc", "uts")]
    patch = mapped({"linux": {"namespaces": space}})
    assert box.run(patch, seen("network")).lines == links(holders["outer"], "network")


def test_a_pod(box: Box) -> None:
    """A second container in all namespaces of the first, and a command in the second."""
    box.start(mapped(), "sleep 100")
    second = f"{box.id}-2"
    words = ("user", *OTHERS)
    box.write(by_path(box.pid, *words), "sleep", "90")
    box._detached("run", "--detach", "--bundle", box.bundle, second)
    found = box.pyrunc("exec", second, "sh", "-c", f"{seen(*words)}; cat /proc/1/comm; id -u; cat /proc/self/uid_map")
    assert found.lines[:-1] == [*links(box.pid, *words), "sleep", "0"]
    assert found.lines[-1].split() == ["0", str(BASE), str(SIZE)]
    box.pyrunc("delete", "--force", second)
    assert box.status == "running"


def test_own_clocks_and_cgroups(box: Box) -> None:
    space = {"linux": {"+namespaces": [{"type": "user"}, {"type": "time"}], "uidMappings": MAP, "gidMappings": MAP}}
    found = box.run(space, "readlink /proc/self/ns/time; cut -d: -f3 /proc/self/cgroup | sort -u").lines
    assert found[0] != os.readlink("/proc/self/ns/time")
    assert found[1:] == ["/"]


# ids


def test_a_range_that_does_not_begin_at_0(box: Box) -> None:
    """No root inside: the process has the ids it asks for, and every capability of its namespace until then."""
    rows_of = rows(1000, BASE + 1000, 10)
    patch = mapped({"linux": {"uidMappings": rows_of, "gidMappings": rows_of}})
    patch = merge(patch, {"process": {"user": {"uid": 1001, "gid": 1002}}})
    (box.rootfs / "tmp").chmod(0o1777)
    assert box.run(patch, "id -u; id -g; touch /tmp/file").lines == ["1001", "1002"]
    assert (box.rootfs / "tmp/file").stat().st_uid == BASE + 1001


def test_without_mappings_every_id_is_itself(box: Box) -> None:
    """As crun has it for root: an own namespace, and so capabilities over nothing of the host's."""
    patch = {"linux": {"+namespaces": [{"type": "user"}]}}
    found = box.run(patch, "cat /proc/self/uid_map; readlink /proc/self/ns/user").lines
    assert found[0].split() == ["0", "0", "4294967295"]
    assert found[1] != os.readlink("/proc/self/ns/user")


def test_groups(box: Box) -> None:
    user = {"uid": 3, "gid": 4, "additionalGids": [10, 20]}
    assert box.run(mapped({"process": {"user": user}}), "id -G").out == "4 10 20"


def test_a_group_without_mapping(box: Box) -> None:
    error = box.refused(mapped({"process": {"user": {"uid": 0, "gid": 0, "additionalGids": [SIZE]}}}))
    assert error.startswith("pyrunc: /process/user/additionalGids: ")
    assert "not mapped" in error


def test_exec_as_another_user(box: Box) -> None:
    box.start(mapped(), "sleep 100")
    found = box.exec("id -u; id -g; touch /tmp/file", flags=("--user", "7:8"))
    assert found.lines == ["7", "8"]
    assert (box.rootfs / "tmp/file").stat().st_uid == BASE + 7
    error = box.pyrunc("exec", "--user", "70000", box.id, "true", status=255).err
    assert "uid 70000 is not mapped" in error


def test_a_terminal_belongs_to_the_user(box: Box) -> None:
    patch = mapped({"process": {"terminal": True, "user": {"uid": 5, "gid": 6}}})
    box.write(patch, "stat -c %u /dev/console; stat -c %u $(tty); echo > /dev/tty; echo > /dev/console")
    assert box.on_terminal("run", "--bundle", box.bundle, box.id).split() == ["5", "5"]


def test_exec_on_a_terminal(box: Box) -> None:
    box.start(mapped(), "sleep 100")
    said = box.on_terminal("exec", "--tty", "--user", "9", box.id, "sh", "-c", "stat -c %u $(tty)")
    assert said.split() == ["9"]


# what comes from outside


def test_limits_are_set_from_outside(box: Box) -> None:
    limits = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
    patch = mapped({"process": {"rlimits": limits}})
    box.start(patch, "ulimit -Sn; ulimit -Hn; ulimit -Hc; sleep 100")
    wait_for(lambda: box.output().split() == ["100", "200", "0"])
    assert box.exec("ulimit -Sn; ulimit -Hn").lines == ["100", "200"]


def test_hooks(box: Box) -> None:
    """CreateRuntime on the host as root; createContainer and startContainer as the root of the namespace."""
    tell = {"path": "/bin/sh", "args": ["sh", "-c", f"cat /proc/self/uid_map > {box.folder}/runtime"]}
    inside = {"path": "/bin/sh", "args": ["sh", "-c", "id -u > /tmp/inside; cat /proc/self/uid_map >> /tmp/inside"]}
    box.run(mapped({"hooks": {"createRuntime": [tell], "startContainer": [inside]}}), "true")
    assert (box.folder / "runtime").read_text().split() == ["0", "0", "4294967295"]
    assert (box.rootfs / "tmp/inside").read_text().split() == ["0", "0", str(BASE), str(SIZE)]
    assert (box.rootfs / "tmp/inside").stat().st_uid == BASE


def test_a_file_that_only_root_may_read(box: Box) -> None:
    """Opened before the namespace: the mapped root could not even reach it; the file's own mode still counts inside."""
    secret = box.folder / "secret"
    secret.mkdir(mode=0o700)
    (secret / "file").write_text("reached")
    (secret / "closed").write_text("closed")
    (secret / "closed").chmod(0o600)
    rows_of = [
        {"destination": f"/tmp/{name}", "source": str(secret / name), "options": ["bind"]}
        for name in ("file", "closed")
    ]
    found = box.run(mapped({"+mounts": rows_of}), "cat /tmp/file /tmp/closed", status=1)
    assert found.out == "reached"
    assert "ermission denied" in found.err


def test_a_root_that_the_mapped_root_cannot_reach(box: Box) -> None:
    box.bundle.chmod(0o700)
    error = box.refused(mapped())
    assert error.startswith("pyrunc: /root/path: ")
    assert f'"{box.bundle}" (mode 0700, owner 0:0) is closed to uid {BASE}' in error


def test_tmpcopyup_keeps_owners(box: Box) -> None:
    (box.rootfs / "etc/file").write_text("x")
    os.chown(box.rootfs / "etc/file", BASE + 5, BASE + 6)
    row = {"destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}
    assert box.run(mapped({"+mounts": [row]}), "stat -c %u:%g /etc/file").out == "5:6"


def test_tmpcopyup_of_a_file_without_mapping(box: Box) -> None:
    """It stays the file of somebody outside, as it is on the disk."""
    (box.rootfs / "etc/file").write_text("x")
    row = {"destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}
    assert box.run(mapped({"+mounts": [row]}), "stat -c %u:%g /etc/file").out == "65534:65534"


def test_an_oom_score_from_outside(box: Box) -> None:
    assert box.run(mapped({"process": {"oomScoreAdj": 300}}), "cat /proc/self/oom_score_adj").out == "300"


def test_the_helper_that_waits_cannot_be_looked_at(box: Box) -> None:
    """Not by root of the namespace, who has CAP_SYS_PTRACE in it: the helper was executed outside (CVE-2016-9962)."""
    capabilities = {key: ["CAP_SYS_PTRACE"] for key in ("bounding", "effective", "permitted")}
    box.start(mapped({"process": {"capabilities": capabilities}}), "sleep 100")
    second = f"{box.id}-2"
    box.write(by_path(box.pid, "user", *OTHERS), "true")
    box._detached("create", "--bundle", box.bundle, second)
    pid = json.loads(box.pyrunc("state", second).out)["pid"]
    inner = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("NSpid"))
    place = f"/proc/{inner.split()[-1]}"
    assert box.exec("ls /proc").out.split().count(inner.split()[-1]) == 1
    for peek in (f"ls {place}/fd/", f"ls {place}/root/", f"cat {place}/environ", f"readlink {place}/exe"):
        assert box.exec(peek, status=None).status != 0, peek
    box.pyrunc("delete", "--force", second)


def test_every_user_can_read_the_cgroup(box: Box) -> None:
    """Where programs look for their limits; root inside is no root outside, where the directories are made."""
    row = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}
    folder = "/sys/fs/cgroup" if is_v2() else "/sys/fs/cgroup/freezer"
    patch = {"+mounts": [row], "process": {"user": {"uid": 9, "gid": 9}}}
    assert box.run(mapped(patch), f"cat {folder}/cgroup.procs; stat -c %a {folder}").lines[-1] == "755"
