# SPDX-License-Identifier: Apache-2.0
"""Builds dist/pyrunc: `python3.11 -m onefile.build OUTPUT WORK`, with Debian's own interpreter and its static library.

    libpython3.11.a ┐  libseccomp.a ┐
    C of a few modules of Python    ├─▶ one static program ─▶ + archive of the cold modules ─▶ OUTPUT
    entry.c, frozen.c (generated)   ┘

The interpreter that runs this compiles what that library will run, so both are of one version. WORK keeps what was
fetched: C sources by apt, wheels by pip.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from onefile.archive import archive
from onefile.frozen import frozen_c
from onefile.sources import EXTENSIONS, fetch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

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

FLAGS = ("-std=gnu11", "-O2", "-g0", "-fno-ident", "-fwrapv", "-fno-semantic-interposition", "-w")
LINK = (
    "-static",
    # Fixed addresses, as Debian's own python3.11 has: relocating 1 MB of data costs 80 page faults at each start
    "-no-pie",
    *(() if os.environ.get("KEEP_SYMBOLS") else ("-s",)),
    "-Wl,--build-id=none,--gc-sections,--wrap=_Py_Deepfreeze_Init",
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
    objects = [_compile(work, HERE / "entry.c", include, ()), _compile(work, generated, include, ())]
    for files, flags in EXTENSIONS.values():
        objects += [_compile(work, sources / file, include, flags) for file in files]
    program = work / "program"
    libraries = ("-lseccomp", "-lffi", "-lz", "-lm")
    _run("cc", *LINK, "-o", program, *objects, library, *libraries)
    partial = output.with_name(f"{output.name}.{os.getpid()}")
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.write_bytes(program.read_bytes() + archive(work, HERE))
        partial.chmod(0o755)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


def _compile(work: Path, source: Path, include: str, flags: "tuple[str, ...]") -> Path:
    target = work / f"{source.stem}.o"
    _run("cc", *FLAGS, f"-I{include}", f"-I{include}/internal", *flags, "-c", "-o", target, source)
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
