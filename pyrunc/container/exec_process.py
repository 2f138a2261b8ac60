# SPDX-License-Identifier: Apache-2.0
"""The process of `exec`: the one in --process, or the container's own with what the flags change."""

from pyrunc.config.fields import Config
from pyrunc.config.load import parse, read
from pyrunc.errors import UsageError
from pyrunc.linux.capabilities import CAPABILITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.exec import ExecRequest

_SETS = ("bounding", "effective", "permitted")
"""Where --cap adds: never to inheritable or ambient, or files could give what was dropped (CVE-2022-29162)."""


def process_of(config: Config, request: "ExecRequest") -> dict[str, object]:
    """The `process` object to run, not yet validated."""
    if request.process_file is not None:
        return parse(read(request.process_file), request.process_file)
    base = config.section("process")
    described: dict[str, object] = dict(base.data) if base is not None else {"cwd": "/", "user": {"uid": 0, "gid": 0}}
    described["args"] = list(request.args)
    described["terminal"] = request.tty
    if request.env:
        described["env"] = [*(base.texts("env") if base is not None else []), *request.env]
    given = {
        "cwd": request.cwd,
        "selinuxLabel": request.process_label,
        "apparmorProfile": request.apparmor,
        "noNewPrivileges": request.no_new_privs,
    }
    described.update({key: value for key, value in given.items() if value is not None})
    described["user"] = _user(base.section("user").data if base is not None and base.has("user") else {}, request)  # type: ignore[union-attr]
    if request.caps:
        described["capabilities"] = _capabilities(described.get("capabilities"), request.caps)
    return described


def _user(base: dict[str, object], request: "ExecRequest") -> dict[str, object]:
    user = dict(base)
    if request.user is not None:
        uid, colon, gid = request.user.partition(":")
        user["uid"] = int(uid)
        if colon:
            user["gid"] = int(gid)
    if request.additional_gids:
        groups = user.get("additionalGids")
        user["additionalGids"] = [*(groups if isinstance(groups, list) else []), *request.additional_gids]
    return user


def _capabilities(base: object, added: list[str]) -> dict[str, object]:
    sets = dict(base) if isinstance(base, dict) else {}
    names = [name if name.upper().startswith("CAP_") else f"CAP_{name}" for name in added]
    for name in names:
        if name.upper() not in CAPABILITIES:
            # In a config.json it is a warning (config.md#linux-process): there an engine has written for many kernels
            raise UsageError(f"--cap {name}: no such capability")
    for key in _SETS:
        before = sets.get(key)
        sets[key] = [*(before if isinstance(before, list) else []), *(name.upper() for name in names)]
    return sets
