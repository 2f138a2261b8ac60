# SPDX-License-Identifier: Apache-2.0
"""Golden programs: tests/plans/NAME.json (a config and the facts of a host) compiles to the listing NAME.plan.

A case has `about`; `config`; `host`, the facts that differ from HOST; `choices` of the caller (`bpf`: how many
instructions the seccomp filter has); `exec`: the namespaces to join, for the program of `exec` instead of `create`.
`make golden` writes the listings anew: it never runs by itself, and its diff is to be read line by line. So that it is
short, instructions have no numbers here, and jumps are told by how many instructions they pass over.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pyrunc.config.fields import Config
from pyrunc.config.validate import validate
from pyrunc.linux.host import Host
from pyrunc.linux.namespaces import NAMESPACES
from pyrunc.plan.compile import Choices, container, process
from pyrunc.plan.program import Program

PLANS = Path(__file__).parent / "plans"
CASES = sorted(path.stem for path in PLANS.glob("*.json"))
# Few capabilities keep the listings short; three closed standard descriptors need no owner.
HOST: dict[str, Any] = {"kernel": (6, 12), "machine": "x86_64", "last_cap": 1, "cgroup_mode": "v2", "cgroups": ()}


def compiled(case: dict[str, Any]) -> tuple[Program, list[str]]:
    """The program of a case, and the warnings of its config."""
    facts = HOST | case.get("host", {})
    facts["kernel"] = tuple(facts["kernel"])
    facts["cgroups"] = tuple(map(tuple, facts["cgroups"]))
    facts["stdio"] = tuple(row and tuple(row) for row in facts.get("stdio", (None, None, None)))
    host = Host(**facts)
    config = Config(case["config"], "/bundle")
    warnings = validate(config, host)
    chosen = case.get("choices", {})
    choices = Choices(**chosen | {"bpf": bytes(8 * chosen.get("bpf", 0))})
    if "exec" in case:
        return process(config, host, choices, sum(NAMESPACES[word][0] for word in case["exec"])), warnings
    return container(config, host, choices), warnings


def listing(name: str) -> str:
    case = json.loads((PLANS / f"{name}.json").read_text("utf-8"))
    program, warnings = compiled(case)
    lines = [f"# {case['about']}", *(f"# warning: {warning}" for warning in warnings), *map(short, program.listing())]
    return "\n".join(lines) + "\n"


def short(line: str) -> str:
    """A line of a listing without its number, and with the origin right behind the call."""
    number, _, rest = line.lstrip().partition(" ")
    rest = re.sub(r"(then|else) to (\d+)", lambda jump: f"{jump[1]} over {int(jump[2]) - int(number) - 1}", rest)
    return re.sub(r" +(/\S*)$", r"    \1", rest)


@pytest.mark.parametrize("name", CASES)
def test_program(name: str) -> None:
    """The listing is as reviewed."""
    assert listing(name) == (PLANS / f"{name}.plan").read_text("utf-8")


def test_every_listing_has_its_case() -> None:
    assert sorted(path.stem for path in PLANS.glob("*.plan")) == CASES


@pytest.mark.parametrize("name", CASES)
def test_a_plan_depends_on_its_facts_only(name: str) -> None:
    """The same config and host give the same bytes, on every machine and in every environment."""
    case = json.loads((PLANS / f"{name}.json").read_text("utf-8"))
    first, second = compiled(case)[0], compiled(case)[0]
    inputs = dict.fromkeys(first.inputs, 9)
    assert first.encode(inputs, 3, 4) == second.encode(inputs, 3, 4)


if __name__ == "__main__":
    for case_name in CASES:
        (PLANS / f"{case_name}.plan").write_text(listing(case_name), "utf-8")
