"""Absorbed effects: pyfixest's values, and statsmodels with a column for each level, as oracles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from absorbed_cases import absorbed_table

from halfsquare import fit, load
from halfsquare.errors import DataError, OptionError
from halfsquare.parallel.threads import Local
from halfsquare.results.inference.effects import effects_of
from halfsquare.solvers.absorb import GroupedRows, absorb, singleton_rounds, taken_out

smf = pytest.importorskip("statsmodels.formula.api")
FORMULA = "y ~ x + z + g"

# pyfixest 0.60.0, feols("y ~ x + z + g | …", fixef_tol=1e-13): rows, R² within, coefficients and
# standard errors of x, z, g[T.q], g[T.r].
X_Z_AB = [0.9010534853159256, 0.28495448533304435, 0.08892076698528727, -0.05894244405623299]
X_Z_A = [0.9172549782821682, 0.2636166080441751, 0.03954324487630777, -0.03643890300399744]
REFERENCE: dict[tuple[str, str], tuple[int, float, list[float], list[float]]] = {
    ("a", "classical"): (
        698,
        0.3538725839291271,
        X_Z_A,
        [0.050825337701028137, 0.05186388426757518, 0.12240934971277793, 0.1261006740554162],
    ),
    ("a", "cluster:a"): (
        698,
        0.3538725839291271,
        X_Z_A,
        [0.041520056679079737, 0.04779425139393375, 0.11191786414189722, 0.11618734874886257],
    ),
    ("a,b", "classical"): (
        697,
        0.4395757999556622,
        X_Z_AB,
        [0.04417881942487052, 0.045669899531901044, 0.10735449993869361, 0.11026452361268724],
    ),
    ("a,b", "hc1"): (
        697,
        0.4395757999556622,
        X_Z_AB,
        [0.04236310370342171, 0.04544730609286551, 0.10892800343088327, 0.10979764340617507],
    ),
    ("a,b", "cluster:a,b"): (
        697,
        0.4395757999556622,
        X_Z_AB,
        [0.043916356247371294, 0.051247620355935455, 0.1089557091543897, 0.11270218491360949],
    ),
    ("a,b", "cluster:s"): (
        697,
        0.4395757999556622,
        X_Z_AB,
        [0.036426554660602045, 0.0487869531038381, 0.03636210789745255, 0.07704508220060284],
    ),
    ("a,b,c", "cluster:g"): (
        697,
        0.47806375835720893,
        [0.9144172172661126, 0.2839932327847626, 0.09243346162719877, -0.08400521298087016],
        [0.04149990755588923, 0.04423833532017145, 0.02481079066866985, 0.010180173306700334],
    ),
}


def absorbed(data: Any, columns: str = "a,b", formula: str = FORMULA, **options: Any) -> Any:
    return fit(data, formula=formula, model="linear", absorb=columns.split(","), **options)


@pytest.mark.parametrize(("columns", "errors"), REFERENCE)
def test_coefficients_and_errors_of_pyfixest(columns: str, errors: str) -> None:
    rows, within, values, standard_errors = REFERENCE[columns, errors]
    model = absorbed(absorbed_table(), columns, errors=errors)
    assert [p.name for p in model.parameters] == ["x", "z", "g[T.q]", "g[T.r]"]
    np.testing.assert_allclose([p.value for p in model.parameters], values, rtol=1e-10)
    np.testing.assert_allclose(
        [p.standard_error for p in model.parameters], standard_errors, rtol=1e-10
    )
    assert model.info["facts"]["singletons"] == 700 - rows
    assert effects_of(model).criteria.r2 == pytest.approx(within, rel=1e-10)


def test_a_column_for_each_level_gives_the_same() -> None:
    frame = absorbed_table()
    model = absorbed(frame)
    frame = frame[~frame.a.isin([998, 999]) & (frame.b != 777)]
    theirs = smf.ols(FORMULA + " + C(a) + C(b)", frame).fit()
    names = [p.name for p in model.parameters]
    np.testing.assert_allclose([p.value for p in model.parameters], theirs.params[names])
    np.testing.assert_allclose([p.standard_error for p in model.parameters], theirs.bse[names])
    np.testing.assert_allclose([p.p for p in model.parameters], theirs.pvalues[names], atol=1e-14)
    assert model.info["facts"]["degrees_of_freedom"] == theirs.df_resid
    assert model.train["sse"] == pytest.approx(theirs.ssr, rel=1e-10)
    np.testing.assert_allclose(model.predict(frame), theirs.fittedvalues, rtol=1e-9, atol=1e-11)
    wanted = theirs.f_test("x = z, g[T.q] = 0")
    found = effects_of(model, tests=["x = z, g[T.q] = 0"]).tests[0]
    assert found.statistic == pytest.approx(float(wanted.fvalue), rel=1e-9)
    pairs = effects_of(model).marginal[0]
    assert pairs.means == ()
    assert pairs.contrasts[2].estimate.name == "g=q - g=r"
    assert pairs.contrasts[2].estimate.t == pytest.approx(
        theirs.t_test("g[T.q] - g[T.r]").tvalue.item()
    )


def test_rows_that_are_alone_are_given_back_as_they_were() -> None:
    frame = absorbed_table()
    model = absorbed(frame)
    assert any("3 rows are alone" in w for w in model.info["warnings"])
    alone = frame.loc[[3, 5, 9]]
    np.testing.assert_allclose(model.predict(alone), alone.y, rtol=1e-12)


def test_text_levels_the_model_file_and_new_levels(tmp_path: Path) -> None:
    frame = absorbed_table()
    plain = absorbed(frame, errors="cluster:b")
    frame["a"], frame["b"] = "a" + frame.a.astype(str), "b" + frame.b.astype(str)
    frame.to_csv(tmp_path / "t.csv", index=False)
    model = absorbed(str(tmp_path / "t.csv"), errors="cluster:b")
    np.testing.assert_allclose(
        [p.standard_error for p in model.parameters],
        [p.standard_error for p in plain.parameters],
        rtol=1e-11,
    )
    model.save(tmp_path / "m.hsq")
    back = load(tmp_path / "m.hsq")
    np.testing.assert_array_equal(back.predict(frame), model.predict(frame))
    assert effects_of(back).as_dict() == effects_of(model).as_dict()
    later = frame[:3].copy()
    later.loc[1, "a"] = "never seen"
    with pytest.raises(DataError, match="row 2, column 'a': found 'never seen'"):
        back.predict(later)


def test_threads_and_weights() -> None:
    frame = absorbed_table(40_000)
    one, two = (absorbed(frame, errors="cluster:a,b", threads=t) for t in (1, 2))
    np.testing.assert_array_equal(one.members[0].parameters, two.members[0].parameters)
    np.testing.assert_array_equal(one.members[0].robust, two.members[0].robust)
    frame = absorbed_table(300)
    frame["w"] = np.random.default_rng(0).integers(1, 4, 300)
    frame = frame[(frame.w > 1) | ~frame.index.isin([3, 5, 9])]
    repeated = frame.loc[frame.index.repeat(frame.w)].reset_index(drop=True)
    a, b = absorbed(frame, weights="w"), absorbed(repeated)
    np.testing.assert_allclose(
        [p.standard_error for p in a.parameters],
        [p.standard_error for p in b.parameters],
        rtol=1e-9,
    )


@pytest.mark.parametrize("kind", ["hc2", "hc3"])
def test_leverages_of_one_effect(kind: str) -> None:
    frame = absorbed_table(300)
    alone = frame.a.map(frame.a.value_counts()) == 1
    columns = smf.ols("y ~ x + z + g + C(a)", frame[~alone]).fit()
    wanted = getattr(columns, f"{kind.upper()}_se")[["x", "z", "g[T.q]", "g[T.r]"]]
    ours = absorbed(frame, "a", errors=kind)
    np.testing.assert_allclose([p.standard_error for p in ours.parameters], wanted, rtol=1e-9)
    # A row of weight w is w rows, each with the leverage of one.
    frame = frame[~alone].assign(w=1 + np.arange((~alone).sum()) % 3)
    repeated = frame.loc[frame.index.repeat(frame.w)].reset_index(drop=True)
    counted, told = (
        absorbed(frame, "a", errors=kind, weights="w"),
        absorbed(repeated, "a", errors=kind),
    )
    np.testing.assert_allclose(
        [p.standard_error for p in counted.parameters],
        [p.standard_error for p in told.parameters],
        rtol=1e-9,
    )


def test_columns_that_effects_determine_have_no_coefficient() -> None:
    frame = absorbed_table()
    frame["of_a"] = np.sin(frame.a)
    model = absorbed(frame, formula="y ~ x + of_a + z")
    assert [p.name for p in model.parameters] == ["x", "z"]
    assert any("'of_a' is determined by the absorbed effects" in w for w in model.info["warnings"])


def test_with_a_function_on_the_left_side() -> None:
    frame = absorbed_table()
    frame = frame[~frame.a.isin([998, 999]) & (frame.b != 777)]
    frame["price"] = np.exp(frame.y / 3)
    model = absorbed(frame, formula="log(price) ~ x + z")
    theirs = smf.ols("np.log(price) ~ x + z + C(a) + C(b)", frame).fit()
    np.testing.assert_allclose([p.value for p in model.parameters], theirs.params[["x", "z"]])
    np.testing.assert_allclose(model.predict(frame), np.exp(theirs.fittedvalues), rtol=1e-8)


def test_what_cannot_be_absorbed() -> None:
    frame = absorbed_table(80)
    for options, message in (
        ({"errors": "hc3"}, "hc3 are not known where 2 effects are absorbed: the leverage of two"),
        ({"errors": "newey-west:2"}, "newey-west:2 are not known where 2 effects"),
        ({"l2": 0.1}, "absorbed from least squares"),
        ({"columns": "y"}, "is the target"),
    ):
        with pytest.raises(OptionError, match=message):
            absorbed(frame, **options)
    with pytest.raises(DataError, match="nobody"):
        absorbed(frame, "nobody")
    with pytest.raises(OptionError, match="give a formula"):
        fit(frame, "y", model="linear", absorb="a")


def test_what_is_left_is_orthogonal_to_every_level() -> None:
    """Of a chain, where each level meets two others alone: the hardest case for the gradients."""
    n = 400
    first, second = np.arange(n) // 2, (np.arange(n) + 1) // 2
    rng = np.random.default_rng(1)
    values = rng.normal(size=(n, 2))
    rows = GroupedRows(values, None, (first, second))
    sizes = (n // 2, n // 2 + 1)
    alpha = absorb(lambda _: rows, 1, sizes, Local(1))
    left = taken_out(rows, alpha, sizes)
    for codes, size in zip(rows.codes, sizes, strict=True):
        for column in left.T:
            assert np.abs(np.bincount(codes, weights=column, minlength=size)).max() < 1e-10


def test_singletons_are_looked_for_until_there_are_none() -> None:
    codes = (np.array([0, 0, 1, 1, 2, 3]), np.array([0, 1, 0, 1, 1, 2]))
    chain = (np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 2, 2]))
    for given, wanted in ((codes, [[0, 0, 1, 1], [0, 0, 1]]), (chain, None)):
        rows = GroupedRows(np.zeros((len(given[0]), 1)), None, given)
        sizes = [int(c.max()) + 1 for c in given]
        found = singleton_rounds(lambda _, rows=rows: rows, 1, sizes, Local(1))
        if wanted is None:
            assert all((r > 0).all() for r in found)
        else:
            assert [r.tolist() for r in found] == wanted


def test_a_frame_of_one_effect_is_that_of_group_means() -> None:
    columns = {"g": [1, 1, 1, 2, 2, 2], "x": [0.0, 1, 2, 5, 6, 8], "y": [1.0, 2, 4, 0, 1, 2]}
    frame = pd.DataFrame(columns)
    model = fit(frame, formula="y ~ x", model="linear", absorb="g")
    within = frame.groupby("g")[["x", "y"]].transform(lambda v: v - v.mean())
    assert model.parameters[0].value == pytest.approx((within.x @ within.y) / (within.x @ within.x))
