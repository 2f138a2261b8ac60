# SPDX-License-Identifier: Apache-2.0
"""Fifos, devices and endless files of an image, mounts that leak, and lengths that overflow."""

import os
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.containers.box import Box, Patch, capabilities, namespaces, runtime

TMPFS = {"type": "tmpfs", "source": "tmpfs"}


def special(kind: str, path: Path) -> Any:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.close()
    elif kind == "device":
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(5, 1))
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "magic":
        path.symlink_to("/proc/self/fd/3")
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(1 << 40)
    elif kind == "lines":
        path.write_bytes(b"a:x:7:7::" + b"/" * 5_000_000 + b":/bin/sh\n" * 3)
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe:\x00:0:0::/bad\x00:\n" * 100)


SPECIAL = ["fifo", "socket", "device", "loop", "magic", "folder", "huge", "lines", "binary"]


@pytest.mark.parametrize("verb", ["run", "exec"])
@pytest.mark.parametrize("kind", SPECIAL)
def test_passwd_fifo(box: Box, kind: str, verb: str) -> None:
    """CVE-2022-23648 and its kind; runc and crun hang with a fifo. /etc/passwd of the image is no regular file, or has
    no end: the runtime neither blocks, nor opens a device, nor reads more than a megabyte; HOME is "/".
    """
    special(kind, box.rootfs / "etc/passwd")
    if verb == "run":
        assert box.run({}, "echo $HOME").out == "/"
    else:
        box.start({}, "sleep 100")
        assert box.exec("echo $HOME").out == "/"


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "loop", "magic"])
@pytest.mark.parametrize("what", ["bind folder", "bind file", "tmpfs", "mask", "readonly", "cwd"])
def test_mount_dest_special_files(box: Box, kind: str, what: str) -> None:
    """A fifo, a socket, a device or a symlink to itself lies where something is mounted. It is not opened, so nothing
    blocks: mounted on, or an error of that field; nothing is left.
    """
    special(kind, box.rootfs / "thing")
    (box.folder / "folder").mkdir()
    (box.folder / "file").write_text("file")
    patches: dict[str, Patch] = {
        "bind folder": {"+mounts": [{"destination": "/thing", "source": f"{box.folder}/folder", "options": ["bind"]}]},
        "bind file": {"+mounts": [{"destination": "/thing", "source": f"{box.folder}/file", "options": ["bind"]}]},
        "tmpfs": {"+mounts": [{"destination": "/thing/below", **TMPFS}]},
        "mask": {"linux": {"maskedPaths": ["/thing"]}},
        "readonly": {"linux": {"readonlyPaths": ["/thing"]}},
        "cwd": {"process": {"cwd": "/thing"}},
    }
    result = box.run(patches[what], "true", status=None)
    assert result.status == 0 or len(result.err.splitlines()) == 1
    box.check_clean()


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "folder"])
def test_program_special_files(box: Box, kind: str) -> None:
    """args[0] is a device or a fifo of the image. To say why it cannot be executed, the runtime does not open it: to
    open a watchdog is to start it.
    """
    path = box.rootfs / "program"
    special(kind, path)
    if kind != "folder":
        path.chmod(0o755)
    before = path.lstat().st_atime_ns
    box.refused({}, "/program", "x")
    assert path.lstat().st_atime_ns == before


def test_program_that_is_a_device_is_not_opened(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, at the calls that look into the container: nothing but O_PATH."""
    from pyrunc.process import look

    os.mknod(box.rootfs / "program", stat.S_IFCHR | 0o755, os.makedev(1, 3))
    box.create({}, "sleep", "100")
    opened: list[object] = []
    real = os.open

    def watch(path: str, flags: int, *rest: Any, **more: Any) -> int:
        opened.append(path if flags & os.O_PATH == 0 else None)
        return real(path, flags, *rest, **more)

    monkeypatch.setattr("posix.open", watch)
    view = look.View(box.pid)
    assert view.head("/program") is None
    view.close()
    assert not [path for path in opened if path is not None]


def test_mount_leak_host(box: Box) -> None:
    """(runc #2404, #4417.) Nothing that a container mounts reaches the host, though the host's tree is shared and the
    bundle lies on a shared mount; with and without a rootfsPropagation.
    """
    script = f"""
    mount --make-rshared / && mount --bind {box.folder} {box.folder} && mount --make-shared {box.folder}
    before=$(cat /proc/self/mountinfo | wc -l)
    "$@"
    status=$?
    [ $(cat /proc/self/mountinfo | wc -l) = $before ] || echo LEAK
    exit $status
    """
    mount = {"destination": "/tmp", **TMPFS}
    volume = {"destination": "/volume", "source": str(box.folder), "options": ["rbind"]}
    inside = "mount -t tmpfs x /root && mount -t tmpfs x /volume/bundle && sleep 0.1; echo done"
    for propagation in ("", "shared", "rshared", "slave", "private", "unbindable"):
        patch = {**capabilities(["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]), "+mounts": [mount, volume]}
        box.write({**patch, "linux": {"rootfsPropagation": propagation}}, inside)
        command = [runtime(), "--root", str(box.root), "run", "--bundle", str(box.bundle), box.id]
        result = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", *command], check=False, capture_output=True, text=True
        )
        assert result.stdout == "done\n", (propagation, result)


def test_no_pivot_hides_the_hosts_proc(box: Box) -> None:
    """--no-pivot leaves the host's mounts below the root. A process makes a user namespace, and a procfs in it without
    masks: the kernel allows that only where one without masks is in reach.
    """
    (box.rootfs / "tmp/p").mkdir()
    rights = capabilities(["CAP_SETFCAP"])  # to map its own root
    patch = {**rights, "linux": {"maskedPaths": ["/proc/kallsyms"], "readonlyPaths": ["/proc/sys"]}}
    attempt = "unshare -Urmpf sh -c 'mount -t proc proc /tmp/p && head -c1 /tmp/p/kallsyms'"
    for flags in ((), ("--no-pivot",)):
        result = box.run(patch, attempt, flags=flags, status=1)
        assert "mount: permission denied" in result.err, flags
        assert box.run(rights, attempt, flags=flags).out == "0", "the test would not see a procfs that can be mounted"


def test_cve_2021_43784_netlink_overflow(box: Box) -> None:
    """CVE-2021-43784. Lengths that overflow a 16-bit field: many id mappings, long paths, many mounts and arguments.
    The namespaces are there, or it is an error.
    """
    rows = namespaces("pid", "ipc", "uts", "mount", "user", network="/" + "x" * 70000)
    assert box.run(rows, "true", status=1).err
    many = [{"containerID": place, "hostID": 200000 + place, "size": 1} for place in range(250)]
    rows = namespaces("pid", "ipc", "uts", "mount", "user")
    rows["linux"] |= {"uidMappings": many, "gidMappings": many}
    os.chown(box.rootfs, 200000, 200000)
    show = "wc -l < /proc/self/uid_map; for n in pid ipc uts mnt user; do readlink /proc/self/ns/$n; done"
    lines = box.run(rows, show).lines
    assert lines[0] == "250"
    own = [os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "ipc", "uts", "mnt", "user")]
    assert not set(lines[1:]) & set(own)
    os.chown(box.rootfs, 0, 0)
    mount = {"destination": "/tmp", **TMPFS}
    for count in (300, 3000):
        result = box.run({"+mounts": [mount] * count}, "true", status=None)
        assert result.status in (0, 1)
        box.check_clean()
    for size in (70_000, 200_000):
        result = box.run({}, "echo", "x" * size, status=None)
        assert result.out == "x" * size or len(result.err.splitlines()) == 1
