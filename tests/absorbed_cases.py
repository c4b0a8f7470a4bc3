"""A table with effects of two and three categories, singletons among them."""

from __future__ import annotations

import numpy as np
import pandas as pd


def absorbed_table(n: int = 700) -> pd.DataFrame:
    """Columns a (40 levels) and b (60) with singletons, c (5), s in which a is nested, g, x, z,
    y.
    """
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "a": rng.integers(0, 40, n),
            "b": rng.integers(0, 60, n),
            "c": rng.integers(0, 5, n),
            "g": rng.choice(list("pqr"), n),
        }
    )
    # Row 3 is alone in a, row 9 too; without row 3 row 5 is alone in b.
    frame.loc[3, ["a", "b"]] = [999, 777]
    frame.loc[5, "b"] = 777
    frame.loc[9, "a"] = 998
    frame["s"] = frame.a // 5
    frame["x"] += frame.a.clip(upper=40) / 40
    noise = rng.normal(size=n)
    frame["y"] = frame.x + 0.3 * frame.z + np.sin(frame.a) + np.cos(frame.b) + 0.2 * frame.c + noise
    return frame
