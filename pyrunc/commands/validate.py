# SPDX-License-Identifier: Apache-2.0
"""pyrunc validate: everything that is wrong with a config.json, a line for each mistake; 1 when there is one."""

from pyrunc.commands import output
from pyrunc.config.dump import dump
from pyrunc.config.findings import ERROR
from pyrunc.container.report import Report, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(_: "Settings", values: "dict[str, Any]") -> int:
    reports = [report(file, host=values["host"]) for file in values["command"] or [_file(values)]]
    failed = any(finding.level == ERROR for one in reports for finding in one.findings)
    if values["json"]:
        output(dump({"valid": not failed, "findings": [row for one in reports for row in _rows(one)]}, 2) + "\n")
    else:
        output("".join(f"{line}\n" for one in reports for line in one.lines()))
    return int(failed)


def _file(values: "dict[str, Any]") -> str:
    if values["config"]:
        return str(values["config"])
    bundle: str = values["bundle"]
    return "-" if bundle == "-" else "config.json" if bundle == "." else f"{bundle.rstrip('/')}/config.json"


def _rows(report: Report) -> "list[dict[str, object]]":
    return [
        {
            "file": report.name,
            "line": line,
            "column": column,
            "level": finding.level,
            "pointer": finding.pointer,
            "requirement": finding.requirement,
            "expected": finding.expected,
            "found": finding.found,
            "host": finding.host,
            "message": finding.text,
        }
        for finding, (line, column) in zip(report.findings, report.positions, strict=True)
    ]
