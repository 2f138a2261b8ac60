# SPDX-License-Identifier: Apache-2.0
"""What of process.capabilities can be granted here: capabilities(7), config.md#linux-process.

A capability that is unknown or cannot be granted is warned of and left out (SPEC-107, SPEC-108); nothing is ever added.
"""

from pyrunc.config.fields import Config, Section
from pyrunc.config.namespaces import paths
from pyrunc.linux import capabilities
from pyrunc.linux.host import Host

SETS = ("bounding", "permitted", "effective", "inheritable", "ambient")


class CapabilitySets:
    """The five sets as bits, and `refused`: the names that were asked for in vain, sorted."""

    __slots__ = ("ambient", "bounding", "effective", "inheritable", "permitted", "refused")

    def __init__(self, config: Config, host: Host) -> None:
        section = (config.section("process") or Section({})).section("capabilities") or Section({})
        asked = {name: section.texts(name) for name in SETS}
        bits = {name: capabilities.mask(texts) for name, texts in asked.items()}
        bounding, permitted = _available(config, host)
        self.bounding = bits["bounding"] & bounding
        self.permitted = bits["permitted"] & permitted
        # capset(2) and prctl(2) refuse whatever is outside of these
        self.effective = bits["effective"] & self.permitted
        self.inheritable = bits["inheritable"] & self.bounding
        self.ambient = bits["ambient"] & self.permitted & self.inheritable
        refused = {name for texts in asked.values() for name in capabilities.unknown(texts, host.last_cap)}
        for name in SETS:
            refused.update(capabilities.names(bits[name] & ~getattr(self, name)))
        self.refused = sorted(refused)


def _available(config: Config, host: Host) -> tuple[int, int]:
    """The bounding and the permitted set from which a container can be given.

    In a user namespace that is every capability. An ordinary user needs one, but can see a plan without.
    """
    every = (2 << host.last_cap) - 1
    if "user" in paths(config) or host.uid != 0:
        return every, every
    return host.bounding & every, host.permitted & every
