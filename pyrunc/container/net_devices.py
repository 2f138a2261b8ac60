# SPDX-License-Identifier: Apache-2.0
"""linux.netDevices outside the program: what create must know before, and what a create that was killed left behind."""

import posix

from pyrunc.config.namespaces import paths
from pyrunc.container.start import saved_config
from pyrunc.errors import PyruncError
from pyrunc.process.net_devices import Mover, check, from_text
from pyrunc.state import journal, status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.config.fields import Config
    from pyrunc.container.settings import Settings
    from pyrunc.linux.host import Host
    from pyrunc.state.record import Record
    from pyrunc.state.store import Entry


def check_devices(config: "Config", host: "Host") -> None:
    """Refuse what cannot be moved; ConfigError with the device's pointer."""
    if host.rootless:
        raise config.require("linux").refuse(
            "netDevices", "network devices are not supported in rootless containers, as they are the host's"
        )
    check(config)


def return_after_crash(settings: "Settings", entry: "Entry", record: "Record", machine: str) -> None:
    """Move back what a create that did not finish had moved into a network namespace that outlives it.

    Once a container is created its devices are its own (config-linux.md#network-devices): they stay, or end with their
    namespace.
    """
    values = journal.values(entry, journal.NETDEVICE)
    if not values or record.status != status.CREATING:
        return
    try:
        path = paths(saved_config(entry, record)).get("network") or ""
        if not path and status.is_alive(record):
            path = f"/proc/{record.pid}/ns/net"
        if not path:
            return
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            mover = Mover(fd, machine)
        finally:
            posix.close(fd)
        for warning in mover.move_back([from_text(value) for value in values]):
            settings.warn(warning)
        mover.close()
    except (OSError, PyruncError, TypeError) as error:
        settings.warn(f"network devices cannot be moved back: {error}")
