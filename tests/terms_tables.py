"""Tables for the tests of terms, and the design of a formula over a pandas frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from halfsquare.loss import Floats
from halfsquare.models.terms.chunks import RawChunk
from halfsquare.models.terms.design import TermsDesign, make_design, needed_columns
from halfsquare.models.terms.expand import expand
from halfsquare.parallel.threads import Local


def table(seed: int, n: int = 120) -> pd.DataFrame:
    """Numbers x z (positive) and v, whole numbers year, texts g (3 levels) h (2) and `flow
    rate`.
    """
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.uniform(0.5, 4.0, n),
            "z": rng.gamma(2.0, 1.0, n) + 0.1,
            "v": rng.normal(size=n),
            "year": rng.choice([2011, 2012, 2014], n),
            "g": rng.choice(list("abc"), n),
            "h": rng.choice(["no", "yes"], n),
            "flow rate": rng.normal(size=n),
        }
    )
    frame["y"] += frame.x + (frame.g == "b") * frame.v
    return frame


def kinds_of(frame: pd.DataFrame) -> dict[str, str]:
    return {c: "number" if pd.api.types.is_numeric_dtype(frame[c]) else "text" for c in frame}


def raw_columns(frame: pd.DataFrame, texts: dict[str, list[str]]) -> dict[str, Floats]:
    """As a scan hands them on: numbers, and codes of texts (-1 missing, -2 no level)."""

    def codes(column: str) -> Floats:
        place = {level: float(i) for i, level in enumerate(texts[column])}
        return np.array([-1.0 if v is None else place.get(v, -2.0) for v in frame[column]])

    return {c: codes(c) if c in texts else frame[c].to_numpy(float) for c in frame}


def design_of(
    formula: str,
    frame: pd.DataFrame,
    *,
    weight: Floats | None = None,
    chunk_rows: int = 50,
    threads: int = 1,
    train: int | None = None,
) -> tuple[TermsDesign, dict[str, Floats]]:
    """The design that the formula has on a frame, and the raw columns it needs."""
    kinds: dict[str, Any] = kinds_of(frame)
    expanded = expand(formula, list(frame))
    needed = needed_columns(expanded, kinds)
    texts = {c: sorted(frame[c].dropna().unique()) for c, kind in needed.items() if kind == "text"}
    columns = raw_columns(frame[list(needed)], texts)
    n = len(frame)

    def chunk(index: int) -> RawChunk:
        at = slice(index * chunk_rows, (index + 1) * chunk_rows)
        rows = len(range(n)[at])
        here = rows if train is None else max(0, min(rows, train - index * chunk_rows))
        return RawChunk(
            {k: v[at] for k, v in columns.items()}, None if weight is None else weight[at], here
        )

    made = make_design(expanded, needed, texts, chunk, -(-n // chunk_rows), Local(threads))
    return made, columns


def matrix_of(formula: str, frame: pd.DataFrame) -> tuple[list[str], Floats]:
    """Names and design (n, d)."""
    made, columns = design_of(formula, frame)
    return list(made.names), made.write(columns, len(frame)).T
