# SPDX-License-Identifier: Apache-2.0
"""pyrunc exec CONTAINER COMMAND [ARG...]: another process in a container."""

from pyrunc.container.exec import ExecRequest
from pyrunc.container.exec import exec as exec_in
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


_ID_MAX = 2**32 - 2  # 2^32-1 is "no change" to setresuid(2): the process would stay root


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    if not values["command"] and values["process"] is None:
        raise UsageError("exec needs a command, or --process")
    request = ExecRequest(
        args=values["command"],
        process_file=values["process"],
        detach=values["detach"],
        tty=values["tty"],
        cwd=values["cwd"],
        env=values["env"],
        user=user(values["user"]),
        additional_gids=values["additional-gids"],
        caps=values["cap"],
        process_label=values["process-label"],
        apparmor=values["apparmor"],
        no_new_privs=values["no-new-privs"],
        preserve_fds=values["preserve-fds"],
        pid_file=values["pid-file"],
        console_socket=values["console-socket"],
        pidfd_socket=values["pidfd-socket"],
        cgroup=values["cgroup"],
        ignore_paused=values["ignore-paused"],
    )
    return exec_in(settings, values["container"], request)


def user(text: "str | None") -> "str | None":
    """`text` if it is UID[:GID] in decimal; a name is never looked up in the image (CVE-2016-3697, CVE-2026-30892)."""
    if text is not None:
        uid, colon, gid = text.partition(":")
        if not _is_id(uid) or (colon and not _is_id(gid)):
            raise UsageError(f"--user: {text!r} is not UID[:GID], numbers from 0 to {_ID_MAX}")
    return text


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _ID_MAX
