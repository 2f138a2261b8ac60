# SPDX-License-Identifier: Apache-2.0
"""Builds dist/pyrunc: `python3.11 -m pyrunc.onefile.build OUTPUT WORK`, of Debian's interpreter and its static library.

    libpython3.11.a ┐  libseccomp.a ┐
    C of a few modules of Python    ├─▶ one static program ─▶ + its own memory after its start (snapshot.c)
    *.c, frozen.c (generated)       ┘                         + archive of the cold modules ─▶ OUTPUT

The interpreter that runs this compiles what that library will run, so both are of one version. WORK keeps what was
fetched: C sources by apt, wheels by pip.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from pyrunc.onefile.archive import archive
from pyrunc.onefile.frozen import frozen_c
from pyrunc.onefile.sources import EXTENSIONS, fetch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

BUILTINS = (
    # What a call that succeeds may use
    *("posix", "_signal", "errno", "fcntl", "select", "time", "_socket", "_struct", "_json", "termios", "gc"),
    *("_onefile", "_prctl", "_thread", "_weakref", "_io", "_codecs", "faulthandler", "_tracemalloc"),
    # What the libraries of the archive use
    *("_bisect", "_blake2", "_csv", "_ctypes", "_contextvars", "_datetime", "_heapq", "_md5", "_opcode", "_pickle"),
    *("_posixsubprocess", "_queue", "_random", "_sha1", "_sha256", "_sha3", "_sha512", "_statistics", "_typing"),
    *("array", "atexit", "binascii", "math", "unicodedata", "zlib", "_abc", "_collections", "_functools", "_locale"),
    *("_operator", "_sre", "_stat", "_symtable", "itertools", "resource"),
)
"""Modules in C. Not among them: pwd and grp, which load NSS modules of the host."""

INTERNAL = (
    *(("marshal", "PyMarshal_Init"), ("_imp", "PyInit__imp"), ("_ast", "PyInit__ast")),
    *(("_tokenize", "PyInit__tokenize"), ("_warnings", "_PyWarnings_Init"), ("_string", "PyInit__string")),
)
"""Modules whose function is not called PyInit_NAME."""

FUNCTIONS = (
    *("syscall", "prctl", "setfsuid", "setfsgid"),
    *("seccomp_init", "seccomp_release", "seccomp_version", "seccomp_attr_set", "seccomp_arch_native"),
    *("seccomp_arch_resolve_name", "seccomp_arch_add", "seccomp_syscall_resolve_name"),
    *("seccomp_syscall_resolve_name_arch", "seccomp_rule_add_array", "seccomp_export_bpf"),
)
"""What pyrunc calls by ctypes."""

PAGE = 65536
MARKS = (b"snapshot", b"is there")
"""What stands before and behind snapshot_place in the program."""

FLAGS = ("-std=gnu11", "-O2", "-g0", "-fno-ident", "-fwrapv", "-fno-semantic-interposition", "-w")
LINK = (
    "-static",
    # Fixed addresses, as Debian's own python3.11 has: relocating 1 MB of data costs 80 page faults at each start
    "-no-pie",
    *(() if os.environ.get("KEEP_SYMBOLS") else ("-s",)),
    "-Wl,--build-id=none,--gc-sections",
)


def build(output: Path, work: Path) -> None:
    """CalledProcessError or SystemExit when something is missing."""
    config = sysconfig.get_config_vars()
    library = Path(config["LIBPL"], f"libpython{config['LDVERSION']}.a")
    if sys.version_info[:2] != (3, 11) or not library.exists():
        raise SystemExit(f"the one-file binary needs Debian's python3.11 and {library} (libpython3.11-dev)")
    work.mkdir(parents=True, exist_ok=True)
    sources = fetch(work)
    generated = work / "frozen.c"
    generated.write_text(frozen_c(ROOT) + _tables(), "ascii")
    include = sysconfig.get_path("include")
    own = [*(HERE / f"{name}.c" for name in ("entry", "modules", "snapshot", "heap")), generated]
    objects = [_compile(work, source, include, ("-fno-builtin",)) for source in own]
    for files, flags in EXTENSIONS.values():
        objects += [_compile(work, sources / file, include, flags) for file in files]
    program = work / "program"
    libraries = ("-lseccomp", "-lffi", "-lz", "-lm")
    edges = [
        _compile(work, HERE / "edge.c", include, (f"-DEDGE={which}",), f"edge_{which}") for which in ("begin", "end")
    ]
    _run("cc", *LINK, "-o", program, edges[0], *objects, library, *libraries, edges[1])
    partial = output.with_name(f"{output.name}.{os.getpid()}")
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.write_bytes(_with_snapshot(program) + archive(work, ROOT))
        partial.chmod(0o755)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


def _with_snapshot(program: Path) -> bytes:
    """The program, and behind it what it writes: its state, to which no variable or word of the build belongs."""
    written = program.with_name("snapshot")
    with written.open("wb") as file:
        subprocess.run([program], env={}, cwd="/", check=True, stdin=subprocess.DEVNULL, stdout=file)
    snapshot, code = written.read_bytes(), program.read_bytes()
    place = -(-len(code) // PAGE) * PAGE
    if code.count(MARKS[0] + bytes(8) + MARKS[1]) != 1:
        raise SystemExit("the program has no place for its snapshot")
    code = code.replace(MARKS[0] + bytes(8) + MARKS[1], MARKS[0] + place.to_bytes(8, "little") + MARKS[1])
    return code.ljust(place, b"\0") + snapshot


def _compile(work: Path, source: Path, include: str, flags: "tuple[str, ...]", name: str = "") -> Path:
    target = work / f"{name or source.stem}.o"
    _run(
        "cc",
        *FLAGS,
        f"-ffile-prefix-map={work}=.",
        f"-I{include}",
        f"-I{include}/internal",
        *flags,
        "-c",
        "-o",
        target,
        source,
    )
    return target


def _tables() -> str:
    """C: the modules in C, the functions for ctypes, and pyrunc-init."""
    rows = [(name, f"PyInit_{name}") for name in BUILTINS] + list(INTERNAL)
    lines = [f"extern PyObject *{function}(void);" for _, function in rows]
    lines += ["struct _inittab _PyImport_Inittab[] = {"]
    lines += [f'    {{"{name}", {function}}},' for name, function in rows]
    lines += ['    {"builtins", NULL},', '    {"sys", NULL},', "    {0, 0},", "};"]
    # By another name in C: their own prototypes may be there
    lines += [f'extern char {name}_[] __asm__("{name}");' for name in FUNCTIONS]
    lines += ["const struct {", "    const char *name;", "    void *address;", "} onefile_functions[] = {"]
    lines += [f'    {{"{name}", {name}_}},' for name in FUNCTIONS] + ["    {0, 0},", "};"]
    helper = (ROOT / "pyrunc/init/pyrunc-init").read_bytes()
    lines += [f"const unsigned char onefile_helper[] = {{{','.join(map(str, helper))}}};"]
    lines += [f"const size_t onefile_helper_size = {len(helper)};"]
    return "\n".join(lines) + "\n"


def _run(*words: "str | Path") -> None:
    done = subprocess.run([str(word) for word in words], check=False, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise SystemExit(f"{words[0]} failed")


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
