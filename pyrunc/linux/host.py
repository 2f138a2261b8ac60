# SPDX-License-Identifier: Apache-2.0
"""Facts of this host that a plan may depend on; a plan is a pure function of the config and of them."""

import posix

_NS_GET_USERNS = 0xB701
_PART = 4096


class Host:
    """What a plan may ask of the machine; every fact can be given, so that a golden plan needs no machine.

    kernel: (major, minor). machine: as uname(2). uid: effective user id. own_ids: whether /proc/self/uid_map maps other
    than every id to itself, as it does in the initial user namespace. own_mounts: whether the mount namespace belongs
    to the user namespace; None: to be looked up when a plan asks. last_cap: highest capability number. bounding,
    permitted: the capability sets of the caller, as bits. stdio: for fds 0, 1, 2 (st_mode, st_rdev, st_uid) or None
    when closed. cgroup_mode: "v1", "v2" or "hybrid". cgroups: rows (name, mount options, mount point, container's path
    below it) of each hierarchy; name is "" for cgroup2. lsm: the security modules that label processes and are on, of
    "apparmor" and "selinux"; None: to be looked up when a plan asks, as few do.
    """

    __slots__ = (
        "bounding",
        "cgroup_mode",
        "cgroups",
        "kernel",
        "last_cap",
        "lsm",
        "machine",
        "own_ids",
        "own_mounts",
        "permitted",
        "stdio",
        "uid",
    )

    def __init__(
        self,
        *,
        kernel: tuple[int, int] = (6, 12),
        machine: str = "x86_64",
        uid: int = 0,
        own_ids: bool = False,
        own_mounts: "bool | None" = False,
        last_cap: int = 40,
        bounding: int = (1 << 41) - 1,
        permitted: int = (1 << 41) - 1,
        stdio: "tuple[tuple[int, int, int] | None, ...]" = (None, None, None),
        cgroup_mode: str = "v2",
        cgroups: "tuple[tuple[str, str, str, str], ...]" = (),
        lsm: "tuple[str, ...] | None" = (),
    ) -> None:
        self.kernel = kernel
        self.machine = machine
        self.uid = uid
        self.own_ids = own_ids
        self.own_mounts = own_mounts
        self.last_cap = last_cap
        self.bounding = bounding
        self.permitted = permitted
        self.stdio = stdio
        self.cgroup_mode = cgroup_mode
        self.cgroups = cgroups
        self.lsm = lsm

    @property
    def rootless(self) -> bool:
        """Whether privileges are those of a user namespace or of an ordinary user: no mknod, no raw procfs writes."""
        return self.uid != 0 or self.own_ids

    def copies_mounts(self) -> bool:
        """Whether the caller may copy a mount: root, and root of a user namespace with mounts of its own, as rootless
        Podman is.
        """
        if not self.rootless:
            return True
        if self.own_mounts is None:
            self.own_mounts = self.uid == 0 and _owns_mounts()
        return self.own_mounts

    def has_lsm(self, name: str) -> bool:
        """Whether "apparmor" or "selinux" is on."""
        if self.lsm is None:
            self.lsm = tuple(module for module, test in (("apparmor", _apparmor), ("selinux", _selinux)) if test())
        return name in self.lsm


def probe() -> Host:
    """The facts of the running machine, but the cgroups, which the cgroup driver fills in."""
    name = posix.uname()
    major, _, rest = name.release.partition(".")
    minor = rest.partition(".")[0]
    minor = minor[: len(minor) - len(minor.lstrip("0123456789"))] if not minor.isdigit() else minor
    status = _read("/proc/self/status")
    if len(status) == _PART:  # its line of groups can be long
        status = _read("/proc/self/status", 1 << 20)
    return Host(
        kernel=(int(major), int(minor or 0)),
        machine=name.machine,
        uid=posix.geteuid(),
        own_ids=not _maps_every_id(),
        own_mounts=None,
        last_cap=_last_capability(status),
        bounding=_capabilities(status, b"\nCapBnd:\t"),
        permitted=_capabilities(status, b"\nCapPrm:\t"),
        stdio=(_stat(0), _stat(1), _stat(2)),
        lsm=None,
    )


def _owns_mounts() -> bool:
    """Whether the mount namespace belongs to the user namespace: ioctl_nsfs(2), which refuses to open one above."""
    from fcntl import ioctl

    try:
        namespace = posix.open("/proc/self/ns/mnt", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            owner = ioctl(namespace, _NS_GET_USERNS)
        finally:
            posix.close(namespace)
        try:
            return posix.fstat(owner).st_ino == posix.stat("/proc/self/ns/user").st_ino
        finally:
            posix.close(owner)
    except OSError:
        return False


def _last_capability(status: bytes) -> int:
    """The kernel's highest; where /proc/sys is covered, as in a container, the highest that anything here can have."""
    try:
        return int(_read("/proc/sys/kernel/cap_last_cap"))
    except (OSError, ValueError):
        return (_capabilities(status, b"\nCapBnd:\t") | _capabilities(status, b"\nCapPrm:\t")).bit_length() - 1


def _apparmor() -> bool:
    try:
        return _read("/sys/module/apparmor/parameters/enabled")[:1] == b"Y"
    except OSError:
        return False


def _selinux() -> bool:
    """Its filesystem is there when it is not disabled; compiled in without a policy it is mounted nowhere."""
    try:
        return _read("/sys/fs/selinux/enforce") != b""
    except OSError:
        return False


def _maps_every_id() -> bool:
    return _read("/proc/self/uid_map").split() == [b"0", b"0", b"4294967295"]


def _capabilities(status: bytes, field: bytes) -> int:
    return int(status.partition(field)[2].partition(b"\n")[0], 16)


def _stat(fd: int) -> "tuple[int, int, int] | None":
    try:
        facts = posix.fstat(fd)
    except OSError:
        return None
    return facts.st_mode, facts.st_rdev, facts.st_uid


def _read(path: str, size: int = _PART) -> bytes:
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(fd, size)
    finally:
        posix.close(fd)
