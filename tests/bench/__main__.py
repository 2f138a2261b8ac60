# SPDX-License-Identifier: Apache-2.0
"""make bench: `python -m tests.bench [OUTPUT] [--rounds N] [--crowd N] [--only PART…] [--write]`, as root.

The runtimes are dist/pyrunc (PYRUNC=), the package as pip installs it, runc (RUNC=) and crun (CRUN=), each warm and in
turn. Where the host has cgroup v1, everything is measured again where cgroup2 is alone: crun needs that. --write: the
figures go into docs/speed.md, and the picture beside it.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench import bundles, crowd, page, picture, report, verbs
from tests.bench.runtimes import CHECKOUT, PIP, Runtime, find

PARTS = ("small", "engine", "list", "crowd")
TITLE = "one container, ms: median and quartiles ({})"
UNIFIED = Path("/sys/fs/cgroup/cgroup.controllers")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("output", nargs="?", type=Path, default=CHECKOUT / "build/bench/result")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--crowd", type=int, default=500)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--view", choices=("host", "cgroup2"), default="host")
    parser.add_argument("--write", action="store_true", help="figures and picture go into docs")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("bench: needs root, as the runtimes do that it compares")
    if options.view == "host":
        _install_pip_form()
    view = "cgroup2" if UNIFIED.exists() else "cgroup v1"
    begin = time.monotonic()
    result = measure(options, view)
    print(f"minutes: {(time.monotonic() - begin) / 60:.1f}", flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    path = _file(options, view)
    path.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    if "small" in result:
        path.with_suffix(".svg").write_text(picture.svg(TITLE.format(view), result["small"]), "utf-8")
    print(f"\n{path}.json, .svg", flush=True)
    if options.view == "cgroup2":
        return
    results = [result]
    if not UNIFIED.exists():
        again = [sys.executable, "-m", "tests.bench", *sys.argv[1:], "--view", "cgroup2"]
        subprocess.run([CHECKOUT / "tests/v2view", *again], check=True, cwd=CHECKOUT)
        results.append(json.loads(_file(options, "cgroup2").with_suffix(".json").read_text("utf-8")))
    if options.write:
        page.write(CHECKOUT / "docs/speed.md", results)
        last = results[-1]
        if "small" in last:
            title = TITLE.format(last["machine"]["cgroups"])
            (CHECKOUT / "docs/speed.svg").write_text(picture.svg(title, last["small"]), "utf-8")
        print("written: docs/speed.md, docs/speed.svg", flush=True)


def _file(options: argparse.Namespace, view: str) -> Path:
    output: Path = options.output
    return output.with_name(f"{output.name}-{view.replace(' ', '-')}")


def measure(options: argparse.Namespace, view: str) -> dict[str, Any]:
    """All parts, printed as they are there; {"machine", "versions", part: …, "ratios": {part: …}}."""
    folder = Path(tempfile.mkdtemp(prefix="pyrunc-bench-"))
    runtimes: list[Runtime] = []
    try:
        quick = bundles.make(folder, "small", ["/bin/true"])
        runtimes, missing = find(folder / "state", quick)
        if not runtimes:
            raise SystemExit("bench: none of the runtimes makes a container here")
        result: dict[str, Any] = {"machine": _machine(view), "versions": {one.name: one.version() for one in runtimes}}
        result["missing"] = missing
        print(f"{view}: {json.dumps(result['versions'])}", flush=True)
        sleeper = bundles.make(folder, "small", ["sleep", "1000"])
        for kind in [kind for kind in ("small", "engine") if kind in options.only]:
            long = bundles.make(folder, kind, ["sleep", "1000"])
            short = bundles.make(folder, kind, ["/bin/true"])
            _table(result, kind, view, verbs.rounds(runtimes, long, short, options.rounds))
        if "list" in options.only:
            _table(result, "list", f"{view}, 100 alive", verbs.lists(runtimes, sleeper, 100, options.rounds))
        if "crowd" in options.only:
            loops = crowd.loops(runtimes, quick)
            result["crowd"] = {
                one.name: _crowd(one, folder, sleeper, quick, options.crowd) | loops[one.name] for one in runtimes
            }
            print("\n".join(report.crowd_lines(result["crowd"])), flush=True)
        result["left"] = _left(folder)
        print(f"\nprocesses left behind: {len(result['left'])}", flush=True)
        return result
    finally:
        for runtime in runtimes:
            runtime.clear()
        shutil.rmtree(folder)


def _table(result: dict[str, Any], kind: str, title: str, table: verbs.Table) -> None:
    result[kind] = report.summary(table)
    result.setdefault("ratios", {})[kind] = report.ratios(result[kind])
    print("\n".join(report.lines(f"{kind} ({title})", result[kind])), flush=True)


def _crowd(runtime: Runtime, folder: Path, sleeper: Path, quick: Path, count: int) -> dict[str, float]:
    memory = crowd.init_memory(runtime, sleeper)
    creates = crowd.last_of(runtime, sleeper, count)
    return {
        **{f"peak memory of {verb}, KiB": kib for verb, kib in crowd.peaks(runtime, sleeper, quick).items()},
        "init of a created container, PSS KiB": memory["pss"],
        "init of a created container, private KiB": memory["private"],
        **crowd.least(runtime, folder),
        "first create, ms": creates["first"],
        f"create number {count}, ms": creates["last"],
    }


def _left(folder: Path) -> list[str]:
    """Processes whose command line or mounts still name the folder of this run."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            mounts = (path / "mountinfo").read_text("utf-8", "replace")
        except OSError:
            continue
        if str(folder) in words or str(folder) in mounts:
            found.append(words)
    return found


def _machine(view: str) -> dict[str, Any]:
    return {
        "cgroups": view,
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
    }


def _install_pip_form() -> None:
    """The package of this checkout as a wheel of it, compiled, with the system's interpreter where it is new enough."""
    shutil.rmtree(PIP, ignore_errors=True)
    python = next((path for path in ("/usr/bin/python3", sys.executable) if _version(path) >= (3, 11)), sys.executable)
    words = ["install", "--quiet", "--no-deps", "--ignore-installed", "--prefix", str(PIP), str(CHECKOUT)]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *words], check=True)
    (PIP / "bin" / "python{}.{}".format(*_version(python))).symlink_to(Path(python).resolve())


def _version(python: str) -> tuple[int, ...]:
    """(3, 11); () of one that is not there."""
    words = [python, "-ISc", "import sys; print(*sys.version_info[:2])"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(map(int, done.stdout.split()))


if __name__ == "__main__":
    main()
