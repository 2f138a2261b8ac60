# SPDX-License-Identifier: Apache-2.0
"""Podman as docs/engines/podman.md sets it up: the file of contrib/podman/ in its place, for root and for one user."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import engines, service
from tests.vm.podman import Podman, ordinary_user, podman

pytestmark = [pytest.mark.root, pytest.mark.timeout(600), engines.needs("podman", "newuidmap", "runuser")]

PLACE = "containers/containers.conf.d/pyrunc.conf"


@pytest.fixture(scope="module", params=["root", "rootless"], name="podman")
def engine(request: pytest.FixtureRequest) -> Iterator[Podman]:
    """Podman that is told nothing of the runtime."""
    with contextlib.ExitStack() as stack:
        user = stack.enter_context(ordinary_user()) if request.param == "rootless" else "root"
        made = stack.enter_context(podman(user))
        place = f"{Path('~' + user).expanduser()}/.config/{PLACE}" if user != "root" else f"/etc/{PLACE}"
        stack.enter_context(service.files({place: engines.configured("podman/pyrunc.conf")}))
        if user != "root":
            for folder in (Path(place), *list(Path(place).parents)[:3]):
                shutil.chown(folder, user, user)
        made.argv = tuple(word for word in made.argv if not word.startswith("CONTAINERS_CONF_OVERRIDE="))
        yield made


def test_runtime_of_the_file(podman: Podman) -> None:
    assert podman.ok("info", "--format", "{{.Host.OCIRuntime.Name}}") == engines.RUNTIME
    assert podman.ok("run", "--rm", "--network", "none", "bb", "echo", "ran") == "ran"


def test_errors_are_read_as_json(podman: Podman) -> None:
    result = podman("run", "--rm", "--network", "none", "bb", "nosuch")
    assert result.status == 127
    assert "OCI runtime attempted to invoke a command that was not found" in result.err
    assert '"level"' not in result.err


def test_cgroups_disabled_by_the_file(podman: Podman) -> None:
    if engines.RUNTIME == "runc":
        pytest.skip("Podman allows it for crun alone, and for runtimes that are said to have it")
    flags = ("--network", "none", "--cgroups", "disabled")
    assert podman.ok("run", "--rm", *flags, "bb", "echo", "ran") == "ran"
