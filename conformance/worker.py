# SPDX-License-Identifier: Apache-2.0
"""One process that runs cases, one after the other: subreaper of all it begins, in a mount namespace of its own."""

import contextlib
import os
import pathlib
import secrets
import shutil
import signal
import time

from conformance import host, requirements
from conformance.box import Box
from conformance.requirements import FAIL, SKIP, Case, Failed, Skipped
from conformance.rootfs import Kit

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

IMPLIED = {"SPEC-343", "SPEC-355"}
"""What every refusal shows besides, when it comes to one."""

Verdict = tuple[str, str, str]


class Finding:
    """What one case has shown. verdicts: (requirement, verdict, detail)."""

    def __init__(self, case: str, verdicts: list[Verdict], seconds: float) -> None:
        self.case = case
        self.verdicts = verdicts
        self.seconds = seconds


class _Worker:
    """What a process of the pool knows."""

    runtime: list[str]
    folder: pathlib.Path
    kit: Kit


def begin(runtime: list[str], base: str, busybox: str, guest: str, no_guest: str) -> None:
    """Called once in each process of the pool. Root has a tmpfs of its own, which nobody else sees."""
    host.LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    host.LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    folder = pathlib.Path(base) / f"worker-{os.getpid()}"
    folder.mkdir(mode=0o711)
    if host.is_root():
        host.unshare_mounts()
        host.mount("tmpfs", str(folder), "tmpfs", 0, "mode=711")
    _Worker.runtime, _Worker.folder = runtime, folder
    _Worker.kit = Kit(folder, busybox, guest, no_guest)
    os.umask(0o022)
    with contextlib.suppress(PermissionError):  # an ordinary user cannot
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    requirements.load()


def run(name: str) -> Finding:
    """One case, and a verdict for each of its requirements."""
    case = requirements.CASES[name]
    began = time.monotonic()
    verdicts = _run(case)
    return Finding(case.name, verdicts, time.monotonic() - began)


def _run(case: Case) -> list[Verdict]:
    for word in case.needs:
        reason = _Worker.kit.no_guest if word == "guest" else host.missing(word)
        if reason:
            return [(id, SKIP, reason) for id in case.ids]
    token = f"{_Worker.folder.parent.name}-{secrets.token_hex(3)}"
    folder = _Worker.folder / token
    box = Box(_Worker.runtime, _Worker.kit, folder, token)
    verdict, detail = FAIL, "the case did not come to it"
    try:
        case.run(box)
    except Skipped as error:
        verdict, detail = SKIP, str(error)
    except Failed as error:
        detail = str(error)
    except Exception as error:  # noqa: BLE001 - what a runtime prints may be anything
        detail = f"{type(error).__name__}: {error}"
    finally:
        box.clean()
        shutil.rmtree(folder, ignore_errors=True)
    seen = {id for id, _, _ in box.verdicts}
    rest = [(id, verdict, detail) for id in case.ids if id not in seen and id not in IMPLIED]
    return [*box.verdicts, *rest]
