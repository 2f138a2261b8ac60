# SPDX-License-Identifier: Apache-2.0
"""The recordings of fixtures/engines: what engines wrote into config.json, and what the real runtime made of it."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "fixtures" / "engines"
NAMES = sorted(path.stem for path in (FOLDER / "configs").glob("*.json"))

Json = dict[str, Any]


def load(name: str) -> Json:
    """The configuration as it was recorded."""
    path = FOLDER / "configs" / f"{name}.json"
    config: Json = json.loads(path.read_text())
    seccomp = config["linux"].get("seccomp")
    if seccomp is not None:
        config["linux"]["seccomp"] = json.loads((path.parent / seccomp["$ref"]).read_text())
    return config


def _oracle() -> dict[str, Json]:
    rows = [json.loads(line) for line in (FOLDER / "oracle.jsonl").read_text().splitlines()]
    return {row["config"]: row for row in rows}


ORACLE = _oracle()

_NO_SUCH = '/process/args/0: exec: "/does/not/exist": no such file or directory'
_NOPE = '/process/args/0: exec: "/nope": no such file or directory'
_PERMISSION = '/process/args/0: exec: "/etc/passwd": permission denied'
REFUSED = {
    "cri-cgroupfs-container-nocmd": _NOPE,
    "ctr-cgroupfs-run-nocmd": _NOPE,
    "ctr-systemd-run-nocmd": _NOPE,
    "docker-crun-run-nocmd": _NOPE,
    "docker-systemd-run-badmount": "/mounts/7: move_mount(",
    "docker-systemd-run-nocmd": _NO_SUCH,
    "docker-systemd-run-nocmd2": '/process/args/0: exec: "doesnotexist": executable file not found in $PATH',
    "podman-crun-systemd-run-nocmd": _NO_SUCH,
    "podman-crun-systemd-run-nocmd-2": _NO_SUCH,
    "podman-crun-systemd-run-notexec": _PERMISSION,
    "podman-runc-cgroupfs-run-nocmd": _NO_SUCH,
    "podman-runc-cgroupfs-run-notexec": _PERMISSION,
    "podman-runc-systemd-run-networkns": "/linux/sysctl/net.ipv4.ping_group_range",
    "podman-runc-systemd-run-nocmd": _NO_SUCH,
    "podman-runc-systemd-run-notexec": _PERMISSION,
}
"""Those that the real runtime refused for what is in them; how our refusal begins, in words that engines look for."""

ACCEPTED = {
    "cri-systemd-sandbox-userns": "a path of cgroupfs for the systemd manager; we have cgroupfs",
    "podman-rootless-crun-systemd-run-auto": "systemd of the user failed; we have cgroupfs",
    "podman-rootless-crun-systemd-run-keepid": "systemd of the user failed; we have cgroupfs",
    "podman-rootless-crun-systemd-run-nomap": "systemd of the user failed; we have cgroupfs",
    "podman-runc-systemd-run-volU": "the folders of the overlay were another user's",
}
"""Those that the real runtime refused for what was around them, and why we accept them."""
