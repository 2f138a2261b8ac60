# SPDX-License-Identifier: Apache-2.0
"""The modules inside dist/pyrunc: C arrays of marshalled code, and the table by which Python finds them."""

import marshal
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import CodeType

STDLIB = ("struct", "encodings", "encodings.aliases", "encodings.utf_8", "encodings.unicode_escape")
"""Modules of Python that a call which succeeds may use, and that Python does not freeze itself."""


def frozen_c(root: Path) -> str:
    """The C file: `const struct _frozen onefile_frozen[]`."""
    arrays, rows = [], []
    for number, (name, path, package) in enumerate(modules(root)):
        code = marshal.dumps(compile_module(name, path))
        arrays.append(f"static const unsigned char code_{number}[] = {{{','.join(map(str, code))}}};")
        rows.append(f'    {{"{name}", code_{number}, {len(code)}, {int(package)}, NULL}},')
    table = ["const struct _frozen onefile_frozen[] = {", *rows, "    {0, 0, 0, 0, 0},", "};"]
    return "\n".join(["#include <Python.h>", *arrays, *table]) + "\n"


def compile_module(name: str, path: Path) -> CodeType:
    """Its code, without docstrings; a traceback names the file by its place in the package, not on this machine."""
    file = "/" + name.replace(".", "/") + ("/__init__.py" if path.name == "__init__.py" else ".py")
    return compile(path.read_bytes(), file, "exec", dont_inherit=True, optimize=2)


def modules(root: Path) -> Iterator[tuple[str, Path, bool]]:
    """(name, file, whether it is a package) of each."""
    for name in ("start", "warm"):
        yield f"_onefile_{name}", root / f"pyrunc/onefile/{name}.py", False
    for name in STDLIB:
        path = Path(import_module(name).__file__ or "")
        yield name, path, path.name == "__init__.py"
    for path in sorted((root / "pyrunc").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[1] in ("init", "onefile", "__main__"):  # what builds, and what `python -m pyrunc` is for
            continue
        package = parts[-1] == "__init__"
        yield ".".join(parts[:-1] if package else parts), path, package
