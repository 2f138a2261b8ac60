# SPDX-License-Identifier: Apache-2.0
"""`--regex`: one operation for each container whose id has a match of a regular expression, as crun has it."""

from pyrunc.errors import NotFoundError, PyruncError, UsageError
from pyrunc.state.store import entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.container.settings import Settings


def each(settings: "Settings", pattern: str, operation: "Callable[[str], None]") -> None:
    """Call `operation` with the id of each container that matches, anywhere in it; none is no error.

    One that fails does not keep the others: the first error is raised at the end, the rest are warnings. A container
    that another call removed meanwhile is no failure.
    """
    import re

    try:
        expression = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"invalid regular expression {pattern}: {error}") from None
    failed: list[PyruncError] = []
    for container_id in entries(settings.root):
        if not expression.search(container_id):
            continue
        try:
            operation(container_id)
        except NotFoundError:
            continue
        except PyruncError as error:
            settings.warn(f"container {container_id}: {error}")
            failed.append(PyruncError(f"container {container_id}: {error}"))
    if failed:
        raise failed[0]
