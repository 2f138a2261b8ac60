# SPDX-License-Identifier: Apache-2.0
"""Part A2: the image's symlinks, special files and mounts against mount points, devices, masks, /proc and cgroups."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.containers.box import Box, Patch, is_v2, namespaces
from tests.containers.leaks import mounts

TMPFS = {"type": "tmpfs", "source": "tmpfs"}
PROC_ONLY: Patch = {"mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}]}


def link_to(box: Box, inside: str, host: Path) -> None:
    """A symlink of the image to a folder of the host by its path on the host, and by many `..`."""
    path = box.rootfs / inside
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.symlink_to(host)


@pytest.mark.parametrize("target", ["{}", "../../../../../../../../../..{}", "/proc/self/root{}", "/proc/1/root/{}"])
@pytest.mark.parametrize("kind", ["tmpfs", "bind", "file"])
def test_cve_2019_18837_mount_dest_symlink(box: Box, canary: Path, target: str, kind: str) -> None:
    """CVE-2019-18837, CVE-2017-1002101. A part of a mount's destination is a symlink of the image to a folder of the
    host. Nothing is made in it, and nothing mounted on it; within the container's root the symlink means what it says.
    """
    (box.rootfs / "link").symlink_to(target.format(canary))
    source = box.folder / "source"
    source.mkdir()
    (source / "inside").write_text("inside")
    mount: Patch = {"destination": "/link/made/here", **TMPFS}
    if kind != "tmpfs":
        mount = {"destination": "/link/made/here", "source": str(source), "options": ["bind"]}
    if kind == "file":
        mount["source"] += "/inside"
    before = mounts(box.folder)
    result = box.run({"+mounts": [mount]}, "ls -d /link/made/here", status=None)
    assert result.status == 0 or "/mounts/3" in result.err
    assert mounts(box.folder) == before


def test_mount_dest_symlink_scoped_visible(box: Box, canary: Path) -> None:
    """(CVE-2019-18837.) The counterpart: an absolute symlink is taken within the root, and the mount is seen there."""
    (box.rootfs / "target").mkdir()
    (box.rootfs / "link").symlink_to("/target")
    mount = {"destination": "/link", **TMPFS}
    assert box.run({"+mounts": [mount]}, "grep -c ' /target ' /proc/self/mountinfo").out == "1"
    assert box.run({"+mounts": [mount]}, "cd /link && cd ../.. && pwd").out == "/"


@pytest.mark.parametrize(
    "path", ["/link/evil", "/dev/link/evil", "/a/../link/evil", "/link/../../evil", "/..", "/dev/.."]
)
def test_device_path_escape(box: Box, canary: Path, path: str) -> None:
    """A device's path goes through a symlink of the image to a folder of the host, or by `..`: no node is
    made there.
    """
    (box.rootfs / "link").symlink_to(canary)
    (box.rootfs / "dev/link").symlink_to(canary)
    device = {"path": path, "type": "c", "major": 1, "minor": 3, "fileMode": 0o666, "uid": 5, "gid": 5}
    box.run({**PROC_ONLY, "linux": {"devices": [device]}}, "true", status=None)


@pytest.mark.parametrize("node", ["file", "symlink", "folder", "other", "fifo"])
def test_device_that_is_there(box: Box, canary: Path, node: str) -> None:
    """Something lies where a device is to be made. Only the very device is taken: a file's device number is 0, as crun
    and runc 1.1.5 found; nothing else is given away by chown.
    """
    path = box.rootfs / "dev/wanted"
    if node == "file":
        path.write_text("")
    elif node == "symlink":
        path.symlink_to("/etc/passwd")
        (box.rootfs / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    elif node == "folder":
        path.mkdir()
    elif node == "fifo":
        path.write_text("")  # as rdev 0 as the fifo that is wanted
    else:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    device = {"path": "/dev/wanted", "type": "c", "major": 1, "minor": 3, "uid": 1000, "gid": 1000}
    if node == "fifo":
        device = {"path": "/dev/wanted", "type": "p", "uid": 1000, "gid": 1000}
    error = box.refused({**PROC_ONLY, "linux": {"devices": [device]}}, "true")
    assert "/linux/devices/0" in error
    assert (box.rootfs / "etc/passwd").stat().st_uid == 0 if node == "symlink" else path.lstat().st_uid == 0


@pytest.mark.parametrize("source", ["tmpfs", "folder"])
def test_cve_2019_16884_proc_volume(box: Box, source: str) -> None:
    """CVE-2019-16884. The image has a volume on /proc: labels and limits would be written to its files. Refused, as it
    is no procfs.
    """
    fake = box.folder / "fake"
    (fake / "self/attr").mkdir(parents=True)
    mount: Patch = {"destination": "/proc", **TMPFS}
    if source == "folder":
        mount = {"destination": "/proc", "source": str(fake), "options": ["rbind"]}
    assert "/mounts/0" in box.refused({"mounts": [mount]}, "true")


@pytest.mark.parametrize("how", ["proc", "bind"])
def test_cve_2019_19921_proc_symlink(box: Box, canary: Path, how: str) -> None:
    """CVE-2019-19921, CVE-2023-27561. rootfs/proc is a symlink, so that /proc is mounted elsewhere than it seems."""
    (box.rootfs / "evil").mkdir()
    for target in ("/evil", str(canary), "evil/missing"):
        shutil.rmtree(box.rootfs / "proc", ignore_errors=True)
        (box.rootfs / "proc").unlink(missing_ok=True)
        (box.rootfs / "proc").symlink_to(target)
        mount: Patch = {"destination": "/proc", "type": "proc", "source": "proc"}
        if how == "bind":
            mount = {"destination": "/proc", "type": "none", "source": "/proc", "options": ["rbind"]}
        assert "/mounts/0" in box.refused({"mounts": [mount]}, "true")


@pytest.mark.parametrize("how", ["sysfs", "bind"])
def test_cve_2023_28642_sys_symlink(box: Box, canary: Path, how: str) -> None:
    """CVE-2023-28642. The same for /sys."""
    shutil.rmtree(box.rootfs / "sys")
    (box.rootfs / "evil").mkdir()
    (box.rootfs / "sys").symlink_to("/evil")
    mount: Patch = {"destination": "/sys", "type": "sysfs", "source": "sysfs"}
    if how == "bind":
        mount = {"destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind"]}
    assert "/mounts/3" in box.refused({"+mounts": [mount]}, "true")


INSIDE_PROC = [
    "/proc/self/attr",
    "/proc/sys",
    "/proc/sys/net/ipv4",
    "/proc/1",
    "/proc/sysrq-trigger",
    "/proc/../proc/sys",
]


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("destination", INSIDE_PROC)
def test_cve_2025_52881_mount_inside_proc(box: Box, destination: str, link: bool) -> None:
    """CVE-2025-52881, CVE-2023-27561. A volume inside /proc, by its name, or by a symlink of the image: refused."""
    source = box.folder / "fake"
    if destination.endswith("trigger"):
        source.write_text("")
    else:
        source.mkdir()
    if link:
        (box.rootfs / "data").symlink_to(destination)
        destination = "/data"
    mount = {"destination": destination, "source": str(source), "options": ["bind"]}
    assert "/mounts/3" in box.refused({"+mounts": [mount]}, "true")
    if source.is_dir():
        assert "/mounts/3" in box.refused({"+mounts": [{"destination": destination, **TMPFS}]}, "true")


def test_lxcfs_may_mount_its_files(box: Box) -> None:
    """The counterpart: what lxcfs offers may lie in /proc, as runc allows."""
    source = box.folder / "uptime"
    source.write_text("1.00 1.00\n")
    mount = {"destination": "/proc/uptime", "source": str(source), "options": ["bind"]}
    assert box.run({"+mounts": [mount]}, "cat /proc/uptime").out == "1.00 1.00"


def test_cve_2025_52881_proc_overmount_sysctl(box: Box) -> None:
    """CVE-2025-52881. A file of the attacker's lies over a sysctl: what is written there would be a write to his file,
    which may be another sysctl of the host. It goes to the right one, by a procfs that nothing lies over; also without
    any /proc.
    """
    fake = box.folder / "fake"
    fake.write_text("0")
    mount = {"destination": "/proc/sys/kernel/domainname", "source": str(fake), "options": ["bind"]}
    patch = {"+mounts": [mount], "linux": {"sysctl": {"net.ipv4.ip_forward": "1", "kernel.domainname": "right"}}}
    box.create(patch, "true")
    enter = [
        "nsenter",
        "-t",
        str(box.pid),
        "-u",
        "-n",
        "cat",
        "/proc/sys/kernel/domainname",
        "/proc/sys/net/ipv4/ip_forward",
    ]
    assert subprocess.run(enter, check=True, capture_output=True, text=True).stdout == "right\n1\n"
    assert fake.read_text() == "0"
    box.delete("--force")
    box.run({"mounts": None, "linux": {"sysctl": {"net.ipv4.ip_forward": "1"}}}, "true")


BAD_SYSCTLS = (
    *("net/../kernel/core_pattern", "net/ipv4/../../kernel/core_pattern", "net..kernel.core_pattern", "../net/ipv4"),
    *("/proc/sys/net/ipv4/ip_forward", "net/ipv4/ip_forward/", "net./kernel/core_pattern", "kernel.core_pattern"),
    *(
        "kernel/core_pattern",
        "kernel.pid_max",
        "net",
        "fs.mqueue/../../kernel/pid_max",
        "net\nkernel",
        "vm.panic_on_oom",
        "",
    ),
)


@pytest.mark.parametrize("name", BAD_SYSCTLS, ids=repr)
def test_sysctl_name_traversal(box: Box, name: str) -> None:
    """A sysctl's name has `..`, is absolute, or is the host's: refused, and the host's stay."""
    watched = [Path("/proc/sys/kernel") / file for file in ("core_pattern", "pid_max")]
    before = [path.read_text() for path in watched]
    same = watched["pid_max" in name].read_text().strip()  # harmless even to a runtime that writes it
    assert "/linux/sysctl" in box.refused({"linux": {"sysctl": {name: same}}}, "true")
    assert [path.read_text() for path in watched] == before


def test_sysctl_of_a_shared_namespace(box: Box) -> None:
    """A sysctl of the network is the host's where the container has no network namespace, or the host's own by path."""
    ttl = Path("/proc/sys/net/ipv4/ip_default_ttl")
    before = ttl.read_text()
    patch = {"linux": {"sysctl": {"net.ipv4.ip_default_ttl": before.strip()}}}
    for rows in (namespaces("pid", "mount"), namespaces("pid", "mount", network="/proc/self/ns/net")):
        assert "/linux/sysctl" in box.refused({"linux": {**patch["linux"], **rows["linux"]}}, "true")
    assert ttl.read_text() == before


@pytest.mark.parametrize("fake", ["symlink", "file", "missing", "device"])
def test_cve_2025_31133_masked_dev_null(box: Box, fake: str) -> None:
    """CVE-2025-31133. The image's /dev/null is a symlink to a file of /proc, an ordinary file, another device, or
    missing. A mask is the host's /dev/null whatever lies there: what is masked reads as empty, and nothing becomes
    writable.
    """
    null = box.rootfs / "dev/null"
    if fake == "symlink":
        null.symlink_to("/proc/sys/kernel/core_pattern")
    elif fake == "file":
        null.write_text("fake")
    elif fake == "device":
        os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    bind = {"destination": "/dev", "source": str(box.rootfs / "dev"), "options": ["bind"]}
    patch = {
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, bind],
        "linux": {"maskedPaths": ["/proc/kallsyms", "/etc/secret"]},
    }
    (box.rootfs / "etc/secret").write_text("secret")
    show = "stat -c '%t:%T %F' /proc/kallsyms /etc/secret; cat /proc/kallsyms /etc/secret | wc -c"
    assert box.run(patch, show).lines == ["1:3 character special file"] * 2 + ["0"]


def test_masked_readonly_effective(box: Box) -> None:
    """Masks and read-only paths hold, for folders, files, and by symlinks of the image; a mask cannot be written to."""
    (box.rootfs / "etc/folder").mkdir()
    (box.rootfs / "etc/folder/secret").write_text("secret")
    (box.rootfs / "etc/alias").symlink_to("/etc/folder")
    (box.rootfs / "data").mkdir()
    (box.rootfs / "data/file").write_text("kept")
    linux = {"maskedPaths": ["/etc/alias", "/etc/missing", "/proc/kallsyms"], "readonlyPaths": ["/data", "/proc/sys"]}
    attempts = (
        "ls -A /etc/folder; touch /etc/folder/x; echo x > /proc/kallsyms; echo x > /data/file; touch /data/y;"
        " echo x > /proc/sys/kernel/hostname; umount /etc/folder; mount -o remount,rw /data; cat /data/file"
    )
    result = box.run({"linux": linux}, attempts)
    assert result.out == "kept"
    assert len(result.err.splitlines()) == 6


def test_cve_2025_52565_console_pts(box: Box, canary: Path) -> None:
    """CVE-2025-52565. The container has another file system on /dev/pts, with a "ptmx" and a "0" of the attacker: the
    terminal would be looked for there by name, and its owner changed. It must be a devpts: refused.
    """
    fake = box.folder / "fake"
    fake.mkdir()
    for name in ("ptmx", "0"):
        (fake / name).symlink_to(canary / "file")
    (fake / "pts").mkdir()
    for real in (False, True):
        if real:  # the kernel takes the devpts beside it
            (fake / "ptmx").unlink()
            os.mknod(fake / "ptmx", stat.S_IFCHR | 0o666, os.makedev(5, 2))
        mount = {"destination": "/dev/pts", "source": str(fake), "options": ["bind"]}
        pts = {"destination": "/dev/pts/pts", "type": "devpts", "source": "devpts"}
        rows = [PROC_ONLY["mounts"][0], mount, pts]
        patch = {"mounts": rows, "process": {"terminal": True, "user": {"uid": 7, "gid": 7}}}
        assert "/process/terminal" in box.refused(patch, "true")


@pytest.mark.parametrize("target", ["{}/file", "{}/new", "../../../../../../../..{}/file"])
def test_cve_2026_88264_console_symlink(box: Box, canary: Path, target: str) -> None:
    """CVE-2026-88264. /dev/console of the image is a symlink to a file of the host: it is neither made nor covered."""
    (box.rootfs / "dev/console").symlink_to(target.format(canary))
    shutil.rmtree(box.rootfs / "dev/pts", ignore_errors=True)
    patch = {"mounts": [PROC_ONLY["mounts"][0], {"destination": "/dev/pts", "type": "devpts", "source": "devpts"}]}
    before = mounts(box.folder)
    box.run({**patch, "process": {"terminal": True}}, "true", status=None)
    assert mounts(box.folder) == before


@pytest.mark.parametrize("how", ["absolute", "climbing", "volume"])
def test_cve_2026_41579_dev_symlink(box: Box, canary: Path, how: str) -> None:
    """CVE-2026-41579. rootfs/dev is a symlink to a folder of the host that has a "ptmx": no node and no link is made
    there, and its ptmx stays.
    """
    (canary / "ptmx").write_text("the host's")
    target = {"absolute": str(canary), "climbing": f"../../../../../../..{canary}", "volume": "/proc/self/root/dev"}[
        how
    ]
    shutil.rmtree(box.rootfs / "dev")
    (box.rootfs / "dev").symlink_to(target)
    box.run(PROC_ONLY, "true", status=None)
    assert (canary / "ptmx").read_text() == "the host's"
    assert sorted(path.name for path in canary.iterdir()) == ["file", "inner", "ptmx"]
    (canary / "ptmx").unlink()


def test_dev_ptmx_symlink(box: Box, canary: Path) -> None:
    """/dev/ptmx and the standard links of the image are symlinks to the host: replaced or left, never followed."""
    for name in ("ptmx", "fd", "stdin", "core"):
        (box.rootfs / "dev" / name).symlink_to(canary / "file")
    assert box.run(PROC_ONLY, "readlink /dev/ptmx").out == "pts/ptmx"


def test_cve_2026_88265_dev_null_reopen(box: Box, canary: Path) -> None:
    """CVE-2026-88265. stdin is the host's /dev/null, and the image's /dev/null a symlink to a file: nothing is opened
    again by name, and the host's device keeps its owner. A user's other streams are given to him.
    """
    (box.rootfs / "dev/null").symlink_to("/etc/passwd")
    (box.rootfs / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    bind = {"destination": "/dev", "source": str(box.rootfs / "dev"), "options": ["bind"]}
    null = os.stat("/dev/null")
    with open("/dev/null") as stdin:
        box.write(
            {"mounts": [PROC_ONLY["mounts"][0], bind], "process": {"user": {"uid": 1000, "gid": 1000}}},
            "stat -L -c %t /proc/self/fd/0",
        )
        process = box.spawn("run", "--bundle", box.bundle, box.id, stdin=stdin)
        assert process.communicate()[0] == "1\n"
    after = os.stat("/dev/null")
    assert (after.st_uid, after.st_gid, after.st_mode) == (null.st_uid, null.st_gid, null.st_mode)
    assert (box.rootfs / "etc/passwd").stat().st_uid == 0


@pytest.mark.parametrize("private", [True, False])
def test_cve_2023_25809_cgroup_ro(box: Box, private: bool) -> None:
    """CVE-2023-25809. A cgroup mount with `ro` is read-only in each hierarchy, with a cgroup namespace and without."""
    mount = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid"]}
    rows = namespaces("pid", "ipc", "uts", "mount", *(("cgroup",) if private else ()))
    tries = (
        "find /sys/fs/cgroup -maxdepth 1 -type d | while read d; do mkdir $d/evil 2>&1 || true; done;"
        " grep -c cgroup /proc/self/mountinfo"
    )
    result = box.run({**rows, "+mounts": [mount]}, tries)
    *refusals, count = result.lines
    assert int(count) >= (1 if is_v2() else 3)
    assert all("Read-only file system" in line for line in refusals)
    assert len(refusals) >= int(count) - 1
    lines = box.run({**rows, "+mounts": [mount]}, "cat /proc/self/mountinfo").lines
    assert all("ro," in line.split()[5] + "," for line in lines if " - cgroup" in line)


@pytest.mark.parametrize(
    "path", ["../evil", "/../evil", "/a/../../evil", "a/..", "/a\nb", "/", "//", "/.", "..", "\x7f"], ids=repr
)
def test_cgroup_path_escape(box: Box, path: str) -> None:
    """linux.cgroupsPath with `..`, a newline, or the root itself, in which all processes of the host are."""
    assert "/linux/cgroupsPath" in box.refused({"linux": {"cgroupsPath": path}}, "true")


@pytest.mark.parametrize("path", ["..", "../..", "/..", "a/../..", "/../../", "x\ny", "\x00"[:0] + "./../x"], ids=repr)
def test_exec_cgroup_escape(box: Box, path: str) -> None:
    """(crun 1.29.) exec --cgroup stays below the container's cgroup."""
    box.start({}, "sleep 100")
    controllers = ("", "pids:") if not is_v2() else ("",)
    for controller in controllers:
        result = box.exec("cat /proc/self/cgroup", flags=("--cgroup", controller + path), status=255)
        assert result.out == ""


def test_exec_cgroup_is_below(box: Box) -> None:
    """(crun 1.29.) The counterpart: a cgroup of the container's is entered, and an absolute path is taken
    from there.
    """
    box.start({}, "sleep 100")
    below = box.cgroup("" if is_v2() else "pids") / "inner"
    below.mkdir()
    word = "inner" if is_v2() else "pids:inner"
    try:
        for path in (word, word.replace("inner", "/inner")):
            out = box.exec("cat /proc/self/cgroup", flags=("--cgroup", path)).lines
            assert any(line.endswith("/inner") for line in out)
    finally:
        below.rmdir()
