# SPDX-License-Identifier: Apache-2.0
"""The findings in one config.json, each with its line and column, in the order of the text."""

from pyrunc.config.findings import Finding
from pyrunc.config.load import parse, read, read_all
from pyrunc.config.positions import Text
from pyrunc.container.validate import check
from pyrunc.errors import ConfigError
from pyrunc.linux.host import probe


class Report:
    """name: of the file, for a reader; positions: (line, column) from 1 for each of the findings."""

    __slots__ = ("findings", "name", "positions")

    def __init__(self, name: str, findings: "list[Finding]", positions: "list[tuple[int, int]]") -> None:
        self.name = name
        self.findings = findings
        self.positions = positions

    def lines(self) -> list[str]:
        """One line for each finding, in the form that editors can jump to."""
        rows = zip(self.findings, self.positions, strict=True)
        return [f"{self.name}:{line}:{column}: {finding.line}" for finding, (line, column) in rows]


def report(path: str, *, host: bool = False) -> Report:
    """What is wrong with a file; "-" is standard input. ConfigError when it cannot be read.

    host: also what this host cannot do; then the root and bind sources are looked for beside the file.
    """
    name = "<stdin>" if path == "-" else path
    data = read_all(0, name) if path == "-" else read(path)
    folder, slash, _ = path.rpartition("/")
    bundle = "" if path == "-" else folder or (slash or ".")
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError as error:
        before = str(data[: error.start], "utf-8")
        cause = f"byte {error.start} (0x{data[error.start]:02x}) is not UTF-8: save the file in UTF-8"
        return Report(name, [Finding("", cause, "SPEC-003")], [Text(before).position(len(before))])
    facts = probe() if host else None
    try:
        findings: list[tuple[int | None, Finding]] = [
            (None, one) for one in check(parse(data, name), set(), host=facts, bundle=bundle)
        ]
        places = Text(text) if findings else None
    except ConfigError as error:
        places = Text(text)
        findings = _of_text(places, error, name)
        if not places.broken and isinstance(places.value, dict):
            wrong = {mistake.pointer for mistake in places.mistakes}
            findings += [(None, one) for one in check(places.value, wrong, host=facts, bundle=bundle)]
    rows = []
    for offset, finding in findings:
        if places is not None:
            rows.append((offset if offset is not None else places.place(finding.pointer), finding))
    rows.sort(key=lambda row: row[0])
    positions = [places.position(offset) for offset, _ in rows] if places is not None else []
    return Report(name, [finding for _, finding in rows], positions)


def _of_text(places: Text, error: ConfigError, name: str) -> "list[tuple[int | None, Finding]]":
    """What is wrong with the text itself; `error`: how the reader of create says it."""
    found: list[tuple[int | None, Finding]] = [
        (mistake.offset, Finding(mistake.pointer, mistake.cause, mistake.requirement or "SPEC-003"))
        for mistake in places.mistakes
    ]
    return found or [(None, Finding(error.pointer, error.cause.removeprefix(f"{name}: "), "SPEC-003"))]
