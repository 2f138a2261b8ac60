# SPDX-License-Identifier: Apache-2.0
"""What this host refuses, and why: limits, ids, namespaces, sysctls; and what an errno of a call always means."""

import errno
import posix

from pyrunc.linux.namespaces import NAMESPACES
from pyrunc.linux.uapi import CLONE_NEWUSER, S_IFMT, S_IFREG
from pyrunc.process.look import kind_of

_NS_GET_NSTYPE = 0xB703
_CAP_SYS_RESOURCE = 24

HINTS = {
    ("clone3", errno.EBUSY): "the cgroup has controllers enabled for its children, so that no process may be in it",
    ("clone3", errno.EOPNOTSUPP): "the cgroup is threaded, or a cgroup above it is",
    ("clone3", errno.EAGAIN): "a limit on processes (RLIMIT_NPROC or pids.max) is reached",
    ("clone3", errno.ENOSPC): "a limit on nested namespaces (/proc/sys/user, /proc/sys/kernel/pid_max) is reached",
    ("clone3", errno.EPERM): "new namespaces need privileges, or a user namespace",
    ("clone3", errno.EINVAL): "this kernel lacks one of the namespaces",
    ("write", errno.ENOSPC): "the cpuset has no cpus or no memory nodes",
    ("pivot_root", errno.EINVAL): "the host's root is the initial ramfs; use --no-pivot",
    ("setgroups", errno.EPERM): "the user namespace denies setgroups; one that newgidmap maps allows it",
    ("setresgid", errno.EPERM): "the runtime has no CAP_SETGID",
    ("setresuid", errno.EPERM): "the runtime has no CAP_SETUID",
    ("setresuid", errno.EAGAIN): "the user has as many processes as RLIMIT_NPROC allows",
    ("chroot", errno.EPERM): "the runtime has no CAP_SYS_CHROOT",
    ("sethostname", errno.EPERM): "it needs CAP_SYS_ADMIN in the user namespace of the uts namespace",
    ("setdomainname", errno.EPERM): "it needs CAP_SYS_ADMIN in the user namespace of the uts namespace",
    ("mount_setattr", errno.EPERM): "a flag of the mount is locked: it comes from another user namespace",
    ("mount", errno.EPERM): "this filesystem may not be mounted in a user namespace",
    ("open_tree", errno.EINVAL): "it has mounts below that this user namespace may not uncover: rbind takes them along",
    ("fsopen", errno.EPERM): "mounting needs CAP_SYS_ADMIN in the user namespace of the mount namespace",
    ("fsconfig", errno.EPERM): "this filesystem may not be mounted in a user namespace",
    (
        "keyctl",
        errno.EDQUOT,
    ): "the user's quota of keys (/proc/sys/kernel/keys) is used up; --no-new-keyring does without",
    ("keyctl", errno.ENOSYS): "this kernel has no keyrings; --no-new-keyring does without",
    ("seccomp", errno.EACCES): "a filter needs noNewPrivileges or CAP_SYS_ADMIN",
    ("seccomp", errno.EINVAL): "the kernel does not know a flag or an action of the filter",
    ("seccomp", errno.EBUSY): "a filter with a listener is there already",
    ("capset", errno.EPERM): "a capability is wanted that the process does not have any more",
    ("unshare", errno.EINVAL): "the kernel has no such namespace",
    ("sched_setattr", errno.EPERM): "it needs CAP_SYS_NICE, and for real time a cgroup with cpu.realtimeRuntime",
    ("sched_setattr", errno.EBUSY): "no bandwidth is left for such a deadline",
    ("sched_setattr", errno.EINVAL): "the kernel has no such policy, or its values contradict each other",
    ("ioprio_set", errno.EPERM): "this class needs CAP_SYS_NICE or CAP_SYS_ADMIN",
    ("set_mempolicy", errno.EINVAL): "the mode does not go with these nodes or flags, or the cpuset has none of them",
    ("sched_setaffinity", errno.EINVAL): "none of these CPUs is online and in the cpuset",
    ("umount2", errno.EINVAL): "the mount is locked, or no mount",
}
"""By call and errno."""

ANYWHERE = {
    errno.ENOMEM: "a memory limit of the container may be too low",
    errno.ENOSYS: "this kernel is too old, or a seccomp filter around the runtime forbids the call",
    errno.EDQUOT: "a quota is used up",
    errno.ENFILE: "the host's limit on open files (/proc/sys/fs/file-max) is reached",
    errno.EMFILE: "the limit on open files (RLIMIT_NOFILE) is reached",
}
"""By errno alone."""


def process_gone(path: str) -> str:
    """For a path below /proc/PID of a process that ended."""
    pid = path.split("/")[2]
    if not pid.isdigit():
        return ""
    try:
        posix.stat(f"/proc/{pid}")
    except OSError:
        return f"process {pid} is gone"
    return ""


def sysctl(file: str, number: int) -> str:
    """Why /proc/sys/FILE could not be opened for writing in the container's namespaces."""
    try:
        mode = posix.stat(f"/proc/sys/{file}").st_mode
    except OSError:
        mode = 0
    if number == errno.ENOENT:
        if mode:
            return "it exists on the host, but not in a namespace of the container's own"
        return "this kernel has no such sysctl; it may belong to a module that is not loaded"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        if mode & 0o222:
            return "it can be written on the host, but is read-only in a namespace of the container's own"
        return "it is read-only" if mode else "it is read-only here"
    return ""


def namespace(path: str, wanted: int, number: int) -> str:
    """Why a path cannot be joined as a namespace of the type CLONE_NEW*."""
    names = {flag: word for word, (flag, _) in NAMESPACES.items()}
    found = _type_of(path)
    if found != wanted and found in names:
        return f'"{path}" is a {names[found]} namespace, not a {names[wanted]} namespace'
    if found == 0:
        return f'"{path}" is no namespace'
    if number == errno.EINVAL and wanted == CLONE_NEWUSER and _same(path, "/proc/self/ns/user"):
        return "it is the user namespace that the runtime is in, which cannot be joined"
    if number == errno.EPERM:
        return f"joining a {names.get(wanted, '')} namespace needs CAP_SYS_ADMIN in the user namespace that owns it"
    return ""


def _type_of(path: str) -> int:
    """The CLONE_NEW* of a namespace (ioctl_ns(2)); 0 for what is none, -1 for what cannot be opened."""
    from fcntl import ioctl

    try:
        if posix.stat(path).st_mode & S_IFMT != S_IFREG:
            return 0
        fd = posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
    except OSError:
        return -1
    try:
        return ioctl(fd, _NS_GET_NSTYPE)
    except OSError:
        return 0
    finally:
        posix.close(fd)


def filesystem(path: str) -> str:
    """The type of the filesystem that a path is on here: the mount whose place is the longest beginning of it."""
    try:
        fd = posix.open(path, posix.O_PATH | posix.O_CLOEXEC)
    except OSError:
        return ""
    try:
        path = posix.readlink(f"/proc/self/fd/{fd}")
    finally:
        posix.close(fd)
    longest, found = -1, ""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split()
            place = fields[4].encode().decode("unicode_escape")
            if f"{path}/".startswith(place.rstrip("/") + "/") and len(place) >= longest:
                longest, found = len(place), fields[fields.index("-", 6) + 1]
    return found


def _same(one: str, other: str) -> bool:
    try:
        first, second = posix.stat(one), posix.stat(other)
    except OSError:
        return False
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def device(mode: int, rdev: int) -> str:
    """A device as words: "the character device 1:3"; any other file by its kind."""
    kind = kind_of(mode)
    if kind.endswith("device"):
        return f"the {kind} {posix.major(rdev)}:{posix.minor(rdev)}"
    return f"a {kind}"


def capable(bit: int) -> bool:
    """Whether the runtime has a capability."""
    with open("/proc/self/status", "rb") as file:
        return any(line.startswith(b"CapEff:") and bool(int(line[7:], 16) >> bit & 1) for line in file)


def rlimit(number: int, hard: int) -> str:
    """Why a hard limit was refused: setrlimit(2) takes none above the own without CAP_SYS_RESOURCE."""
    import resource

    if number == resource.RLIMIT_NOFILE:
        with open("/proc/sys/fs/nr_open", "rb") as file:
            most = int(file.read())
        if hard > most:
            return f"no process may have more open files than /proc/sys/fs/nr_open says, {most}"
    if capable(_CAP_SYS_RESOURCE):
        return ""
    own = resource.getrlimit(number)[1]
    return f"it is above the hard limit of the runtime itself, {own}, and the runtime has no CAP_SYS_RESOURCE"


def oom_score() -> str:
    """Why oom_score_adj was refused: proc_pid_oom_score_adj(5)."""
    if capable(_CAP_SYS_RESOURCE):
        return ""
    with open("/proc/self/oom_score_adj", "rb") as file:
        own = int(file.read())
    return f"the runtime itself has {own}, and to go lower it needs CAP_SYS_RESOURCE, which it does not have"


def unmapped(kind: str, wanted: "int | str", pid: int) -> str:
    """That a "uid" or "gid" is not mapped, and which ones are."""
    return f"{kind} {wanted} is not mapped in the user namespace: {mapped(pid, f'{kind}_map')}"


def mapped(pid: int, name: str) -> str:
    """The ids that a process's uid_map or gid_map has."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            rows = [line.split() for line in file]
    except OSError:
        return "its map cannot be read"
    ranges = [(int(row[0]), int(row[0]) + int(row[2]) - 1) for row in rows]
    shown = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in ranges[:8])
    return f"it has {shown}" if shown else "it has none"


def covered(root: str) -> list[str]:
    """Mount points below /proc or /sys that hide something of it (proc(5), mountinfo): at most six."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split()
            if fields[4].startswith(f"{root}/") and fields[4] not in found:
                found.append(fields[4])
    return found[:6] + (["…"] if len(found) > 6 else [])
