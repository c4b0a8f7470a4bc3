"""Debian's PostgreSQL for a test: a server of its own in a temporary folder, spoken to through a
Unix socket.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HOW = "install PostgreSQL (Debian: apt-get install postgresql)"
Ask = Callable[..., str]


def program(name: str) -> str:
    """Where a program of PostgreSQL is; Debian keeps some of them off the path."""
    found = shutil.which(name) or next(
        (str(p) for p in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None
    )
    if found is None:
        pytest.fail(f"no {name} to test SQL with: {HOW}", pytrace=False)
    return found


@contextmanager
def postgresql() -> Iterator[Ask]:
    """A server that runs; gives a function from SQL (and standard input) to a table as CSV."""
    # The server refuses to run as root, and a folder of pytest is its owner's alone.
    user = "postgres" if os.geteuid() == 0 else None
    as_user = {} if user is None else {"user": user, "group": user, "extra_groups": ()}
    initdb, server, client, ready = map(program, ("initdb", "postgres", "psql", "pg_isready"))
    folder = Path(tempfile.mkdtemp(prefix="halfsquare-postgres-"))
    env = {**os.environ, "LC_ALL": "C", "PGHOST": str(folder), "PGUSER": "tester"}
    try:
        if user is not None:
            shutil.chown(folder, user, user)
        folder.chmod(0o755)
        made = [initdb, "-D", "data", "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(made, cwd=folder, env=env, check=True, capture_output=True, **as_user)  # type: ignore[call-overload]
        settings = {"listen_addresses": "", "unix_socket_directories": folder, "fsync": "off"}
        given = [f"--{name}={value}" for name, value in settings.items()]
        with subprocess.Popen(
            [server, "-D", str(folder / "data"), *given],
            cwd=folder,
            env=env,
            stderr=subprocess.DEVNULL,
            **as_user,  # type: ignore[call-overload]
        ) as running:
            try:
                for _ in range(600):
                    if subprocess.run([ready, "-q"], env=env, check=False).returncode == 0:
                        break
                    assert running.poll() is None, "the server of PostgreSQL has ended"
                    time.sleep(0.05)

                def ask(sql: str, stdin: str | None = None) -> str:
                    asked = [client, "-X", "-q", "-v", "ON_ERROR_STOP=1", "--csv", "-d", "postgres"]
                    if stdin is None:
                        ran = subprocess.run(
                            asked, input=sql, text=True, env=env, capture_output=True, check=False
                        )
                    else:
                        ran = subprocess.run(
                            [*asked, "-c", sql],
                            input=stdin,
                            text=True,
                            env=env,
                            capture_output=True,
                            check=False,
                        )
                    assert ran.returncode == 0, ran.stderr
                    return ran.stdout

                yield ask
            finally:
                # Its "fast" way to end, which waits for no one who is still connected.
                running.send_signal(signal.SIGINT)
                running.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
