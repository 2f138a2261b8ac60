# SPDX-License-Identifier: Apache-2.0
"""Limits of a cgroup in the words of cgroup v2, which the oracle has; those of v1 are translated."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.containers.box import is_v2

Json = dict[str, Any]

ASKED = (
    ("memory", "limit", "memory.max"),
    ("memory", "swap", "memory.swap.max"),
    ("memory", "reservation", "memory.low"),
    ("pids", "limit", "pids.max"),
    ("cpu", "quota", "cpu.max"),
    ("cpu", "shares", "cpu.weight"),
    ("cpu", "cpus", "cpuset.cpus"),
    ("cpu", "mems", "cpuset.mems"),
)
"""The field of linux.resources, and the file that it is in. What nobody asked for is systemd's, and not compared."""

Directory = Callable[[str], Path]


def asked(config: Json) -> list[str]:
    resources = config["linux"].get("resources") or {}
    return [file for section, field, file in ASKED if (resources.get(section) or {}).get(field)]


def read(files: list[str], directory: Directory) -> dict[str, str]:
    """The values of these files; directory(controller) is that of the container's cgroup."""
    return {file: (directory("") / file).read_text().strip() if is_v2() else _V1[file](directory) for file in files}


def _limit(directory: Directory) -> int:
    return int((directory("memory") / "memory.limit_in_bytes").read_text())


def _memory(directory: Directory) -> str:
    return str(_limit(directory))


def _swap(directory: Directory) -> str:
    """v1 limits the sum of both; where the kernel does not count swap there is no file, and no limit of it."""
    both = directory("memory") / "memory.memsw.limit_in_bytes"
    return str(int(both.read_text()) - _limit(directory)) if both.exists() else NOT_COUNTED


def _low(directory: Directory) -> str:
    return (directory("memory") / "memory.soft_limit_in_bytes").read_text().strip()


def _pids(directory: Directory) -> str:
    return (directory("pids") / "pids.max").read_text().strip()


def _cpu(directory: Directory) -> str:
    quota, period = ((directory("cpu") / f"cpu.cfs_{word}_us").read_text().strip() for word in ("quota", "period"))
    return f"{quota} {period}"


def _weight(directory: Directory) -> str:
    """The conversion that runc 1.1 and the specification have: 2 to 262144 shares are the weights 1 to 10000."""
    shares = int((directory("cpu") / "cpu.shares").read_text())
    return str(1 + (shares - 2) * 9999 // 262142)


def _cpuset(directory: Directory) -> str:
    return (directory("cpuset") / "cpuset.cpus").read_text().strip()


def _nodes(directory: Directory) -> str:
    return (directory("cpuset") / "cpuset.mems").read_text().strip()


NOT_COUNTED = "swap is not counted"
_V1: dict[str, Callable[[Directory], str]] = {
    "memory.max": _memory,
    "memory.swap.max": _swap,
    "memory.low": _low,
    "pids.max": _pids,
    "cpu.max": _cpu,
    "cpu.weight": _weight,
    "cpuset.cpus": _cpuset,
    "cpuset.mems": _nodes,
}
