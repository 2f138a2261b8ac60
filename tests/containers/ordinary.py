# SPDX-License-Identifier: Apache-2.0
"""A Box whose pyrunc is called by an ordinary user: no capability, no group of the caller's, his own XDG_RUNTIME_DIR.

What the user has beside his own id comes from /etc/subuid and /etc/subgid, which he sees as files of the test: they are
bound in a mount namespace of each call, and the machine's own stay as they are.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.containers.box import CHECKOUT, CONFIG, Box, Patch, merge

UID = 61234
GID = 61235
SUB = 700000
SUBS = 65536
_NAME = "pyrunc-test-user"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def rows(inner: int, outer: int, size: int = 1) -> list[Patch]:
    """One mapping."""
    return [{"containerID": inner, "hostID": outer, "size": size}]


BASE = merge(
    CONFIG,
    {"linux": {"+namespaces": [{"type": "user"}], "uidMappings": rows(0, UID), "gidMappings": rows(0, GID)}},
)
"""The configuration that every patch is merged into."""


class Ordinary(Box):
    """prefix: an installation that the user may read; ranges: whether he has ids beside his own; wrapper: words of a
    program through which he calls.
    """

    def __init__(self, folder: Path, container_id: str, prefix: Path) -> None:
        super().__init__(folder, container_id)
        self.prefix = prefix
        self.ranges = False
        self.cgroup_of_caller = ""
        self.wrapper: tuple[str, ...] = ()
        self.runtime_dir = folder / "run"
        self.runtime_dir.mkdir(mode=0o700)
        self.root = self.runtime_dir / "pyrunc"
        self.root.mkdir(mode=0o700)
        for path in (folder, self.runtime_dir, self.root, self.bundle):
            os.chown(path, UID, GID)
        own_tree(self.rootfs, UID, GID)

    def spawn(self, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
        launcher = str(self.prefix / "bin/pyrunc")
        command = self.as_user(launcher, *self.flags, *map(str, arguments))
        return subprocess.Popen(command, text=True, cwd=self.bundle, **options)

    def as_user(self, *words: str) -> list[str]:
        """The command line that runs another one as the user."""
        identity = [
            "--reuid",
            str(UID),
            "--regid",
            str(GID),
            "--clear-groups",
            "--inh-caps=-all",
            "--ambient-caps=-all",
        ]
        environment = [f"PATH={_PATH}", f"XDG_RUNTIME_DIR={self.runtime_dir}"]
        command = ["setpriv", *identity, "env", "-i", *environment, *self.wrapper, *words]
        if self.cgroup_of_caller:
            command = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', f"{self.cgroup_of_caller}/cgroup.procs", *command]
        return [*self._bound(), *command] if self.ranges else command

    def _bound(self) -> list[str]:
        """`unshare` and a script that binds what says which ids the user has."""
        passwd = self.folder / "passwd"
        passwd.write_text(f"root:x:0:0::/:/bin/sh\n{_NAME}:x:{UID}:{GID}::/:/bin/sh\n")
        ranges = self.folder / "ranges"
        ranges.write_text(f"{_NAME}:{SUB}:{SUBS}\n")
        binds = "".join(
            f"mount --bind {source} {target} && "
            for source, target in ((passwd, "/etc/passwd"), (ranges, "/etc/subuid"), (ranges, "/etc/subgid"))
        )
        return ["unshare", "--mount", "sh", "-c", binds + 'exec "$@"', "sh"]

    def write(self, patch: Patch, *argv: str) -> None:
        super().write(merge(BASE, patch), *argv)


def own_tree(root: Path, uid: int, gid: int) -> None:
    """Give what is below `root` to a user, but the programs, whose files other tests share."""
    for folder, names, files in os.walk(root):
        for name in (".", *names, *files):
            if not (folder.endswith("/bin") and name in {"busybox", "guest"}):
                os.lchown(f"{folder}/{name}", uid, gid)


def install(prefix: Path) -> None:
    """A copy of the package and its launcher, as the checkout may be where only root can read."""
    package = prefix / "lib/python3/dist-packages/pyrunc"
    shutil.copytree(
        CHECKOUT / "pyrunc", package, ignore=shutil.ignore_patterns("__pycache__", "launcher", "*.c", "*.h")
    )
    (prefix / "bin").mkdir()
    shutil.copy(CHECKOUT / "pyrunc/launcher/pyrunc", prefix / "bin/pyrunc")
