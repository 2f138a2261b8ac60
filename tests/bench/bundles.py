# SPDX-License-Identifier: Apache-2.0
"""The containers that are made: a small one, and one as Docker makes it, with its seccomp profile and 30 mounts."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.bench.runtimes import CHECKOUT

_MOUNTS = 30


def make(folder: Path, kind: str, args: list[str], change: dict[str, Any] | None = None) -> Path:
    """A bundle; `kind` is "small" or "engine", `change` is for linux.resources."""
    bundle = folder / f"{kind}-{'-'.join(args).replace('/', '')}"
    if change is not None:
        bundle = bundle.with_name(f"{bundle.name}-limited")
    rootfs = bundle / "rootfs"
    if not rootfs.exists():
        _fill(rootfs)
        subprocess.run([CHECKOUT / ".venv/bin/pyrunc", "spec", "--bundle", bundle], check=True)
    config = json.loads((bundle / "config.json").read_text("utf-8"))
    config["process"] |= {"terminal": False, "args": args}
    config["linux"]["resources"] = {"devices": [{"allow": False, "access": "rwm"}]} | (change or {})
    if kind == "engine" and len(config["mounts"]) < _MOUNTS:
        _as_docker(bundle, config)
    (bundle / "config.json").write_text(json.dumps(config), "utf-8")
    return bundle


def _fill(rootfs: Path) -> None:
    (rootfs / "bin").mkdir(parents=True)
    for name in ("proc", "sys", "dev", "etc", "mnt"):
        (rootfs / name).mkdir()
    shutil.copy("/bin/busybox", rootfs / "bin/busybox")
    for name in ("sh", "sleep", "true"):
        (rootfs / "bin" / name).symlink_to("busybox")


def _as_docker(bundle: Path, config: dict[str, Any]) -> None:
    """The profile that Docker gave a container, and binds of files and folders as volumes are."""
    (profile,) = (CHECKOUT / "tests/fixtures/seccomp").glob("docker-3*.json")
    config["linux"]["seccomp"] = json.loads(profile.read_text("utf-8"))
    volumes = bundle / "volumes"
    volumes.mkdir()
    for number in range(_MOUNTS - len(config["mounts"])):
        volume = volumes / str(number)
        volume.mkdir() if number % 2 else volume.write_text("", "utf-8")
        options = ["rbind", "rprivate", "ro" if number % 3 else "rw"]
        row = {"destination": f"/mnt/{number}", "type": "bind", "source": str(volume), "options": options}
        config["mounts"].append(row)
