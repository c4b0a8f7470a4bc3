"""Numbers of other types, series and arrays, at the door of tables: right, or an error of ours."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from halfsquare import fit
from halfsquare.errors import DataError, HalfsquareError, OptionError

X = np.arange(12.0)
Y = 3.0 * X + np.sin(X)
PLAIN = fit({"x": X, "y": Y}, "y", model="linear", test_fraction=0)


def arrow(values: Any) -> pa.Table:
    return pa.table({"x": values, "y": pa.array(Y)})


@pytest.mark.parametrize(
    "data",
    [
        {"x": X.astype(np.float16), "y": Y},
        {"x": X.astype(np.longdouble), "y": Y},
        {"x": pa.array(X), "y": pa.array(Y)},
        {"x": pd.arrays.SparseArray(X), "y": Y},
        pd.DataFrame({"x": pd.arrays.SparseArray(X), "y": Y}),
        pd.DataFrame({"x": X.astype(np.longdouble), "y": Y}),
        pd.DataFrame({"x": X.astype(np.float16), "y": Y}),
        arrow(pa.array(X.astype(np.float16))),
        arrow(pa.array([Decimal(int(v)) for v in X], pa.decimal256(60, 10))),
        pl.DataFrame({"x": X, "y": Y}).lazy(),
    ],
)
def test_numbers_of_other_types_are_numbers(data: Any) -> None:
    fitted = fit(data, "y", model="linear", test_fraction=0)
    assert fitted.parameters[1].value == pytest.approx(PLAIN.parameters[1].value, rel=1e-14)
    assert fitted.predict(data) == pytest.approx(PLAIN.predict({"x": X}), rel=1e-14)


def test_a_series_is_a_frame_of_one_column() -> None:
    expected = PLAIN.predict({"x": X})
    assert PLAIN.predict(pd.Series(X, name="x")) == pytest.approx(expected)
    assert PLAIN.predict(pl.Series("x", X)) == pytest.approx(expected)
    with pytest.raises(DataError, match="no column 'x'"):
        PLAIN.predict(pd.Series(X, name="z"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"x": X + 1j, "y": Y}, "column 'x' is complex"),
        (pd.DataFrame({"x": X + 1j, "y": Y}), "column 'x' is complex"),
        (np.ones((4, 2), dtype=complex), "complex"),
        ({"x": np.ones((12, 2)), "y": Y}, r"column 'x' has shape \(12, 2\)"),
        ({"x": X[:3], "y": Y}, "lengths"),
        ({}, "no columns"),
        (pd.DataFrame(), "no columns"),
        (pl.DataFrame({"x": X}).lazy().select("z"), "could not be computed"),
    ],
)
def test_what_is_no_table_of_numbers_is_an_error_of_ours(data: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        fit(data, "y", model="linear")


def test_arrays_beside_each_other_are_told_apart_from_names() -> None:
    with pytest.raises(OptionError, match="expected the name of a column"):
        fit(X[:, None], Y)  # type: ignore[arg-type]
    for data in (pa.array(X), pa.chunked_array([X]), 3, iter(X)):
        with pytest.raises(HalfsquareError):
            fit(data, "y")
