# SPDX-License-Identifier: Apache-2.0
"""The program that `create` would run, compiled and not run: needs no root and touches nothing."""

from pyrunc.cgroups.driver import open_cgroup
from pyrunc.config.load import load
from pyrunc.config.validate import validate
from pyrunc.linux.host import probe
from pyrunc.plan.compile import Choices, container
from pyrunc.plan.program import Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.settings import Settings


def plan(settings: "Settings", bundle: str, config_file: "str | None" = None) -> Program:
    """The program of a bundle on this host; the cgroup stands under the id "plan" where the config names none."""
    config = load(bundle, config_file)
    host = probe()
    for warning in validate(config, host):
        settings.warn(warning)
    cgroup = open_cgroup(config, "plan", settings.cgroup_manager, rootless=host.rootless)
    host.cgroups = cgroup.host_rows()
    host.cgroup_mode = cgroup.mode if host.cgroups else host.cgroup_mode
    linux = config.section("linux")
    cgroup.check(linux.section("resources") if linux is not None else None)
    section = linux.section("seccomp") if linux is not None else None
    bpf = b""
    if section is not None:
        from pyrunc.seccomp import cache

        bpf = cache.load(section, host.machine, None)
    return container(config, host, Choices(keyring="_ses.plan", bpf=bpf))
