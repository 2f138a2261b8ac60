# SPDX-License-Identifier: Apache-2.0
"""The rules of config.json between fields, in one visible order, before anything is made: runtime.md#create.

Types and ranges of what only one concern reads are that concern's to refuse; unknown properties, and the objects of
other platforms, are ignored (config.md#extensibility).
"""

from pyrunc import SPEC_VERSION
from pyrunc.config import linux_rules, process_rules
from pyrunc.config.capability_sets import CapabilitySets
from pyrunc.config.fields import Config, Section
from pyrunc.config.namespaces import paths
from pyrunc.linux.host import Host
from pyrunc.linux.mount_flags import parse

HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_SUPPORTED = (int(SPEC_VERSION.split(".")[0]), int(SPEC_VERSION.split(".")[1]))
_NAME_MAX = 64
"""Bytes of a host or domain name: uname(2), __NEW_UTS_LEN."""
_DIGITS = frozenset("0123456789")
_IDENTIFIER = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-")
_TIMEOUT_MAX = (1 << 31) - 1


def validate(config: Config, host: Host) -> list[str]:
    """Refuse with ConfigError the first thing that cannot be; the result is the warnings, one line each."""
    for rule in RULES:
        rule(config)
    warnings = [warning for rule in WARNINGS for warning in rule(config)]
    refused = CapabilitySets(config, host).refused
    if refused:
        warnings.append(f"ignoring unknown or unavailable capabilities: {' '.join(refused)}")
    return warnings


def _version(config: Config) -> None:
    version = config.text("ociVersion")
    numbers = _semver(version)
    if numbers is None:
        raise config.refuse("ociVersion", f'"{version}" is not a version as SemVer 2.0.0 has them')
    if numbers[0] != _SUPPORTED[0]:
        raise config.refuse("ociVersion", f"{version} is not supported: this is {SPEC_VERSION}")


def _newer_version(config: Config) -> list[str]:
    """Within a major version an older runtime may run a bundle, but not in silence (SPEC-006, SPEC-165)."""
    version = config.text("ociVersion")
    if (_semver(version) or _SUPPORTED) <= _SUPPORTED:
        return []
    return [f"/ociVersion: {version} is newer than {SPEC_VERSION}: what it adds is ignored"]


def _semver(version: str) -> "tuple[int, int] | None":
    """Major and minor of a SemVer 2.0.0 version; None for anything else."""
    rest, plus, build = version.partition("+")
    core, dash, pre = rest.partition("-")
    numbers = core.split(".")
    if len(numbers) != 3 or not all(map(_number, numbers)):
        return None
    if plus and not all(part and _IDENTIFIER.issuperset(part) for part in build.split(".")):
        return None
    for part in pre.split(".") if dash else ():
        if not part or not _IDENTIFIER.issuperset(part) or (_DIGITS.issuperset(part) and not _number(part)):
            return None
    return int(numbers[0]), int(numbers[1])


def _number(text: str) -> bool:
    return 0 < len(text) < 10 and _DIGITS.issuperset(text) and (text == "0" or text[0] != "0")


def _root(config: Config) -> None:
    root = config.require("root")
    if not root.text("path"):
        raise root.refuse("path", "must not be empty")
    root.flag("readonly")


def _process(config: Config) -> None:
    process = config.section("process")
    if process is not None:
        process_rules.check(process)


def _names(config: Config) -> None:
    for field in ("hostname", "domainname"):
        name = config.text(field, "")
        if name and "uts" not in paths(config):
            raise config.refuse(field, f"unable to set {field} without a private UTS namespace")
        if len(name.encode()) > _NAME_MAX:
            raise config.refuse(field, f"is longer than {_NAME_MAX} bytes")


def _mounts(config: Config) -> None:
    for mount in config.sections("mounts"):
        if not mount.text("destination"):
            raise mount.refuse("destination", "must not be empty")
        kind = mount.text("type", "")
        source = mount.text("source", "")
        options = parse(mount.texts("options"))
        if options.bind:
            if not source and not options.remount:
                raise mount.refuse("source", "is required for a bind mount")
            if options.data:
                # The kernel would ignore them
                key = options.data[0][0]
                raise mount.refuse(
                    "options", f'"{key}": bind mounts cannot have any filesystem-specific options applied'
                )
        elif not options.remount and kind in ("", "bind"):
            raise mount.refuse("type", "names no filesystem, and options have neither bind nor rbind")


def _relative_mounts(config: Config) -> list[str]:
    return [
        f"{mount.at('destination')}: a relative path is deprecated, it is taken as relative to /"
        for mount in config.sections("mounts")
        if mount.text("destination")[0] != "/"
    ]


def _hooks(config: Config) -> None:
    hooks = config.section("hooks")
    for kind in HOOKS if hooks is not None else ():
        for hook in hooks.sections(kind) if hooks is not None else ():
            path = hook.text("path")
            if path[:1] != "/":
                raise hook.refuse("path", f'must be an absolute path, not "{path}"')
            hook.texts("args")
            hook.texts("env")
            hook.integer("timeout", 1, _TIMEOUT_MAX, None)


def _annotations(config: Config) -> None:
    if "" in config.strings("annotations"):
        raise Section({}, "/annotations").refuse("", "a key must not be empty")


def _mapped_mounts(config: Config) -> None:
    if _maps_ids(config):
        from pyrunc.config import idmap_rules

        idmap_rules.check(config)


def _mappings_alone(config: Config) -> list[str]:
    if not _maps_ids(config):
        return []
    from pyrunc.config import idmap_rules

    return idmap_rules.without_option(config)


def _maps_ids(config: Config) -> bool:
    """Whether a mount has something that is about ID-mapping: rare, and a module of its own."""
    return any(
        mount.has("uidMappings")
        or mount.has("gidMappings")
        or any(word in ("idmap", "ridmap") for word in mount.texts("options"))
        for mount in config.sections("mounts")
    )


def _net_devices(config: Config) -> None:
    if _asks_for(config, "netDevices"):
        from pyrunc.config import net_device_rules

        net_device_rules.check(config)


def _intel_rdt(config: Config) -> None:
    if _asks_for(config, "intelRdt"):
        from pyrunc.config import intel_rdt_rules

        intel_rdt_rules.check(config)


def _unusual_rdt(config: Config) -> list[str]:
    if not _asks_for(config, "intelRdt"):
        return []
    from pyrunc.config import intel_rdt_rules

    return intel_rdt_rules.unusual(config)


def _asks_for(config: Config, field: str) -> bool:
    linux = config.section("linux")
    return linux is not None and linux.has(field)


RULES = (
    _version,
    _root,
    _process,
    linux_rules.namespaces,
    _names,
    linux_rules.host_mounts,
    _mounts,
    _mapped_mounts,
    _hooks,
    _annotations,
    linux_rules.mappings,
    linux_rules.devices,
    linux_rules.cgroups_path,
    linux_rules.objects,
    linux_rules.propagation,
    linux_rules.covered_paths,
    linux_rules.sysctl,
    linux_rules.time_offsets,
    _net_devices,
    _intel_rdt,
)

WARNINGS = (
    _newer_version,
    _relative_mounts,
    _mappings_alone,
    _unusual_rdt,
    linux_rules.same_devices,
)


def rootless(config: Config, host: Host) -> None:
    """What an ordinary user must have in addition to make a container; the plan can be seen without."""
    if host.uid != 0 and "user" not in paths(config):
        raise Section({}, "/linux").refuse(
            "namespaces", "rootless container requires user namespaces; `pyrunc spec --rootless` has one"
        )
