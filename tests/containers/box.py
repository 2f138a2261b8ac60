# SPDX-License-Identifier: Apache-2.0
"""A container under test: a busybox root, a small configuration, a throw-away --root, and the real runtime.

    box.run({"hostname": "box"}, "hostname").out == "box"

The patch is merged into CONFIG: objects key by key, anything else replaced, None removed; "+key" appends to a list.
"""

import copy
import json
import os
import pty
import subprocess
import time
from pathlib import Path
from typing import IO, Any

from tests.containers import leaks

CHECKOUT = Path(__file__).parents[2]
SECONDS = int(os.environ.get("BOX_SECONDS", "20"))
"""The longest that a call of the runtime may take; more in an emulated machine."""
SYSTEMD = os.environ.get("PYRUNC_CGROUPS") == "systemd"
"""Whether the containers' cgroups are to be made by systemd: PYRUNC_CGROUPS=systemd pytest tests/containers"""
FULL = [
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_MKNOD", "CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE"),
    *("CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE"),
]
"""Capabilities for a test that needs a strong process inside."""

CONFIG: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "root": {"path": "rootfs"},
    "process": {
        "user": {"uid": 0, "gid": 0},
        "args": ["true"],
        "env": ["PATH=/bin"],
        "cwd": "/",
        "capabilities": {
            name: ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
            for name in ("bounding", "effective", "permitted")
        },
    },
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
        },
    ],
    "linux": {"namespaces": [{"type": name} for name in ("pid", "network", "ipc", "uts", "mount", "cgroup")]},
}

Patch = dict[str, Any]


def runtime() -> str:
    """The binary under test: $PYRUNC, the one that is installed in the checkout, or its launcher."""
    installed = CHECKOUT / ".venv/bin/pyrunc"
    return os.environ.get("PYRUNC") or str(installed if installed.exists() else CHECKOUT / "pyrunc/launcher/pyrunc")


def merge(base: Patch, patch: Patch) -> Patch:
    """`base` with `patch`, neither of them changed, whatever is done to the result."""
    merged = copy.deepcopy(base)
    for key, value in patch.items():
        if key[:1] == "+":
            merged[key[1:]] = [*merged.get(key[1:], []), *copy.deepcopy(value)]
        elif value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = merge(merged.get(key) or {}, value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def combine(*patches: Patch) -> Patch:
    """One patch that does what several do."""
    combined: Patch = {}
    for patch in patches:
        for key, value in patch.items():
            if key[:1] == "+":
                combined[key] = [*combined.get(key, []), *value]
            elif isinstance(value, dict):
                combined[key] = combine(combined.get(key) or {}, value)
            else:
                combined[key] = value
    return combined


def namespaces(*words: str, **paths: object) -> Patch:
    """A patch: new namespaces of these types, and others by path."""
    rows: list[Patch] = [{"type": word} for word in words]
    rows += [{"type": word, "path": str(path)} for word, path in paths.items()]
    return {"linux": {"namespaces": rows}}


def capabilities(names: list[str]) -> Patch:
    """A patch: these in the three sets that a root process uses."""
    return {"process": {"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), names)}}


class Result:
    """How a call of the runtime ended. out and err without the last newline."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out.removesuffix("\n")
        self.err = err.removesuffix("\n")

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"status {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Box:
    """One bundle and one --root. id: unique on this machine, in the name of all that it makes; flags: global ones."""

    def __init__(self, folder: Path, container_id: str) -> None:
        self.folder = folder
        self.bundle = folder / "bundle"
        self.rootfs = self.bundle / "rootfs"
        self.root = folder / "state"
        self.root.mkdir(mode=0o700)
        self.id = container_id
        self.flags: list[str] = ["--systemd-cgroup"] if SYSTEMD else []
        self._before = self._snapshot()

    # the runtime

    def pyrunc(self, *arguments: object, status: int | None = 0, stdin: str = "", **options: Any) -> Result:
        """`pyrunc --root … ARGUMENTS`; fails the test when it ends with another status (None: any)."""
        process = self.spawn(*arguments, stdin=subprocess.PIPE, **options)
        try:
            out, err = process.communicate(stdin, SECONDS)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        result = Result(process.returncode, out, err)
        assert status is None or result.status == status, f"pyrunc {' '.join(map(str, arguments))}: {result!r}"
        return result

    def spawn(self, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        """The same, going on in the background."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
        command = [runtime(), "--root", str(self.root), *self.flags, *map(str, arguments)]
        return subprocess.Popen(command, text=True, **options)

    # a container

    def write(self, patch: Patch, *argv: str) -> None:
        """config.json. One word of argv is a shell's line, several are the process's args."""
        config = merge(CONFIG, patch)
        linux = config.get("linux")
        if SYSTEMD and isinstance(linux, dict) and str(linux.get("cgroupsPath")).startswith(f"/{self.id}"):
            below = linux["cgroupsPath"].removeprefix(f"/{self.id}").replace("/", "-")
            linux["cgroupsPath"] = f"system.slice:{self.id}:x{below}"
        if argv:
            config["process"]["args"] = ["sh", "-c", *argv] if len(argv) == 1 else list(argv)
        (self.bundle / "config.json").write_text(json.dumps(config))

    def run(self, patch: Patch, *argv: str, flags: tuple[object, ...] = (), **options: Any) -> Result:
        """`run` in the foreground."""
        self.write(patch, *argv)
        return self.pyrunc("run", *flags, "--bundle", self.bundle, self.id, **options)

    def refused(self, patch: Patch, *argv: str, status: int = 1, **options: Any) -> str:
        """What `run` says when it fails, after a look at what it left: it must be nothing."""
        error = self.run(patch, *argv, status=status, **options).err
        self.check_clean()
        return error

    def create(self, patch: Patch, *argv: str, flags: tuple[object, ...] = (), **options: Any) -> Result:
        """`create`; the process writes to self.output()."""
        self.write(patch, *argv)
        return self._detached("create", *flags, "--bundle", self.bundle, self.id, **options)

    def start(self, patch: Patch | None = None, *argv: str, **options: Any) -> None:
        """`start`, with `create` before it when there is a patch."""
        if patch is not None:
            self.create(patch, *argv, **options)
        self.pyrunc("start", self.id)

    def _detached(self, *arguments: object, status: int | None = 0, **options: Any) -> Result:
        """A process that stays has our pipes: files take their place, so that nobody waits for their end."""
        with self._file("out") as out, self._file("err") as err:
            process = self.spawn(*arguments, stdout=out, stderr=err, **options)
            code = process.wait(SECONDS)
        result = Result(code, self.output(), (self.folder / "err").read_text())
        assert status is None or code == status, f"pyrunc {' '.join(map(str, arguments))}: {result!r}"
        return result

    def on_terminal(self, *arguments: object) -> str:
        """What a call says on a terminal of its own."""
        master, slave = pty.openpty()
        process = self.spawn(*arguments, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        said = b""
        try:
            while data := os.read(master, 4096):
                said += data
        except OSError:
            pass  # EIO: the last slave is closed
        os.close(master)
        assert process.wait() == 0, said
        return said.decode()

    def _file(self, name: str) -> IO[bytes]:
        return (self.folder / name).open("wb")

    def output(self) -> str:
        """What the process of a created container has written until now."""
        return (self.folder / "out").read_text()

    def exec(self, *argv: str, flags: tuple[object, ...] = (), **options: Any) -> Result:
        """`exec` in the foreground; one word is a shell's line."""
        command = ["sh", "-c", *argv] if len(argv) == 1 else list(argv)
        return self.pyrunc("exec", *flags, self.id, *command, **options)

    def state(self) -> Any:
        return self.pyrunc("state", self.id).json

    @property
    def status(self) -> str:
        return str(self.state()["status"])

    @property
    def pid(self) -> int:
        return int(self.state()["pid"])

    def delete(self, *flags: str) -> None:
        self.pyrunc("delete", *flags, self.id)

    def until(self, status: str) -> None:
        """Wait for a status."""
        wait_for(lambda: self.status == status, status)

    def cgroup(self, controller: str, pid: int | None = None) -> Path:
        """The directory of a process's cgroup on the host; controller "" is cgroup2."""
        for line in Path(f"/proc/{pid or self.pid}/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            if controller in names.split(","):
                return Path(hierarchy(controller) + path)
        raise AssertionError(f"no cgroup of {controller}")

    # what is left

    def _snapshot(self) -> dict[str, list[str]]:
        return leaks.snapshot(self.id, self.root)

    def check_clean(self) -> None:
        """Nothing is there that was not there when the test began."""
        left = leaks.left(self._before, self.id, self.root)
        assert not left, f"left behind: {json.dumps(left, indent=2)}"

    def end(self) -> None:
        """Delete whatever the test has left running; afterwards nothing may be there."""
        for name in sorted(self.root.iterdir()):
            if name.name.startswith(self.id):
                process = self.spawn("delete", "--force", name.name)
                while process.poll() is None:
                    # A process of the container that is our child is the kernel's last hold on the pid namespace
                    leaks.reap(process.pid)
                    time.sleep(0.01)
                assert process.communicate()[1] == ""
        self.check_clean()


def wait_for(condition: Any, what: str = "", seconds: float = SECONDS / 2) -> None:
    """Until condition() is true; fails the test when it never is."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


def hierarchy(controller: str) -> str:
    """Where the cgroup file system of a controller is mounted; "" is cgroup2."""
    if is_v2():
        return "/sys/fs/cgroup"
    return f"/sys/fs/cgroup/{controller or 'unified'}"


def is_v2() -> bool:
    """Whether cgroup2 alone is at /sys/fs/cgroup."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def controllers() -> list[str]:
    """The cgroup controllers that a container here can have limits of."""
    if is_v2():
        return Path("/sys/fs/cgroup/cgroup.controllers").read_text().split()
    return [name for folder in Path("/sys/fs/cgroup").iterdir() for name in folder.name.split(",")]
