# SPDX-License-Identifier: Apache-2.0
"""Mount options as rows: config.md#linux-mount-options, mount(8), mount_setattr(2), fs/fs_context.c.

A new mount takes an option in up to two places: the mount (MOUNT_ATTR_*, of fsmount(2) and mount_setattr(2)) and the
superblock (a word for fsconfig(2)). mount(2) gives MS_RDONLY to both, and so does `ro` here.
"""

from pyrunc.linux.uapi import (
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_RELATIME,
    MOUNT_ATTR_STRICTATIME,
    MS_I_VERSION,
    MS_PRIVATE,
    MS_SHARED,
    MS_SILENT,
    MS_SLAVE,
    MS_UNBINDABLE,
)

# What an option does: the second column is its bits, or the option that it undoes
SET, CLEAR, TIME, NOTIME, SUPER, LEGACY, UNLEGACY, PROPAGATION, FLAG, NOTHING = range(10)

OPTIONS: dict[str, tuple[int, int, str]] = {
    # attributes of the mount; the third column is the superblock's word
    "ro": (SET, MOUNT_ATTR_RDONLY, "ro"),
    "rw": (CLEAR, MOUNT_ATTR_RDONLY, "rw"),
    "nosuid": (SET, MOUNT_ATTR_NOSUID, ""),
    "suid": (CLEAR, MOUNT_ATTR_NOSUID, ""),
    "nodev": (SET, MOUNT_ATTR_NODEV, ""),
    "dev": (CLEAR, MOUNT_ATTR_NODEV, ""),
    "noexec": (SET, MOUNT_ATTR_NOEXEC, ""),
    "exec": (CLEAR, MOUNT_ATTR_NOEXEC, ""),
    "nodiratime": (SET, MOUNT_ATTR_NODIRATIME, ""),
    "diratime": (CLEAR, MOUNT_ATTR_NODIRATIME, ""),
    "nosymfollow": (SET, MOUNT_ATTR_NOSYMFOLLOW, ""),
    "symfollow": (CLEAR, MOUNT_ATTR_NOSYMFOLLOW, ""),
    # the access time, one value of three
    "noatime": (TIME, MOUNT_ATTR_NOATIME, ""),
    "relatime": (TIME, MOUNT_ATTR_RELATIME, ""),
    "strictatime": (TIME, MOUNT_ATTR_STRICTATIME, ""),
    "atime": (NOTIME, MOUNT_ATTR_NOATIME, ""),
    "norelatime": (NOTHING, 0, ""),  # mount(2): a mount is relatime when it is none of the others
    "nostrictatime": (NOTIME, MOUNT_ATTR_STRICTATIME, ""),
    # flags of the superblock
    "sync": (SUPER, 0, "sync"),
    "async": (SUPER, 0, "async"),
    "dirsync": (SUPER, 0, "dirsync"),
    "lazytime": (SUPER, 0, "lazytime"),
    "nolazytime": (SUPER, 0, "nolazytime"),
    "mand": (SUPER, 0, "mand"),
    "nomand": (SUPER, 0, "nomand"),
    # flags that only mount(2) can say
    "iversion": (LEGACY, MS_I_VERSION, ""),
    "noiversion": (UNLEGACY, MS_I_VERSION, ""),
    "silent": (LEGACY, MS_SILENT, ""),
    "loud": (UNLEGACY, MS_SILENT, ""),
    # propagation; the third column says whether the mounts below take it too
    "shared": (PROPAGATION, MS_SHARED, ""),
    "slave": (PROPAGATION, MS_SLAVE, ""),
    "private": (PROPAGATION, MS_PRIVATE, ""),
    "unbindable": (PROPAGATION, MS_UNBINDABLE, ""),
    "rshared": (PROPAGATION, MS_SHARED, "r"),
    "rslave": (PROPAGATION, MS_SLAVE, "r"),
    "rprivate": (PROPAGATION, MS_PRIVATE, "r"),
    "runbindable": (PROPAGATION, MS_UNBINDABLE, "r"),
    # what kind of mount it is; the third column is the field of ParsedOptions
    "bind": (FLAG, 0, "bind"),
    "rbind": (FLAG, 0, "rbind"),
    "remount": (FLAG, 0, "remount"),
    "tmpcopyup": (FLAG, 0, "tmpcopyup"),
    "idmap": (FLAG, 0, "idmap"),
    "ridmap": (FLAG, 0, "ridmap"),
    "src-nofollow": (FLAG, 0, "src_nofollow"),  # crun(1)
    "dest-nofollow": (FLAG, 0, "dest_nofollow"),
    "copy-symlink": (FLAG, 0, "copy_symlink"),
    "defaults": (NOTHING, 0, ""),
}

RECURSIVE: dict[str, tuple[int, int]] = {
    "r" + name: (kind, bits) for name, (kind, bits, _) in OPTIONS.items() if kind <= NOTIME
}
RECURSIVE["rnorelatime"] = (NOTIME, MOUNT_ATTR_RELATIME)
"""Attributes of the mount and all below it (mount_setattr with AT_RECURSIVE): rro, rnosuid, rstrictatime …"""

_IGNORED = frozenset(("", "auto", "noauto", "nofail", "nouser", "_netdev"))
"""Words for mount(8) and /etc/fstab, not for the kernel; podman sends an empty one."""

_OPPOSITES = {"ro": "rw", "sync": "async", "lazytime": "nolazytime", "mand": "nomand"}
_OPPOSITES |= {clear: word for word, clear in _OPPOSITES.items()}


class ParsedOptions:
    """The options of one mount; where two contradict each other, the later one counts.

    attr_set, attr_clr, rec_attr_set, rec_attr_clr: as in struct mount_attr, of the mount and of its whole tree. When
        they choose an access time, the clr field has MOUNT_ATTR__ATIME, as mount_setattr(2) wants.
    sb_flags: words for fsconfig(FSCONFIG_SET_FLAG), also those that clear ("rw").
    legacy_flags: MS_SILENT, MS_I_VERSION.
    propagation: (MS_*, recursive) in order. data: options of the filesystem, (key, value) or (key, None).
    bind: `bind` or `rbind`; rbind: with the mounts below. ridmap likewise sets idmap.
    src_nofollow, dest_nofollow: a symlink at the end of that path is what is bound, or covered; copy_symlink: both
        where the source is one.
    """

    __slots__ = (
        "attr_clr",
        "attr_set",
        "bind",
        "copy_symlink",
        "data",
        "dest_nofollow",
        "idmap",
        "legacy_flags",
        "propagation",
        "rbind",
        "rec_attr_clr",
        "rec_attr_set",
        "remount",
        "ridmap",
        "sb_flags",
        "src_nofollow",
        "tmpcopyup",
    )

    def __init__(self) -> None:
        self.attr_set = self.attr_clr = self.rec_attr_set = self.rec_attr_clr = self.legacy_flags = 0
        self.bind = self.rbind = self.remount = self.tmpcopyup = self.idmap = self.ridmap = False
        self.src_nofollow = self.dest_nofollow = self.copy_symlink = False
        self.sb_flags: list[str] = []
        self.propagation: list[tuple[int, bool]] = []
        self.data: list[tuple[str, str | None]] = []

    def flag(self, field: str) -> None:
        if field in ("bind", "rbind"):
            self.bind = True
            self.rbind |= field == "rbind"
        elif field in ("idmap", "ridmap"):
            self.idmap = True
            self.ridmap |= field == "ridmap"
        else:
            setattr(self, field, True)

    def superblock(self, word: str) -> None:
        opposite = _OPPOSITES.get(word)
        self.sb_flags = [flag for flag in self.sb_flags if flag not in (word, opposite)]
        self.sb_flags.append(word)

    def unknown(self, option: str) -> None:
        """Options of the filesystem, one or (as mount(8) takes them) several with commas between."""
        if option in _IGNORED or option[:2] in ("x-", "X-"):
            return
        for part in option.split(",") if "," in option else (option,):
            key, equals, value = part.partition("=")
            if key:
                self.data.append((key, value if equals else None))


def parse(options: list[str]) -> ParsedOptions:
    """The meaning of a mount's options."""
    parsed = ParsedOptions()
    for option in options:
        row = OPTIONS.get(option)
        if row is None:
            recursive = RECURSIVE.get(option)
            if recursive is None:
                parsed.unknown(option)
            else:
                parsed.rec_attr_set, parsed.rec_attr_clr = _attributes(
                    parsed.rec_attr_set, parsed.rec_attr_clr, *recursive
                )
            continue
        kind, bits, word = row
        if kind <= NOTIME:
            parsed.attr_set, parsed.attr_clr = _attributes(parsed.attr_set, parsed.attr_clr, kind, bits)
            if word:
                parsed.superblock(word)
        elif kind == PROPAGATION:
            parsed.propagation.append((bits, word == "r"))
        elif kind == FLAG:
            parsed.flag(word)
        elif kind == SUPER:
            parsed.superblock(word)
        elif kind == LEGACY:
            parsed.legacy_flags |= bits
        elif kind == UNLEGACY:
            parsed.legacy_flags &= ~bits
    return parsed


def _attributes(attr_set: int, attr_clr: int, kind: int, bits: int) -> tuple[int, int]:
    if kind == SET:
        return attr_set | bits, attr_clr & ~bits
    if kind == CLEAR:
        return attr_set & ~bits, attr_clr | bits
    if kind == TIME:
        return attr_set & ~MOUNT_ATTR__ATIME | bits, attr_clr | MOUNT_ATTR__ATIME
    # `atime` after `strictatime` leaves it; alone it asks for the kernel's default, which has the number 0: relatime.
    chosen = attr_set & MOUNT_ATTR__ATIME
    return attr_set if chosen and chosen != bits else attr_set & ~MOUNT_ATTR__ATIME, attr_clr | MOUNT_ATTR__ATIME


def names() -> list[str]:
    """Every option that is recognised, sorted, as `features` lists them."""
    return sorted((*OPTIONS, *RECURSIVE))
