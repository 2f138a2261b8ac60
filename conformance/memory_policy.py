# SPDX-License-Identifier: Apache-2.0
"""linux.memoryPolicy, as get_mempolicy(2) shows it."""

from conformance.box import Box
from conformance.patch import Patch, linux
from conformance.requirements import case, refusal
from conformance.scheduling import guest

MODES = {"MPOL_DEFAULT": 0, "MPOL_PREFERRED": 1, "MPOL_BIND": 2, "MPOL_INTERLEAVE": 3, "MPOL_LOCAL": 4}
FLAGS = {"MPOL_F_STATIC_NODES": 1 << 15, "MPOL_F_RELATIVE_NODES": 1 << 14}
NEEDS = "guest file:/proc/self/numa_maps"


def policy(**fields: object) -> Patch:
    return linux(memoryPolicy=fields)


@case("SPEC-288", "SPEC-289", needs=NEEDS)
def modes(box: Box) -> None:
    for mode, number in MODES.items():
        nodes = {} if mode in {"MPOL_DEFAULT", "MPOL_LOCAL"} else {"nodes": "0"}
        found = guest(box, policy(mode=mode, **nodes), "mempolicy")["mempolicy"]
        box.same("SPEC-288", found[0], number, mode)
        if nodes:
            box.same("SPEC-289", found[1], 1, f"nodes of {mode}")


@case("SPEC-290", needs=NEEDS)
def flags(box: Box) -> None:
    for flag, bit in FLAGS.items():
        found = guest(box, policy(mode="MPOL_INTERLEAVE", nodes="0", flags=[flag]), "mempolicy")["mempolicy"]
        box.same("SPEC-290", found[0], 3 | bit, flag)


GOOD = policy(mode="MPOL_BIND", nodes="0")
refusal("SPEC-288", policy(nodes="0"), GOOD, needs="file:/proc/self/numa_maps")
refusal("SPEC-288", policy(mode="MPOL_CONFORMANCE"), GOOD, needs="file:/proc/self/numa_maps")
for text in ("many", "0-", "1-0", "-1", "0,,0x"):
    refusal("SPEC-289", policy(mode="MPOL_BIND", nodes=text), GOOD, needs="file:/proc/self/numa_maps", label=text)
refusal(
    "SPEC-290",
    policy(mode="MPOL_BIND", nodes="0", flags=["MPOL_F_CONFORMANCE"]),
    GOOD,
    needs="file:/proc/self/numa_maps",
)
