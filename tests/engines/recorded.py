# SPDX-License-Identifier: Apache-2.0
"""The recordings of fixtures/engines: what engines wrote into config.json, and what the real runtime made of it."""

import json
from pathlib import Path
from typing import Any

from pyrunc.config.unsupported import UNSUPPORTED

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

SECOND_HALF = {
    "podman-runc-systemd-run-idmapvol": "/mounts/0/uidMappings",
    "podman-runc-systemd-run-personality": "/linux/personality",
    "podman-runc-systemd-run-volidmap": "/mounts/0/uidMappings",
}
"""Those with a property that this version refuses by name (config/unsupported.py), and its pointer."""
assert {pointer for pointer in SECOND_HALF.values() if "mounts" not in pointer} <= {row[0] for row in UNSUPPORTED}

REFUSED = {
    "cri-cgroupfs-container-nocmd": '/process/args: exec "/nope": no such file',
    "ctr-cgroupfs-run-nocmd": '/process/args: exec "/nope": no such file',
    "ctr-systemd-run-nocmd": '/process/args: exec "/nope": no such file',
    "docker-crun-run-nocmd": '/process/args: exec "/nope": no such file',
    "docker-systemd-run-badmount": "/mounts/",
    "docker-systemd-run-nocmd": "/process/args",
    "docker-systemd-run-nocmd2": "/process/args",
    "podman-crun-systemd-run-nocmd": "/process/args",
    "podman-crun-systemd-run-nocmd-2": "/process/args",
    "podman-crun-systemd-run-notexec": "/process/args",
    "podman-runc-cgroupfs-run-nocmd": "/process/args",
    "podman-runc-cgroupfs-run-notexec": "/process/args",
    "podman-runc-systemd-run-networkns": "/linux/sysctl/net.ipv4.ping_group_range",
    "podman-runc-systemd-run-nocmd": "/process/args",
    "podman-runc-systemd-run-notexec": "/process/args",
}
"""Those that the real runtime refused for what is in them; how the text of our refusal begins."""

ACCEPTED = {
    "cri-systemd-sandbox-userns": "a path of cgroupfs for the systemd manager; we have cgroupfs",
    "podman-rootless-crun-systemd-run-auto": "systemd of the user failed; we have cgroupfs",
    "podman-rootless-crun-systemd-run-keepid": "systemd of the user failed; we have cgroupfs",
    "podman-rootless-crun-systemd-run-nomap": "systemd of the user failed; we have cgroupfs",
    "podman-runc-systemd-run-volU": "the folders of the overlay were another user's",
}
"""Those that the real runtime refused for what was around them, and why we accept them."""
