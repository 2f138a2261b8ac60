# SPDX-License-Identifier: Apache-2.0
"""A virtual machine that runs, on an overlay that leaves the disk as it is, with a port of this host for its ssh."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.bed import build

SECONDS = 900
"""Until a start must have come to a login; 30 are usual where nothing else runs."""
KERNEL_LINE = "root=/dev/vda rw console=ttyS0 quiet mitigations=off psi=1 apparmor=1 tsc=reliable panic=-1"
"""tsc: no change of clocks while two emulated processors read one, which QEMU 7.2 does not survive each time; panic:
ends qemu, so that one sees it."""
CPU = "Nehalem"
"""`docker run` takes 8 s on it, and 10 with all that QEMU can emulate: wide vectors, five levels of page tables."""
TRIES = 3
SETTINGS = (
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "LogLevel=ERROR",
    "ConnectTimeout=120",
    "ServerAliveInterval=60",
)


class MachineError(Exception):
    """One line that says what the machine did not do."""


class Machine:
    """name: its folder in .vm/machines, which has its overlay, console, pid and port. It may run already."""

    def __init__(self, name: str = "default") -> None:
        self.name = name
        self.folder = build.FOLDER / "machines" / name
        self.overlay = self.folder / "overlay.qcow2"
        self.console = self.folder / "console.log"

    def _number(self, file: str) -> int:
        path = self.folder / file
        return int(path.read_text()) if path.exists() else 0

    @property
    def pid(self) -> int:
        """Of its qemu, or 0: the pid of a qemu that ended may be another process by now."""
        pid = self._number("pid")
        with contextlib.suppress(OSError):
            if pid and str(self.overlay).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return 0

    def start(self, memory: str = "4G", processors: int = 2) -> None:
        """Start it and wait until it lets one in. An emulated kernel that panics before is started again."""
        if self.pid:
            raise MachineError(f"{self.name} runs already, as process {self.pid}")
        for _ in range(TRIES):
            if self._boot(memory, processors):
                return
            self.stop()
        raise MachineError(f"{self.name} did not come to a login; its console: {self.console}")

    def _boot(self, memory: str, processors: int) -> bool:
        """Whether it came to a login."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        base = ("-b", str(build.DISK), "-F", "raw", str(self.overlay))
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *base], check=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        subprocess.run(self._qemu(port, memory, processors), check=True)
        (self.folder / "port").write_text(str(port))
        deadline = time.monotonic() + SECONDS
        while self.pid and time.monotonic() < deadline:
            if self._answers(port) and self.call("true").returncode == 0:
                return True
            time.sleep(0.5)
        return False

    def _qemu(self, port: int, memory: str, processors: int) -> list[str]:
        share = f"local,path={build.CHECKOUT},mount_tag=checkout,security_model=none,readonly=on"
        return [
            *("qemu-system-x86_64", "-name", f"pyrunc-{self.name}", "-daemonize", "-pidfile", f"{self.folder}/pid"),
            *("-accel", "tcg,thread=multi", "-cpu", CPU, "-smp", str(processors), "-m", memory),
            *("-display", "none", "-monitor", "none", "-serial", f"file:{self.console}", "-no-reboot"),
            *("-kernel", str(build.KERNEL), "-initrd", str(build.INITRD), "-append", KERNEL_LINE),
            *("-drive", f"file={self.overlay},if=virtio,cache=unsafe,discard=unmap"),
            *("-nic", f"user,model=virtio-net-pci,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"),
            *("-virtfs", share, "-device", "virtio-rng-pci"),
        ]

    @staticmethod
    def _answers(port: int) -> bool:
        """Whether sshd is there: qemu itself takes connections from the first moment."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 60) as connection:
            return connection.recv(4) == b"SSH-"
        return False

    def argv(self, command: str, *, user: str = "root", terminal: bool = False) -> list[str]:
        """An ssh command that runs a line of shell in the machine, or a shell if it is empty."""
        port = self._number("port")
        if not port or not self.pid:
            raise MachineError(f"{self.name} does not run")
        flags = [word for setting in SETTINGS for word in ("-o", setting)]
        place = ["-i", str(build.KEY), "-p", str(port), f"{user}@127.0.0.1"]
        return ["ssh", *flags, *(["-t"] if terminal else []), *place, *([command] if command else [])]

    def call(self, command: str, *, user: str = "root", input: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(self.argv(command, user=user), input=input, capture_output=True, check=False)

    def ok(self, command: str, *, input: bytes = b"") -> str:
        done = self.call(command, input=input)
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace").strip()
            raise MachineError(f"in the machine, `{command}` ended with status {done.returncode}: {said}")
        return done.stdout.decode(errors="replace")

    def install(self) -> None:
        """The checkout as it is now, changes included, at /opt/pyrunc, and pyrunc from it at /usr/local/bin/pyrunc.

        Compiled modules that the machine has are kept: an emulated processor compiles for minutes. dist/pyrunc, where
        it is built, takes the place of the package: a call of it takes 0.07 s there, one of the package 1.2 s.
        """
        listing = ["git", "-C", str(build.CHECKOUT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listing, check=True, capture_output=True).stdout.split(b"\0")
        there = [name for name in names if name and (build.CHECKOUT / os.fsdecode(name)).is_file()]
        pack = ["tar", "-C", str(build.CHECKOUT), "--null", "--files-from=-", "--owner=0", "--group=0", "-cz"]
        archive = subprocess.run(pack, input=b"\0".join(there), check=True, capture_output=True).stdout
        self.ok("cd /opt/pyrunc && find . -type f ! -name '*.pyc' -delete && tar -xz", input=archive)
        self.ok(f"cd /opt/pyrunc && {build.PREFIX}/bin/python pyrunc/init/build.py")
        if self._one_file():
            form = "cp /mnt/checkout/dist/pyrunc"
        else:
            pip = f"{build.PREFIX}/bin/pip install --quiet --no-index --no-deps --no-build-isolation --force-reinstall"
            self.ok(f"cd /opt/pyrunc && {pip} .")
            form = f"ln -s {build.PREFIX}/bin/pyrunc"
        self.ok(f"cd /usr/local/bin && {form} .new && mv -f .new pyrunc")

    @staticmethod
    def _one_file() -> bool:
        """Whether dist/pyrunc is built, and of the sources as they are; PYRUNC_FORM=package says no."""
        fresh = subprocess.run(["make", "-qC", str(build.CHECKOUT), "dist/pyrunc"], capture_output=True, check=False)
        return fresh.returncode == 0 and os.environ.get("PYRUNC_FORM") != "package"

    def stop(self) -> None:
        """End it at once: its disk is thrown away."""
        if pid := self.pid:
            os.kill(pid, signal.SIGTERM)
            while self.pid:
                time.sleep(0.1)
        self.overlay.unlink(missing_ok=True)
        (self.folder / "port").unlink(missing_ok=True)


@contextlib.contextmanager
def running(name: str, environment: Mapping[str, str]) -> Iterator[Machine]:
    """A machine that was started for this block, with pyrunc in it. MEMORY and PROCESSORS size it."""
    machine = Machine(name)
    try:
        with build.step(f"start of {name}"):
            machine.start(environment.get("MEMORY", "4G"), int(environment.get("PROCESSORS", "2")))
        with build.step(f"pyrunc from the checkout in {name}"):
            machine.install()
        yield machine
    finally:
        machine.stop()
