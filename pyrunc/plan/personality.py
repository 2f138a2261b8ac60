# SPDX-License-Identifier: Apache-2.0
"""linux.personality: config-linux.md#personality, personality(2); it stays over execve(2)."""

from pyrunc.config.fields import Config
from pyrunc.errors import ConfigError
from pyrunc.linux.scheduling import DOMAINS
from pyrunc.plan.program import Program


def compile(config: Config, program: Program) -> None:
    """Set the execution domain of the process."""
    personality = config.require("linux").require("personality")
    domain = personality.text("domain")
    if domain not in DOMAINS:
        raise personality.refuse("domain", f'unknown domain "{domain}": LINUX or LINUX32')
    for index, flag in enumerate(personality.texts("flags")):
        raise ConfigError(
            f'"{flag}" is not supported, as the specification has no flags', f"{personality.at('flags')}/{index}"
        )
    program.call("personality", DOMAINS[domain], origin=personality.at("domain"))
