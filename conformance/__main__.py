# SPDX-License-Identifier: Apache-2.0
"""python -m conformance --runtime PATH [--only ID …] [--format tap|json|table|md] [--jobs N].

The exit status is 1 when a MUST fails.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

from conformance import host, report, requirements, rootfs, traces, worker

SECONDS = 10


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m conformance", description=sys.modules["conformance"].__doc__)
    parser.add_argument("--runtime", required=True, metavar="PATH", help="the runtime, with global options if need be")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="ID", help="requirements: SPEC-011, 11, or a range 21-79"
    )
    parser.add_argument("--format", choices=sorted(report.FORMS), default="table")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes at a time")
    parser.add_argument("--busybox", default="", metavar="PATH", help="a static busybox [of PATH]")
    parser.add_argument("--guest", default="", metavar="PATH", help="guest.c as built for a machine without compiler")
    parser.add_argument("--claims", default="", metavar="VERSION", help="of the spec [ociVersionMax of `features`]")
    parser.add_argument(
        "--patience", type=float, default=1.0, metavar="N", help="all limits of time, N times [1; emulation: 10]"
    )
    parser.add_argument("--slow", action="store_true", help="say on stderr how long each case took")
    return parser.parse_args(argv)


def selection(words: list[str], table: dict[str, requirements.Requirement]) -> dict[str, requirements.Requirement]:
    """The rows that --only names; all when it names none."""
    chosen = set()
    for word in words:
        first, _, last = word.upper().removeprefix("SPEC-").partition("-")
        try:
            numbers = range(int(first), int(last.removeprefix("SPEC-") or first) + 1)
        except ValueError:
            raise SystemExit(f"--only {word}: expected an id such as SPEC-011, or a range such as 21-79") from None
        found = {f"SPEC-{number:03}" for number in numbers} & set(table)
        if not found:
            raise SystemExit(f"--only {word}: no such requirement")
        chosen |= found
    return {id: row for id, row in table.items() if not words or id in chosen}


def _ask(runtime: list[str], *words: str) -> str:
    """What the runtime prints, or ""."""
    try:
        done = subprocess.run([*runtime, *words], capture_output=True, timeout=SECONDS * host.patience, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def claim(runtime: list[str]) -> tuple[int, ...]:
    """The version of the specification that the runtime says it knows; () when it does not say."""
    try:
        return report.version(str(json.loads(_ask(runtime, "features"))["ociVersionMax"]))
    except (ValueError, KeyError, TypeError):
        return ()


def about(runtime: list[str]) -> dict[str, Any]:
    """What is tested, and where."""
    lines = _ask(runtime, "--version").splitlines()
    user = "root" if host.is_root() else "an ordinary user"
    limits = f" with {' '.join(host.controllers()) or 'no controller'}" if host.is_v2() else ""
    kernel = ".".join(platform.release().split(".")[:2])
    return {
        "runtime": " ".join(runtime),
        "version": lines[0] if lines else "version unknown",
        "host": f"Linux {kernel} {platform.machine()}, {host.cgroup_mode()}{limits}, as {user}",
    }


def run(
    runtime: list[str], table: dict[str, requirements.Requirement], jobs: int = 2, busybox: str = "", guest: str = ""
) -> list[worker.Finding]:
    """The cases that show these requirements, each in one of `jobs` processes."""
    wanted = [name for name, case in requirements.load().items() if set(case.ids) & set(table)]
    base = tempfile.mkdtemp(prefix="conformance-")
    os.chmod(base, 0o711)
    no_guest = "" if guest else "no case asks for it"
    if not guest and any("guest" in requirements.CASES[name].needs for name in wanted):
        guest, no_guest = rootfs.build(pathlib.Path(base))
    pool = concurrent.futures.ProcessPoolExecutor(
        jobs, multiprocessing.get_context("fork"), worker.begin, (runtime, base, busybox, guest, no_guest)
    )
    try:
        return list(pool.map(worker.run, wanted))
    finally:
        pool.shutdown(cancel_futures=True)
        # A worker that was killed has not put its things away: every name holds that of the folder
        traces.end(os.path.basename(base), pathlib.Path(base))
        shutil.rmtree(base, ignore_errors=True)


def main(argv: list[str]) -> int:
    options = arguments(argv)
    table = selection(options.only, requirements.table())
    runtime = shlex.split(options.runtime)
    runtime[0] = shutil.which(runtime[0]) or runtime[0]
    if not pathlib.Path(runtime[0]).is_file():
        raise SystemExit(f"--runtime {options.runtime}: no such program")
    runtime[0] = os.path.abspath(runtime[0])
    host.patience = options.patience
    busybox = options.busybox or rootfs.find_busybox()
    if not busybox or not rootfs.is_static(busybox):
        raise SystemExit("a static busybox is needed: Debian's busybox-static, or --busybox PATH")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is under way is put away
    began = time.monotonic()
    findings = run(runtime, table, options.jobs, busybox, options.guest)
    claimed = report.version(options.claims) if options.claims else claim(runtime)
    rows = report.outcomes(table, findings, claimed)
    facts = {**about(runtime), "seconds": round(time.monotonic() - began, 1)}
    print(report.FORMS[options.format](rows, facts))
    if options.slow:
        for one in sorted(findings, key=lambda one: -one.seconds)[:40]:
            print(f"{one.seconds:6.2f} s  {one.case}", file=sys.stderr)
    return int(any(row.verdict == requirements.FAIL and row.requirement.level == "MUST" for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
