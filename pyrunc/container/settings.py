# SPDX-License-Identifier: Apache-2.0
"""The global options, as the operations need them."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Settings:
    """root: the state directory, absolute. cgroup_manager: "cgroupfs", "systemd" or "disabled".

    rootless: None is "auto". warn: takes a warning of one line; a warning never changes the flow of an operation
    (runtime.md#warnings). notice: takes one that is for everybody, as it tells of what has failed and is no error.
    """

    __slots__ = ("cgroup_manager", "debug", "notice", "root", "rootless", "warn")

    def __init__(
        self,
        root: str,
        warn: "Callable[[str], None]",
        *,
        cgroup_manager: str = "cgroupfs",
        rootless: "bool | None" = None,
        debug: bool = False,
        notice: "Callable[[str], None] | None" = None,
    ) -> None:
        self.root = root
        self.warn = warn
        self.notice = notice or warn
        self.cgroup_manager = cgroup_manager
        self.rootless = rootless
        self.debug = debug
