# SPDX-License-Identifier: Apache-2.0
"""Containers of an ordinary user: with his own id alone, and with those that newuidmap(1) lets him have."""

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.box import Box, Patch, merge, wait_for
from tests.containers.conftest import fill
from tests.containers.ordinary import GID, SUB, SUBS, UID, Ordinary, own_tree, rows

pytestmark = pytest.mark.rootless
tools = pytest.mark.skipif(
    not (shutil.which("newuidmap") and Path("/etc/subuid").exists()), reason="needs newuidmap (package uidmap)"
)
_count = itertools.count()
NO_MAPS: Patch = {"linux": {"uidMappings": None, "gidMappings": None}}


def maps(uids: list[Patch], gids: list[Patch]) -> Patch:
    return {"linux": {"uidMappings": uids, "gidMappings": gids}}


MANY = maps(rows(0, UID) + rows(1, SUB, SUBS), rows(0, GID) + rows(1, SUB, SUBS))


@pytest.fixture
def box(open_folder: Path, programs: Path, installed: Path) -> Iterator[Ordinary]:
    fill(open_folder / "bundle/rootfs", programs)
    box = Ordinary(open_folder, f"pyrunc-user-{os.getpid()}-{next(_count)}", installed)
    if box.pyrunc("--version", status=None).status:
        pytest.skip("needs a Python that every user may run")
    yield box
    box.end()


@pytest.fixture
def ranged(box: Ordinary) -> Ordinary:
    """The same user, with ranges in /etc/subuid and /etc/subgid."""
    box.ranges = True
    return box


# what a person does


def edited(box: Box, *args: str) -> None:
    """What the README tells a person to change in the config.json of `spec`."""
    path = box.bundle / "config.json"
    config = json.loads(path.read_text())
    config["process"].update(terminal=False, args=list(args))
    path.write_text(json.dumps(config))


def test_spec_rootless_runs(box: Ordinary) -> None:
    box.pyrunc("spec", "--rootless")
    assert (box.bundle / "config.json").stat().st_uid == UID
    edited(box, "sh", "-c", "id -u; id -g; hostname; cat /proc/self/uid_map")
    assert box.pyrunc("run", box.id).out.split() == ["0", "0", "pyrunc", "0", str(UID), "1"]


def test_spec_rootless_on_a_terminal(box: Ordinary) -> None:
    """As a person calls it: a terminal is relayed."""
    box.pyrunc("spec", "--rootless")
    path = box.bundle / "config.json"
    config = json.loads(path.read_text())
    config["process"]["args"] = ["sh", "-c", "tty; stat -c %u /dev/console; test -t 0 && echo yes"]
    path.write_text(json.dumps(config))
    assert box.on_terminal("run", box.id).split() == ["/dev/pts/0", "0", "yes"]


def test_a_life(box: Ordinary) -> None:
    box.create({}, "echo ready; sleep 100")
    assert box.status == "created"
    box.start()
    wait_for(lambda: box.output() == "ready\n")
    assert [row["id"] for row in box.pyrunc("list", "--format", "json").json] == [box.id]
    assert box.exec("echo $$; readlink /proc/1/exe").lines[1] == "/bin/busybox"
    assert box.exec("tty", flags=("--tty",), status=None).out.strip() == "/dev/pts/0"
    assert box.exec("exit 7", status=7).out == ""
    box.pyrunc("kill", box.id, "KILL")
    box.until("stopped")
    box.delete()
    assert box.pyrunc("list", "--quiet").out == ""


def test_detached(box: Ordinary) -> None:
    box.write({}, "sleep 100")
    box._detached("run", "--detach", "--bundle", box.bundle, box.id)
    assert box.status == "running"
    box.delete("--force")


def test_the_state_is_in_the_users_runtime_directory(box: Ordinary) -> None:
    box.create({}, "true")
    assert (box.runtime_dir / "pyrunc" / box.id / "state.json").stat().st_uid == UID


def test_home_is_that_of_the_images_passwd(box: Ordinary) -> None:
    (box.rootfs / "etc/passwd").write_text("root:x:0:0::/the/home:/bin/sh\n")
    box.start({}, "echo $HOME; sleep 100")
    wait_for(lambda: box.output() == "/the/home\n")
    assert box.exec("echo $HOME").out == "/the/home"


# ids


def test_the_own_id_for_another_one(box: Ordinary) -> None:
    patch = merge(maps(rows(5, UID), rows(6, GID)), {"process": {"user": {"uid": 5, "gid": 6}}})
    assert box.run(patch, "touch /tmp/file; id -u; id -g").lines == ["5", "6"]
    assert (box.rootfs / "tmp/file").stat().st_uid == UID


def test_without_mappings_the_process_is_the_caller(box: Ordinary) -> None:
    patch = merge(NO_MAPS, {"process": {"user": {"uid": 3, "gid": 4}}})
    assert box.run(patch, "cat /proc/self/uid_map /proc/self/gid_map").out.split() == [
        *("3", str(UID), "1"),
        *("4", str(GID), "1"),
    ]


@tools
def test_without_mappings_the_ranges_are_used(ranged: Ordinary) -> None:
    patch = merge(NO_MAPS, {"process": {"user": {"uid": 3, "gid": 0}}})
    ranged.start(patch, "cat /proc/self/uid_map /proc/self/gid_map; sleep 100")
    wait_for(lambda: ranged.output().count("\n") == 5)
    assert [line.split() for line in ranged.output().splitlines()] == [
        ["0", str(SUB), "3"],
        ["3", str(UID), "1"],
        ["4", str(SUB + 3), str(SUBS - 3)],
        ["0", str(GID), "1"],
        ["1", str(SUB), str(SUBS)],
    ]
    assert ranged.exec("id -u").out == "3"


@tools
def test_more_ids(ranged: Ordinary) -> None:
    user = {"uid": 5, "gid": 6, "additionalGids": [7, 8]}
    found = ranged.run(merge(MANY, {"process": {"user": user}}), "id -u; id -g; id -G; touch /tmp/file")
    assert found.lines == ["5", "6", "6 7 8"]
    facts = (ranged.rootfs / "tmp/file").stat()
    assert (facts.st_uid, facts.st_gid) == (SUB + 4, SUB + 5)


@tools
def test_ids_of_others_are_refused_in_one_line(ranged: Ordinary) -> None:
    error = ranged.refused(maps(rows(0, UID) + rows(1, SUB - 1, 2), rows(0, GID)))
    assert error.count("\n") == 0
    assert error.startswith("pyrunc: /linux/uidMappings: newuidmap: ")
    assert "not allowed" in error
    assert error.endswith("; /etc/subuid says which ids are yours")


def test_groups_that_cannot_be_set_are_refused(box: Ordinary) -> None:
    error = box.refused({"process": {"user": {"uid": 0, "gid": 0, "additionalGids": [5]}}})
    assert error.startswith("pyrunc: /process/user/additionalGids: ")
    assert "denies setgroups" in error


def test_the_own_group_again_is_no_group_to_set(box: Ordinary) -> None:
    assert box.run({"process": {"user": {"uid": 0, "gid": 0, "additionalGids": [0]}}}, "id -G").out == "0"


# files


def test_devices_are_bound(box: Ordinary) -> None:
    found = box.run(
        {}, "echo > /dev/null; head -c3 /dev/zero | wc -c; stat -c %t:%T /dev/full; mount | grep -c devtmpfs"
    )
    assert found.lines == ["3", "1:7", "6"]


def test_a_device_that_the_host_lacks(box: Ordinary) -> None:
    device = {"path": "/dev/no-such-device", "type": "c", "major": 1, "minor": 3}
    assert "/linux/devices/0: " in box.refused({"linux": {"devices": [device]}})


def test_sys_is_bound_and_cgroups_are_read_only(box: Ordinary) -> None:
    added = [
        {
            "destination": "/sys",
            "type": "none",
            "source": "/sys",
            "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
        },
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
    ]
    space = [{"type": name} for name in ("pid", "ipc", "uts", "mount", "cgroup", "user")]
    patch = {"+mounts": added, "linux": {"namespaces": space}}
    found = box.run(
        patch,
        "ls -d /sys/class; grep ' /sys/fs/cgroup' /proc/self/mountinfo | tail -1; mkdir /sys/fs/cgroup/x",
        status=1,
    )
    assert found.lines[0] == "/sys/class"
    assert found.lines[1].split()[5].startswith("ro")
    assert "Read-only" in found.err


def test_the_hosts_sysfs_stands_in_where_a_new_one_is_refused(box: Ordinary) -> None:
    """A new sysfs needs a network namespace of the user's own; crun binds the host's, too, and its options hold."""
    row = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}
    assert box.run({"+mounts": [row]}, "ls /sys/class/net").out == "lo"
    space = [{"type": name} for name in ("pid", "ipc", "uts", "mount", "user")]
    found = box.run({"+mounts": [row], "linux": {"namespaces": space}}, "ls /sys/class/net; grep ' /sys ' /proc/mounts")
    assert found.lines[:-1] == sorted(os.listdir("/sys/class/net"))
    assert " sysfs ro," in found.lines[-1]


def copied_up(box: Ordinary) -> Patch:
    (box.rootfs / "etc/dir").mkdir()
    (box.rootfs / "etc/dir/file").write_text("copied")
    (box.rootfs / "etc/link").symlink_to("dir/file")
    own_tree(box.rootfs, UID, GID)
    return {"+mounts": [{"destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}]}


def test_tmpcopyup(box: Ordinary) -> None:
    found = box.run(copied_up(box), "cat /etc/link; stat -c %u:%g /etc/dir/file; stat -f -c %T /etc").lines
    assert found[0].startswith("copied")
    assert found[-1] == "tmpfs"


def test_tmpcopyup_of_a_file_of_another(box: Ordinary) -> None:
    patch = copied_up(box)
    os.chown(box.rootfs / "etc/dir/file", 0, 0)
    error = box.refused(patch)
    assert error.startswith('pyrunc: /mounts/3/options: tmpcopyup of "/dir/file": ')
    assert f"it belongs to uid 0, and uid {UID} may not make files of others" in error


# rights that he has not


@pytest.mark.parametrize(
    ("patch", "pointer", "words"),
    [
        ({"root": {"path": "/root/none"}}, "/root/path", "/root"),
        ({"+mounts": [{"destination": "/x", "type": "ext4", "source": "/dev/null"}]}, "/mounts/3", "user namespace"),
        ({"+mounts": [{"destination": "/x", "source": "/root/x", "options": ["bind"]}]}, "/mounts/3", "/root"),
        (
            {"linux": {"+namespaces": [{"type": "time", "path": "/proc/1/ns/time"}]}},
            "/linux/namespaces/7/path",
            "EACCES",
        ),
        ({"process": {"user": {"uid": 9, "gid": 0}}}, "/process/user/uid", "uid 9 is not mapped"),
        (
            {"process": {"rlimits": [{"type": "RLIMIT_NICE", "soft": 40, "hard": 40}]}},
            "/process/rlimits/0",
            "hard limit",
        ),
        ({"linux": {"cgroupsPath": "/pyrunc-none"}}, "/linux/cgroupsPath", "may not make cgroups"),
        ({"linux": {"resources": {"pids": {"limit": 9}}}}, "/linux/resources/pids/limit", "rootless"),
        ({"linux": {"sysctl": {"net.core.bpf_jit_enable": "1"}}}, "/linux/sysctl/net.core.bpf_jit_enable", ""),
    ],
    ids=["root", "filesystem", "bind", "namespace", "user", "rlimit", "cgroup", "limit", "sysctl"],
)
def test_what_he_may_not(box: Ordinary, patch: Patch, pointer: str, words: str) -> None:
    """One line with the field, the cause, and nothing left behind."""
    error = box.refused(patch)
    assert error.count("\n") == 0
    assert error.startswith(f"pyrunc: {pointer}: ")
    assert words in error


def test_without_a_user_namespace(box: Ordinary) -> None:
    patch = merge(NO_MAPS, {"linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}})
    assert "requires user namespaces" in box.refused(patch)


def test_a_place_for_the_state_that_is_not_his(box: Ordinary) -> None:
    box.flags = ["--root", "/root/pyrunc-test"]
    error = box.run({}, status=1).err
    box.flags = []
    hint = "an ordinary user's is below XDG_RUNTIME_DIR, or where --root says"
    assert error == f"pyrunc: /root/pyrunc-test: not allowed (EACCES): {hint}"


def test_lower_oom_scores_are_kept(box: Ordinary) -> None:
    own = Path("/proc/self/oom_score_adj").read_text().strip()
    assert box.run({"process": {"oomScoreAdj": -900}}, "cat /proc/self/oom_score_adj").out == own
    assert box.run({"process": {"oomScoreAdj": 900}}, "cat /proc/self/oom_score_adj").out == "900"


def test_a_pause_needs_a_cgroup(box: Ordinary) -> None:
    box.start({}, "sleep 100")
    error = box.pyrunc("pause", box.id, status=1).err
    assert "without a cgroup" in error
    assert "has no cgroup" in box.pyrunc("exec", "--cgroup", "sub", box.id, "true", status=255).err


@pytest.mark.parametrize("verb", ["create", "start", "exec"])
def test_why_a_program_cannot_be_executed(box: Ordinary, verb: str) -> None:
    """Seen in the host's tree, as the process may not be looked at."""
    script = box.rootfs / "bin/script"
    script.write_text("#!/no/interpreter\n")
    script.chmod(0o755)
    if verb == "create":
        error = box.refused({"process": {"args": ["script"]}})
    elif verb == "start":
        box.create({"process": {"args": ["script"]}})
        error = box.pyrunc("start", box.id, status=1).err
    else:
        box.start({}, "sleep 100")
        error = box.pyrunc("exec", box.id, "script", status=255).err
    assert 'exec: "script": no such file or directory: its interpreter "/no/interpreter" is missing' in error


# security


def test_the_helper_that_waits_cannot_be_looked_at(box: Ordinary) -> None:
    """CVE-2016-9962: it is not dumpable, so that its files in /proc are root's; nothing is open in it but two fifos."""
    (box.rootfs / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    box.create(merge(copied_up(box), {"linux": {"maskedPaths": ["/proc/keys"]}}), "true")
    folder = Path(f"/proc/{box.pid}")
    assert (folder / "environ").stat().st_uid == 0
    assert folder.stat().st_uid == UID
    names = sorted(os.readlink(path).rpartition("/")[2] for path in (folder / "fd").iterdir() if int(path.name) > 2)
    assert names == ["exec.fifo", "exec.result"]
    peek = box.as_user("cat", f"{folder}/environ", f"{folder}/root/etc/passwd")
    assert subprocess.run(peek, capture_output=True, check=False).returncode != 0


def test_hooks_run_as_the_user(box: Ordinary) -> None:
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"id -u > {box.bundle}/hook"]}
    box.run({"hooks": {"createRuntime": [hook]}}, "true")
    assert (box.bundle / "hook").read_text() == f"{UID}\n"


# sharing


def test_a_second_container_in_the_namespaces_of_the_first(box: Ordinary) -> None:
    box.start({"process": {"capabilities": None}}, "sleep 100")
    files = {"user": "user", "pid": "pid", "ipc": "ipc", "uts": "uts", "network": "net"}
    space = [{"type": word, "path": f"/proc/{box.pid}/ns/{file}"} for word, file in files.items()]
    box.write(merge(NO_MAPS, {"linux": {"namespaces": [*space, {"type": "mount"}]}}), "cat /proc/1/comm; id -u")
    # a process that is dumpable, as any that has been executed
    assert box.pyrunc("run", "--bundle", box.bundle, f"{box.id}-2").lines == ["sleep", "0"]


# root of a user namespace of his own, as rootless podman calls its runtime


def podman(box: Ordinary, *flags: str) -> Patch:
    """Calls come from such a namespace; the container has none of its own."""
    box.wrapper = ("unshare", "--user", "--mount", "--map-root-user", *flags)
    box.flags = ["--root", str(box.root)]
    space = [{"type": word} for word in ("pid", "mount", "network", "ipc", "uts", "cgroup")]
    return merge(NO_MAPS, {"linux": {"namespaces": space}})


def test_in_a_namespace_with_the_own_id(box: Ordinary) -> None:
    found = box.run(copied_up(box) | podman(box), "id -u; cat /etc/link; echo; cat /proc/self/uid_map")
    assert found.out.split() == ["0", "copied", "0", str(UID), "1"]


@tools
def test_in_a_namespace_with_ranges(ranged: Ordinary) -> None:
    """`podman run --userns=keep-id`: the rows are written by the runtime itself, who has CAP_SETUID there."""
    keep = rows(0, 1, 1000) + rows(1000, 0) + rows(1001, 1001, 1000)
    patch = merge(podman(ranged, "--map-auto"), {"linux": {"+namespaces": [{"type": "user"}]}})
    patch = merge(patch, maps(keep, keep))
    patch = merge(patch, {"process": {"user": {"uid": 1000, "gid": 1000, "additionalGids": [1000, 4]}}})
    found = ranged.run(patch, "id -u; id -G; touch /tmp/file; stat -c %u /tmp").lines
    assert found == ["1000", "1000 4", "1000"]
    assert (ranged.rootfs / "tmp/file").stat().st_uid == UID


@tools
def test_a_source_that_the_containers_root_cannot_reach(ranged: Ordinary) -> None:
    """`podman run --userns=nomap`: the user, who may open what is bound, is nobody in the container."""
    (ranged.runtime_dir / "file").write_text("shown\n")
    own_tree(ranged.rootfs, SUB, SUB)
    mount = {"destination": "/tmp/file", "source": f"{ranged.runtime_dir}/file", "options": ["bind"]}
    patch = merge(podman(ranged, "--map-auto"), {"+mounts": [mount], "linux": {"+namespaces": [{"type": "user"}]}})
    patch = merge(patch, maps(rows(0, 1, 1000), rows(0, 1, 1000)))
    assert ranged.run(patch, "cat /tmp/file; id -u").lines == ["shown", "0"]
