# SPDX-License-Identifier: Apache-2.0
"""The root file system of a container: a static busybox, its applets as links, and the guest when it could be built."""

import os
import pathlib
import shutil
import subprocess

APPLETS = (
    "arch cat chmod chown chrt chroot cp cut date dd df dirname echo env false find grep head hostname id ifconfig "
    "ionice ip kill ln ls mkdir mkfifo mknod mount mv nc nice od printf ps pwd readlink rm rmdir sed seq sh sleep "
    "sort stat stty sync tail tee test touch tr true tty umount uname unshare wc xargs"
)
FOLDERS = ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "m", "data")


class Kit:
    """What every root file system is made of. no_guest: why there is no guest program; "" when there is."""

    def __init__(self, folder: pathlib.Path, busybox: str, guest: str, no_guest: str) -> None:
        self.busybox = folder / "busybox"
        self.guest = folder / "guest"
        self.no_guest = no_guest
        for source, target in ((busybox, self.busybox), (guest, self.guest)):
            if source:
                shutil.copyfile(source, target)
                target.chmod(0o755)

    def make(self, rootfs: pathlib.Path) -> None:
        """A new root, of hard links."""
        rootfs.mkdir(mode=0o755)
        for name in FOLDERS:
            (rootfs / name).mkdir(mode=0o755)
        _link(self.busybox, rootfs / "bin/busybox")
        for name in APPLETS.split():
            os.symlink("busybox", rootfs / "bin" / name)
        if not self.no_guest:
            _link(self.guest, rootfs / "bin/guest")


def _link(source: pathlib.Path, target: pathlib.Path) -> None:
    """A hard link, or a copy where that is another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def find_busybox() -> str:
    """A static busybox of this machine, or ""."""
    for name in ("busybox.static", "busybox-static", "busybox"):
        path = shutil.which(name)
        if path and is_static(path):
            return path
    return ""


def is_static(path: str) -> bool:
    """Whether an ELF program asks for no interpreter."""
    with open(path, "rb") as file:
        return b"ld-linux" not in (head := file.read(4096)) and b"ld-musl" not in head and head[:4] == b"\x7fELF"


def build(folder: pathlib.Path) -> tuple[str, str]:
    """The guest program, compiled into a folder: its path, or why there is none."""
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if not compiler:
        return "", "the guest program is not built: no C compiler, and no --guest"
    source, target = pathlib.Path(__file__).parent / "guest.c", folder / "guest"
    command = [compiler, "-static", "-O1", "-o", str(target), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        return "", f"the guest program is not built: {(built.stderr.splitlines() or ['?'])[0]}"
    return str(target), ""
