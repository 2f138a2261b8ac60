# SPDX-License-Identifier: Apache-2.0
"""What crun lets a config.json say in annotations and mount options of its own, in the words of the specification.

    run.oci.seccomp.receiver=PATH               linux.seccomp.listenerPath
    run.oci.seccomp_fail_unknown_syscall        a member of linux.seccomp, for the compiler of filters
    idmap=uids=0-1000-10#10-2000-5;gids=…       uidMappings and gidMappings of the mount, and idmap; ridmap likewise

Loaded for files that have one. Other annotations of crun's are read where they matter.
"""

from pyrunc.config.fields import Config, Section
from pyrunc.config.idmap_rules import rows
from pyrunc.errors import ConfigError

RECEIVER = "run.oci.seccomp.receiver"
FAIL_UNKNOWN = "run.oci.seccomp_fail_unknown_syscall"
_IDMAP = ("idmap=", "ridmap=")
_DIGITS_MAX = 10


def spell_out(config: Config) -> None:
    """Change the config in place; ConfigError for a value that means nothing."""
    annotations = config.strings("annotations")
    linux = config.section("linux")
    seccomp = linux.section("seccomp") if linux is not None else None
    if seccomp is not None and RECEIVER in annotations and not seccomp.text("listenerPath", ""):
        path = annotations[RECEIVER]
        if path[:1] != "/":
            raise ConfigError(f'the seccomp receiver "{path}" is not an absolute path', f"/annotations/{RECEIVER}")
        seccomp.data["listenerPath"] = path
    if seccomp is not None and FAIL_UNKNOWN in annotations:
        seccomp.data[FAIL_UNKNOWN] = annotations[FAIL_UNKNOWN]
    for mount in config.sections("mounts"):
        options = mount.texts("options")
        for place, option in enumerate(options):
            word, equals, value = option.partition("=")
            if word + equals in _IDMAP:
                pointer = f"{mount.at('options')}/{place}"
                mount.data |= {f"{kind}Mappings": found for kind, found in _maps(value, linux, pointer).items()}
                options[place] = word


def _maps(text: str, linux: "Section | None", pointer: str) -> dict[str, list[dict[str, int]]]:
    """`uids=A-B-C#…;gids=…` as rows: A is an id in the filesystem, B what it is seen as, C how many there are."""
    found: dict[str, list[dict[str, int]]] = {}
    for part in text.split(";"):
        kind, _, triplets = part.partition("s=")
        if kind not in ("uid", "gid") or kind in found:
            raise ConfigError(f'"{part}" is neither uids= nor gids=, or a second one', pointer)
        found[kind] = [_row(triplet, kind, linux, pointer) for triplet in triplets.split("#")]
    return found


def _row(triplet: str, kind: str, linux: "Section | None", pointer: str) -> dict[str, int]:
    numbers = triplet.removeprefix("@").split("-")
    if len(numbers) != 3 or not all(n.isascii() and n.isdigit() and len(n) <= _DIGITS_MAX for n in numbers):
        raise ConfigError(f'"{triplet}" is not three numbers with "-" between', pointer)
    inner, outer, size = map(int, numbers)
    if triplet[:1] == "@":
        # Relative to the container: what it calls `outer`
        for first, host, count in rows(linux, f"{kind}Mappings") if linux is not None else ():
            if first <= outer < first + count:
                outer += host - first
                break
        else:
            raise ConfigError(f'"{triplet}": the user namespace does not map {kind} {outer}', pointer)
    return {"containerID": inner, "hostID": outer, "size": size}
