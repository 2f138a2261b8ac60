# SPDX-License-Identifier: Apache-2.0
"""pyrunc events CONTAINER: statistics and notices of the lack of memory, a line of JSON each."""

from pyrunc.commands import output
from pyrunc.config.dump import dump
from pyrunc.config.duration import seconds
from pyrunc.container.events import events, statistics
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    try:
        interval = seconds(values["interval"])
    except ValueError as error:
        raise UsageError(f"--interval: {error}") from None
    if interval <= 0:
        raise UsageError("--interval: must be greater than 0")
    if values["stats"]:
        output(dump(statistics(settings, values["container"])) + "\n")
        return 0
    for event in events(settings, values["container"], interval):
        output(dump(event) + "\n")
    return 0
