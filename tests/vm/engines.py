# SPDX-License-Identifier: Apache-2.0
"""What the tests of engines stand on: the runtime under test, programs and their output, terminals, and an image.

ENGINE_RUNTIME is pyrunc (unless said otherwise), runc or crun; ENGINE_CGROUPS is systemd, as engines have it where it
runs, or cgroupfs. Each engine reads the file of contrib/ as it is; for another runtime than pyrunc its name and path
are replaced, and nothing else.
"""

import contextlib
import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import tarfile
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

CHECKOUT = Path(__file__).parents[2]
CONTRIB = CHECKOUT / "contrib"
RUNTIME = os.environ.get("ENGINE_RUNTIME", "pyrunc")
CGROUPS = os.environ.get("ENGINE_CGROUPS") or ("systemd" if Path("/run/systemd/system").is_dir() else "cgroupfs")
OURS = "/usr/local/bin/pyrunc"
PATH = OURS if RUNTIME == "pyrunc" else shutil.which(RUNTIME, path="/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin")
SECONDS = 120
"""The longest that a call of an engine may take. An emulated machine is ten times slower than its host."""
WAIT = "trap 'exit 3' TERM; echo ready; while :; do sleep 1000 & wait; done"
"""A shell script that ends with status 3 when told to, and costs nothing before. (criu ends the sleep: nanosleep(2) is
interrupted.)
"""


class Result:
    """How a program ended; out and err without the space around them."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out.strip()
        self.err = err.strip()

    def __repr__(self) -> str:
        return f"status {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Client:
    """The command line of an engine: client("run", "x") is how it ended, client.ok("run", "x") what it printed."""

    def __init__(self, *argv: str, env: Mapping[str, str] | None = None) -> None:
        self.argv = argv
        self.env = {**os.environ, **(env or {})}

    def __call__(self, *args: str, stdin: str = "") -> Result:
        return call(*self.argv, *args, stdin=stdin, env=self.env)

    def ok(self, *args: str, stdin: str = "") -> str:
        result = self(*args, stdin=stdin)
        assert result.status == 0, f"{' '.join(args)}: {result!r}"
        return result.out

    def at_terminal(self, *args: str, type: str = "", ready: str = "") -> tuple[int, str]:
        return at_terminal([*self.argv, *args], self.env, type, ready)


def call(*argv: str, stdin: str = "", env: Mapping[str, str] | None = None, seconds: float = SECONDS) -> Result:
    done = subprocess.run(
        argv, input=stdin, capture_output=True, text=True, errors="replace", env=env, timeout=seconds, check=False
    )
    return Result(done.returncode, done.stdout, done.stderr)


def at_terminal(argv: Sequence[str], env: Mapping[str, str], type: str, ready: str = "") -> tuple[int, str]:
    """The status and output of a program whose terminal gets `type` after `ready` was shown. 24 rows, 80 columns."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        os.execvpe(argv[0], list(argv), dict(env))
    seen = ""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if type and ready in seen:
            os.write(terminal, type.encode())
            type = ""
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # EIO: its last descriptor was closed
            piece = b""
        if not piece:
            os.close(terminal)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.replace("\r\n", "\n")
        seen += piece.decode(errors="replace")
    os.kill(pid, signal.SIGKILL)
    os.close(terminal)
    os.waitpid(pid, 0)
    raise AssertionError(f"{' '.join(argv)} did not end: {seen}")


T = TypeVar("T")


def until(look: Callable[[], T], seconds: float = SECONDS) -> T:
    """The first true answer."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"after {seconds} s still {seen!r}"
        time.sleep(0.1)
    return seen


def configured(file: str) -> str:
    """A file of contrib/, for the runtime under test."""
    text = (CONTRIB / file).read_text("utf-8")
    if RUNTIME == "pyrunc":
        return text
    assert PATH, f"no {RUNTIME} here"
    return text.replace(OURS, PATH).replace("pyrunc", RUNTIME)


@contextlib.contextmanager
def daemon(argv: Sequence[str], log: Path, ready: Callable[[], bool], env: Mapping[str, str]) -> Iterator[int]:
    """The pid of a program that runs until the block ends, which begins when `ready` says so. SIGTERM ends it."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env={**os.environ, **env}, start_new_session=True
        )
    try:
        deadline = time.monotonic() + SECONDS
        while not ready():
            said = log.read_text("utf-8", "replace")[-2000:]
            assert process.poll() is None, f"{argv[0]} ended: {said}"
            assert time.monotonic() < deadline, f"{argv[0]} is not ready: {said}"
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def scratch(engine: str) -> Iterator[Path]:
    """A folder for the data of an engine, with a short name; gone afterwards with what is mounted in it."""
    folder = Path(tempfile.mkdtemp(prefix=f"{engine}-", dir="/var/tmp"))
    folder.chmod(0o711)  # root of a user namespace must get through
    try:
        yield folder
    finally:
        mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for path in sorted((path for path in mounted if path.startswith(f"{folder}/")), reverse=True):
            call("umount", "--lazy", path)
        shutil.rmtree(folder, ignore_errors=True)


def image(folder: Path) -> Path:
    """A tar of a root file system: busybox, two users, and nothing else."""
    archive = folder / "busybox.tar"
    busybox = shutil.which("busybox")
    assert busybox, "busybox-static is not installed"
    root = folder / "image"
    for name in ("bin", "etc", "tmp", "root", "data"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy(busybox, root / "bin/busybox")
    for name in call(busybox, "--list").out.split():
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000::/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nguest:x:1000:\n")
    with tarfile.open(archive, "w") as tar:
        tar.add(root, ".")
    shutil.rmtree(root)
    return archive


def needs(*programs: str) -> pytest.MarkDecorator:
    """A mark: skipped where one of these is not installed, or cgroup2 is not alone at /sys/fs/cgroup."""
    missing = [name for name in programs if shutil.which(name) is None]
    missing += ["cgroup2 at /sys/fs/cgroup"] * (not Path("/sys/fs/cgroup/cgroup.procs").exists())
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def cgroup(pid: int | str) -> Path:
    """The cgroup2 folder of a process."""
    lines = Path(f"/proc/{pid}/cgroup").read_text("utf-8").splitlines()
    return Path("/sys/fs/cgroup" + next(line[3:] for line in lines if line.startswith("0::")))


def field(text: str, name: str) -> str:
    """The value of a line `name: value`, as /proc/self/status has them."""
    return next(line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith(f"{name}:"))


def left(states: Path, *cgroups: str) -> list[str]:
    """What runtime and kernel still know of containers: folders in `states`, and cgroups by these patterns."""
    found = [folder for folder in states.glob("[!.]*") if folder.is_dir()]
    for pattern in cgroups:
        found += [folder for folder in Path("/sys/fs/cgroup").glob(pattern) if folder.is_dir()]
    return sorted(map(str, found))
