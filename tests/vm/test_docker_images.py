# SPDX-License-Identifier: Apache-2.0
"""Docker: images, made of what containers wrote, and by RUN steps of both builders."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import engines
from tests.vm.docker import Docker, dockerd

pytestmark = [pytest.mark.root, pytest.mark.timeout(600), engines.needs("dockerd", "docker")]

RECIPE = """\
FROM bb
ENV COLOUR=green
RUN echo $COLOUR >/made && chown 1000 /made
RUN ["sh", "-c", "test -O /made || id -u >>/made"]
USER guest
RUN id -un >/tmp/user
CMD ["cat", "/made", "/tmp/user"]
"""


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    with engines.scratch("docker") as folder, dockerd(folder) as docker:
        yield docker


@pytest.fixture(scope="module")
def wrote(docker: Docker) -> str:
    """The name of a container that has ended, and has written in its root."""
    docker.ok("run", "--name", "wrote", "bb", "sh", "-c", "echo new >/new; rm /etc/group; echo '# more' >>/etc/passwd")
    return "wrote"


@pytest.fixture(scope="module")
def committed(docker: Docker, wrote: str) -> str:
    """The name of an image, made of that container."""
    docker.ok("commit", "--message", "by hand", "--change", "ENV FROM=commit", wrote, "committed")
    return "committed"


def test_diff(docker: Docker, wrote: str) -> None:
    assert sorted(docker.ok("diff", wrote).splitlines()) == ["A /new", "C /etc", "C /etc/passwd", "D /etc/group"]


def test_commit(docker: Docker, committed: str) -> None:
    script = "cat /new; test -e /etc/group || echo gone; echo $FROM"
    assert docker.ok("run", "--rm", committed, "sh", "-c", script) == "new\ngone\ncommit"


def test_commit_pauses_a_running_container(docker: Docker) -> None:
    docker.waiting("runs")
    docker.ok("exec", "runs", "touch", "/in-time")
    docker.ok("commit", "runs", "paused")
    assert docker.inspect("runs", "{{.State.Status}}") == "running"
    assert docker.ok("run", "--rm", "paused", "ls", "/in-time") == "/in-time"


def test_history(docker: Docker, committed: str) -> None:
    newest, *older = docker.ok("history", "--format", "{{.CreatedBy}}|{{.Comment}}", committed).splitlines()
    assert newest.endswith("|by hand")
    assert "echo new" in newest
    assert len(older) == 1


def test_save_and_load(docker: Docker, committed: str) -> None:
    archive = docker.folder / "saved.tar"
    docker.ok("tag", committed, "saved")
    docker.ok("save", "--output", str(archive), "saved")
    docker.ok("rmi", "saved")
    assert docker.ok("load", "--input", str(archive)) == "Loaded image: saved:latest"
    assert docker.ok("run", "--rm", "saved", "cat", "/new") == "new"


def test_export_and_import(docker: Docker, wrote: str) -> None:
    archive = docker.folder / "exported.tar"
    docker.ok("export", "--output", str(archive), wrote)
    with tarfile.open(archive) as tar:
        assert {"new", "bin/busybox"} <= set(tar.getnames())
    docker.ok("import", str(archive), "imported")
    assert docker.ok("run", "--rm", "imported", "cat", "/new") == "new"


def test_cp_out(docker: Docker, wrote: str) -> None:
    target = docker.folder / "copied"
    docker.ok("cp", f"{wrote}:/new", str(target))
    assert target.read_text() == "new\n"


def test_cp_in_while_it_runs(docker: Docker) -> None:
    docker.waiting("target")
    source = docker.folder / "source"
    source.write_text("from outside\n")
    docker.ok("cp", str(source), "target:/tmp/inside")
    assert docker.ok("exec", "target", "cat", "/tmp/inside") == "from outside"


def _context(folder: Path, recipe: str) -> str:
    folder.mkdir()
    (folder / "Dockerfile").write_text(recipe)
    return str(folder)


def test_build_by_the_classic_builder(docker: Docker) -> None:
    classic = engines.Client(*docker.argv, env={**docker.env, "DOCKER_BUILDKIT": "0"})
    assert "Successfully built" in classic.ok("build", "--tag", "classic", _context(docker.folder / "c", RECIPE))
    assert docker.ok("run", "--rm", "classic") == "green\n0\nguest"


def test_build_by_buildkit(docker: Docker) -> None:
    docker.ok("buildx", "build", "--load", "--tag", "kit", _context(docker.folder / "k", RECIPE))
    assert docker.ok("run", "--rm", "kit") == "green\n0\nguest"
    calls = (docker.folder / "builds").read_text().splitlines()
    assert sum(" run --bundle " in call for call in calls) == 3


def test_build_shows_the_status_of_a_step(docker: Docker) -> None:
    result = docker("buildx", "build", _context(docker.folder / "f", "FROM bb\nRUN echo before; exit 42\n"))
    assert result.status == 1
    assert "before" in result.err
    assert "exit code: 42" in result.err


def test_build_with_a_cache_mount_and_a_secret(docker: Docker) -> None:
    recipe = (
        "FROM bb\nRUN --mount=type=cache,target=/cache --mount=type=secret,id=word --network=none "
        "touch /cache/x && cat /run/secrets/word >/word && ls /sys/class/net >>/word\n"
    )
    (docker.folder / "word").write_text("hidden\n")
    secret = f"id=word,src={docker.folder}/word"
    docker.ok("buildx", "build", "--load", "-t", "mounts", "--secret", secret, _context(docker.folder / "m", recipe))
    assert docker.ok("run", "--rm", "mounts", "cat", "/word") == "hidden\nlo"


COMPOSE = """\
name: pair
services:
  server:
    image: bb
    command: sh -c 'mkdir -p /www && echo served >/www/index.html && exec httpd -f -p 80 -h /www'
    stop_grace_period: 1s
  client:
    image: bb
    depends_on: [server]
    command: sh -c 'until wget -q -O - http://server/; do sleep 0.2; done'
"""


def test_compose(docker: Docker) -> None:
    (docker.folder / "compose.yaml").write_text(COMPOSE)
    compose = engines.Client(*docker.argv, "compose", "--file", f"{docker.folder}/compose.yaml", env=docker.env)
    compose.ok("up", "--detach")
    try:
        rows = [json.loads(line) for line in io.StringIO(compose.ok("ps", "--all", "--format", "json"))]
        assert {row["Service"] for row in rows} == {"server", "client"}
        engines.until(lambda: "served" in compose.ok("logs", "client"))
    finally:
        compose.ok("down")
    assert docker.ok("ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project=pair") == ""


def test_nothing_is_left(docker: Docker) -> None:
    """The last test: without containers the runtime knows none, and no cgroup of theirs is there."""
    assert docker.left() == []
