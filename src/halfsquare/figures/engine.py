"""The engine that draws, in a process of its own: Vega in the JavaScript of vl-convert.

The engine ends its process where it meets what it does not expect (a control character, too little
memory). There it takes nothing with it: the next figure begins another one.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt

from halfsquare.errors import HalfsquareError
from halfsquare.process import TO_DRAW, require_address_space
from halfsquare.text import is_hidden

_SECONDS = 120.0  # for one figure; the slowest takes a few


class DrawingError(HalfsquareError):
    """A figure that the engine could not draw."""


def specification(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The chart as Vega-Lite, all text in it clean; the one way into the engine.

    Altair's check against the schema is left out: the figures are our own, and it takes longer
    than drawing them.
    """
    cleaned: dict[str, Any] = _cleaned(chart.to_dict(validate=False))
    return cleaned


def clean(text: str) -> str:
    """The text without what no figure can show or what would turn it around: control characters,
    halves of characters, noncharacters and marks of direction become U+FFFD.

    Examples
    --------
    >>> clean("a\\x1b[31m")
    'a�[31m'
    """
    if text.isprintable():
        return text
    return "".join("\ufffd" if is_hidden(c) else c for c in text)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(inner) for inner in value]
    return value


def to_vega(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The chart as Vega, just as Vega-Lite compiles it."""
    made: dict[str, Any] = _engine().ask("vegalite_to_vega", specification(chart))
    return made


def to_svg(chart: alt.TopLevelMixin, **over: Any) -> str:
    """The chart as SVG; ``over`` are properties in place of its own."""
    return str(_engine().ask("vegalite_to_svg", {**specification(chart), **over}))


def to_png(chart: alt.TopLevelMixin, scale: float = 2.0) -> bytes:
    """The chart as PNG, so many pixels to one of the chart."""
    return bytes.fromhex(_engine().ask("vegalite_to_png", specification(chart), scale=scale))


@cache
def bundle(snippet: str) -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, at the end of which ``snippet`` runs."""
    return str(_engine().ask("javascript_bundle", snippet))


def require_engine() -> None:
    """Refuse, before any work is done, to draw without the engine, or where it cannot run.

    Raises
    ------
    ModuleNotFoundError
        If vl-convert is not installed.
    LimitError
        If the process may not have the address space in which the engine runs.
    """
    from importlib.util import find_spec

    if find_spec("vl_convert") is None:
        raise ModuleNotFoundError("No module named 'vl_convert'", name="vl_convert")
    require_address_space(TO_DRAW, "drawing a figure")


class Engine:
    """One process of ``engine_process.py``; asked by one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner, self._closed = os.getpid(), False
        atexit.register(self.close)

    def ask(self, what: str, *arguments: Any, **options: Any) -> Any:
        """What the engine's function of that name gives for these arguments.

        Raises
        ------
        DrawingError
            If it could not, or its process ended over it, or takes longer than two minutes.
        LimitError
            As :func:`require_engine`.
        """
        asked = json.dumps([what, arguments, options, _vegalite_version()]).encode() + b"\n"
        with self._lock:
            process = self._running()
            timer = threading.Timer(_SECONDS, process.kill)
            timer.start()
            try:
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write(asked)
                process.stdin.flush()
                answer = process.stdout.readline()
            except OSError:
                answer = b""
            finally:
                timer.cancel()
            if not answer.endswith(b"\n"):
                self._end()
                code = process.returncode
                raise DrawingError(f"the figure could not be drawn: the engine ended ({code})")
        found, problem = json.loads(answer)
        if problem is not None:
            raise DrawingError(f"the figure could not be drawn: {problem}")
        return found

    def close(self) -> None:
        """End the process for good, also while somebody waits for an answer."""
        self._closed = True
        process = self._process
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()
            if self._lock.acquire(timeout=5.0):  # whoever waited has been told
                self._end()
                self._lock.release()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise DrawingError("the figure could not be drawn: the program ends")
        if self._owner != os.getpid():  # a fork: the process is the parent's
            self._owner, self._process = os.getpid(), None
        if self._process is None or self._process.poll() is not None:
            self._end()
            require_engine()
            worker = Path(__file__).with_name("engine_process.py")
            self._process = subprocess.Popen(
                # -P: what lies beside the file is not to be imported by its name.
                [sys.executable, "-P", str(worker)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if os.environ.get("HALFSQUARE_DEBUG") else subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was still to be written has no reader any more
                    pipe.close()


def _vegalite_version() -> str:
    """The Vega-Lite that Altair writes for."""
    return ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])


@cache
def _engine() -> Engine:
    return Engine()
