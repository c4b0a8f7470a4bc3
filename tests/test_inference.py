"""Inference on linear coefficients: statsmodels, naive loops and R's printed values as oracles."""

from __future__ import annotations

import warnings
from itertools import pairwise as pairwise_of
from typing import Any

import numpy as np
import pandas as pd
import pytest
from inference_cases import CHUNK, Fit, table
from scipy import stats

from halfsquare import fit
from halfsquare.errors import FitError, FormulaError, OptionError
from halfsquare.loss import Floats
from halfsquare.parallel.threads import Local
from halfsquare.results.inference.anova import anova
from halfsquare.results.inference.covariance import Bread, covariance
from halfsquare.results.inference.criteria import (
    condition_number,
    criteria,
    generalized_inflation,
    variance_inflation,
)
from halfsquare.results.inference.delta import derived, linear_estimates
from halfsquare.results.inference.errors import ErrorsOption
from halfsquare.results.inference.heteroscedasticity import breusch_pagan
from halfsquare.results.inference.linear import triangle_in_units
from halfsquare.results.inference.margins import (
    against_first,
    average_effects,
    marginal_means,
    pairwise,
)
from halfsquare.results.inference.multiple import adjusted
from halfsquare.results.inference.of_model import inference_of
from halfsquare.results.inference.scores import GroupSums, LaggedSums
from halfsquare.results.inference.wald import joint_tests, parse_hypothesis
from halfsquare.results.inference.wild import wild_cluster

sm = pytest.importorskip("statsmodels.api")
formulaic = pytest.importorskip("formulaic")
smf = pytest.importorskip("statsmodels.formula.api")

FORMULA = "y ~ x + z + v*g + h"
CLOSE = {"rtol": 1e-8, "atol": 1e-10}


@pytest.fixture(scope="module")
def ours() -> Fit:
    return Fit(FORMULA, table())


@pytest.fixture(scope="module")
def theirs() -> Any:
    return smf.ols(FORMULA, table()).fit()


def robust(theirs: Any, kind: str, **options: Any) -> Any:
    return theirs.get_robustcov_results(kind, use_t=True, **options)


def reordered(ours: Fit, theirs: Any) -> list[int]:
    """The places of our coefficients among those of statsmodels: patsy orders categories first."""
    return [theirs.model.exog_names.index(name) for name in ours.design.names]


@pytest.mark.parametrize("kind", ["HC0", "HC1", "HC2", "HC3"])
def test_heteroscedastic_covariances(ours: Fit, theirs: Any, kind: str) -> None:
    at = reordered(ours, theirs)
    wanted = robust(theirs, kind).cov_params()[np.ix_(at, at)]
    np.testing.assert_allclose(ours.covariance(kind.lower()).matrix, wanted, **CLOSE)


def test_classical_covariance(ours: Fit, theirs: Any) -> None:
    at = reordered(ours, theirs)
    found = ours.covariance("classical")
    np.testing.assert_allclose(
        found.matrix, theirs.cov_params().to_numpy()[np.ix_(at, at)], **CLOSE
    )
    assert found.freedom == theirs.df_resid


@pytest.mark.parametrize("column", ["firm", "year", "g"])
def test_clusters_of_one_column(ours: Fit, theirs: Any, column: str) -> None:
    at = reordered(ours, theirs)
    codes = np.unique(ours.frame[column], return_inverse=True)[1]
    wanted = robust(theirs, "cluster", groups=codes)
    found = ours.covariance(f"cluster:{column}")
    np.testing.assert_allclose(found.matrix, wanted.cov_params()[np.ix_(at, at)], **CLOSE)
    assert found.freedom == wanted.df_resid_inference == len(set(codes)) - 1
    assert found.facts["clusters"] == {column: len(set(codes))}


def test_clusters_of_two_columns(ours: Fit, theirs: Any) -> None:
    from statsmodels.stats.sandwich_covariance import cov_cluster

    del theirs
    wide = ours.covariance("cluster:firm,year")
    assert wide.freedom == 6
    # As often with few clusters the difference of the three parts is no covariance: it is mended,
    # and told.
    assert wide.facts["negative_variances_set_to_zero"]
    scale = np.sqrt(np.diag(wide.matrix))
    assert np.linalg.eigvalsh(wide.matrix / np.outer(scale, scale)).min() > -1e-12
    small = Fit("y ~ x + z", table(3))
    fitted = smf.ols("y ~ x + z", table(3)).fit()
    parts = [
        cov_cluster(fitted, k, use_correction=False)
        for k in (
            small.frame.firm.to_numpy(),
            small.frame.year.to_numpy(),
            small.frame.firm.to_numpy() * 10_000 + small.frame.year.to_numpy(),
        )
    ]
    wanted = (parts[0] + parts[1] - parts[2]) * 7 / 6 * 299 / 297
    assert np.linalg.eigvalsh(wanted).min() > 0
    np.testing.assert_allclose(small.covariance("cluster:firm,year").matrix, wanted, **CLOSE)
    np.testing.assert_allclose(small.covariance("cluster:year,firm").matrix, wanted, **CLOSE)


def mended_by_numpy(frame: pd.DataFrame, design: Floats) -> tuple[Floats, float]:
    """The covariance on orthonormal columns Q of X = QR, its negative eigenvalues set to 0."""
    n, p = design.shape
    q, r = np.linalg.qr(design)
    y = frame.y.to_numpy(float)
    e = y - q @ (q.T @ y)

    def meat(key: pd.Series) -> Floats:
        sums = pd.DataFrame(q * e[:, None]).groupby(key.to_numpy()).sum().to_numpy()
        return np.asarray(sums.T @ sums)

    both = frame.firm.astype(str) + "/" + frame.h.astype(str)
    fewest = min(frame.firm.nunique(), frame.h.nunique())
    small = fewest / (fewest - 1) * (n - 1) / (n - p)
    values, vectors = np.linalg.eigh(small * (meat(frame.firm) + meat(frame.h) - meat(both)))
    half = np.linalg.solve(r, vectors * np.sqrt(values.clip(0)))
    return half @ half.T, float(values.min())


@pytest.mark.parametrize("unit", [1.0, 1e-6])
def test_negative_eigenvalues_of_two_clusters_are_set_to_zero_and_told(unit: float) -> None:
    random = np.random.default_rng(3)
    frame = table(3)[["x", "z", "y"]].iloc[:120].reset_index(drop=True)
    frame["x"] = unit * frame.x + 5 * unit
    frame["firm"], frame["h"] = random.integers(0, 7, 120), random.integers(0, 9, 120)
    wanted, least = mended_by_numpy(frame, np.column_stack([np.ones(120), frame.x, frame.z]))
    assert least < 0
    how: dict[str, Any] = {"model": "linear", "test_fraction": 0, "formula": "y ~ x + z"}
    model = fit(frame, errors="cluster:firm,h", **how)
    found = [p.standard_error for p in model.parameters]
    np.testing.assert_allclose(found, np.sqrt(np.diag(wanted)), rtol=1e-8)
    (said,) = [w for w in model.info["warnings"] if "positive semi-definite" in w]
    assert "negative eigenvalues were set to 0" in said
    assert said in model.summary()
    # With an absorbed effect, too.
    absorbed = fit(
        frame.assign(level=1 + np.arange(120) % 2), errors="cluster:firm,h", absorb=["level"], **how
    )
    mended = "negative_variances_set_to_zero" in absorbed.info["facts"]["errors_facts"]
    assert mended == any("semi-definite" in w for w in absorbed.info["warnings"])
    # Of one column there is nothing to mend, and nothing said.
    assert not fit(frame, errors="cluster:firm", **how).info["warnings"]


@pytest.mark.parametrize("lags", [0, 1, 4, 70, 150])
def test_newey_west(ours: Fit, theirs: Any, lags: int) -> None:
    """70 and 150 lags reach over whole chunks."""
    at = reordered(ours, theirs)
    assert lags < CHUNK or lags > CHUNK
    wanted = robust(theirs, "HAC", maxlags=lags).cov_params()[np.ix_(at, at)]
    np.testing.assert_allclose(
        ours.covariance(f"newey-west:{lags}").matrix, wanted, rtol=1e-8, atol=1e-9
    )


@pytest.mark.parametrize(
    "errors", ["classical", "hc0", "hc1", "hc2", "hc3", "cluster:firm", "cluster:firm,year"]
)
def test_a_whole_weight_stands_for_rows(errors: str) -> None:
    frame = table(2, 150)
    weight = np.random.default_rng(1).integers(0, 4, 150).astype(float)
    keep = weight > 0
    repeated = frame.loc[frame.index.repeat(weight.astype(int))].reset_index(drop=True)
    weighted = Fit("y ~ x + g", frame[keep].reset_index(drop=True), weight[keep])
    np.testing.assert_allclose(weighted.b, Fit("y ~ x + g", repeated).b, rtol=1e-10)
    np.testing.assert_allclose(
        weighted.covariance(errors).matrix,
        Fit("y ~ x + g", repeated).covariance(errors).matrix,
        **CLOSE,
    )


@pytest.mark.parametrize("errors", ["hc3", "cluster:firm", "cluster:firm,year", "newey-west:9"])
def test_the_same_bits_for_any_number_of_threads(errors: str) -> None:
    frame = table(5, 2000)
    one, many = Fit(FORMULA, frame, threads=1), Fit(FORMULA, frame, threads=7)
    np.testing.assert_array_equal(one.covariance(errors).matrix, many.covariance(errors).matrix)


def test_sums_merge_however_they_are_cut() -> None:
    rng = np.random.default_rng(0)
    scores, keys = rng.normal(size=(40, 3)), rng.integers(0, 5, 40)
    whole, grouped = LaggedSums.of(scores, 6), GroupSums.of(keys, scores)
    for cuts in (
        [0, 40],
        [0, 1, 2, 3, 40],
        [0, 7, 13, 19, 40],
        list(range(41)),
        [0, 0, 20, 20, 40],
    ):
        parts = [scores[a:b] for a, b in pairwise_of(cuts)]
        total, groups = LaggedSums.zero(6, 3), GroupSums(np.empty(0, np.int64), np.empty((0, 3)))
        for part, (a, b) in zip(parts, pairwise_of(cuts), strict=True):
            total = total.merge(LaggedSums.of(part, 6)) if len(part) else total
            groups = groups.merge(GroupSums.of(keys[a:b], part))
        np.testing.assert_allclose(total.gamma, whole.gamma, atol=1e-12)
        np.testing.assert_allclose(groups.values, grouped.values, atol=1e-12)
        assert groups.keys.tolist() == grouped.keys.tolist()


def test_what_allows_no_errors() -> None:
    frame = table(0, 30)
    frame["one"] = 1
    with pytest.raises(FitError, match="all rows are in one cluster of 'one'"):
        Fit("y ~ x", frame).covariance("cluster:one")
    with pytest.raises(FitError, match="leave no degrees of freedom"):
        covariance(
            ErrorsOption.read("hc1"),
            Bread(np.eye(3), 3.0, 3, 1.0),
            Fit("y ~ x", frame).rows(),
            1,
            Local(1),
        )
    with pytest.raises(FitError, match="30 lags are too many for 30 rows"):
        Fit("y ~ x", frame).covariance("newey-west:30")
    for text in (
        "hc4",
        "cluster:",
        "cluster:a,b,c",
        "cluster:a,a",
        "newey-west",
        "newey-west:-1",
        "hc1:2",
        "",
    ):
        with pytest.raises(OptionError):
            ErrorsOption.read(text)


def test_a_row_that_is_fitted_exactly_is_told() -> None:
    frame = table(0, 40)
    frame["only"] = (np.arange(40) == 3) * 1.0
    found = Fit("y ~ x + only", frame).covariance("hc3")
    assert found.facts == {"rows_fitted_exactly": 1}
    assert np.isfinite(found.matrix).all()


# --- tests and tables


HYPOTHESES = [
    ("x = 2", "x = 2"),
    ("x", "x = 0"),
    ("2*x + z = 1", "2*x + z = 1"),
    ("x - z/2 = 3*v - 1", "x - z/2 - 3*v = -1"),
    ("x = z, v = 0", "x = z, v = 0"),
    ("g", "g[T.b] = 0, g[T.c] = 0"),
    ("v:g", "v:g[T.b] = 0, v:g[T.c] = 0"),
    ("g[T.b] = g[T.c]; h[T.yes] = 0", "g[T.b] = g[T.c], h[T.yes] = 0"),
    ("-(x + z) = -1.5", "-x - z = -1.5"),
]


@pytest.mark.parametrize(("text", "spelled"), HYPOTHESES)
@pytest.mark.parametrize("errors", ["classical", "HC3"])
def test_joint_tests(ours: Fit, theirs: Any, text: str, spelled: str, errors: str) -> None:
    fitted = theirs if errors == "classical" else robust(theirs, errors)
    wanted = fitted.f_test(spelled)
    found = joint_tests(ours.inference(errors.lower()), [text])[0]
    assert found.statistic == pytest.approx(float(wanted.fvalue), rel=1e-8)
    assert found.p == pytest.approx(float(wanted.pvalue), rel=1e-7, abs=1e-12)
    assert (found.numerator, found.denominator) == (int(wanted.df_num), wanted.df_denom)


def test_a_hypothesis_said_twice_counts_once(ours: Fit) -> None:
    fit = ours.inference()
    once, twice = joint_tests(fit, ["x = 1", "x = 1, 2*x = 2"])
    assert twice.numerator == 1
    assert twice.statistic == pytest.approx(once.statistic)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("w = 1", "expected a coefficient"),
        ("x*z = 1", "not linear"),
        ("x = ", "expected a coefficient"),
        ("x = x", "no coefficient is left"),
        ("1 = 2", "no coefficient is left"),
        ("x/0", "other than 0"),
        ("g + x", "stands alone"),
        ("(x", "not closed"),
        ("x 3", "expected a coefficient, a number"),
    ],
)
def test_hypotheses_that_cannot_be_read(ours: Fit, text: str, message: str) -> None:
    with pytest.raises(OptionError, match="(?s)" + message + ".*\\^"):
        parse_hypothesis(text, ours.inference())


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_analysis_of_variance(kind: int) -> None:
    frame = table(4, 200)
    formula = "y ~ C(g, sum)*C(h, sum) + x" if kind == 3 else "y ~ x + g*h + v:g"
    patsy = "y ~ C(g, Sum)*C(h, Sum) + x" if kind == 3 else formula
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = sm.stats.anova_lm(smf.ols(patsy, frame).fit(), typ=kind)
    found = {
        row.term.replace("sum", "Sum"): row for row in anova(Fit(formula, frame).inference(), kind)
    }
    if kind == 1:  # patsy puts categories before numbers: the same order by hand
        formula = "y ~ g*h + x + v:g"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = sm.stats.anova_lm(smf.ols(formula, frame).fit(), typ=1)
        names = ["g", "h", "x", "g:h", "v:g"]
        found = {row.term: row for row in anova(Fit(formula, frame).inference(), 1)}
        assert list(found) == [*names, "Residual"]
        first = {row: wanted.loc[row, "sum_sq"] for row in ("g", "h")}
        for name, squares in first.items():
            assert found[name].sum_of_squares == pytest.approx(squares, rel=1e-8)
        total = sum(row.sum_of_squares for row in found.values())
        assert total == pytest.approx(((frame.y - frame.y.mean()) ** 2).sum(), rel=1e-10)
        return
    assert set(found) == set(wanted.index)
    for name, row in found.items():
        assert row.sum_of_squares == pytest.approx(wanted.loc[name, "sum_sq"], rel=1e-8)
        assert row.freedom == wanted.loc[name, "df"]
        if name != "Residual":
            assert row.f == pytest.approx(wanted.loc[name, "F"], rel=1e-8)
            assert row.p == pytest.approx(wanted.loc[name, "PR(>F)"], rel=1e-7, abs=1e-14)


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_analysis_of_variance_by_measured_deviations(kind: int) -> None:
    """Sums of squares are falls of χ², and the noise is not estimated from what is left."""
    random = np.random.default_rng(3)
    n = 40
    g, x = np.array(list("abc"))[random.integers(0, 3, n)], random.normal(size=n)
    s = random.uniform(0.2, 3.0, n)
    y = 1.0 + x + 0.5 * (g == "b") + s * random.normal(size=n)
    table = {"g": g, "x": x, "s": s, "y": y}
    fitted = fit(table, formula="y ~ g + x", model="linear", sigma="s", test_fraction=0)
    one, levels = np.ones(n), [(g == "b") * 1.0, (g == "c") * 1.0]

    def chi2(*columns: Any) -> float:
        return float(sm.WLS(y, np.column_stack(columns), weights=s**-2).fit().ssr)

    full = chi2(one, *levels, x)
    of_g = chi2(one) - chi2(one, *levels) if kind == 1 else chi2(one, x) - full
    rows = {row.term: row for row in anova(inference_of(fitted), kind)}
    for term, fall, freedom in (("g", of_g, 2), ("x", chi2(one, *levels) - full, 1)):
        assert rows[term].sum_of_squares == pytest.approx(fall, rel=1e-10)
        assert rows[term].f == pytest.approx(fall / freedom, rel=1e-10)
        assert rows[term].p == pytest.approx(stats.chi2.sf(fall, freedom), rel=1e-9)
    assert rows["Residual"].sum_of_squares == pytest.approx(full, rel=1e-10)
    # Relative precisions say nothing of the noise: there it is estimated, and F is Fisher's.
    relative = fit(table, formula="y ~ g + x", model="linear", precision="s", test_fraction=0)
    row = next(r for r in anova(inference_of(relative), kind) if r.term == "x")
    assert row.p == pytest.approx(stats.f.sf(row.f, 1, n - 4), rel=1e-9)


def test_figures_of_the_whole_fit(ours: Fit, theirs: Any) -> None:
    found = criteria(ours.inference())
    n = theirs.nobs
    assert found.r2 == pytest.approx(theirs.rsquared, rel=1e-10)
    assert found.adjusted_r2 == pytest.approx(theirs.rsquared_adj, rel=1e-10)
    assert found.log_likelihood == pytest.approx(theirs.llf, rel=1e-10)
    assert found.aic == pytest.approx(theirs.aic + 2, rel=1e-10)
    assert found.bic == pytest.approx(theirs.bic + np.log(n), rel=1e-10)
    assert found.f is not None
    assert found.f.statistic == pytest.approx(theirs.fvalue, rel=1e-8)
    assert found.f.p == pytest.approx(theirs.f_pvalue, rel=1e-6)
    robustly = criteria(ours.inference("hc3")).f
    assert robustly is not None
    assert robustly.statistic == pytest.approx(
        float(np.squeeze(robust(theirs, "HC3").fvalue)), rel=1e-8
    )


def test_without_a_constant(ours: Fit) -> None:
    frame = ours.frame
    found, wanted = (
        criteria(Fit("y ~ x + z - 1", frame).inference()),
        smf.ols("y ~ x + z - 1", frame).fit(),
    )
    assert found.r2 == pytest.approx(wanted.rsquared, rel=1e-10)
    assert found.adjusted_r2 == pytest.approx(wanted.rsquared_adj, rel=1e-10)
    assert found.f is not None
    assert found.f.statistic == pytest.approx(wanted.fvalue, rel=1e-9)


def test_collinearity(ours: Fit) -> None:
    from statsmodels.stats.outliers_influence import variance_inflation_factor

    fit = ours.inference()
    found = variance_inflation(fit)
    assert np.isnan(found[0])
    wanted = [variance_inflation_factor(ours.x, j) for j in range(1, ours.x.shape[1])]
    np.testing.assert_allclose(found[1:], wanted, rtol=1e-9)
    unit = ours.x / np.linalg.norm(ours.x, axis=0)
    assert condition_number(fit) == pytest.approx(np.linalg.cond(unit), rel=1e-9)
    terms = generalized_inflation(fit)
    assert terms["x"] == (1, pytest.approx(found[list(fit.names).index("x")], rel=1e-9))
    c = np.corrcoef(ours.x[:, 1:], rowvar=False)
    mine = [j - 1 for j in fit.columns_of("g")]
    rest = [j for j in range(len(c)) if j not in mine]
    ratio = (
        np.linalg.det(c[np.ix_(mine, mine)])
        * np.linalg.det(c[np.ix_(rest, rest)])
        / np.linalg.det(c)
    )
    assert terms["g"] == (2, pytest.approx(ratio, rel=1e-8))


def test_breusch_pagan(ours: Fit, theirs: Any) -> None:
    from statsmodels.stats.diagnostic import het_breuschpagan

    found = breusch_pagan(ours.bread, ours.rows(), ours.count, Local(2))
    wanted = het_breuschpagan(theirs.resid, theirs.model.exog)
    assert found is not None
    assert (found.statistic, found.p) == (
        pytest.approx(wanted[0], rel=1e-9),
        pytest.approx(wanted[1], rel=1e-8),
    )


def test_the_triangle_of_standardized_columns_comes_back(ours: Fit) -> None:
    block = np.column_stack([ours.x[:, 1:], ours.y])
    means, scales = block.mean(axis=0), block.std(axis=0)
    standard = np.linalg.qr(np.column_stack([np.ones(300), (block - means) / scales]), mode="r")
    back = triangle_in_units(standard, means, scales, True)
    np.testing.assert_allclose(
        back.T @ back, ours.triangle.T @ ours.triangle, rtol=1e-11, atol=1e-11
    )


# --- margins


def test_marginal_means_are_means_of_predictions_over_a_balanced_grid(
    ours: Fit, theirs: Any
) -> None:
    means = {c: float(ours.frame[c].mean()) for c in ("x", "z", "v")}
    functions = marginal_means(ours.design, means, ["g"])
    found = linear_estimates(ours.inference(), functions.names, functions.rows)
    assert functions.names == ("g=a", "g=b", "g=c")
    spec = formulaic.model_matrix(FORMULA, ours.frame).rhs.model_spec
    for estimate, level in zip(found, "abc", strict=True):
        grid = pd.DataFrame({**means, "g": level, "h": ["no", "yes"]})
        row = spec.get_model_matrix(grid)[theirs.model.exog_names].to_numpy(float).mean(axis=0)
        wanted = theirs.t_test(row)
        assert estimate.value == pytest.approx(wanted.effect[0], rel=1e-9)
        assert estimate.standard_error == pytest.approx(wanted.sd[0][0], rel=1e-8)
        np.testing.assert_allclose([estimate.low, estimate.high], wanted.conf_int()[0], rtol=1e-8)
    both = marginal_means(ours.design, means, ["g", "h"], at={"x": 1.0})
    assert both.names[:2] == ("g=a, h=no", "g=a, h=yes")
    with pytest.raises(OptionError, match="'x' is no category of the model; they are 'g', 'h'"):
        marginal_means(ours.design, means, ["x"])


def test_contrasts_of_marginal_means() -> None:
    fit = Fit("y ~ g + x", table(6))
    functions = marginal_means(fit.design, {"x": 2.0}, ["g"])
    pairs = pairwise(functions)
    assert pairs.names == ("g=a - g=b", "g=a - g=c", "g=b - g=c")
    wanted = smf.ols("y ~ g + x", fit.frame).fit().t_test("-g[T.b], -g[T.c], g[T.b] - g[T.c]")
    found = linear_estimates(fit.inference(), pairs.names, pairs.rows)
    np.testing.assert_allclose([e.value for e in found], wanted.effect, rtol=1e-9)
    np.testing.assert_allclose([e.t for e in found], wanted.tvalue.ravel(), rtol=1e-8)
    np.testing.assert_allclose([e.p for e in found], wanted.pvalue, rtol=1e-7)
    assert against_first(functions).names == ("g=b - g=a", "g=c - g=a")


def test_average_marginal_effects() -> None:
    """Of a model with known derivatives, and of statsmodels' get_margeff on the linear part."""
    frame = table(7)
    fit = Fit("y ~ log(x)*g + poly(z, 3) + v + h + I(v*x)", frame)
    spreads = {c: float(frame[c].std()) for c in ("x", "z", "v")}
    from halfsquare.models.terms.chunks import RawChunk

    def chunk(index: int) -> RawChunk:
        at = slice(index * CHUNK, (index + 1) * CHUNK)
        part = {k: values[at] for k, values in fit.columns.items()}
        return RawChunk(part, None, len(part["x"]))

    functions = average_effects(fit.design, spreads, chunk, fit.count, fit.execution)
    found = dict(zip(functions.names, functions.rows @ fit.b, strict=True))
    b = dict(zip(fit.design.names, fit.b, strict=True))
    gb, gc = (frame.g == "b").to_numpy(), (frame.g == "c").to_numpy()
    slope = (b["log(x)"] + b["log(x):g[T.b]"] * gb + b["log(x):g[T.c]"] * gc) / frame.x + b[
        "I(v * x)"
    ] * frame.v
    assert found["x"] == pytest.approx(slope.mean(), rel=1e-9)
    assert found["v"] == pytest.approx(b["v"] + b["I(v * x)"] * frame.x.mean(), rel=1e-10)
    assert found["g=b"] == pytest.approx(
        b["g[T.b]"] + b["log(x):g[T.b]"] * np.log(frame.x).mean(), rel=1e-10
    )
    assert found["h=yes"] == pytest.approx(b["h[T.yes]"], rel=1e-12)
    moved = [
        np.polynomial.polynomial.polyder(
            np.polynomial.Polynomial.fit(
                frame.z, fit.x[:, list(fit.design.names).index(f"poly(z, 3)[{j}]")], 3
            )
            .convert()
            .coef
        )
        for j in (1, 2, 3)
    ]
    cubic = sum(
        b[f"poly(z, 3)[{j}]"] * np.polynomial.polynomial.polyval(frame.z, moved[j - 1])
        for j in (1, 2, 3)
    )
    assert found["z"] == pytest.approx(np.mean(cubic), rel=1e-7)


def test_adjusted_p_values() -> None:
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(3).uniform(size=25) ** 3
    p[3] = p[4]
    for ours_name, theirs_name in (
        ("holm", "holm"),
        ("bh", "fdr_bh"),
        ("bonferroni", "bonferroni"),
    ):
        np.testing.assert_allclose(
            adjusted(p, ours_name), multipletests(p, method=theirs_name)[1], rtol=1e-13
        )
    with_gap = adjusted(np.array([0.01, np.nan, 0.04]), "holm")
    np.testing.assert_allclose(with_gap, [0.02, np.nan, 0.04])
    with pytest.raises(OptionError, match="unknown adjustment"):
        adjusted(p, "tukey")


def test_derived_quantities(ours: Fit) -> None:
    fit = ours.inference("hc1")
    names = list(fit.names)
    i, j = names.index("x"), names.index("z")
    found = derived("ratio = x / z", names, fit.values, fit.covariance, fit.freedom)
    x, z = fit.values[i], fit.values[j]
    gradient = np.array([1 / z, -x / z**2])
    error = np.sqrt(gradient @ fit.covariance[np.ix_([i, j], [i, j])] @ gradient)
    assert (found.name, found.value) == ("ratio", pytest.approx(x / z, rel=1e-13))
    assert found.standard_error == pytest.approx(error, rel=1e-9)
    half = derived("half = log(2)/abs(z)", names, fit.values, fit.covariance, fit.freedom)
    assert half.standard_error == pytest.approx(
        np.log(2) / z**2 * np.sqrt(fit.covariance[j, j]), rel=1e-9
    )
    inside = derived("`g[T.b]` + exp(v)", names, fit.values, fit.covariance, fit.freedom)
    assert inside.value == pytest.approx(
        fit.values[names.index("g[T.b]")] + np.exp(fit.values[names.index("v")])
    )
    with pytest.raises(FormulaError, match="'w' is no column"):
        derived("a = w*2", names, fit.values, fit.covariance, fit.freedom)
    with pytest.raises(OptionError, match="names no coefficient"):
        derived("a = 3", names, fit.values, fit.covariance, fit.freedom)


# --- the wild cluster bootstrap against one that goes over the rows


@pytest.mark.parametrize(("groups", "null"), [(6, 0.0), (9, 1.7)])
def test_the_wild_bootstrap_is_that_of_a_loop_over_rows(groups: int, null: float) -> None:
    rng = np.random.default_rng(groups)
    n, p, j = 80, 3, 1
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    g = rng.integers(0, groups, n)
    y = x @ [1.0, 1.5, -1.0] + rng.normal(size=n) + rng.normal(size=groups)[g]
    squares = np.array([x[g == k].T @ x[g == k] for k in range(groups)])
    products = np.array([x[g == k].T @ y[g == k] for k in range(groups)])
    found = wild_cluster(squares, products, j, null=null)

    inverse = np.linalg.inv(x.T @ x)

    def t_of(target: np.ndarray) -> float:
        b = inverse @ x.T @ target
        e = target - x @ b
        s = np.array([x[g == k].T @ e[g == k] for k in range(groups)])
        return float((b[j] - null) / np.sqrt((inverse @ s.T @ s @ inverse)[j, j]))

    others = np.delete(x, j, axis=1)
    restricted = (
        others @ np.linalg.lstsq(others, y - null * x[:, j], rcond=None)[0] + null * x[:, j]
    )
    stars = []
    for pattern in range(2**groups):
        signs = 1.0 - 2.0 * ((pattern >> np.arange(groups)) & 1)
        stars.append(abs(t_of(restricted + (y - restricted) * signs[g])))
    assert found.enumerated
    assert found.draws == 2**groups
    assert found.t == pytest.approx(t_of(y), rel=1e-9)
    assert found.p == pytest.approx(
        np.mean(np.array(stars) >= abs(found.t) * (1 - 1e-10)), abs=1e-12
    )
    del p


def test_the_wild_bootstrap_draws_the_same_for_a_seed() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 2))
    g = np.arange(200) % 20
    y = x[:, 0] * 0.1 + rng.normal(size=200)
    squares = np.array([x[g == k].T @ x[g == k] for k in range(20)])
    products = np.array([x[g == k].T @ y[g == k] for k in range(20)])
    one, same = (wild_cluster(squares, products, 0, draws=999, seed=5) for _ in range(2))
    assert one == same
    assert not one.enumerated
    with pytest.raises(FitError, match="1 clusters"):
        wild_cluster(squares[:1], products[:1], 0)
