# SPDX-License-Identifier: Apache-2.0
"""Podman with the runtime under test, in throw-away folders: as root, and as an ordinary user."""

import contextlib
import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.vm import engines

USER = "podtest"
HERE = "tester"
"""The ordinary user that the machine of `make vm` has."""


class Podman(engines.Client):
    """Podman, commanded by root or by an ordinary user (`user`, with its home and subordinate ids)."""

    def __init__(self, folder: Path, user: str = "root") -> None:
        entry = pwd.getpwnam(user)
        runtime = f"/run/user/{entry.pw_uid}"
        env = {
            "PATH": os.environ["PATH"],
            "HOME": entry.pw_dir,
            "TERM": "xterm",
            "CONTAINERS_CONF_OVERRIDE": f"{folder}/pyrunc.conf",
        }
        if rootless := user != "root":
            env |= {"XDG_RUNTIME_DIR": runtime, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus"}
        words = [f"{name}={value}" for name, value in env.items()]
        become = ["runuser", "--user", user, "--"] if rootless else []
        self.called = [*become, "env", "--ignore-environment", "--chdir=/", *words]
        super().__init__(
            *(*self.called, "podman"),
            *("--root", f"{folder}/data", "--runroot", f"{folder}/run", "--tmpdir", f"{folder}/tmp"),
            *("--volumepath", f"{folder}/volumes", "--cgroup-manager", engines.CGROUPS),
        )
        self.folder = folder
        self.uid = entry.pw_uid
        self.rootless = rootless
        self.states = Path(runtime if rootless else "/run") / engines.RUNTIME

    def inspect(self, name: str, template: str) -> str:
        return self.ok("inspect", "--format", template, name)

    def waiting(self, name: str, *flags: str) -> str:
        """The id of a container, ready to be asked; SIGTERM ends it with status 3."""
        made = self.ok("run", "--detach", "--name", name, *flags, "bb", "sh", "-c", engines.WAIT)
        engines.until(lambda: "ready" in self.ok("logs", name))
        return made

    def buildah(self) -> engines.Client:
        """Buildah on the same folders, as the same user."""
        return engines.Client(
            *self.called, "buildah", "--root", f"{self.folder}/data", "--runroot", f"{self.folder}/run"
        )

    def left(self) -> list[str]:
        """What remains of containers after the last one was removed."""
        self.ok("pod", "rm", "--all", "--force", "--time", "0")
        self.ok("rm", "--all", "--force", "--time", "0")
        tree = f"user.slice/user-{self.uid}.slice/user@{self.uid}.service/*.slice" if self.rootless else "machine.slice"
        made = f"libpod-{'[0-9a-f]' * 12}*"  # not conmon's own scope, libpod-conmon-ID, which ends a little later
        return engines.left(self.states, f"libpod_parent/{made}", f"{tree}/{made}")


@contextlib.contextmanager
def podman(user: str = "root") -> Iterator[Podman]:
    """Podman with the image bb."""
    with engines.scratch("podman") as folder:
        (folder / "pyrunc.conf").write_text(engines.configured("podman/pyrunc.conf"))
        (folder / "pyrunc.conf").chmod(0o644)
        archive = engines.image(folder)
        shutil.chown(folder, user, user)
        podman = Podman(folder, user)
        podman.ok("import", str(archive), "bb")
        try:
            yield podman
        finally:
            podman("rm", "--all", "--force", "--time", "0")
            podman("unshare", "rm", "-rf", f"{folder}/data", f"{folder}/volumes")


@contextlib.contextmanager
def ordinary_user() -> Iterator[str]:
    """The name of a user, made if need be; where systemd runs, with a manager of its own, as after a log-in."""
    if HERE in (entry.pw_name for entry in pwd.getpwall()):
        yield HERE
        return
    systemd = Path("/run/systemd/system").is_dir()
    engines.call("useradd", "--create-home", "--shell", "/bin/sh", USER)
    runtime = Path(f"/run/user/{pwd.getpwnam(USER).pw_uid}")
    try:
        if systemd:
            engines.call("loginctl", "enable-linger", USER)
            engines.until((runtime / "bus").exists)
        else:
            runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.chown(runtime, USER, USER)
        yield USER
    finally:
        if systemd:
            engines.call("loginctl", "disable-linger", USER)
            engines.call("loginctl", "terminate-user", USER)
        else:
            shutil.rmtree(runtime, ignore_errors=True)
        engines.call("userdel", "--remove", "--force", USER)
