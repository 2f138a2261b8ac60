# SPDX-License-Identifier: Apache-2.0
"""Rows of errors (error_patches.py): mounts, the root filesystem, devices."""

from tests.containers.error_patches import CREATE, OPENAT2, TO_TARGET, USER, Row, both, device, mount, open_tree

MOUNTS: dict[str, Row] = {
    "bind-source-missing": (
        mount("/data", "bind", "/etc/nope/x", "bind"),
        "/mounts/3",
        open_tree("/etc/nope/x"),
        'not there (ENOENT): "/etc/nope" is missing on the host',
    ),
    "bind-source-below-a-file": (
        mount("/data", "bind", "~/config.json/x", "bind"),
        "/mounts/3",
        open_tree("~/config.json/x"),
        'no directory (ENOTDIR): "~/config.json" is a file on the host',
    ),
    "bind-source-is-a-dangling-symlink": (
        mount("/data", "bind", "~/dangling", "bind"),
        "/mounts/3",
        open_tree("~/dangling"),
        'not there (ENOENT): "~/dangling" is a symlink to "/nowhere", which is missing on the host',
    ),
    "bind-source-is-a-circle": (
        mount("/data", "bind", "~/circle", "bind"),
        "/mounts/3",
        open_tree("~/circle"),
        'too many levels of symbolic links (ELOOP): "~/circle" is a symlink that leads back to itself',
    ),
    "type-bind-without-the-option": (
        mount("/data", "bind", "/etc"),
        "/mounts/3/type",
        "",
        "names no filesystem, and options have neither bind nor rbind",
    ),
    "a-path-as-source-of-no-filesystem": (
        mount("/data", "none", "/etc"),
        "/mounts/3",
        'fsopen("none", FSOPEN_CLOEXEC)',
        'no such device (ENODEV): the kernel has no filesystem "none"; a bind mount needs bind or rbind in options',
    ),
    "unknown-filesystem": (
        mount("/data", "nofs", "x"),
        "/mounts/3",
        'fsopen("nofs", FSOPEN_CLOEXEC)',
        'no such device (ENODEV): the kernel has no filesystem "nofs"',
    ),
    "unknown-option": (
        mount("/data", "tmpfs", "x", "wrong=1"),
        "/mounts/3",
        'fsconfig(context, FSCONFIG_SET_STRING, "wrong", "1", 0)',
        "invalid argument (EINVAL): tmpfs: Unknown parameter 'wrong'",
    ),
    "bad-value-of-an-option": (
        mount("/data", "tmpfs", "x", "size=abc"),
        "/mounts/3",
        'fsconfig(context, FSCONFIG_SET_STRING, "size", "abc", 0)',
        "invalid argument (EINVAL): tmpfs: Bad value for 'size'",
    ),
    "option-of-a-bind-mount": (
        mount("/data", "bind", "/etc", "bind", "size=1"),
        "/mounts/3/options",
        "",
        '"size": bind mounts cannot have any filesystem-specific options applied',
    ),
    "device-of-a-filesystem-missing": (
        mount("/data", "ext4", "/dev/nope"),
        "/mounts/3",
        CREATE,
        "not there (ENOENT): /dev/nope: Can't lookup blockdev",
    ),
    "layer-of-an-overlay-missing": (
        mount("/data", "overlay", "overlay", "lowerdir=/etc/nope"),
        "/mounts/3",
        'fsconfig(context, FSCONFIG_SET_STRING, "lowerdir", "/etc/nope", 0)',
        'not there (ENOENT): "/etc/nope" is missing on the host',
    ),
    "file-on-a-directory": (
        mount("/tmp", "bind", "~/config.json", "bind"),
        "/mounts/3",
        f"move_mount(source, {TO_TARGET})",
        (
            "invalid argument (EINVAL): a file cannot be mounted on a directory: "
            'source "~/config.json", destination "/tmp"'
        ),
    ),
    "directory-on-a-file": (
        mount("/etc/file", "bind", "/etc", "bind"),
        "/mounts/3",
        f"move_mount(source, {TO_TARGET})",
        'invalid argument (EINVAL): a directory cannot be mounted on a file: source "/etc", destination "/etc/file"',
    ),
    "filesystem-on-a-file": (
        mount("/etc/file", "tmpfs", "x"),
        "/mounts/3",
        f"move_mount(tmpfs, {TO_TARGET})",
        'invalid argument (EINVAL): a filesystem cannot be mounted on a file: destination "/etc/file"',
    ),
    "destination-below-a-file": (
        mount("/etc/file/x", "tmpfs", "x"),
        "/mounts/3",
        'mkpath(rootfs, "/etc/file/x", directory, 0755)',
        'no directory (ENOTDIR): "/etc/file" is a file in the root filesystem',
    ),
    "mount-point-on-a-read-only-filesystem": (
        both(mount("/data", "bind", "/etc", "bind", "ro"), mount("/data/nope", "tmpfs", "x")),
        "/mounts/4",
        'mkpath(rootfs, "/data/nope", directory, 0755)',
        (
            "read-only file system (EROFS): the mount point cannot be made: "
            '"/data/nope" is missing in the root filesystem, and its filesystem is read-only'
        ),
    ),
    "proc-on-a-symlink": (
        mount("/link", "proc", "proc"),
        "/mounts/3",
        f'openat2(rootfs, "/link", {OPENAT2})',
        (
            'too many levels of symbolic links (ELOOP): "/link" in the root filesystem is a symlink to "/etc",'
            " where none may be"
        ),
    ),
    "group-of-devpts-not-mapped": (
        both(USER, mount("/dev/pts2", "devpts", "devpts", "gid=5000")),
        "/mounts/3",
        'fsconfig(context, FSCONFIG_SET_STRING, "gid", "5000", 0)',
        (
            "invalid argument (EINVAL): devpts: Invalid gid '5000': "
            "gid 5000 is not mapped in the user namespace: it has 0 to 999"
        ),
    ),
    "filesystem-not-for-user-namespaces": (
        both(USER, mount("/tmp", "ext4", "/dev/nope")),
        "/mounts/3",
        CREATE,
        "not allowed (EPERM): this filesystem may not be mounted in a user namespace",
    ),
    "proc-of-the-host's-pids": (
        both(USER, {"linux": {"namespaces": [{"type": "user"}, {"type": "mount"}]}}),
        "/mounts/0",
        CREATE,
        "not allowed (EPERM): a new proc needs a pid namespace that belongs to the same user namespace",
    ),
    "mount-point-that-a-mapped-root-may-not-make": (
        both(USER, mount("/nope/x", "tmpfs", "x")),
        "/mounts/3",
        'mkpath(rootfs, "/nope/x", directory, 0755)',
        (
            'not allowed (EACCES): the mount point cannot be made: "/nope" is missing in the root filesystem,'
            " and it may not be made there"
        ),
    ),
}

ROOT: dict[str, Row] = {
    "rootfs-missing": (
        {"root": {"path": "nope"}},
        "/root/path",
        '"~/nope"',
        'not there (ENOENT): "~/nope" is missing on the host',
    ),
    "rootfs-is-a-file": ({"root": {"path": "config.json"}}, "/root/path", "", '"~/config.json" is no directory'),
    "rootfs-is-a-dangling-symlink": (
        {"root": {"path": "dangling"}},
        "/root/path",
        '"~/dangling"',
        'not there (ENOENT): "~/dangling" is a symlink to "/nowhere", which is missing on the host',
    ),
    "masked-path-relative": (
        {"linux": {"maskedPaths": ["proc/kcore"]}},
        "/linux/maskedPaths/0",
        "",
        'must be an absolute path, not "proc/kcore"',
    ),
    "propagation-unknown": (
        {"linux": {"rootfsPropagation": "open"}},
        "/linux/rootfsPropagation",
        "",
        '"open" is not supported',
    ),
    "device-in-place-of-a-file": (
        device("/etc/file"),
        "/linux/devices/0",
        "check(node, node, S_IFCHR, 1:3)",
        'no such device (ENODEV): "/etc/file" in the root filesystem is a file, not the character device 1:3',
    ),
    "device-below-a-file": (
        device("/etc/file/x"),
        "/linux/devices/0",
        'mknodat(folder, "x", S_IFCHR|0666, 1:3)',
        'no directory (ENOTDIR): "/etc/file" is a file in the root filesystem',
    ),
    "device-in-place-of-a-symlink": (
        device("/etc/link"),
        "/linux/devices/0",
        f'openat2(folder, "link", {OPENAT2})',
        (
            'too many levels of symbolic links (ELOOP): "/etc/link" in the root filesystem is a symlink to "/etc/file",'
            " where none may be"
        ),
    ),
    "device-type-unknown": (
        {"linux": {"devices": [{"type": "x", "path": "/dev/x"}]}},
        "/linux/devices/0/type",
        "",
        'invalid device type "x": b, c, u or p',
    ),
}
