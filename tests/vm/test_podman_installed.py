# SPDX-License-Identifier: Apache-2.0
"""Podman as docs/engines/podman.md sets it up: the file of contrib/podman/ in its place, for root and for one user."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import engines, service
from tests.vm.podman import Podman, ordinary_user

pytestmark = [pytest.mark.root, pytest.mark.timeout(600), engines.needs("podman", "newuidmap", "runuser")]

PLACE = "containers/containers.conf.d/pyrunc.conf"


@pytest.fixture(scope="module", params=["root", "rootless"], name="podman")
def engine(request: pytest.FixtureRequest) -> Iterator[engines.Client]:
    """Podman that is told nothing by its command line: its folders are those that it has by itself."""
    with contextlib.ExitStack() as stack:
        user = stack.enter_context(ordinary_user()) if request.param == "rootless" else "root"
        place = f"{Path('~' + user).expanduser()}/.config/{PLACE}" if user != "root" else f"/etc/{PLACE}"
        stack.enter_context(service.files({place: engines.configured("podman/pyrunc.conf")}))
        if user != "root":
            for folder in (Path(place), *list(Path(place).parents)[:3]):
                shutil.chown(folder, user, user)
        folder = stack.enter_context(engines.scratch("podman"))
        called = [word for word in Podman(folder, user).called if not word.startswith("CONTAINERS_CONF_OVERRIDE=")]
        client = engines.Client(*called, "podman")
        client.ok("import", str(engines.image(folder)), "bb")
        yield client
        client.ok("system", "reset", "--force")


def test_runtime_of_the_file(podman: engines.Client) -> None:
    assert podman.ok("info", "--format", "{{.Host.OCIRuntime.Name}}") == engines.RUNTIME
    assert podman.ok("run", "--rm", "--network", "none", "bb", "echo", "ran") == "ran"


def test_health_check_by_a_timer(podman: engines.Client) -> None:
    """A timer of systemd has Podman execute the check, and Podman the runtime."""
    flags = ("--health-cmd", "test ! -e /tmp/ill", "--health-interval", "2s", "--health-retries", "1")
    podman.ok("run", "--detach", "--name", "watched", "--network", "none", *flags, "bb", "sleep", "1000")

    def status() -> str:
        return podman.ok("inspect", "--format", "{{.State.Health.Status}}", "watched")

    engines.until(lambda: status() == "healthy")
    podman.ok("exec", "watched", "touch", "/tmp/ill")
    engines.until(lambda: status() == "unhealthy")
    podman.ok("rm", "--force", "--time", "0", "watched")


def test_errors_are_read_as_json(podman: engines.Client) -> None:
    result = podman("run", "--rm", "--network", "none", "bb", "nosuch")
    assert result.status == 127
    assert "OCI runtime attempted to invoke a command that was not found" in result.err
    assert '"level"' not in result.err


def test_cgroups_disabled_by_the_file(podman: engines.Client) -> None:
    if engines.RUNTIME == "runc":
        pytest.skip("Podman allows it for crun alone, and for runtimes that are said to have it")
    flags = ("--network", "none", "--cgroups", "disabled")
    assert podman.ok("run", "--rm", *flags, "bb", "echo", "ran") == "ran"
