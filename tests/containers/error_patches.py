# SPDX-License-Identifier: Apache-2.0
"""What the rows of errors are made of: patches of config.json, and calls as a listing writes them.

A row is: the patch, the field, the call as written, errno and reason. `~` is the bundle, `+` the container's id.
"""

from typing import Any

from tests.containers.box import Patch

OPENAT2 = "{flags=O_PATH|O_CLOEXEC, resolve=RESOLVE_IN_ROOT|RESOLVE_NO_SYMLINKS|RESOLVE_NO_MAGICLINKS}, 24"
TO_TARGET = '"", target, "", MOVE_MOUNT_T_EMPTY_PATH|MOVE_MOUNT_F_EMPTY_PATH'
SYSCTL = (
    "{flags=O_CLOEXEC|O_WRONLY, resolve=RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS|RESOLVE_NO_MAGICLINKS|RESOLVE_NO_XDEV}, 24"
)
CREATE = "fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0)"
MAPS = [{"containerID": 0, "hostID": 100000, "size": 1000}]
USER: Patch = {"linux": {"+namespaces": [{"type": "user"}], "uidMappings": MAPS, "gidMappings": MAPS}}

Row = tuple[Patch, str, str, str]


def mount(destination: str, kind: str, source: str, *options: str) -> Patch:
    return {"+mounts": [{"destination": destination, "type": kind, "source": source, "options": list(options)}]}


def sysctl(name: str, value: str) -> Patch:
    return {"linux": {"sysctl": {name: value}}}


def resources(**fields: Any) -> Patch:
    return {"linux": {"resources": fields}}


def device(path: str) -> Patch:
    return {"linux": {"devices": [{"type": "c", "major": 1, "minor": 3, "path": path}]}}


def rlimit(name: str, soft: int, hard: int) -> Patch:
    return {"process": {"rlimits": [{"type": name, "soft": soft, "hard": hard}]}}


def open_tree(path: str) -> str:
    return f'open_tree(AT_FDCWD, "{path}", OPEN_TREE_CLOEXEC|OPEN_TREE_CLONE)'


def both(one: Patch, other: Patch) -> Patch:
    """A patch that does what two do."""
    made = dict(one)
    for key, value in other.items():
        if key[:1] == "+":
            made[key] = [*made.get(key, []), *value]
        else:
            made[key] = both(made[key], value) if isinstance(value, dict) and key in made else value
    return made
