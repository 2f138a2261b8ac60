# SPDX-License-Identifier: Apache-2.0
"""The order of set-up from the new mount namespace to the root in place; each concern is imported when needed."""

import errno

from pyrunc.config.fields import Config
from pyrunc.linux.host import Host
from pyrunc.linux.uapi import CLONE_NEWNET
from pyrunc.plan import ops
from pyrunc.plan.program import Op, Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.execve import Command
    from pyrunc.plan.mount_row import Mount
    from pyrunc.plan.namespaces import Namespaces
    from pyrunc.plan.paths import Masks


class Filesystem:
    """The container's view of files: everything between the new mount namespace and the pivot."""

    __slots__ = (
        "command",
        "config",
        "host",
        "mounts",
        "no_pivot",
        "nodes",
        "passwd",
        "private",
        "slave",
        "sources_open",
        "wanted",
    )

    def __init__(
        self,
        config: Config,
        host: Host,
        wanted: "Namespaces",
        command: "Command | None",
        *,
        no_pivot: bool,
    ) -> None:
        from pyrunc.plan import mount_row

        self.config = config
        self.host = host
        self.wanted = wanted
        self.no_pivot = no_pivot
        self.private = wanted.private("mount")
        self.command = command
        self.mounts = mount_row.read(config, create=True)
        linux = config.section("linux")
        if linux is not None and linux.has("mountLabel"):
            from pyrunc.plan import lsm

            mount_row.label(self.mounts, lsm.mount_label(linux, host))
        self.sources_open = False
        self.nodes: Op | None = None
        self.slave: Op | None = None
        self.passwd: Op | None = None

    def map_ids(self, program: Program) -> "list[Op]":
        """Before the sources are opened; the user namespaces of ID-mapped mounts, to be closed after the mounts."""
        if not any(mount.options.idmap or mount.section.has("uidMappings") for mount in self.mounts):
            return []
        from pyrunc.plan import idmap

        return idmap.assign(self.mounts, self.config, program)

    def open_sources(self, program: Program) -> None:
        """Bind sources that only the caller may reach are opened before the user namespace takes its rights away."""
        from pyrunc.plan import mounts

        mounts.open_sources(self.mounts, program)
        self.sources_open = True
        linux = self.config.section("linux")
        if self.wanted.private("user") and not self.host.rootless and linux is not None and linux.array("devices"):
            from pyrunc.plan import devices

            self.nodes = devices.prepare(self.config, program)

    def make(self, program: Program, proc: "Op | None") -> None:
        """`proc`: a procfs of our own, where sysctls are to be set."""
        from pyrunc.plan import rootfs

        if not self.private:
            self._hooks(program)
            rootfs.enter(program, self.config)
            self._names(program, proc)
            self._terminal(program, None)
            self._passwd(program, None)
            return
        shared = rootfs.propagation(self.config)[0]
        if shared and not self.sources_open:
            self.open_sources(program)
        rootfs.isolate(program)
        if not self.sources_open:
            self.open_sources(program)
        masks = self._masks(program)
        root = rootfs.attach(self.config, program)
        late = self._mounts(program, root)
        self._devices(program, root)
        self._terminal(program, root)
        self._hooks(program)
        for mount, tree in late:
            from pyrunc.plan import mounts

            mounts.seal(mount, program, tree)
        self._working_directory(program, root)
        self._passwd(program, root)
        self._paths(program, root, masks)
        rootfs.read_only(self.config, program, root)
        rootfs.pivot(self.config, program, root, no_pivot=self.no_pivot)
        program.call("close", root)
        self._names(program, proc)

    def _passwd(self, program: Program, root: "Op | None") -> None:
        if self.command is not None and self.command.wants_home:
            from pyrunc.plan import passwd

            self.passwd = passwd.open_database(program, root)

    def _working_directory(self, program: Program, root: Op) -> None:
        """Make process.cwd where it is missing, as users of runc expect; a root that is read-only by nature stays."""
        process = self.config.section("process")
        if process is not None and process.text("cwd") != "/":
            folder = program.mkpath(root, process.text("cwd"), ops.KIND_DIRECTORY, origin=process.at("cwd"))
            folder.accept = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)
            program.call("close", folder, accept=(errno.EBADF,))

    def _masks(self, program: Program) -> "Masks | None":
        linux = self.config.section("linux")
        if linux is None or not linux.has("maskedPaths"):
            return None
        from pyrunc.plan import paths

        return paths.prepare(self.config, self.host, program)

    def _mounts(self, program: Program, root: Op) -> "list[tuple[Mount, Op]]":
        from pyrunc.plan import mounts

        late = []
        for mount in self.mounts:
            if mount.type in ("cgroup", "cgroup2") and not mount.options.bind:
                from pyrunc.plan import cgroup_mount

                cgroup_mount.make(mount, self.host, program, root, private=self.wanted.private("cgroup"))
                continue
            instead = "/sys" if mount.type == "sysfs" and self._foreign_network() else ""
            tree = mounts.make(mount, program, root, ops.COPY_UP, ordinary=self.host.uid != 0, instead=instead)
            if instead and not any(other.destination.startswith("/sys/fs/cgroup") for other in self.mounts):
                mounts.cover(mount, program, root, "/sys/fs/cgroup")
            if tree is not None:
                late.append((mount, tree))
        return late

    def _foreign_network(self) -> bool:
        """Whether sysfs, which shows the network namespace, may belong to another user namespace than the process."""
        return self.wanted.private("user") and not self.wanted.new(CLONE_NEWNET)

    def _devices(self, program: Program, root: Op) -> None:
        """A /dev that is bound from elsewhere is complete, and not ours to fill."""
        from pyrunc.plan import devices

        wanted = devices.wanted(self.config)
        if any(mount.options.bind and mount.destination == "/dev" for mount in self.mounts):
            return
        bind = self.host.rootless or self.wanted.private("user")
        dev = devices.folder(program, root)
        devices.make(wanted, program, root, dev, bind=bind, nodes=self.nodes)
        devices.links(program, dev)
        process = self.config.section("process")
        if process is not None and not process.flag("terminal"):
            from pyrunc.plan import stdio

            stdio.reopen_null(self.host, program, root)

    def _terminal(self, program: Program, root: "Op | None") -> None:
        process = self.config.section("process")
        if process is None or not process.flag("terminal"):
            return
        from pyrunc.plan import console, stdio

        self.slave = console.open_pty(process, program, root)
        stdio.own_terminal(process, program, self.slave)
        if root is not None:
            console.bind_console(program, root, self.slave)

    def _hooks(self, program: Program) -> None:
        hooks = self.config.section("hooks")
        if hooks is None:
            return
        if hooks.array("prestart") or hooks.array("createRuntime") or hooks.array("createContainer"):
            # The hooks of the runtime's namespaces run now, and the state for those inside is there by now.
            program.sync(ops.CREATED, "created")
        if hooks.array("createContainer"):
            from pyrunc.plan import hooks as concern

            state = program.input("creating state")
            concern.run(hooks, "createContainer", program, state)
            program.call("close", state)

    def _paths(self, program: Program, root: Op, masks: "Masks | None") -> None:
        linux = self.config.section("linux")
        if linux is None or not (linux.has("maskedPaths") or linux.has("readonlyPaths")):
            return
        from pyrunc.plan import paths

        paths.read_only(self.config, program, root)
        if masks is not None:
            paths.mask(self.config, program, root, masks)

    def _names(self, program: Program, proc: "Op | None") -> None:
        if self.config.has("hostname") or self.config.has("domainname"):
            from pyrunc.plan import uts

            uts.compile(self.config, self.host, program)
        linux = self.config.section("linux")
        if proc is not None and linux is not None and linux.strings("sysctl"):
            from pyrunc.plan import sysctl

            sysctl.compile(self.config, self.host, program, proc)
