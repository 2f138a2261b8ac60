# SPDX-License-Identifier: Apache-2.0
"""The disk of the virtual machine: a Debian root, what Python needs in it, and a file system made of both.

Everything is in the ignored folder .vm of the checkout. A step is done again only when what it is made from changed.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
FOLDER = CHECKOUT / ".vm"
ROOT = FOLDER / "root"
DISK = FOLDER / "disk.img"
KERNEL = FOLDER / "vmlinuz"
INITRD = FOLDER / "initrd.img"
KEY = FOLDER / "key"
LOG = FOLDER / "build.log"
SUITE = "trixie"
DISK_SIZE = "16G"
PREFIX = "/usr/local/lib/pyrunc"
"""Where `make install` puts pyrunc; here the tests and what they need are beside it."""
USER = "tester"
PROGRAMS = ("mmdebstrap", "mkfs.ext4", "qemu-system-x86_64", "qemu-img", "ssh", "ssh-keygen")
MIRROR = "http://deb.debian.org/debian"
NO_WHEEL = ("python-prctl",)
"""Dependencies that PyPI has as source only."""
TEST_PACKAGES = ("pytest", "hypothesis", "hatchling")

DISABLED = (
    *("docker.service", "docker.socket", "containerd.service", "podman.service", "podman.socket"),
    *("podman-auto-update.timer", "podman-restart.service", "apt-daily.timer", "apt-daily-upgrade.timer"),
    *("e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "dpkg-db-backup.timer", "man-db.timer"),
)
"""Services that would make an emulated start longer; a test starts what it needs."""

MASKED = ("systemd-networkd-wait-online.service", "systemd-firstboot.service", "tmp.mount")
"""No waiting for a network that is not there; /tmp is on the disk, with the space and the xattrs of a disk."""
APPARMOR = (
    "abi",
    "abstractions",
    "tunables",
    "local",
    "runc",
    "crun",
    "podman",
    "buildah",
    "slirp4netns",
    "passt",
    "pasta",
)
"""What is kept of /etc/apparmor.d: to load a hundred profiles for desktops takes 40 s in emulation."""

FILES = {
    "etc/hostname": "pyrunc-vm\n",
    "etc/hosts": "127.0.0.1 localhost pyrunc-vm\n::1 localhost\n",
    "etc/fstab": (
        "/dev/vda / ext4 rw,noatime 0 0\n"
        "checkout /mnt/checkout 9p ro,trans=virtio,version=9p2000.L,msize=524288,nofail,x-systemd.automount 0 0\n"
    ),
    "etc/systemd/network/10-all.network": "[Match]\nName=en*\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n",
    "etc/ssh/sshd_config.d/vm.conf": "UseDNS no\nMaxStartups 100\nMaxSessions 100\n",
    "etc/systemd/system.conf.d/vm.conf": "[Manager]\nDefaultTimeoutStopSec=15s\nShowStatus=no\n",
    "etc/systemd/journald.conf.d/vm.conf": "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n",
    # criu without breakpoints of the processor, by a switch of its own: for them the kernel changes its code while it
    # runs, and of that an emulated one with two processors has died
    "usr/local/sbin/criu": '#!/bin/sh\nCRIU_FAULT=130 exec /usr/sbin/criu "$@"\n',
    "root/.profile": "export PATH=/usr/local/lib/pyrunc/bin:/usr/local/bin:$PATH\ncd /opt/pyrunc\n",
}


class BuildError(Exception):
    """One line that says what is missing or failed."""


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is done, and how long it took."""
    print(f"vm: {what} ...", flush=True)
    start = time.monotonic()
    try:
        yield
    except BaseException:
        print(f"vm: {what}: failed after {time.monotonic() - start:.0f} s", flush=True)
        raise
    print(f"vm: {what}: {time.monotonic() - start:.0f} s", flush=True)


def run(*argv: object, **environment: str) -> None:
    """A program whose words go to the log; the last of them are shown when it fails."""
    words = [str(word) for word in argv]
    with LOG.open("ab") as log:
        log.write(f"$ {' '.join(words)}\n".encode())
        log.flush()
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **environment}, check=False
        )
    if done.returncode:
        tail = LOG.read_text("utf-8", "replace").splitlines()[-15:]
        raise BuildError("\n".join([*tail, f"{words[0]} ended with status {done.returncode}; all of it: {LOG}"]))


def missing() -> list[str]:
    """What this machine needs and does not have."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    lacks = [program for program in PROGRAMS if not shutil.which(program, path=path)]
    return lacks if os.geteuid() == 0 else [*lacks, "root (a root file system has files of many users)"]


def mirror() -> str:
    """The URI from which this machine has its own Debian packages."""
    sources = Path("/etc/apt")
    for file in (sources / "sources.list", *sorted(sources.glob("sources.list.d/*"))):
        if file.suffix not in {".list", ".sources"} or not file.exists():
            continue
        for word in file.read_text("utf-8", "replace").split():
            if "://" in word and word.rstrip("/").endswith("/debian") and "security" not in word:
                return word
    return MIRROR


def packages() -> list[str]:
    lines = (HERE / "packages.txt").read_text("utf-8").splitlines()
    return [word for line in lines if not line.startswith("#") for word in line.split()]


def requirements() -> list[str]:
    """What pyrunc and its tests need of PyPI, from pyproject.toml; not the linters."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))
    tests = [row for row in project["dependency-groups"]["dev"] if row.startswith(TEST_PACKAGES)]
    return [*project["project"]["dependencies"], *tests, "pip>=25.1", "setuptools"]


def digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def chroot(*argv: str) -> None:
    clean = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root")
    run("chroot", ROOT, *clean, *argv)


def make_root() -> None:
    """A root with every package, its users, and its settings."""
    shutil.rmtree(ROOT, ignore_errors=True)
    run(
        *("mmdebstrap", "--mode=root", "--variant=apt", "--skip=cleanup/reproducible"),
        *('--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=Apt::Install-Recommends "false"'),
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "info", "locale")),
        *(f"--include={','.join(packages())}", SUITE, str(ROOT), mirror()),
        SOURCE_DATE_EPOCH="",
    )
    for name, text in FILES.items():
        file = ROOT / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if text.startswith("#!"):
            file.chmod(0o755)
    for name in ("mnt/checkout", "opt/pyrunc", "var/lib/systemd/linger"):
        (ROOT / name).mkdir(parents=True, exist_ok=True)
    chroot("useradd", "--create-home", "--shell", "/bin/bash", "--uid", "1000", USER)
    (ROOT / "var/lib/systemd/linger" / USER).touch()
    chroot("passwd", "--delete", "root")
    chroot("systemctl", "enable", "systemd-networkd.service", "ssh.service")
    chroot("systemctl", "mask", *MASKED)
    for path in (ROOT / "etc/apparmor.d").iterdir():
        if path.is_file() and path.name.removeprefix("usr.bin.") not in APPARMOR:
            path.unlink()
    for unit in DISABLED:
        chroot("sh", "-c", f"systemctl disable {unit} || true")


def allow_key() -> None:
    """The machine accepts this folder's key, for root and for the ordinary user."""
    for home, owner in (("root", 0), (f"home/{USER}", 1000)):
        folder = ROOT / home / ".ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(KEY.with_suffix(".pub"), folder / "authorized_keys")
        for path in (folder, folder / "authorized_keys"):
            os.chown(path, owner, owner)


def make_python(needed: Sequence[str]) -> None:
    """A virtual environment with all that pyrunc and its tests need. The machine itself has no network."""
    version = (ROOT / "usr/bin/python3").readlink().name.removeprefix("python")
    wheels = ROOT / "opt/wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    shutil.rmtree(ROOT / PREFIX[1:], ignore_errors=True)
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(wheels))
    source = [row for row in needed if row.startswith(NO_WHEEL)]
    run(*pip, "--only-binary=:all:", "--python-version", version, *(row for row in needed if row not in source))
    if source:
        run(*pip, "--no-deps", "--no-binary", ",".join(NO_WHEEL), *source)
    own = f"{PREFIX}/bin/pip"
    offline = ("install", "--quiet", "--no-index", "--find-links", "/opt/wheels", "--no-build-isolation")
    chroot("python3", "-m", "venv", PREFIX)
    chroot(own, *offline, "--upgrade", "pip", "setuptools")
    chroot(own, *offline, *needed)
    link = ROOT / "usr/local/bin/pyrunc"
    link.unlink(missing_ok=True)
    link.symlink_to("../lib/pyrunc/bin/pyrunc")


def make_disk() -> None:
    """The file system. It is renamed into place: a machine that runs keeps the one that it was started from."""
    for name, target in (("vmlinuz", KERNEL), ("initrd.img", INITRD)):
        shutil.copy(ROOT / name, target)
    fresh = DISK.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    run("mkfs.ext4", "-q", "-F", "-L", "pyrunc-vm", "-E", "lazy_itable_init=1", "-d", ROOT, fresh, DISK_SIZE)
    fresh.rename(DISK)


def build() -> None:
    """Do every step whose product is not there or not made from what there is now."""
    if lacks := missing():
        raise BuildError(f"missing: {', '.join(lacks)}")
    os.environ["PATH"] = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    FOLDER.mkdir(exist_ok=True)
    if not KEY.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "pyrunc-vm", "-f", KEY)
    needed = requirements()
    root = digest(SUITE, packages(), FILES, DISABLED, MASKED, APPARMOR, USER)
    key = digest(root, KEY.with_suffix(".pub").read_text())
    python = digest(key, needed, PREFIX)
    steps = (
        (f"Debian {SUITE} with {len(packages())} packages and what they need", root, make_root),
        ("key for ssh", key, allow_key),
        ("Python packages", python, lambda: make_python(needed)),
        (f"disk of {DISK_SIZE}", digest(python, DISK_SIZE), make_disk),
    )
    LOG.unlink(missing_ok=True)
    stamps = FOLDER / "stamps.json"
    done = json.loads(stamps.read_text()) if stamps.exists() else []
    for index, (what, made_from, make) in enumerate(steps):
        if done[index : index + 1] == [made_from]:
            continue
        stamps.write_text(json.dumps(done[:index]))
        with step(what):
            make()
        done = [*done[:index], made_from]
        stamps.write_text(json.dumps(done))
    print(f"vm: ready, {DISK}")
