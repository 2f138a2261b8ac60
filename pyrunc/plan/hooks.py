# SPDX-License-Identifier: Apache-2.0
"""Hooks that run inside: createContainer and startContainer of config.md#posix-platform-hooks."""

from pyrunc.config.fields import Section
from pyrunc.plan.program import Op, Program

_TIMEOUT_MAX = 2**31 // 1000


def run(hooks: Section, kind: str, program: Program, state: Op) -> None:
    """Run the hooks of a kind in their order, each with the container's state (the open file `state`) on stdin."""
    for hook in hooks.sections(kind):
        path = hook.text("path")
        if path[:1] != "/":
            raise hook.refuse("path", f'"{path}" is not absolute')
        milliseconds = hook.integer("timeout", 1, _TIMEOUT_MAX, 0) * 1000
        program.hook(path, hook.texts("args") or [path], hook.texts("env"), state, milliseconds, origin=hook.pointer)
