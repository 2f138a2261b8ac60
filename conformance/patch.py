# SPDX-License-Identifier: Apache-2.0
"""config.json of a plain container, and the patches that cases merge into it.

A patch is merged object by object, anything else is replaced; None removes, "+key" appends to a list.
"""

import copy
import os
from typing import Any

from conformance import host

Patch = dict[str, Any]

CAPS = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
SETS = ("bounding", "effective", "permitted")


def mount(destination: str, kind: str = "tmpfs", *options: str, source: str = "", **fields: Any) -> Patch:
    """One entry of mounts."""
    rest = {"options": list(options)} if options else {}
    return {"destination": destination, "type": kind, "source": source or kind, **rest, **fields}


def mounts(*rows: Patch) -> Patch:
    return {"+mounts": list(rows)}


def process(**fields: Any) -> Patch:
    return {"process": fields}


def linux(**fields: Any) -> Patch:
    return {"linux": fields}


def resources(**fields: Any) -> Patch:
    return {"linux": {"resources": fields}}


def capabilities(*names: str) -> Patch:
    """These in the three sets that a root process uses."""
    return process(capabilities={name: list(names) for name in SETS})


def namespaces(*names: str, **paths: str) -> Patch:
    """New namespaces of these types, and others by path; no more than these."""
    rows: list[Patch] = [{"type": name} for name in names]
    return linux(namespaces=[*rows, *({"type": name, "path": path} for name, path in paths.items())])


def ids(first: int, size: int = 65536, inner: int = 0) -> Patch:
    """UidMappings and gidMappings of one row each."""
    row = {"containerID": inner, "hostID": first, "size": size}
    return {"uidMappings": [row], "gidMappings": [row]}


def user_namespace() -> Patch:
    """A user namespace whose root is 100000; rootless containers have one of their own already."""
    return linux(**{"+namespaces": [{"type": "user"}]}, **ids(100000))


def merge(base: Patch, patch: Patch) -> Patch:
    """`base` with `patch`; neither of them is changed."""
    merged = copy.deepcopy(base)
    for key, value in patch.items():
        if key[:1] == "+":
            merged[key[1:]] = [*(merged.get(key[1:]) or []), *copy.deepcopy(value)]
        elif value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            before = merged.get(key)
            merged[key] = merge(before if isinstance(before, dict) else {}, value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def combine(*patches: Patch) -> Patch:
    """One patch that does what several do."""
    result: Patch = {}
    for patch in patches:
        for key, value in patch.items():
            if key[:1] == "+":
                result[key] = [*result.get(key, []), *value]
            elif isinstance(value, dict):
                result[key] = combine(result.get(key) or {}, value)
            else:
                result[key] = value
    return result


def plain(container_id: str) -> Patch:
    """The configuration that patches are merged into: all namespaces, /proc, /dev and a small set of capabilities."""
    config: Patch = {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["true"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": dict.fromkeys(SETS, CAPS),
        },
        "mounts": [
            mount("/proc", "proc"),
            mount("/dev", "tmpfs", "nosuid", "mode=755"),
            mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
        ],
        "linux": {"namespaces": [{"type": name} for name in ("pid", "network", "ipc", "uts", "mount")]},
    }
    if host.is_root() and host.hierarchies():
        config["linux"]["cgroupsPath"] = f"/{container_id}"
    if not host.is_root():
        config["linux"]["namespaces"].append({"type": "user"})
        config["linux"]["uidMappings"] = ids(os.geteuid(), 1)["uidMappings"]
        config["linux"]["gidMappings"] = ids(os.getegid(), 1)["gidMappings"]
    return config
