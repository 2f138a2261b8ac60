# SPDX-License-Identifier: Apache-2.0
"""The rules of the process object, in config.json and in the --process file of `exec`: config.md#process."""

from pyrunc.config.fields import Config, Section
from pyrunc.linux.rlimits import RLIM_INFINITY, RLIMITS

ID_MAX = (1 << 32) - 2
"""2**32 - 1 is -1 to setresuid(2): "no change", which would leave the process root."""
_GROUPS_MAX = 65536
_WINDOW_MAX = 0xFFFF
_KEEP_GROUPS = "run.oci.keep_original_groups"


def keeps_groups(config: Config) -> bool:
    """Whether the caller's groups stay instead of additionalGids: the annotation of podman's `--group-add keep-groups`.

    It is crun's: files that only a group of the caller may read can be reached, though no map has that group.
    """
    return _KEEP_GROUPS in config.strings("annotations")


def check(process: Section) -> None:
    """Refuse a process that cannot be started; `process.pointer` is "" for a file of its own."""
    for rule in (_command, _directory, _environment, _user, _rlimits, _terminal, _flags, _affinity):
        rule(process)


def _command(process: Section) -> None:
    if not process.texts("args"):
        raise process.refuse("args", "must not be empty")


def _directory(process: Section) -> None:
    cwd = process.text("cwd")
    if not cwd:
        raise process.refuse("cwd", "must not be empty")
    if cwd[0] != "/":
        raise process.refuse("cwd", f'must be an absolute path, not "{cwd}"')


def _environment(process: Section) -> None:
    for index, entry in enumerate(process.texts("env")):
        if entry.find("=") > 0:
            continue
        cause = "the name is empty" if entry[:1] == "=" else f'"{entry}" has no "="'
        raise Section({}, process.at("env")).refuse(index, f"invalid environment variable: {cause}")


def _user(process: Section) -> None:
    user = process.section("user")
    if user is None:
        return
    user.integer("uid", 0, ID_MAX)
    user.integer("gid", 0, ID_MAX)
    user.integer("umask", 0, 0o777, None)
    if len(user.integers("additionalGids", 0, ID_MAX)) > _GROUPS_MAX:
        raise user.refuse("additionalGids", f"more than {_GROUPS_MAX} groups, the kernel's maximum")


def _rlimits(process: Section) -> None:
    seen = set()
    for row in process.sections("rlimits"):
        name = row.text("type")
        if name not in RLIMITS:
            raise row.refuse("type", f'unknown resource limit "{name}"')
        if name in seen:
            raise row.refuse("type", f"{name} is given twice")
        seen.add(name)
        if row.integer("soft", 0, RLIM_INFINITY) > row.integer("hard", 0, RLIM_INFINITY):
            raise row.refuse("soft", f"is higher than the hard limit of {name}")


def _terminal(process: Section) -> None:
    if process.flag("terminal") and (size := process.section("consoleSize")) is not None:
        size.integer("height", 0, _WINDOW_MAX)
        size.integer("width", 0, _WINDOW_MAX)


def _flags(process: Section) -> None:
    process.flag("noNewPrivileges")
    process.integer("oomScoreAdj", -1000, 1000, None)


def _affinity(process: Section) -> None:
    """Of `exec` only, and wrong from the beginning all the same."""
    affinity = process.section("execCPUAffinity")
    if affinity is not None:
        from pyrunc.config.number_list import bits
        from pyrunc.linux.scheduling import CPU_MAX

        for key in ("initial", "final"):
            bits(affinity, key, CPU_MAX)
