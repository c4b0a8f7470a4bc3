"""Sums of tables: the same bits in any parts and order, the same answer as a fit of the rows, and
rows taken away.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from halfsquare import FittedModel, fit, fit_sums, load, load_sums, sum_rows
from halfsquare.data.columns import NO_READING
from halfsquare.errors import DataError, FitError, ModelFileError, OptionError
from halfsquare.exact import terms
from halfsquare.exact.sums_file import SUMS_FILE, is_sums
from halfsquare.exact.table_sums import TableSums


def houses(n: int = 600, seed: int = 0) -> pd.DataFrame:
    """Numbers with gaps, whole numbers, a category with rare levels and gaps, a flag, times,
    weights.
    """
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "area": (rng.normal(size=n) * 30 + 100).round(1),
            "rooms": rng.integers(1, 9, n),
            "town": rng.choice(
                ["york", "bath", "ely", "wells", "ripon", "truro"],
                n,
                p=[0.4, 0.3, 0.2, 0.07, 0.02, 0.01],
            ),
            "garden": rng.random(n) < 0.3,
            "sold": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(rng.integers(0, 500 * 86400, n), unit="s"),
            "fixed": 1.5,
            "name": [f"n{i}" for i in range(n)],
            "w": rng.integers(1, 4, n) / 2 + rng.random(n),
        }
    )
    frame.loc[rng.random(n) < 0.1, "area"] = np.nan
    frame.loc[rng.random(n) < 0.05, "town"] = None
    frame.loc[rng.random(n) < 0.05, "sold"] = pd.NaT
    frame["price"] = (
        frame.area.fillna(90) * 2 + frame.rooms + (frame.town == "bath") * 7 + rng.normal(size=n)
    )
    frame.loc[3, "price"] = np.nan
    return frame


def parameters(fitted: FittedModel) -> tuple[list[str], np.ndarray]:
    found = fitted.parameters
    return [p.name for p in found], np.array([[p.value, p.standard_error] for p in found])


def same_bits(a: FittedModel, b: FittedModel) -> bool:
    def numbers(fitted: FittedModel) -> bytes:
        member = fitted.members[0]
        arrays = (member.parameters, member.covariance, member.noise)
        return b"|".join(np.array(0 if v is None else v, dtype=float).tobytes() for v in arrays)

    one, other = (replace(m.encoder, reading=NO_READING) for m in (a, b))
    return one.as_dict() == other.as_dict() and numbers(a) == numbers(b) and a.train == b.train


def of(frame: pd.DataFrame, **more: Any) -> TableSums:
    return sum_rows(frame, "price", **{"test_fraction": 0.0, "exclude": ["name", "w"], **more})


def merged(parts: Sequence[TableSums]) -> TableSums:
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    return total


@pytest.mark.parametrize("fraction", [0.0, 0.25])
@pytest.mark.parametrize("weights", [None, "w"])
def test_the_same_answer_as_a_fit_of_the_rows(weights: str | None, fraction: float) -> None:
    frame, options = houses(), {"test_fraction": fraction, "seed": 7, "weights": weights}
    exclude = ["name"] if weights else ["name", "w"]
    direct = fit(frame, "price", model="linear", exclude=exclude, **options)  # type: ignore[arg-type]
    ours = fit_sums(sum_rows(frame, "price", exclude=exclude, **options))  # type: ignore[arg-type]
    (names, values), (expected_names, expected) = parameters(ours), parameters(direct)
    assert names == expected_names
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())
    np.testing.assert_allclose(ours.predict(frame), direct.predict(frame), rtol=1e-12)
    np.testing.assert_allclose(ours.interval(frame)[1], direct.interval(frame)[1], rtol=1e-12)
    for part in ("train", "test") if fraction else ("train",):
        for key in ("rows", "weight", "sse", "half_sse", "mse", "rmse", "r2"):
            assert ours.info[part][key] == pytest.approx(direct.info[part][key], rel=1e-11), (
                part,
                key,
            )
        assert ours.info[part]["mean_error"] == pytest.approx(
            direct.info[part]["mean_error"], abs=1e-11
        )
        assert ours.info[part]["mse_se"] is None
    assert ours.info["facts"]["degrees_of_freedom"] == pytest.approx(
        direct.info["facts"]["degrees_of_freedom"]
    )
    assert ours.encoder.left_out == direct.encoder.left_out | {"name": "excluded"}


@pytest.mark.parametrize("l2", [0.01, "auto"])
def test_penalties_are_those_of_fit(l2: Any) -> None:
    frame = houses()
    direct = fit(frame, "price", model="linear", exclude=["name", "w"], test_fraction=0, l2=l2)
    ours = fit_sums(of(frame), l2=l2)
    assert ours.info["facts"]["l2"] == pytest.approx(direct.info["facts"]["l2"], rel=1e-4)
    np.testing.assert_allclose(parameters(ours)[1], parameters(direct)[1], rtol=1e-6, atol=1e-6)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_any_parts_in_any_order_give_the_same_bits(seed: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    frame = houses(80, seed)
    options = {"weights": "w", "exclude": ["name"]} if weighted else {}
    whole = of(frame, **options)
    # Uneven sites: some see one level only, or no value at all.
    cuts = np.sort(rng.integers(4, 80, rng.integers(1, 4)))
    ordered = frame.sort_values(["town", "area"])
    sites = [ordered[i:j] for i, j in itertools.pairwise([0, *cuts, 80])]
    sites = [site for site in sites if site.price.notna().any()]
    parts = [of(site, **options) for site in sites]
    total = merged([parts[i] for i in rng.permutation(len(parts))])
    assert total.train == whole.train and total.columns == whole.columns
    assert same_bits(fit_sums(total), fit_sums(whole))
    if len(parts) > 1:
        rest = merged(parts[1:])
        assert same_bits(fit_sums(total.subtract(parts[0])), fit_sums(rest))
        assert total.subtract(parts[0]).columns == tuple(c for c in rest.columns)


def test_rows_set_apart_add_up_to_the_same_refit() -> None:
    frame = houses()
    parts = [
        of(site, test_fraction=0.3, seed=i)
        for i, site in enumerate((frame[:100], frame[100:350], frame[350:]))
    ]
    fitted, whole = fit_sums(parts), fit_sums(of(frame))
    assert fitted.info["refit"] and fitted.test is not None and fitted.test["rows"] == 30 + 75 + 75
    assert np.array_equal(fitted.members[0].parameters, whole.members[0].parameters)
    assert (
        fit_sums(parts, refit=False).members[0].parameters.tolist()
        != whole.members[0].parameters.tolist()
    )


def test_rows_taken_away_by_their_own_sums() -> None:
    frame = houses()
    gone = frame.index % 5 == 2
    rest = fit_sums(of(frame), subtract=of(frame[gone]))
    without = fit_sums(of(frame[~gone]))
    assert np.array_equal(parameters(rest)[1], parameters(without)[1])
    assert rest.info["rows_read"] == without.info["rows_read"]


def test_rows_taken_away_from_sums_with_rows_set_apart() -> None:
    frame = houses()
    parts = [of(frame[:300], test_fraction=0.2), of(frame[300:], test_fraction=0.2)]
    known = fit_sums(parts, subtract=parts[1])  # one of the parts: what it had set apart is known
    assert same_bits(known, fit_sums(parts[0])) and known.info["warnings"] == []
    unknown = fit_sums(parts, subtract=of(frame[10:20]))
    assert unknown.test is None and "had been set apart is not known" in unknown.info["warnings"][0]
    left = fit_sums(of(frame.drop(index=range(10, 20))))
    assert np.array_equal(unknown.members[0].parameters, left.members[0].parameters)


def test_what_is_left_may_hardly_tell_the_columns_apart() -> None:
    x = np.arange(40.0)
    frame = pd.DataFrame(
        {"x": x, "z": np.where(x < 30, x + 1e-8 * np.sin(x), 0.0), "price": np.cos(x)}
    )
    everything, last = (sum_rows(f, "price", test_fraction=0) for f in (frame, frame[30:]))
    assert fit_sums(everything).info["warnings"] == []
    warnings = fit_sums(everything, subtract=last).info["warnings"]
    assert (
        len(warnings) == 1
        and "hardly tell the columns apart" in warnings[0]
        and "no digit" in warnings[0]
    )
    left = fit_sums(sum_rows(frame[:30], "price", test_fraction=0))
    assert np.array_equal(
        fit_sums(everything, subtract=last).members[0].parameters, left.members[0].parameters
    )


def test_rows_that_were_not_there_are_refused() -> None:
    frame = houses()
    some, other = of(frame[:300]), of(houses(50, seed=1).assign(area=1e6))
    with pytest.raises(
        DataError, match="'area value' would have a sum of squares that no rows have"
    ):
        fit_sums(some, subtract=other)
    with pytest.raises(DataError, match="has 599 rows"):
        fit_sums(some, subtract=of(frame))
    with pytest.raises(DataError, match="'town =here' would"):
        fit_sums(some, subtract=of(frame[:5].assign(town="here")))
    with pytest.raises(FitError, match="no row to train on"):
        fit_sums(some, subtract=some)


def test_the_same_sums_twice_are_told() -> None:
    part = of(houses(50))
    assert "counted twice" in fit_sums([part, part]).info["warnings"][0]
    assert fit_sums(part).info["warnings"] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"town": 3.0}, "column 'town' is a text in .* and a number in"),
        ({"sold": 1.0}, "column 'sold' is a date or time in"),
        ({"extra": 1.0}, "has no column 'extra'"),
    ],
)
def test_sites_that_do_not_belong_together_are_refused(
    change: dict[str, Any], message: str
) -> None:
    frame = houses(60)
    with pytest.raises(DataError, match=message):
        of(frame).merge(of(frame.assign(**change)))


def test_other_targets_and_weights_are_refused() -> None:
    frame = houses(60)
    with pytest.raises(DataError, match="target: 'price' in the data, 'area'"):
        of(frame).merge(sum_rows(frame, "area", exclude=["name", "w"]))
    with pytest.raises(DataError, match="weights: none in the data, w in the data"):
        of(frame).merge(of(frame, weights="w", exclude=["name"]))
    with pytest.raises(DataError, match="no column 'nothing'"):
        fit_sums(of(frame), exclude=["nothing"])
    with pytest.raises(OptionError, match="no sums"):
        fit_sums([])


def test_columns_can_be_left_out_later() -> None:
    frame = houses()
    ours = fit_sums(of(frame), exclude=["town", "sold"])
    without = fit_sums(of(frame, exclude=["name", "w", "town", "sold"]))
    assert np.array_equal(ours.members[0].parameters, without.members[0].parameters)
    assert [f.column for f in fit_sums(of(frame), features=["rooms"]).encoder.features] == ["rooms"]


def test_several_targets_and_no_columns() -> None:
    frame = houses(200).drop(columns=["name", "w"])
    two = sum_rows(frame, ["price", "rooms"], test_fraction=0)
    direct = fit(frame, ["price", "rooms"], model="linear", test_fraction=0)
    np.testing.assert_allclose(
        parameters(fit_sums(two))[1], parameters(direct)[1], rtol=1e-9, atol=1e-10
    )
    alone = fit_sums(
        sum_rows({"y": [1.0, 2.0, 6.0], "fixed": [1.0, 1.0, 1.0]}, "y", test_fraction=0)
    )
    assert [p.value for p in alone.parameters] == [3.0] and alone.train["r2"] == 0.0


def test_a_text_of_many_levels_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = houses(600)
    assert (
        "more than 500 different texts"
        in fit_sums(of(frame, exclude=["w"])).encoder.left_out["name"]
    )
    monkeypatch.setattr(terms, "MAX_LEVELS", 5)
    few, many = of(frame[frame.town.isin(["york", "bath"])]), of(frame)  # six levels in all
    for both in (few.merge(many), many.merge(few)):
        assert "town" in fit_sums(both).encoder.left_out
    monkeypatch.setattr(terms, "MAX_TERMS", 10)
    with pytest.raises(DataError, match="make 24 terms, 16 of them 'sold'"):
        of(frame)


def test_longley_from_two_sites() -> None:
    """NIST's certified values to ten digits: more are lost where the model is stated on
    standardized columns.
    """
    table = sm.datasets.longley.load_pandas().data
    sites = [sum_rows(part, "TOTEMP", test_fraction=0) for part in (table[:6], table[6:])]
    certified = [
        -3482258.63459582,
        15.0618722713733,
        -0.358191792925910e-01,
        -2.02022980381683,
        -1.03322686717359,
        -0.511041056535807e-01,
        1829.15146461355,
    ]
    errors = [
        890420.383607373,
        84.9149257747669,
        0.334910077722432e-01,
        0.488399681651699,
        0.214274163161675,
        0.226073200069370,
        455.478499142212,
    ]
    fitted = fit_sums(sites)
    np.testing.assert_allclose(
        parameters(fitted)[1], np.column_stack([certified, errors]), rtol=1e-12
    )
    assert fitted.residual_standard_deviation[0] == pytest.approx(304.854073561965, rel=1e-13)
    assert fitted.train["r2"] == pytest.approx(0.995479004577296, rel=1e-14)


def test_a_time_of_day_and_a_flag() -> None:
    rng = np.random.default_rng(5)
    at = rng.integers(0, 86400, 200)
    frame = pd.DataFrame(
        {
            "hour": [datetime.time(s // 3600, s // 60 % 60, s % 60) for s in at],
            "flag": rng.random(200) < 0.5,
        }
    )
    frame["price"] = np.sin(2 * np.pi * at / 86400) + frame.flag + rng.normal(size=200) / 10
    frame.loc[3, "hour"] = None
    direct = fit(frame, "price", model="linear", test_fraction=0)
    parts = [sum_rows(part, "price", test_fraction=0) for part in (frame[:50], frame[50:])]
    (names, values), (expected_names, expected) = parameters(fit_sums(parts)), parameters(direct)
    assert names == expected_names and "hour time of day sin 1" in names
    np.testing.assert_allclose(values, expected, rtol=1e-11)


def test_a_file_holds_all_of_it(tmp_path: Path) -> None:
    sums, path = of(houses(), test_fraction=0.2), tmp_path / "part.sums"
    sums.save(path)
    again = load_sums(path)
    assert again == replace(sums, left_out=dict(sums.left_out)) and is_sums(path)
    assert same_bits(fit_sums(path), fit_sums(sums)) and same_bits(
        fit_sums(str(tmp_path / "*.sums")), fit_sums(sums)
    )
    fit_sums(path).save(tmp_path / "model.hsq")
    assert same_bits(load(tmp_path / "model.hsq"), fit_sums(sums))
    assert not is_sums(tmp_path / "model.hsq") and not is_sums(tmp_path / "nothing")


def test_changed_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "part.sums"
    of(houses(60)).save(path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        at = int(rng.integers(len(whole)))
        if rng.random() < 0.3:
            path.write_bytes(whole[:at])
        else:
            path.write_bytes(
                whole[:at] + bytes([whole[at] ^ (1 << int(rng.integers(8)))]) + whole[at + 1 :]
            )
        with pytest.raises(ModelFileError):
            load_sums(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("targets", [], "damaged"),
        ("targets", "price", "targets is 'price'; expected a list"),
        ("more", 1, "more is unknown"),
        ("weight", 3, "weight is 3; expected a text"),
        ("columns", [], "damaged"),
        ("train", {"rows": -1, "low": 0}, "damaged"),
        ("train", {"rows": 10**9, "low": 10**6}, "damaged"),
        ("sources", [{"name": "a"}], "damaged"),
        ("counts", None, "damaged"),
    ],
)
def test_files_that_lie_are_refused(tmp_path: Path, key: str, value: Any, message: str) -> None:
    """Even with the right digest over wrong contents."""
    path = tmp_path / "part.sums"
    of(houses(60)).save(path)
    header, arrays = SUMS_FILE.read(path)
    SUMS_FILE.write(path, {"sums": {**header["sums"], key: value}}, arrays)
    with pytest.raises(ModelFileError, match=message):
        load_sums(path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.sums").write_text("price,area\n1,2\n")
    with pytest.raises(ModelFileError, match="is no file of sums"):
        load_sums(tmp_path / "text.sums")
    fit_sums(of(houses(60))).save(tmp_path / "model.hsq")
    with pytest.raises(ModelFileError, match="is a model file, not a file of sums"):
        load_sums(tmp_path / "model.hsq")
    with pytest.raises(ModelFileError, match="there is no file of sums"):
        load_sums(tmp_path / "nothing.sums")
