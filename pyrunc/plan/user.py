# SPDX-License-Identifier: Apache-2.0
"""The user of the process, numbers only: config.md#posix-platform-user, credentials(7), setresuid(2)."""

from errno import EPERM

from pyrunc.config.fields import Config, Section
from pyrunc.config.namespaces import paths
from pyrunc.config.process_rules import ID_MAX, keeps_groups
from pyrunc.linux.host import Host
from pyrunc.linux.uapi import PR_SET_DUMPABLE, PR_SET_KEEPCAPS
from pyrunc.plan.program import Program, Struct

_UMASK = 0o022
"""Where the field is absent, as runc's: the runtime's own is 077, and that of the caller, a daemon, may be 0."""
_ORIGIN = "/process/user"


def identity(config: Config, host: Host, program: Program) -> None:
    """Take groups, group and user; the permitted capabilities stay, for capset(2) to choose from."""
    user = _user(config)
    uid, gid = user.integer("uid", 0, ID_MAX, 0), user.integer("gid", 0, ID_MAX, 0)
    # Docker names the group of `--user` twice; getgroups(2) would too, where runc's containers have it once.
    groups = list(dict.fromkeys(user.integers("additionalGids", 0, ID_MAX)))
    if uid:
        program.call("prctl", PR_SET_KEEPCAPS, 1, 0, 0, 0, origin=f"{_ORIGIN}/uid")
    if not keeps_groups(config):
        _groups(config, host, program, groups, gid)
    program.call("setresgid", gid, gid, gid, origin=f"{_ORIGIN}/gid")
    program.call("setresuid", uid, uid, uid, origin=f"{_ORIGIN}/uid")
    # Another user's process is as dumpable as the sysctl fs.suid_dumpable says (CVE-2016-9962)
    program.call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)


def umask(config: Config, host: Host, program: Program) -> None:  # noqa: ARG001 - concerns are called alike
    """The mask of the process; everything that the runtime makes comes before it."""
    user = _user(config)
    given = user.has("umask")
    mask = user.integer("umask", 0, 0o777) if given else _UMASK
    program.call("umask", mask, origin=f"{_ORIGIN}/umask" if given else "")


def _groups(config: Config, host: Host, program: Program, groups: list[int], gid: int) -> None:
    """Exactly these supplementary groups. Where a user namespace forbids it (/proc/PID/setgroups, user_namespaces(7))
    the caller's groups stay, unmapped, as with runc: an ordinary user cannot leave a group that may exclude him. Groups
    that are asked for are an error there, but the process's own, which podman lists too.
    """
    denied = host.rootless or bool(paths(config).get("user"))
    accept = (EPERM,) if denied and all(group == gid for group in groups) else ()
    origin = f"{_ORIGIN}/additionalGids"
    array = Struct(f"{len(groups)}I", *groups) if groups else None
    program.call("setgroups", len(groups), array, origin=origin, accept=accept)


def _user(config: Config) -> Section:
    process = config.section("process")
    user = process.section("user") if process is not None else None
    return user or Section({}, _ORIGIN)
