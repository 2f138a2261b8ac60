# SPDX-License-Identifier: Apache-2.0
"""User namespaces that nobody lives in, for ID-mapped mounts: made by pyrunc-init, and kept by a descriptor."""

import posix

from pyrunc.errors import HostError, PyruncError
from pyrunc.plan import idmap
from pyrunc.plan.ops import REPORT_SYNC
from pyrunc.process.idmap import write_maps
from pyrunc.process.spawn import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.config.fields import Config, Section
    from pyrunc.linux.host import Host


def open_all(config: "Config", host: "Host") -> dict[str, int]:
    """A descriptor for each input that plan.idmap asks for, by its name; the caller closes them."""
    opened: dict[str, int] = {}
    try:
        for name, section in idmap.needed(config).items():
            opened[name] = _open(section, host)
    except BaseException:
        for fd in opened.values():
            posix.close(fd)
        raise
    return opened


def _open(section: "Section", host: "Host") -> int:
    program = idmap.holder(section, host)
    helper = spawn(program, {}, 0)
    try:
        report = helper.report()
        if report is None:
            raise HostError("pyrunc-init was killed while it made a user namespace")
        if report.kind != REPORT_SYNC:
            from pyrunc.process.explain import failure

            error: PyruncError = failure(program, report, helper.pid, None, "")
            raise error
        write_maps(helper.pid, section, host)
        return posix.open(f"/proc/{helper.pid}/ns/user", posix.O_RDONLY | posix.O_CLOEXEC)
    finally:
        # The end of the answers ends the helper
        helper.close()
        helper.reap()
