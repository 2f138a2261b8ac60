# SPDX-License-Identifier: Apache-2.0
"""pyrunc plan: the program that create would run, printed; needs no root and touches nothing."""

from errno import errorcode

from pyrunc.commands import output
from pyrunc.config.dump import dump
from pyrunc.container.plan import plan
from pyrunc.plan.ops import STORE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    program = plan(settings, values["bundle"], values["config"])
    if not values["json"]:
        output("".join(f"{line}\n" for line in program.listing()))
        return 0
    instructions = [
        {
            "index": op.index,
            "name": op.name,
            "call": program.describe(op.index),
            "result": op.to,
            "accept": [errorcode[number] for number in op.accept],
            "origin": op.origin,
        }
        for op in program.ops
        if op.code != STORE
    ]
    output(dump({"inputs": list(program.inputs), "instructions": instructions}, 2) + "\n")
    return 0
