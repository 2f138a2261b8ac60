# SPDX-License-Identifier: Apache-2.0
"""linux.namespaces as other fields depend on it: a host name needs a UTS namespace, a sysctl the one that owns it."""

from pyrunc.config.fields import Config


def paths(config: Config) -> dict[str, str]:
    """The namespaces of the container by their words, each with its path, or "" for a new one."""
    linux = config.section("linux")
    if linux is None:
        return {}
    return {row.text("type"): row.text("path", "") for row in linux.sections("namespaces")}
