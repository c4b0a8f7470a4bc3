"""Commands in processes of their own that start at once: one process has loaded everything, and
forks for each.

Run as a script it is that process; requests and answers are lines of JSON.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 60.0  # seconds until a command counts as hanging


_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Ended:
    """How a command ended; ``code`` is negative for a signal, None where it hung."""

    code: int | None
    out: str
    err: str

    @property
    def complaint(self) -> str | None:
        """What no command may do, whatever is wrong with its input: hang, crash, show a traceback,
        blame itself.
        """
        if self.code is None:
            return "hung"
        # A signal that comes before the command has begun, or when it is over, ends it as it would
        # any process.
        if self.code not in (0, 1, 2, 129, 130, 143, *(-number for number in _SIGNALS)):
            return f"ended with {self.code}: {self.err[-300:]}"
        for words in ("Traceback", "internal error", "Warning:"):
            if words in self.err:
                return f"{words}: {self.err[-500:]}"
        if self.code in (1, 2) and not self.err.strip():
            return "failed without a word"
        return None


class Commands:
    """``halfsquare`` commands, each in a fork of one process; a context manager."""

    def __enter__(self) -> Commands:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(20)
        self._server.stdout.close()

    def __call__(
        self,
        *arguments: object,
        folder: Path,
        kill: tuple[int, float] | None = None,
        file_size: int | None = None,
        temporary: Path | None = None,
    ) -> Ended:
        """Run a command in ``folder``, perhaps with a (signal, after seconds) or a limit on the
        size of files.
        """
        request = {
            "arguments": [str(a) for a in arguments],
            "folder": str(folder),
            "kill": kill,
            "file_size": file_size,
            "temporary": None if temporary is None else str(temporary),
        }
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return Ended(**json.loads(self._server.stdout.readline()))


def _serve() -> None:
    import duckdb  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        (out, to_out), (err, to_err) = _pipe(), _pipe()
        child = os.fork()
        if not child:
            _become(request, to_out, to_err)
        os.close(to_out)
        os.close(to_err)
        code = _awaited(child, request["kill"])
        texts = []
        for end in (out, err):
            with os.fdopen(end, "rb") as file:
                texts.append(file.read().decode(errors="replace"))
        print(json.dumps({"code": code, "out": texts[0], "err": texts[1]}), flush=True)


def _pipe() -> tuple[int, int]:
    """A pipe that holds all that a command says; a file would fall under the limits on files."""
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 1 << 20)
    return ends


def _become(request: dict[str, Any], out: int, err: int) -> None:
    """In the child: the command itself, to its end."""
    from halfsquare.cli.main import main

    code = 99
    try:
        os.chdir(request["folder"])
        os.dup2(out, 1)
        os.dup2(err, 2)
        if request["temporary"]:
            os.environ["TMPDIR"] = tempfile.tempdir = request["temporary"]
        if request["file_size"] is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_size"],) * 2)
        sys.argv = ["halfsquare", *request["arguments"]]
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _awaited(child: int, kill: tuple[int, float] | None) -> int | None:
    began, killed = time.monotonic(), kill is None
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        passed = time.monotonic() - began
        if kill is not None and not killed and passed >= kill[1]:
            os.kill(child, kill[0])
            killed = True
        if passed > PATIENCE:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.0005)


if __name__ == "__main__":
    _serve()
