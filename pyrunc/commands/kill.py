# SPDX-License-Identifier: Apache-2.0
"""pyrunc kill CONTAINER [SIGNAL]: send a signal to the process of a container."""

from pyrunc.container.kill import kill
from pyrunc.linux.signals import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    word = values["signal"]
    signal = None if word is None else number(word)
    if not values["regex"]:
        kill(settings, values["container"], signal, all=values["all"])
        return 0
    from pyrunc.container.matching import each
    from pyrunc.errors import StatusError

    def one(container_id: str) -> None:
        try:
            kill(settings, container_id, signal, all=values["all"])
        except StatusError as error:
            settings.warn(f"container {container_id}: {error}")  # an expression means those that run

    each(settings, values["container"], one)
    return 0
