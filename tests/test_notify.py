# SPDX-License-Identifier: Apache-2.0
"""The socket of NOTIFY_SOCKET without a container: whose last word counts, however early it ended."""

import os
import socket
from pathlib import Path

import pytest

from pyrunc.process.notify import Notify, make_folder


@pytest.mark.parametrize("known", [True, False], ids=["ends while it is waited for", "ended before"])
@pytest.mark.parametrize("said", [b"READY=1", b"STATUS=1", b""])
def test_the_last_word_of_one_that_has_ended(tmp_path: Path, said: bytes, *, known: bool) -> None:
    ended = os.posix_spawn("/bin/true", ["true"], {})
    pidfd = os.pidfd_open(ended) if known else -1
    directory = os.open(tmp_path, os.O_PATH)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(f"\0{tmp_path.name}-{os.getpid()}")
        supervisor.settimeout(0)
        make_folder(directory)
        notify = Notify(directory, f"@{tmp_path.name}-{os.getpid()}".encode())
        try:
            if said:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as container:
                    container.sendto(said, str(tmp_path / "notify/notify.sock"))
            notify.wait(ended, pidfd)
            if said == b"READY=1":
                assert supervisor.recv(100) == b"READY=1\nMAINPID=%d\n" % ended
            else:
                with pytest.raises(BlockingIOError):
                    supervisor.recv(100)
        finally:
            notify.close()
            os.waitpid(ended, 0)
            os.close(directory)
            if known:
                os.close(pidfd)
