# SPDX-License-Identifier: Apache-2.0
"""Host and domain name in the UTS namespace: config.md#hostname, sethostname(2), setdomainname(2)."""

from pyrunc.config.fields import Config
from pyrunc.linux.host import Host
from pyrunc.plan.program import Program


def compile(config: Config, host: Host, program: Program) -> None:  # noqa: ARG001 - concerns are called alike
    """An empty name is none, as with runc."""
    for field in ("hostname", "domainname"):
        name = config.text(field, "")
        if name:
            program.call(f"set{field}", name, len(name.encode()), origin=f"/{field}")
