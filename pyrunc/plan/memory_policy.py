# SPDX-License-Identifier: Apache-2.0
"""linux.memoryPolicy: config-linux.md#memory-policy, set_mempolicy(2), within the cpuset of the cgroup."""

from pyrunc.config.fields import Config
from pyrunc.config.number_list import bits, mask
from pyrunc.errors import ConfigError
from pyrunc.linux.scheduling import MEMORY_FLAGS, MEMORY_MODES, NODE_MAX
from pyrunc.plan.program import Program


def compile(config: Config, program: Program) -> None:
    """Set the NUMA memory policy of the process; its children and execve(2) keep it."""
    policy = config.require("linux").require("memoryPolicy")
    name = policy.text("mode")
    if name not in MEMORY_MODES:
        raise policy.refuse("mode", f'unknown mode "{name}"')
    mode = MEMORY_MODES[name]
    for index, flag in enumerate(policy.texts("flags")):
        if flag not in MEMORY_FLAGS:
            raise ConfigError(f'unknown flag "{flag}"', f"{policy.at('flags')}/{index}")
        mode |= MEMORY_FLAGS[flag]
    nodes = bits(policy, "nodes", NODE_MAX)
    raw = mask(nodes)
    # The kernel looks at one bit less than it is told of.
    program.call("set_mempolicy", mode, raw or None, 8 * len(raw) + 1 if raw else 0, origin=policy.pointer)
