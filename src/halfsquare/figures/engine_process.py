"""The process in which the engine draws: a line of JSON in, a line of JSON out.

Run by :mod:`halfsquare.figures.engine`; it needs nothing but vl-convert, so it starts quickly.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any


def answer(what: str, arguments: list[Any], options: dict[str, Any], version: str) -> Any:
    """What vl-convert makes of it; bytes as hexadecimal digits."""
    import vl_convert

    if what.startswith("vegalite"):
        # Where it is not there, the newest is taken.
        known = version in vl_convert.get_vegalite_versions()
        options["vl_version"] = version if known else None
    found = getattr(vl_convert, what)(*arguments, **options)
    return found.hex() if isinstance(found, bytes) else found


def main() -> None:
    """Answer until the other side closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for whoever asked
    # What the engine itself prints must not get among the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin.buffer:
        try:
            found, problem = answer(*json.loads(line)), None
        except Exception as failure:
            found, problem = None, str(failure).splitlines()[0] if str(failure) else repr(failure)
        answers.write(json.dumps([found, problem]) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
