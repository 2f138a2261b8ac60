# SPDX-License-Identifier: Apache-2.0
"""Sysctls: config-linux.md#sysctl, proc_sys(5). Which ones may be set is config/linux_rules.py's to decide."""

import posix

from pyrunc.config.fields import Config, Section
from pyrunc.linux import sysctls
from pyrunc.linux.host import Host
from pyrunc.linux.uapi import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV
from pyrunc.plan.calls import openat2
from pyrunc.plan.program import Op, Program

_RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV


def compile(config: Config, host: Host, program: Program, proc: Op) -> None:  # noqa: ARG001 - concerns are called alike
    """Write each value below `proc`, a procfs that nobody else can reach, so that nothing can be mounted over the file
    (CVE-2019-19921, CVE-2025-52881).
    """
    linux = config.section("linux")
    values = linux.strings("sysctl") if linux is not None else {}
    rows = Section({}, "/linux/sysctl")
    for name, value in values.items():
        file = sysctls.path(name)
        if file is None:
            raise rows.refuse(name, "is not the name of a sysctl")
        origin = rows.at(name)
        fd = openat2(program, proc, f"sys/{file}", posix.O_WRONLY, _RESOLVE, origin=origin, to="sysctl")
        raw = value.encode()
        program.call("write", fd, raw, len(raw), origin=origin)
        program.call("close", fd, origin=origin)
