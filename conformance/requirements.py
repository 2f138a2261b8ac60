# SPDX-License-Identifier: Apache-2.0
"""The table of requirements, and the cases that show them: `@case("SPEC-011", …)` above a function of a Box."""

import csv
import importlib
import pathlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.box import Box

TABLE = pathlib.Path(__file__).parent / "requirements.tsv"
AREAS = (
    *("bundle", "lifecycle", "state", "process", "scheduling", "user", "console", "mounts", "mount_options"),
    *("bind_options", "idmap", "filesystem", "devices", "namespaces", "hooks", "hook_errors", "annotations"),
    *("cgroups", "cgroup_errors", "cgroup_places", "device_rules", "seccomp", "seccomp_notify", "net_devices"),
    *("intel_rdt", "memory_policy", "features"),
)
"""The modules that hold the cases."""

PASS, FAIL, SKIP = "pass", "fail", "skip"


class Requirement:
    """One row of the table. since: the first version of the spec that says it; reason: why no test can show it."""

    def __init__(self, row: dict[str, str]) -> None:
        self.id = row["id"]
        self.section = row["section"]
        self.level = row["level"]
        self.since = row["since"]
        self.text = row["requirement"]
        self.reason = row["untestable"]


class Case:
    """What shows some requirements. needs: words that host.missing knows."""

    def __init__(self, name: str, ids: tuple[str, ...], needs: tuple[str, ...], run: "Callable[[Box], None]") -> None:
        self.name = name
        self.ids = ids
        self.needs = needs
        self.run = run


class Skipped(Exception):  # noqa: N818 - it is no error
    """The rest of a case needs what is not here."""


class Failed(Exception):  # noqa: N818 - it is a finding
    """The rest of a case cannot be seen, because of what the runtime did."""


CASES: dict[str, Case] = {}


def case(*ids: str, needs: str = "", name: str = "") -> "Callable[[Callable[[Box], None]], Callable[[Box], None]]":
    """Registers a function as the test of these requirements; `needs` are words with spaces between them."""

    def register(function: "Callable[[Box], None]") -> "Callable[[Box], None]":
        key = f"{function.__module__.rpartition('.')[2]}.{name or function.__name__}"
        assert key not in CASES, key
        CASES[key] = Case(key, ids, tuple(needs.split()), function)
        return function

    return register


def refusal(
    id: str, bad: dict[str, Any], good: dict[str, Any] | None = None, *, needs: str = "", label: str = ""
) -> None:
    """Registers that a container with the patch `bad` is an error, and one with `good` is not."""

    def run(box: "Box") -> None:
        box.refused(id, bad, good or {})

    number = sum(key.partition("-")[0] == f"refusals.{id[5:]}" for key in CASES)
    CASES[f"refusals.{id[5:]}-{number}"] = Case(
        f"refusals.{id[5:]}-{number}", (id, "SPEC-343", "SPEC-355"), tuple(needs.split()), run
    )
    CASES[f"refusals.{id[5:]}-{number}"].name += f" ({label})" if label else ""


def table() -> dict[str, Requirement]:
    """Every requirement by its id, in the order of the specification."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row["id"]: Requirement(row) for row in rows}


def load() -> dict[str, Case]:
    """All cases, by name."""
    for area in AREAS:
        importlib.import_module(f"conformance.{area}")
    return CASES
