# SPDX-License-Identifier: Apache-2.0
"""Device nodes and links in /dev: config-linux.md#devices, #default-devices, runtime-linux.md#dev-symbolic-links.

All work is relative to opened directories, one component at a time, and nothing of the image's /dev is followed
(CVE-2026-41579). A user namespace cannot make nodes: there the host's are bound, or those that were made for it before
it was entered, by one who may.
"""

import errno
from posix import O_DIRECTORY, makedev

from pyrunc.config.fields import Config, Section
from pyrunc.errors import ConfigError
from pyrunc.linux.uapi import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    FSCONFIG_CMD_CREATE,
    FSCONFIG_SET_STRING,
    FSMOUNT_CLOEXEC,
    FSOPEN_CLOEXEC,
    MNT_DETACH,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    O_CLOEXEC,
    O_PATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_SYMLINKS,
    S_IFBLK,
    S_IFCHR,
    S_IFIFO,
    S_IFMT,
)
from pyrunc.plan import ops
from pyrunc.plan.calls import mount_setattr, move_mount, open_tree, openat2
from pyrunc.plan.program import Op, Program

_DEFAULTS = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)
_LINKS = (
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("/proc/kcore", "core"),
)
_TYPES = {"c": S_IFCHR, "u": S_IFCHR, "b": S_IFBLK, "p": S_IFIFO}
_ID_MAX = 2**32 - 2
_DEFAULT_ORIGIN = "/linux/devices"
_ATTRIBUTES = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC


class Device:
    """A node to make. mode has the file type; owner: (uid, gid) in the container."""

    __slots__ = ("mode", "origin", "owner", "path", "rdev")

    def __init__(self, path: str, mode: int, rdev: int, owner: tuple[int, int], origin: str) -> None:
        self.path = path
        self.mode = mode
        self.rdev = rdev
        self.owner = owner
        self.origin = origin


def wanted(config: Config) -> list[Device]:
    """The configured devices, and the default ones that no entry replaces, nor a mount, as rootless podman's."""
    devices = _configured(config)
    taken = {device.path for device in devices} | {mount.text("destination") for mount in config.sections("mounts")}
    defaults = [
        Device(path, S_IFCHR | 0o666, makedev(major, minor), (0, 0), _DEFAULT_ORIGIN)
        for path, major, minor in _DEFAULTS
        if path not in taken
    ]
    return defaults + devices


def _configured(config: Config) -> list[Device]:
    linux = config.section("linux")
    return [_device(section) for section in linux.sections("devices")] if linux is not None else []


def _device(section: Section) -> Device:
    word = section.text("type")
    if word not in _TYPES:
        raise section.refuse("type", f'must be c, b, u or p, not "{word}"')
    rdev = 0
    if word != "p":
        rdev = makedev(section.integer("major", 0, 4095), section.integer("minor", 0, 2**20 - 1))
    # Engines written in Go leave the file type in fileMode.
    mode = section.integer("fileMode", 0, 2**32 - 1, 0o666) & 0o7777
    owner = section.integer("uid", 0, _ID_MAX, 0), section.integer("gid", 0, _ID_MAX, 0)
    path = section.text("path")
    node = path.rstrip("/")
    if node[:1] != "/" or "/../" in node:
        raise section.refuse("path", f'"{path}" is not the absolute path of a file')
    return Device(node, _TYPES[word] | mode, rdev, owner, section.pointer)


def prepare(config: Config, program: Program) -> "Op | None":
    """The nodes of linux.devices in a detached tmpfs, by their place in it; before a user namespace is entered.

    A node of the host need not be there, and has the host's owner and mode; these have what is asked for. The ids are
    those of the host: without mappings to tell them, or without CAP_MKNOD (EPERM), the host's nodes must do.
    """
    linux = config.section("linux")
    if linux is None or not linux.array("uidMappings"):
        return None
    devices = _configured(config)
    if not any(device.mode & S_IFMT != S_IFIFO for device in devices):
        return None
    origin = "/linux/devices"
    context = program.call("fsopen", "tmpfs", FSOPEN_CLOEXEC, origin=origin, to="context")
    program.call("fsconfig", context, FSCONFIG_SET_STRING, "mode", "711", 0, origin=origin)
    program.call("fsconfig", context, FSCONFIG_CMD_CREATE, None, None, 0, origin=origin)
    nodes = program.call("fsmount", context, FSMOUNT_CLOEXEC, _ATTRIBUTES, origin=origin, to="nodes")
    program.call("close", context)
    for place, device in enumerate(devices):
        if device.mode & S_IFMT == S_IFIFO:
            continue
        denied = (errno.EPERM,)
        origin = device.origin
        made = program.call("mknodat", nodes, str(place), device.mode, device.rdev, origin=origin, accept=denied)
        owner = [_outside(linux, key, device) for key in ("uid", "gid")]
        program.call("fchownat", nodes, str(place), *owner, 0, origin=origin)
        program.here_on_error(made)
    return nodes


def _outside(linux: Section, key: str, device: Device) -> int:
    """The owner's id on the host; for 0, which is the default, one that is not mapped is no error."""
    from pyrunc.config.idmap_rules import rows

    wanted = device.owner[key == "gid"]
    for inner, outer, size in rows(linux, f"{key}Mappings"):
        if inner <= wanted < inner + size:
            return outer + wanted - inner
    if wanted:
        raise ConfigError(f"{wanted} is not mapped in the user namespace", f"{device.origin}/{key}")
    return 0


def folder(program: Program, root: Op) -> Op:
    """/dev of the container. A symlink is refused: what it leads to is not ours to fill (CVE-2026-41579)."""
    program.call("mkdirat", root, "dev", 0o755, origin=_DEFAULT_ORIGIN, accept=(errno.EEXIST,))
    flags = O_PATH | O_DIRECTORY
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS
    return openat2(program, root, "dev", flags, resolve, origin=_DEFAULT_ORIGIN, to="dev")


def make(devices: list[Device], program: Program, root: Op, dev: Op, *, bind: bool, nodes: "Op | None" = None) -> None:
    """Make the nodes; or bind the host's when `bind` (a user namespace has no mknod), or those of `prepare`.

    `dev`: /dev, opened by `folder`.
    """
    folders = {"/dev": dev}
    sources = _sources(devices, program, root, nodes) if nodes is not None else {}
    for device in devices:
        if bind and device.mode & S_IFMT != S_IFIFO:
            _bind(device, program, root, sources.get(device.path) or _host_node(device, program))
            continue
        path, _, name = device.path.rpartition("/")
        directory = folders.get(path)
        if directory is None:
            directory = folders[path] = (
                root if not path else program.mkpath(root, path, ops.KIND_DIRECTORY, origin=device.origin, to="folder")
            )
        _node(device, program, directory, name)
    for directory in folders.values():
        if directory not in (root, dev):
            program.call("close", directory)


def _node(device: Device, program: Program, directory: Op, name: str) -> None:
    origin = device.origin
    made = program.call("mknodat", directory, name, device.mode, device.rdev, origin=origin, accept=(errno.EEXIST,))
    if device.owner == (0, 0):
        done = program.jump()
        program.here_on_error(made)
        _verify(device, program, directory, name)
        program.here_on_success(done)
        return
    program.here_on_error(made)
    node = _verify(device, program, directory, name, keep=True)
    program.call("fchownat", node, "", *device.owner, AT_EMPTY_PATH, origin=origin)
    program.call("close", node)


def _verify(device: Device, program: Program, directory: Op, name: str, *, keep: bool = False) -> Op:
    """What lies there must be the device that is wanted, and no symlink (config-linux.md#devices: else an error)."""
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS
    node = openat2(program, directory, name, O_PATH, resolve, origin=device.origin, to="node")
    program.check(node, device.mode & S_IFMT, device.rdev, origin=device.origin)
    if not keep:
        program.call("close", node)
    return node


def _host_node(device: Device, program: Program) -> Op:
    """A detached mount of the host's node of that path."""
    source = program.call("openat", AT_FDCWD, device.path, O_PATH | O_CLOEXEC, 0, origin=device.origin, to="host_node")
    program.check(source, device.mode & S_IFMT, device.rdev, origin=device.origin)
    tree = open_tree(program, source, "", origin=device.origin, to="node")
    program.call("close", source)
    # As on any node that the container makes itself in its /dev, whatever the host's /dev is mounted with.
    mount_setattr(program, tree, _ATTRIBUTES, origin=device.origin)
    return tree


def _sources(devices: list[Device], program: Program, root: Op, nodes: Op) -> dict[str, Op]:
    """A detached mount of each node of `prepare`, by path. To be copied, nodes must lie in this mount namespace, for
    which the tmpfs covers the root for a moment: its descriptor still leads to what is below.
    """
    move_mount(program, nodes, root, origin="/linux/devices")
    trees: dict[str, Op] = {}
    configured = [device for device in devices if device.origin != _DEFAULT_ORIGIN]
    for place, device in enumerate(configured):
        if device.mode & S_IFMT == S_IFIFO:
            continue
        absent = (errno.ENOENT,)
        flags = O_PATH | O_CLOEXEC
        node = program.call("openat", nodes, str(place), flags, 0, origin=device.origin, to="made", accept=absent)
        tree = open_tree(program, node, "", origin=device.origin, to="node")
        program.call("close", node)
        done = program.jump()
        program.here_on_error(node)
        _host_node(device, program).register = tree.register
        program.here_on_success(done)
        trees[device.path] = tree
    program.call("fchdir", nodes, origin="/linux/devices")
    program.call("umount2", ".", MNT_DETACH, origin="/linux/devices")
    program.call("fchdir", root, origin="/linux/devices")
    program.call("close", nodes)
    return trees


def _bind(device: Device, program: Program, root: Op, tree: Op) -> None:
    target = program.mkpath(root, device.path, ops.KIND_FILE, origin=device.origin)
    move_mount(program, tree, target, origin=device.origin)
    for fd in (tree, target):
        program.call("close", fd)


def links(program: Program, dev: Op) -> None:
    """/dev/fd, stdin, stdout, stderr, core and ptmx; a link or file that is there stays, but ptmx is replaced."""
    for target, name in _LINKS:
        program.call("symlinkat", target, dev, name, accept=(errno.EEXIST,))
    program.call("unlinkat", dev, "ptmx", 0, accept=(errno.ENOENT,))
    program.call("symlinkat", "pts/ptmx", dev, "ptmx")
    program.call("close", dev)
