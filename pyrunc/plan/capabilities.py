# SPDX-License-Identifier: Apache-2.0
"""The five capability sets: config.md#linux-process, capabilities(7), capset(2), PR_CAPBSET_DROP(2const).

Without process.capabilities all of them are empty; nothing is inheritable that is not asked for (CVE-2022-29162). What
cannot be granted is left out by config/capability_sets.py, as capset(2) would refuse the whole set for it.
"""

from pyrunc.config.capability_sets import CapabilitySets
from pyrunc.config.fields import Config
from pyrunc.linux.capabilities import names
from pyrunc.linux.host import Host
from pyrunc.linux.uapi import (
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAP_AMBIENT_RAISE,
    PR_CAPBSET_DROP,
    PR_SET_NO_NEW_PRIVS,
)
from pyrunc.plan.program import Program, Struct

_ORIGIN = "/process/capabilities"
_VERSION_3 = 0x20080522
_LOW = 0xFFFFFFFF


def bounding(config: Config, host: Host, program: Program) -> None:
    """Drop what is not in the bounding set, every capability that the kernel knows."""
    kept = CapabilitySets(config, host).bounding
    for number in range(host.last_cap + 1):
        if not kept >> number & 1:
            program.call("prctl", PR_CAPBSET_DROP, number, 0, 0, 0, origin=f"{_ORIGIN}/bounding")


def sets(config: Config, host: Host, program: Program, extra: int) -> None:
    """Set permitted, effective and inheritable; `extra` (bits) stays permitted and effective until the next call."""
    wanted = CapabilitySets(config, host)
    permitted, effective, inheritable = wanted.permitted | extra, wanted.effective | extra, wanted.inheritable
    header = Struct("Ii", _VERSION_3, 0, text="version 3, self")
    data = Struct(
        "6I",
        *(effective & _LOW, permitted & _LOW, inheritable & _LOW),
        *(effective >> 32, permitted >> 32, inheritable >> 32),
        text=_describe(effective, permitted, inheritable),
    )
    program.call("capset", header, data, origin=_ORIGIN)


def ambient(config: Config, host: Host, program: Program) -> None:
    """Clear what the caller left in the ambient set, and raise what is asked for; after `sets`."""
    origin = f"{_ORIGIN}/ambient"
    program.call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, origin=origin)
    wanted = CapabilitySets(config, host).ambient
    for number in range(wanted.bit_length()):
        if wanted >> number & 1:
            program.call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0, origin=origin)


def no_new_privileges(program: Program) -> None:
    """From here on execve(2) grants nothing: PR_SET_NO_NEW_PRIVS(2const)."""
    program.call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, origin="/process/noNewPrivileges")


def holds(config: Config, host: Host, bits: int) -> bool:
    """Whether the process is to have all of `bits` permitted and effective anyway."""
    return CapabilitySets(config, host).effective & bits == bits


def _describe(effective: int, permitted: int, inheritable: int) -> str:
    parts = [f"permitted={_list(permitted)}"]
    parts.append("effective=permitted" if effective == permitted else f"effective={_list(effective)}")
    parts.append(f"inheritable={_list(inheritable)}")
    return ", ".join(parts)


def _list(bits: int) -> str:
    return "|".join(name.removeprefix("CAP_") for name in names(bits)) or "none"
