# SPDX-License-Identifier: Apache-2.0
"""The checks of linux.seccomp: every name, range and rule between fields, refused with its pointer.

Needed when a profile is new (seccomp/cache.py); one that was compiled before was checked before.
"""

from pyrunc.config.fields import Section
from pyrunc.errors import ConfigError
from pyrunc.linux.seccomp_rows import ACTIONS, ARCHITECTURES, FLAGS, NOTIFY, OPERATORS

EPERM = 1
_UINT64_MAX = 2**64 - 1
_LAST_ARGUMENT = 5


def check(section: Section) -> None:
    """Refuse a linux.seccomp that is not as config-linux.md#seccomp has it; ConfigError names the field."""
    action(section, "defaultAction", "defaultErrnoRet")
    if section.text("defaultAction") == NOTIFY:
        raise section.refuse("defaultAction", f"{NOTIFY} cannot be used as default action")
    _known(section, "architectures", ARCHITECTURES)
    _known(section, "flags", FLAGS)
    if section.text("listenerMetadata", "") and not section.text("listenerPath", ""):
        raise section.refuse("listenerMetadata", "needs listenerPath")
    section.text("listenerPath", "")
    for rule in section.sections("syscalls"):
        rule.value("names")
        names = rule.texts("names")
        if not names:
            raise rule.refuse("names", "must have at least one entry")
        if "" in names:
            raise rule.refuse("names", "an empty string is not a system call")
        action(rule, "action", "errnoRet")
        if rule.text("action") == NOTIFY:
            _notify(section, rule, names)
        for argument in rule.sections("args"):
            condition(argument)


def _notify(section: Section, rule: Section, names: list[str]) -> None:
    if not section.text("listenerPath", ""):
        raise section.refuse("listenerPath", f"is required, as {NOTIFY} is used")
    if "write" in names:
        # By write(2) the helper tells the runtime that the listener is there, as runc's init does
        pointer = f"{rule.at('names')}/{names.index('write')}"
        raise ConfigError(f"{NOTIFY} cannot be used for the write syscall", pointer)


def action(section: Section, key: str, errno_key: str) -> int:
    """The SECCOMP_RET_* of an action, with its errno in the low 16 bits; EPERM where none is given, as runc has it."""
    name = section.text(key)
    row = ACTIONS.get(name)
    if row is None:
        raise section.refuse(key, f'unknown action "{name}"')
    value, highest = row
    if highest:
        return value | section.integer(errno_key, 0, highest, EPERM)
    if section.has(errno_key):
        raise section.refuse(errno_key, f"{name} takes no errno")
    return value


def condition(argument: Section) -> tuple[int, int, int, int]:
    """A condition on an argument of the system call: (index, enum scmp_compare, value, valueTwo)."""
    index = argument.integer("index", 0, _LAST_ARGUMENT)
    name = argument.text("op")
    operator = OPERATORS.get(name)
    if operator is None:
        raise argument.refuse("op", f'unknown operator "{name}"')
    value = argument.integer("value", 0, _UINT64_MAX)
    return index, operator, value, argument.integer("valueTwo", 0, _UINT64_MAX, 0)


def _known(section: Section, key: str, rows: "dict[str, int] | tuple[str, ...]") -> None:
    for index, name in enumerate(section.texts(key)):
        if name not in rows:
            raise ConfigError(f'unknown name "{name}"', f"{section.at(key)}/{index}")
