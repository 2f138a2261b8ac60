# SPDX-License-Identifier: Apache-2.0
"""The shape of the sources: imports go down only, files and functions are short, each file names its licence."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pyrunc"
SPDX = "SPDX-License-Identifier: Apache-2.0"

# From the top to the bottom; a module imports from rows below its own, and from its own package (for concerns: not even
# that). Two packages of one row do not know each other.
LAYERS = (
    ("pyrunc.__main__",),
    ("pyrunc.cli",),
    ("pyrunc.commands",),
    ("pyrunc.container", "pyrunc.image"),
    ("pyrunc.plan.compile", "pyrunc.plan.restore", "pyrunc.criu", "pyrunc.process", "pyrunc.cgroups", "pyrunc.state"),
    ("pyrunc.plan.filesystem", "pyrunc.plan.attach"),  # the part of the order that is about files
    ("pyrunc.plan",),  # every module of it that another row does not name is a concern
    ("pyrunc.plan.calls", "pyrunc.plan.mount_row"),  # what several concerns say alike; decides nothing
    ("pyrunc.seccomp", "pyrunc.plan.program", "pyrunc.plan.ops", "pyrunc.plan.listing"),
    ("pyrunc.config",),
    ("pyrunc.linux",),
    ("pyrunc.errors",),
    ("pyrunc",),
)
CONCERNS = "pyrunc.plan"
RANK = {name: row for row, names in enumerate(LAYERS) for name in names}
# The parts of Program: what it is, how it is written for the helper, how for a reader.
PROGRAM = {"pyrunc.plan.program", "pyrunc.plan.ops", "pyrunc.plan.listing"}

SOURCES = sorted(path for folder in ("pyrunc", "tests", "conformance") for path in (ROOT / folder).rglob("*.py"))
SOURCES.append(ROOT / "hatch_build.py")
BUILDS = {PACKAGE / "init", PACKAGE / "onefile"}  # of what is no part of the package that pip installs
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if not BUILDS & {*path.parents})


def name_of(path: Path) -> str:
    """`pyrunc.plan.mounts` of pyrunc/plan/mounts.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module: str) -> str:
    """The longest name in LAYERS that holds the module."""
    while module not in RANK:
        module = module.rpartition(".")[0]
    return module


def imports_of(path: Path) -> Iterator[str]:
    """Every module of pyrunc that the file imports, at its top, in a function, or for the type checker only."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "pyrunc")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pyrunc":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (ROOT / inner.replace(".", "/")).is_dir() or (
                    ROOT / f"{inner.replace('.', '/')}.py"
                ).is_file()
                yield inner if is_module else str(node.module)


def allowed(importer: str, imported: str) -> bool:
    """Whether the design lets the one import the other."""
    upper, lower = layer_of(importer), layer_of(imported)
    if upper == lower:
        return upper != CONCERNS or importer == imported
    return RANK[upper] < RANK[lower] or {upper, lower} <= PROGRAM


@pytest.mark.parametrize(
    ("importer", "imported", "expected"),
    [
        ("pyrunc.commands.create", "pyrunc.container.create", True),
        ("pyrunc.container.create", "pyrunc.commands.create", False),
        ("pyrunc.plan.mounts", "pyrunc.plan.program", True),
        ("pyrunc.plan.mounts", "pyrunc.plan.devices", False),
        ("pyrunc.plan.program", "pyrunc.plan.mounts", False),
        ("pyrunc.plan.mounts", "pyrunc.state.store", False),
        ("pyrunc.cgroups.v2", "pyrunc.state.store", False),
        ("pyrunc.seccomp.filter", "pyrunc.plan.program", False),
        ("pyrunc.linux.host", "pyrunc", True),
    ],
    ids=str,
)
def test_the_rule_itself(importer: str, imported: str, expected: bool) -> None:
    """The rule of design.md on examples, so that a slip in the table is seen."""
    assert allowed(importer, imported) is expected


def test_imports_go_down() -> None:
    """No import goes up or sideways."""
    wrong = [
        f"{name_of(path)} imports {imported}"
        for path in MODULES
        for imported in imports_of(path)
        if not allowed(name_of(path), imported)
    ]
    assert not wrong, "\n".join(wrong)


def test_argv_is_read_by_cli_only() -> None:
    """Nothing below cli sees argv, and nothing below cli ends the process."""
    # `python -m pyrunc.plan.ops` writes the helper's header; it is no part of a command.
    exempt = {path for path in MODULES if path.is_relative_to(PACKAGE / "cli")} | {PACKAGE / "plan" / "ops.py"}
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for path in MODULES
        if path not in exempt
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.argv", "sys.exit"}
    ]
    assert not wrong, "\n".join(wrong)


def test_files_are_short() -> None:
    """At most 400 lines; a verb at most 60; the helper in C at most 900 altogether."""
    lines = {path: path.read_text("utf-8").count("\n") for path in SOURCES}
    wrong = [
        f"{path.relative_to(ROOT)}: {count} lines"
        for path, count in lines.items()
        if count > (60 if path.is_relative_to(PACKAGE / "commands") else 400)
    ]
    helper = sum(path.read_text("utf-8").count("\n") for path in (PACKAGE / "init").glob("*.[ch]"))
    assert not wrong, "\n".join(wrong)
    assert helper <= 900


def test_functions_are_short() -> None:
    """At most 50 lines, from `def` to the last statement."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {length} lines"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > 50
    ]
    assert not wrong, "\n".join(wrong)


def test_names_say_what_a_module_is_for() -> None:
    """One concern, one module, in the field's word."""
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base", "core"}
    assert not [path for path in SOURCES if path.stem in vague]


def test_each_file_names_its_licence() -> None:
    """The SPDX line is the first, or soon after `#!`."""
    patterns = (
        ".ci/*",
        "Makefile",
        "pyproject.toml",
        "pyrunc/launcher/*",
        "pyrunc/init/*.[chS]",
        "tests/**/*.[ch]",
        "tests/**/*.sh",
    )
    others = [path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()]
    wrong = []
    for path in [*SOURCES, *others]:
        head = path.read_text("utf-8").split("\n", 3)[:3]
        if SPDX not in "".join(head if head[0].startswith("#!") else head[:1]):
            wrong.append(str(path.relative_to(ROOT)))
    assert not wrong, "\n".join(wrong)
