# SPDX-License-Identifier: Apache-2.0
"""The terminal: config.md#process (terminal, consoleSize), /dev/console of config-linux.md#default-devices, pty(7).

The pair is made from the container's own devpts, whose ptmx is opened and verified by descriptor; the slave comes from
TIOCGPTPEER and never by its name (CVE-2025-52565). The master leaves by SCM_RIGHTS over the console socket.
"""

from posix import O_NOCTTY, O_RDWR, makedev

from pyrunc.config.fields import Section
from pyrunc.linux.uapi import (
    AT_FDCWD,
    DEVPTS_SUPER_MAGIC,
    O_CLOEXEC,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_SYMLINKS,
    S_IFCHR,
    TIOCGPTPEER,
    TIOCSCTTY,
    TIOCSPTLCK,
    TIOCSWINSZ,
)
from pyrunc.plan import ops
from pyrunc.plan.calls import move_mount, open_tree, openat2, send_descriptors
from pyrunc.plan.program import Op, Program, Struct

_ORIGIN = "/process/terminal"


def open_pty(process: Section, program: Program, root: "Op | None") -> Op:
    """Make the pair, send the master to the input "console", lay the slave on stdin, stdout and stderr; its register.

    `root` is the container's root while it is not yet the process's root; None when it is.
    """
    # No symlink is followed: what it leads to would be opened, which for a device has effects, before it is verified.
    where, path, scope = (AT_FDCWD, "/dev/pts/ptmx", 0) if root is None else (root, "dev/pts/ptmx", RESOLVE_IN_ROOT)
    resolve = scope | RESOLVE_NO_SYMLINKS
    master = openat2(program, where, path, O_RDWR | O_NOCTTY, resolve, origin=_ORIGIN, to="master")
    program.check_fs(master, DEVPTS_SUPER_MAGIC, origin=_ORIGIN)
    program.check(master, S_IFCHR, makedev(5, 2), origin=_ORIGIN)
    program.call("ioctl", master, TIOCSPTLCK, Struct("I", 0, text="unlock"), origin=_ORIGIN)
    slave = program.call("ioctl", master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC, origin=_ORIGIN, to="slave")
    size = process.section("consoleSize")
    if size is not None:
        height, width = size.integer("height", 0, 65535), size.integer("width", 0, 65535)
        # Engines that do not know the size yet send zeros, which would make every program think of a screen of nothing.
        if height and width:
            winsize = Struct("4H", height, width, 0, 0, text=f"{height} rows, {width} columns")
            program.call("ioctl", master, TIOCSWINSZ, winsize, origin="/process/consoleSize")
    _send(program, master)
    program.call("close", master)
    return slave


def _send(program: Program, master: Op) -> None:
    """Exactly one descriptor with a name, as engines read it."""
    send_descriptors(program, program.input("console"), "/dev/ptmx", master, origin=_ORIGIN)
    # The engine's socket must not stay open in a container that waits for `start` (CVE-2016-9962).
    program.call("close", program.input("console"))


def bind_console(program: Program, root: Op, slave: Op) -> None:
    """/dev/console, the terminal under the name that programs know."""
    tree = open_tree(program, slave, "", origin=_ORIGIN, to="console_tree")
    target = program.mkpath(root, "/dev/console", ops.KIND_FILE, origin=_ORIGIN)
    move_mount(program, tree, target, origin=_ORIGIN)
    program.call("close", target)
    program.call("close", tree)


def take(program: Program, slave: Op) -> None:
    """The slave becomes stdin, stdout, stderr and the controlling terminal of the new session: tty_ioctl(4)."""
    for number in (0, 1, 2):
        program.call("dup3", slave, number, 0, origin=_ORIGIN)
    program.call("close", slave)
    program.call("ioctl", 0, TIOCSCTTY, 0, origin=_ORIGIN)
