# SPDX-License-Identifier: Apache-2.0
"""The messages of CRIU's RPC that are used here, in the encoding of Protocol Buffers (protobuf.dev, "Encoding").

A message is a dict by field names, a repeated field a list. Fields that are not in the tables are skipped in answers.
"""

from pyrunc.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Message = dict[str, object]
    Kind = object  # NUMBER, FLAG, TEXT, or the table of a message
    Table = dict[str, tuple[int, object]]

NUMBER, FLAG, TEXT = "number", "flag", "text"
_VARINT, _LENGTH = 0, 2
_FIXED = {1: 8, 5: 4}
_WORD = (1 << 64) - 1

# criu_req_type
DUMP, RESTORE, PRE_DUMP, NOTIFY, FEATURE_CHECK, VERSION = 1, 2, 4, 6, 9, 10
NAMES = {DUMP: "dump", RESTORE: "restore", PRE_DUMP: "pre-dump", FEATURE_CHECK: "feature check", VERSION: "version"}

CGROUP_MODES = {"ignore": 0, "none": 1, "props": 2, "soft": 3, "full": 4, "strict": 5, "": 6}
"""criu_cg_mode; "" is what CRIU does by itself, which is soft."""
NETWORK_LOCKS = {"iptables": 1, "nftables": 2, "skip": 3}
"""criu_network_lock_method."""

_PAGE_SERVER: "Table" = {"address": (1, TEXT), "port": (2, NUMBER)}
_PAIR: "Table" = {"key": (1, TEXT), "val": (2, TEXT)}
_INHERITED: "Table" = {"key": (1, TEXT), "fd": (2, NUMBER)}
_CGROUP: "Table" = {"ctrl": (1, TEXT), "path": (2, TEXT)}
_JOINED: "Table" = {"ns": (1, TEXT), "ns_file": (2, TEXT)}
_FEATURES: "Table" = {"mem_track": (1, FLAG), "lazy_pages": (2, FLAG)}
OPTIONS: "Table" = {
    "images_dir_fd": (1, NUMBER),
    "pid": (2, NUMBER),
    "leave_running": (3, FLAG),
    "ext_unix_sk": (4, FLAG),
    "tcp_established": (5, FLAG),
    "evasive_devices": (6, FLAG),
    "shell_job": (7, FLAG),
    "file_locks": (8, FLAG),
    "log_level": (9, NUMBER),
    "log_file": (10, TEXT),
    "ps": (11, _PAGE_SERVER),
    "notify_scripts": (12, FLAG),
    "root": (13, TEXT),
    "parent_img": (14, TEXT),
    "track_mem": (15, FLAG),
    "auto_dedup": (16, FLAG),
    "work_dir_fd": (17, NUMBER),
    "link_remap": (18, FLAG),
    "ext_mnt": (23, _PAIR),
    "manage_cgroups": (24, FLAG),
    "cg_root": (25, _CGROUP),
    "rst_sibling": (26, FLAG),
    "inherit_fd": (27, _INHERITED),
    "manage_cgroups_mode": (34, NUMBER),
    "external": (37, TEXT),
    "empty_ns": (38, NUMBER),
    "join_ns": (39, _JOINED),
    "freeze_cgroup": (44, TEXT),
    "tcp_skip_in_flight": (46, FLAG),
    "lazy_pages": (48, FLAG),
    "orphan_pts_master": (50, FLAG),
    "config_file": (51, TEXT),
    "tcp_close": (52, FLAG),
    "lsm_profile": (53, TEXT),
    "cgroup_yard": (60, TEXT),
    "lsm_mount_context": (63, TEXT),
    "network_lock": (64, NUMBER),
}
REQUEST: "Table" = {
    "type": (1, NUMBER),
    "opts": (2, OPTIONS),
    "notify_success": (3, FLAG),
    "features": (5, _FEATURES),
}
RESPONSE: "Table" = {
    "type": (1, NUMBER),
    "success": (2, FLAG),
    "restore": (4, {"pid": (1, NUMBER)}),
    "notify": (5, {"script": (1, TEXT), "pid": (2, NUMBER)}),
    "cr_errno": (7, NUMBER),
    "features": (8, _FEATURES),
    "cr_errmsg": (9, TEXT),
    "version": (10, {"major": (1, NUMBER), "minor": (2, NUMBER), "sublevel": (4, NUMBER)}),
}


def encode(message: "Message", table: "Table") -> bytes:
    """The bytes of a message, its fields in their order; None and an empty list are left out."""
    parts = []
    for name, value in message.items():
        number, kind = table[name]
        values = value if type(value) is list else () if value is None else (value,)
        parts += [_field(number, kind, one) for one in values]
    return b"".join(parts)


def _field(number: int, kind: "Kind", value: object) -> bytes:
    if type(value) in (int, bool) and kind in (NUMBER, FLAG):
        # A negative int32 is sign-extended to 64 bits
        return _varint(number << 3 | _VARINT) + _varint(int(value) & _WORD)  # type: ignore[call-overload]
    if type(value) is str and kind == TEXT:
        raw = value.encode("utf-8", "surrogateescape")
    elif type(value) is dict and type(kind) is dict:
        raw = encode(value, kind)
    else:
        raise TypeError(f"field {number}: {value!r} is no {kind}")
    return _varint(number << 3 | _LENGTH) + _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    """Seven bits in each byte, the lowest first; all but the last have the highest bit set."""
    raw = bytearray()
    while value > 0x7F:
        raw.append(value & 0x7F | 0x80)
        value >>= 7
    raw.append(value)
    return bytes(raw)


def decode(data: bytes, table: "Table") -> "Message":
    """The known fields of a message; of one that comes twice the last counts. HostError when it is no message."""
    names = {number: (name, kind) for name, (number, kind) in table.items()}
    found: Message = {}
    try:
        for number, wire, value in _fields(data):
            name, kind = names.get(number, ("", ""))
            if kind in (NUMBER, FLAG) and wire == _VARINT and type(value) is int:
                signed = value - (1 << 64) if value >> 63 else value
                found[name] = bool(value) if kind == FLAG else signed
            elif kind == TEXT and type(value) is bytes:
                found[name] = value.decode("utf-8", "surrogateescape")
            elif type(kind) is dict and type(value) is bytes:
                found[name] = decode(value, kind)
    except (IndexError, ValueError) as error:
        raise HostError("what criu answered is no message of its protocol") from error
    return found


def _fields(data: bytes) -> "Iterator[tuple[int, int, int | bytes]]":
    """(number, wire type, value) of each field."""
    place = 0
    while place < len(data):
        key, place = _number(data, place)
        wire = key & 7
        if wire == _VARINT:
            value, place = _number(data, place)
            yield key >> 3, wire, value
            continue
        size = _FIXED.get(wire, -1)
        if wire == _LENGTH:
            size, place = _number(data, place)
        if size < 0 or place + size > len(data):
            raise ValueError
        yield key >> 3, wire, data[place : place + size]
        place += size


def _number(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _WORD, place
    raise ValueError
