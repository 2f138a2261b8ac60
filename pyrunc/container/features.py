# SPDX-License-Identifier: Apache-2.0
"""`features`: what this version can do (features.md), from the rows by which it takes and refuses a config.json.

All of it is of the version, not of the host (SPEC-376), but for what features-linux.md itself ties to the kernel and
libseccomp: supportedFlags, and the annotation with libseccomp's version.
"""

from pyrunc import SPEC_VERSION, VERSION
from pyrunc.cgroups.driver import MANAGERS
from pyrunc.cgroups.resources import ROWS
from pyrunc.cgroups.unit_properties import PREFIX
from pyrunc.config.validate import HOOKS
from pyrunc.container.kill import STOP_SIGNAL
from pyrunc.criu.options import ANNOTATION
from pyrunc.errors import HostError
from pyrunc.linux.capabilities import CAPABILITIES
from pyrunc.linux.mount_flags import names
from pyrunc.linux.namespaces import NAMESPACES
from pyrunc.linux.scheduling import MEMORY_FLAGS, MEMORY_MODES
from pyrunc.linux.seccomp_rows import ACTIONS, ARCHITECTURES, FLAGS, OPERATORS
from pyrunc.seccomp import filter as libseccomp
from pyrunc.seccomp import flags

SPEC_VERSION_MIN = "1.0.0"
CRUN_ANNOTATIONS = "run.oci."
"""A prefix: those of crun's that are there name files, sockets and groups of the host."""


def features() -> dict[str, object]:
    """The features structure. A list that is there and empty says that none of its kind is recognised (SPEC-377)."""
    return {
        "ociVersionMin": SPEC_VERSION_MIN,
        "ociVersionMax": SPEC_VERSION,
        "hooks": list(HOOKS),
        "mountOptions": names(),
        "linux": _linux(),
        "annotations": _annotations(),
        "potentiallyUnsafeConfigAnnotations": sorted((STOP_SIGNAL, ANNOTATION, CRUN_ANNOTATIONS, PREFIX)),
    }


def _linux() -> dict[str, object]:
    return {
        "namespaces": sorted(NAMESPACES),
        "capabilities": list(CAPABILITIES),
        "cgroup": {
            "v1": any(row[2] for row in ROWS),
            "v2": any(row[3] for row in ROWS),
            "systemd": "systemd" in MANAGERS,
            "systemdUser": "systemd" in MANAGERS,
            "rdma": any(row[1] == "rdma" for row in ROWS),
        },
        "seccomp": {
            "enabled": True,
            "actions": sorted(ACTIONS),
            "operators": sorted(OPERATORS),
            "archs": sorted(ARCHITECTURES),
            "knownFlags": sorted(FLAGS),
            "supportedFlags": [name for name in sorted(FLAGS) if flags.is_available(FLAGS[name])],
        },
        "apparmor": {"enabled": True},
        "selinux": {"enabled": True},
        "intelRdt": {"enabled": True, "schemata": True, "monitoring": True},
        "memoryPolicy": {"modes": sorted(MEMORY_MODES), "flags": sorted(MEMORY_FLAGS)},
        "mountExtensions": {"idmap": {"enabled": True}},
        "netDevices": {"enabled": True},
    }


def _annotations() -> dict[str, str]:
    # Of the version, as runc says it: whether the program criu is there is the host's
    found = {"pyrunc.version": VERSION, "org.opencontainers.runc.checkpoint.enabled": "true"}
    try:
        found["io.github.seccomp.libseccomp.version"] = libseccomp.version(libseccomp.load())
    except HostError:
        pass  # a profile would be refused for the same reason
    return found
