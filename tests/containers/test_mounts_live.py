# SPDX-License-Identifier: Apache-2.0
"""`mounts add` and `mounts remove`: what a container that is there gets mounted, and loses."""

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.box import Box, Patch, Result, controllers
from tests.containers.conftest import fill
from tests.containers.ordinary import UID, Ordinary

BASE = 300000
USER: Patch = {
    "linux": {
        "+namespaces": [{"type": "user"}],
        **{key: [{"containerID": 0, "hostID": BASE, "size": 65536}] for key in ("uidMappings", "gidMappings")},
    }
}
_count = itertools.count()


def row(destination: str, source: object = "tmpfs", *options: str, kind: str = "") -> Patch:
    """A bind mount, or with `kind` a new filesystem."""
    words = list(options) if kind else ["bind", *options]
    return {"destination": destination, "type": kind or "bind", "source": str(source), "options": words}


def change(box: Box, action: str, *rows: object, status: int = 0) -> Result:
    return box.pyrunc("mounts", action, box.id, "-", stdin=json.dumps(rows), status=status)


def mounted(box: Box) -> list[str]:
    """The mount points that the container's process sees, and their flags."""
    lines = Path(f"/proc/{box.pid}/mountinfo").read_text().splitlines()
    return [f"{line.split()[4]} {line.split()[5]}" for line in lines]


@pytest.fixture
def source(box: Box) -> Path:
    """A folder of the host with a file."""
    folder = box.folder / "source"
    folder.mkdir(mode=0o755)
    (folder / "file").write_text("of the host\n")
    return folder


@pytest.fixture
def ordinary(open_folder: Path, programs: Path, installed: Path) -> Iterator[Ordinary]:
    fill(open_folder / "bundle/rootfs", programs)
    box = Ordinary(open_folder, f"pyrunc-mounts-{os.getpid()}-{next(_count)}", installed)
    if box.pyrunc("--version", status=None).status:
        pytest.skip("needs a Python that every user may run")
    yield box
    box.end()


def test_a_folder_a_file_and_a_filesystem(box: Box, source: Path) -> None:
    """Flags and options are those of config.json, and mount points are made."""
    box.start({}, "sleep 100")
    before = mounted(box)
    rows = [
        row("/new/folder", source, "ro", "nosuid"),
        row("/new/file", source / "file", "noexec"),
        row("/new/tmpfs", "tmpfs", "nodev", "size=64k", kind="tmpfs"),
    ]
    change(box, "add", *rows)
    added = mounted(box)[len(before) :]
    assert added == ["/new/folder ro,nosuid,relatime", "/new/file rw,noexec,relatime", "/new/tmpfs rw,nodev,relatime"]
    assert box.exec("cat /new/folder/file /new/file").lines == ["of the host"] * 2
    assert box.exec("df -k /new/tmpfs | tail -1").out.split()[1] == "64"
    change(box, "remove", *rows)
    assert mounted(box) == before
    assert box.exec("cat /new/file").out == ""


def test_a_file_of_rows(box: Box, source: Path) -> None:
    box.start({}, "sleep 100")
    file = box.folder / "mounts.json"
    file.write_text(json.dumps([row("/new", source)]))
    box.pyrunc("mounts", "add", box.id, file)
    assert box.exec("cat /new/file").out == "of the host"
    box.pyrunc("mounts", "remove", box.id, file)
    assert box.exec("ls /new").out == ""


def test_a_source_below_the_bundle(box: Box) -> None:
    """A relative path is one of the bundle, as in config.json."""
    (box.bundle / "here").mkdir(mode=0o755)
    (box.bundle / "here/it").touch()
    box.start({}, "sleep 100")
    change(box, "add", row("/new", "here"))
    assert box.exec("ls /new").out == "it"


def test_created_and_paused(box: Box, source: Path) -> None:
    box.create({}, "cat /new/file; sleep 100")
    change(box, "add", row("/new", source))
    box.start()
    box.pyrunc("pause", box.id)
    change(box, "remove", row("/new"))
    change(box, "add", row("/later", source))
    box.pyrunc("resume", box.id)
    assert box.output() == "of the host\n"
    assert box.exec("ls /new; cat /later/file").out == "of the host"


def test_all_or_none(box: Box, source: Path) -> None:
    """Also what is mounted within what the same call has mounted is taken away again."""
    box.start({}, "sleep 100")
    before = mounted(box)
    rows = [row("/a", kind="tmpfs"), row("/a/b", source), row("/a/c", kind="nosuchfs")]
    error = change(box, "add", *rows, status=1).err
    assert error.startswith('pyrunc: /mounts/2: fsopen("nosuchfs"')
    assert mounted(box) == before


def test_a_filesystem_fills_itself(box: Box) -> None:
    """tmpcopyup, and `ro` behind it; when it fails, what was mounted before it goes."""
    (box.rootfs / "full").mkdir()
    (box.rootfs / "full/it").write_text("x" * 20000)
    box.start({}, "sleep 100")
    before = mounted(box)
    small = row("/full", "tmpfs", "tmpcopyup", "size=4k", kind="tmpfs")
    assert "/mounts/1" in change(box, "add", row("/a", kind="tmpfs"), small, status=1).err
    assert mounted(box) == before
    change(box, "add", row("/full", "tmpfs", "tmpcopyup", "ro", kind="tmpfs"))
    assert box.exec("cat /full/it").out == "x" * 20000
    assert "/full ro,relatime" in mounted(box)


def test_a_remount(box: Box, source: Path) -> None:
    box.start({"+mounts": [row("/new", source, "ro")]}, "sleep 100")
    change(box, "add", row("/new", "", "remount", "rw"))
    assert "/new rw,relatime" in mounted(box)


def test_what_is_on_top_goes_first(box: Box, source: Path) -> None:
    """Rows are removed from the last to the first, so that those of `add` serve."""
    box.start({}, "sleep 100")
    rows = [row("/new", kind="tmpfs"), row("/new/below", source)]
    change(box, "add", *rows)
    before = mounted(box)
    change(box, "add", row("/new", kind="tmpfs"))
    change(box, "remove", row("/new"))
    assert mounted(box) == before
    change(box, "remove", *rows)
    assert box.exec("ls /new").out == ""


def test_a_user_namespace(box: Box, source: Path) -> None:
    """A filesystem is the container's own; a source is what it is on the host."""
    os.chown(box.rootfs, BASE, BASE)
    box.start(USER, "sleep 100")
    change(box, "add", row("/own", kind="tmpfs"), row("/mapped", source, "idmap"), row("/plain", source))
    assert box.exec("stat -c %u /own /mapped/file /plain/file").lines == ["0", "0", "65534"]
    change(box, "remove", row("/own"), row("/mapped"))
    assert box.exec("ls -A /own /mapped").out == "/mapped:\n\n/own:"


def test_other_ids(box: Box, source: Path) -> None:
    """Mappings of the mount's own."""
    ids = [{"containerID": 0, "hostID": 5000, "size": 10}]
    box.start({}, "sleep 100")
    change(box, "add", row("/new", source) | {"uidMappings": ids, "gidMappings": ids})
    assert box.exec("stat -c %u:%g /new/file").out == "5000:5000"


def test_namespaces_of_a_filesystem(box: Box) -> None:
    """A sysfs shows the container's network, and not the caller's."""
    box.start({}, "sleep 100")
    change(box, "add", row("/new", "sysfs", kind="sysfs"), row("/queues", "mqueue", kind="mqueue"))
    assert box.exec("ls /new/class/net").out == "lo"


def test_symlinks_of_the_container_stay_in_it(box: Box, source: Path) -> None:
    """CVE-2019-18837, CVE-2021-30465: a destination is looked up beneath the container's root."""
    outside = box.folder / "outside"
    outside.mkdir()
    (box.rootfs / "link").symlink_to(f"../../../../../../../..{outside}")
    box.start({}, "sleep 100")
    change(box, "add", row("/link/new", source))
    assert list(outside.iterdir()) == []
    assert (box.rootfs / str(outside)[1:] / "new").is_dir()
    assert box.exec(f"cat {outside}/new/file").out == "of the host"
    change(box, "remove", row("/link/new"))
    assert box.exec(f"ls {outside}/new").out == ""


def test_a_container_without_procfs(box: Box, source: Path) -> None:
    """Nothing is looked up in the container's /proc, which may be another's work (CVE-2025-52881)."""
    (box.rootfs / "proc/self/fd").mkdir(parents=True)
    (box.rootfs / "proc/self/fd/40").symlink_to("/keep")
    box.start({"mounts": []}, "sleep 100")
    change(box, "add", row("/keep", kind="tmpfs"), row("/new", source))
    change(box, "remove", row("/new"))
    assert [line.split()[0] for line in mounted(box)] == ["/", "/keep"]


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([row("/proc2", "proc", kind="proc")], '/mounts/0/type: "proc" is mounted when a container is created'),
        ([row("/new", "cgroup", kind="cgroup")], '/mounts/0/type: "cgroup" is mounted when a container is created'),
        ([row("/proc/sys", kind="tmpfs")], "/mounts/0/destination: /proc/sys is inside /proc"),
        ([row("/new", kind="tmpfs"), row("/")], "/mounts/1/destination: is the root"),
        ([{"type": "tmpfs"}], "/mounts/0/destination: is required"),
        ([7], "/mounts/0: must be an object"),
        ([row("/new", "/not/here")], "/mounts/0: open_tree("),
    ],
    ids=range(7),
)
def test_rows_that_are_refused(box: Box, rows: list[object], error: str) -> None:
    box.start({}, "sleep 100")
    before = mounted(box)
    assert f"pyrunc: {error}" in change(box, "add", *rows, status=1).err
    assert mounted(box) == before
    assert not (box.rootfs / "new").exists()


def test_calls_that_are_refused(box: Box) -> None:
    rows = json.dumps([row("/new", kind="tmpfs")])

    def refused(*words: str, stdin: str = rows) -> str:
        return box.pyrunc("mounts", *words, status=1, stdin=stdin).err

    assert "does not exist" in refused("add", box.id, "-")
    box.start({}, "sleep 100")
    assert refused("move", box.id, "-") == 'pyrunc: "move" is none of: add, remove'
    assert '"mounts" requires exactly 3 argument(s)' in refused("add", box.id)
    assert refused("add", box.id, "-", stdin="{}") == "pyrunc: standard input: must be a JSON array"
    assert "invalid JSON at line 1, column 2" in refused("add", box.id, "-", stdin="[")
    assert refused("add", box.id, "-", stdin='[{"a": 1, "a": 2}]') == "pyrunc: /mounts/0/a: is given twice"
    assert refused("add", box.id, "/not/here") == "pyrunc: JSON specification file /not/here not found"
    assert "no mount" in refused("remove", box.id, "-", stdin=json.dumps([row("/bin")]))
    assert '"/new" is missing in the container' in refused("remove", box.id, "-")
    box.pyrunc("kill", box.id, "KILL")
    box.until("stopped")
    assert refused("add", box.id, "-") == "pyrunc: container not running"


def test_the_mounts_of_the_host_are_left_alone(box: Box) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    box.start({"mounts": [], "linux": {"namespaces": [{"type": "pid"}]}}, "sleep 100")
    error = change(box, "add", row("/new", kind="tmpfs"), status=1).err
    assert "unable to mount without a private MNT namespace" in error
    assert Path("/proc/self/mountinfo").read_text() == before


def test_an_ordinary_user(ordinary: Ordinary) -> None:
    """He binds what he can reach, with the rights of his user namespace."""
    folder = ordinary.bundle / "source"
    folder.mkdir()
    (folder / "file").write_text("his\n")
    os.chown(folder, UID, UID)
    ordinary.start({}, "sleep 100")
    rows = [row("/new", folder), row("/tmp/own", "tmpfs", "tmpcopyup", kind="tmpfs")]
    change(ordinary, "add", *rows)
    assert ordinary.exec("cat /new/file; stat -c %u /tmp/own").lines == ["his", "0"]
    change(ordinary, "remove", *rows)
    assert ordinary.exec("ls /new /tmp/own").out == "/new:\n\n/tmp/own:"


@pytest.mark.skipif("pids" not in controllers(), reason="needs the cgroup controller pids")
def test_the_limit_of_tasks_does_not_count(box: Box, source: Path) -> None:
    """The helper is not in the container's cgroup, whose one place is taken."""
    box.start({"linux": {"resources": {"pids": {"limit": 1}}}}, "sleep", "100")
    change(box, "add", row("/new", source))
    assert "/new rw,relatime" in mounted(box)
