# SPDX-License-Identifier: Apache-2.0
"""A root to throw away: a tmpfs with read-only programs, in new mount, pid, ipc, uts and network namespaces.

An old crun that was given the id "/" removed the machine's real root, and a kill(-1) of root ends a machine: a runtime
under test may do both. Here it can reach neither. No cgroup file system is in it.

    throwaway.pyrunc("delete", "/")          throwaway.path("/run/pyrunc")  seen from outside
"""

import subprocess
from pathlib import Path

from tests.containers.box import Result, runtime

SECONDS = 20
MOUNT = """
set -e
mount -t tmpfs tmpfs "$1"
cd "$1"
mkdir -p proc dev tmp run etc usr sys/fs/cgroup home/precious old runtime
echo precious > home/precious/file
for name in bin sbin lib lib32 lib64 libx32; do
    if [ -L /$name ]; then ln -s "$(readlink /$name)" $name
    elif [ -d /$name ]; then mkdir $name; mount --bind -o ro /$name $name; mount -o remount,bind,ro $name; fi
done
mount --bind /usr usr
mount -o remount,bind,ro usr
mount --bind "$2" runtime
mount -o remount,bind,ro runtime
mount -t proc proc proc
for node in "null 3" "zero 5" "full 7" "urandom 9"; do mknod -m 666 dev/${node% *} c 1 ${node#* }; done
pivot_root . old
cd /
umount -l old
rmdir old
exec "$3" -c "$4"
"""
INIT = """
import os, signal, sys
seen = []
def note(number, frame):
    with open("/signals", "a") as file:
        file.write(f"{number}\\n")
for number in set(signal.valid_signals()) - {9, 17, 19, 32, 33}:
    try:
        signal.signal(number, note)
    except OSError:
        pass
print("ready", flush=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        signal.sigtimedwait({17}, 0.05)
"""
"""Process 1 of the place: it reaps, and writes down each signal that it is sent."""


class Throwaway:
    """The place. signals: what its process 1 was sent."""

    def __init__(self, folder: Path) -> None:
        root = folder / "throwaway"
        root.mkdir()
        self.checkout = Path(runtime()).resolve()
        while not (self.checkout / "pyrunc/cli").is_dir() and self.checkout != Path("/"):
            self.checkout = self.checkout.parent
        namespaces = ["--mount", "--pid", "--ipc", "--uts", "--net", "--fork", "--kill-child", "--propagation=private"]
        self._init = subprocess.Popen(
            ["unshare", *namespaces, "sh", "-c", MOUNT, "sh", str(root), str(self.checkout), "/usr/bin/python3", INIT],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._init.stdout is not None
        assert self._init.stdout.readline() == b"ready\n", self._fail()
        children = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children").read_text()
        self.pid = int(children.split()[0])

    def _fail(self) -> str:
        return self._init.communicate()[1].decode()

    def path(self, path: str) -> Path:
        """A file of the place, from outside."""
        return Path(f"/proc/{self.pid}/root{path}")

    def run(self, *command: str, stdin: str = "", **options: object) -> Result:
        """A command in the place."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--ipc", "--uts", "--net", "--root", "--wd"]
        process = subprocess.run(
            [*enter, *command], check=False, capture_output=True, text=True, input=stdin, timeout=SECONDS, **options
        )  # type: ignore[call-overload]
        return Result(process.returncode, process.stdout, process.stderr)

    def pyrunc(self, *arguments: str) -> Result:
        """The runtime in the place, without cgroups."""
        launcher = "/runtime/pyrunc/launcher/pyrunc"
        return self.run(launcher, "--cgroup-manager", "disabled", *arguments)

    def python(self, code: str, *arguments: str) -> Result:
        """A Python program in the place that can import the runtime."""
        prelude = "import sys; sys.path.insert(0, '/runtime'); "
        return self.run("/usr/bin/python3", "-ISB", "-c", prelude + code, *arguments)

    @property
    def signals(self) -> list[int]:
        path = self.path("/signals")
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def intact(self) -> bool:
        """Whether what must not be removed is there."""
        return self.path("/home/precious/file").exists() and self.path("/etc").is_dir() and self._init.poll() is None

    def end(self) -> None:
        self._init.kill()
        self._init.communicate()
