# SPDX-License-Identifier: Apache-2.0
"""Namespaces, new or joined by path: config-linux.md#namespaces, clone3(2), setns(2), user_namespaces(7)."""

import errno
from posix import O_WRONLY

from pyrunc.config.fields import Config
from pyrunc.config.process_rules import keeps_groups
from pyrunc.linux.host import Host
from pyrunc.linux.namespaces import NAMESPACES
from pyrunc.linux.uapi import (
    AT_FDCWD,
    CLONE_INTO_CGROUP,
    CLONE_NEWCGROUP,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_PARENT,
    O_CLOEXEC,
    PR_SET_DUMPABLE,
)
from pyrunc.plan.program import Op, Program, Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    Late = tuple[Op, int, str]  # an open namespace, its CLONE_NEW*, and the pointer of its path


class Namespaces:
    """linux.namespaces. flags: CLONE_NEW* of the new ones; paths: word -> (flag, path, pointer) of the others."""

    __slots__ = ("flags", "paths")

    def __init__(self, config: Config) -> None:
        self.flags = 0
        self.paths: dict[str, tuple[int, str, str]] = {}
        linux = config.section("linux")
        for row in linux.sections("namespaces") if linux is not None else ():
            word = row.text("type")
            if word not in NAMESPACES:
                raise row.refuse("type", f'unknown namespace "{word}"')
            path = row.text("path", "")
            if path:
                self.paths[word] = (NAMESPACES[word][0], path, row.at("path"))
            else:
                self.flags |= NAMESPACES[word][0]

    def new(self, flag: int) -> bool:
        """Whether a namespace of this CLONE_NEW* is made."""
        return bool(self.flags & flag)

    def private(self, word: str) -> bool:
        """Whether the container does not share the caller's namespace: a new one, or one by path."""
        return word in self.paths or bool(self.flags & NAMESPACES[word][0])


def join(wanted: Namespaces, host: Host, program: Program) -> "Late | None":
    """Enter the namespaces that are given by path, in the parent stage, so that the clone is born in them.

    Those that the caller's rights reach are joined first; the rest (owned by the user namespace to join) after it. The
    ids stay the caller's until the clone: they have the right to put it into its cgroup. The result is a cgroup
    namespace for `enter_cgroups`, which is entered after the clone (`_bounded`).
    """
    opened = []
    late: Late | None = None
    for word in NAMESPACES:
        if word in wanted.paths:
            flag, path, pointer = wanted.paths[word]
            fd = program.call("openat", AT_FDCWD, path, O_CLOEXEC, 0, origin=pointer, to=f"{word}_ns")
            # From a new user namespace the clone could not enter one of the host's.
            if word == "cgroup" and _bounded(host) and not wanted.new(CLONE_NEWUSER):
                late = (fd, flag, pointer)
            else:
                opened.append((word, flag, pointer, fd))
    if "user" not in wanted.paths:
        for _, flag, pointer, fd in opened:
            program.call("setns", fd, flag, origin=pointer)
            program.call("close", fd)
        return late
    for word, flag, pointer, fd in opened:
        if word != "user":
            entered = program.call("setns", fd, flag, origin=pointer, accept=(errno.EPERM,))
            program.call("close", fd)
            program.here_on_error(entered)
    for word, flag, pointer, fd in opened:
        # A descriptor that is closed by now was joined in the first round.
        accept = () if word == "user" else (errno.EBADF,)
        entered = program.call("setns", fd, flag, origin=pointer, accept=accept)
        program.call("close", fd, accept=(errno.EBADF,))
    return late


def _bounded(host: Host) -> bool:
    """Whether a cgroup namespace may keep its children out of a cgroup (ENOENT), whose maker was in none of its own:
    cgroup2 with nsdelegate, as systemd mounts it (cgroup_procs_write_permission in kernel/cgroup/cgroup.c).
    """
    return any(not row[0] for row in host.cgroups)


def clone(wanted: Namespaces, config: Config, host: Host, program: Program, later: int) -> None:
    """Make the new namespaces, but those of `later` (CLONE_NEW*), and go on in them.

    The cgroup namespace is made later (`unshare_cgroup`): its root is the cgroup where its maker is by then.
    """
    _clone(program, host, wanted.flags & ~(CLONE_NEWCGROUP | later), "/linux/namespaces" if config.has("linux") else "")


def join_running(program: Program, host: Host, flags: int) -> int:
    """Enter the namespaces `flags` of the input "init", a pidfd; the result is those to enter after the clone.

    The cgroup namespace is, where it is a boundary (`_bounded`). A user namespace takes the right to be born in a
    cgroup of the host's root (cgroups(7), cgroup.procs): with one, only the pid namespace is entered before, which is
    that of children in any case (setns(2)).
    """
    early = flags & ~CLONE_NEWCGROUP if _bounded(host) else flags
    if flags & CLONE_NEWUSER and _bounded(host) and not host.rootless:
        early = flags & CLONE_NEWPID
    if early:
        program.call("setns", program.input("init"), early)
    return flags & ~early


def clone_process(program: Program, host: Host) -> None:
    """The clone of `exec`: no new namespaces, but the child is the first to be in a joined pid namespace."""
    _clone(program, host, 0, "")


def _clone(program: Program, host: Host, flags: int, origin: str) -> None:
    """clone3(2). On cgroup2 the child is born in its cgroup: nothing is migrated.

    An ordinary user may have got no cgroup, which the runtime knows only when it has tried to make one.
    """
    names = [word for word, (flag, _) in NAMESPACES.items() if flags & flag]
    text = "new " + ", ".join(names) if names else "no new namespace"
    # struct clone_args: flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid set_tid_size cgroup.
    # CLONE_PARENT: the caller of the runtime, or its nearest subreaper, becomes the parent.
    plain = Struct("11Q", flags | CLONE_PARENT, *(0,) * 10, text=text)
    if all(row[0] for row in host.cgroups):
        program.clone(plain, origin=origin)
        return
    cgroup = program.input("cgroup")
    into = Struct("11Q", flags | CLONE_PARENT | CLONE_INTO_CGROUP, *(0,) * 9, cgroup, text=f"{text}, into the cgroup")
    if not host.rootless:
        _clone_into(program, cgroup, into, plain, origin)
    else:
        given = program.jump(cgroup, (errno.EBADF,))
        program.clone(plain, origin=origin)
        done = program.jump()
        program.here_on_success(given)
        _clone_into(program, cgroup, into, plain, origin)
        program.here_on_success(done)
    # A created container waits for ever: no directory of the host may be open in it (CVE-2016-9962, CVE-2024-21626).
    program.call("close", cgroup, accept=(errno.EBADF,) if host.rootless else ())


def _clone_into(program: Program, cgroup: Op, into: Struct, plain: Struct, origin: str) -> None:
    """Be born in the cgroup; where pids.max lets nobody more be born (EAGAIN) move there, which it does not forbid."""
    born = program.clone(into, origin=origin, accept=(errno.EAGAIN,))
    done = program.jump()
    program.here_on_error(born)
    program.clone(plain, origin=origin)
    pointer = "/linux/cgroupsPath"
    procs = program.call("openat", cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC, 0, origin=pointer, to="procs")
    program.call("write", procs, "0", 1, origin=pointer)
    program.call("close", procs)
    program.here_on_success(done)


def enter_cgroups(program: Program, host: Host, late: "Late | None" = None) -> None:
    """Enter the hierarchies of cgroup v1, by the process itself while it has one thread; then a cgroup namespace.

    A "0" in `tasks` moves the writer without the lock of all threads of the machine, which costs a move from outside 5
    to 15 ms (cgroup_procs_write_start in kernel/cgroup/cgroup.c). A hierarchy that an ordinary user has no right to is
    not among the descriptors (EBADF).
    """
    for place in range(len({row[2:] for row in host.cgroups if row[0]})):
        tasks = program.input(f"tasks {place}")
        program.call("write", tasks, "0", 1, origin="/linux/cgroupsPath", accept=(errno.EBADF,))
        program.call("close", tasks, accept=(errno.EBADF,))
    if late is not None:
        namespace, flag, pointer = late
        program.call("setns", namespace, flag, origin=pointer)
        program.call("close", namespace)


def become_root(program: Program, config: Config, origin: str) -> None:
    """Take the ids 0 of a user namespace, or the lowest that it maps: without one no file can be made (EOVERFLOW).

    One by path, whose maps the config does not repeat, may have no 0 (EINVAL): there the ids stay as they are.
    """
    if not keeps_groups(config):
        program.call("setgroups", 0, None, origin=origin, accept=(errno.EPERM,))
    for name, key in (("setresgid", "gidMappings"), ("setresuid", "uidMappings")):
        lowest = _lowest(config, key)
        program.call(name, lowest, lowest, lowest, origin=origin, accept=(errno.EINVAL,))
    # setresuid made the process dumpable as the sysctl fs.suid_dumpable says (CVE-2016-9962).
    program.call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)


def _lowest(config: Config, key: str) -> int:
    linux = config.section("linux")
    rows = linux.sections(key) if linux is not None else []
    return min((row.integer("containerID", 0, 2**32 - 1) for row in rows), default=0)


def unshare_cgroup(wanted: Namespaces, program: Program) -> None:
    """The new cgroup namespace, once the process is in its cgroup: cgroup_namespaces(7)."""
    if wanted.new(CLONE_NEWCGROUP):
        program.call("unshare", CLONE_NEWCGROUP, origin="/linux/namespaces")
