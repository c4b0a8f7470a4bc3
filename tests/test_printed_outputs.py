"""Numbers that fit, effects and predict print, each against statsmodels to 1e-8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from inference_cases import table

from halfsquare import fit
from halfsquare.results.inference.band import mean_band
from halfsquare.results.inference.effects import effects_of

sm = pytest.importorskip("statsmodels.api")
smf = pytest.importorskip("statsmodels.formula.api")
FORMULA = "y ~ x + z + v*g + h"


class Both:
    """The same model by both, for each kind of errors."""

    def __init__(self) -> None:
        self.frame = table(11, 260)
        self.theirs = smf.ols(FORMULA, self.frame).fit()
        self.ours = {
            errors: fit(self.frame, formula=FORMULA, model="linear", errors=errors, test_fraction=0)
            for errors in ("classical", "hc0", "hc1", "hc2", "hc3", "cluster:firm", "newey-west:3")
        }
        groups = {"groups": self.frame.firm.to_numpy()}
        self.robust = {
            **{
                k: self.theirs.get_robustcov_results(k.upper(), use_t=True)
                for k in ("hc0", "hc1", "hc2", "hc3")
            },
            "cluster:firm": self.theirs.get_robustcov_results("cluster", use_t=True, **groups),
            "newey-west:3": self.theirs.get_robustcov_results("HAC", maxlags=3, use_t=True),
            "classical": self.theirs,
        }
        self.effects = {
            errors: effects_of(
                model,
                tests=["x = z", "g", "v:g = 0, h = 1"],
                derive=["r = x/z"],
                means=[["h"]],
                contrasts="first",
            )
            for errors, model in self.ours.items()
        }
        self.at = [
            self.theirs.model.exog_names.index(self.named(p.name))
            for p in self.ours["hc0"].parameters
        ]

    @staticmethod
    def named(name: str) -> str:
        return "Intercept" if name == "intercept" else name

    def parameter(self, errors: str, name: str, what: str) -> tuple[float, float]:
        mine = next(p for p in self.ours[errors].parameters if p.name == name)
        j = self.theirs.model.exog_names.index(self.named(name))
        result = self.robust[errors]
        low, high = np.asarray(result.conf_int())[j]
        theirs = {
            "value": np.asarray(result.params)[j],
            "standard_error": np.asarray(result.bse)[j],
            "t": np.asarray(result.tvalues)[j],
            "p": np.asarray(result.pvalues)[j],
            "low": low,
            "high": high,
        }
        return getattr(mine, what), float(theirs[what])

    def test_of(self, errors: str, place: int, spelled: str) -> tuple[list[float], list[float]]:
        mine, wanted = self.effects[errors].tests[place], self.robust[errors].f_test(spelled)
        return [mine.statistic, mine.p], [float(wanted.fvalue), float(wanted.pvalue)]

    def anova(self, kind: int, term: str, what: str) -> tuple[float, float]:
        rows = effects_of(self.ours["classical"], anova_type=kind).anova
        mine = next(r for r in rows if r.term == term)
        name = {"sum_of_squares": "sum_sq", "f": "F", "p": "PR(>F)"}[what]
        return getattr(mine, what), float(sm.stats.anova_lm(self.theirs, typ=kind).loc[term, name])

    def criterion(self, what: str, theirs: float) -> tuple[float, float]:
        return float(getattr(self.effects["classical"].criteria, what)), theirs

    def prediction(self, of: str) -> tuple[Any, Any]:
        rows = self.frame[:5]
        model = self.ours["classical"]
        wanted = self.theirs.get_prediction(rows).summary_frame(alpha=0.1)
        if of == "mean":
            (batch,) = list(model.batches(rows))
            mine = np.column_stack(mean_band(model, batch.design, 0.9))
            return mine, wanted[["mean", "mean_ci_lower", "mean_ci_upper"]].to_numpy()
        return np.column_stack(model.interval(rows, 0.9)), wanted[
            ["mean", "obs_ci_lower", "obs_ci_upper"]
        ].to_numpy()

    def breusch_pagan(self) -> tuple[Any, Any]:
        from statsmodels.stats.diagnostic import het_breuschpagan

        told = self.effects["classical"].breusch_pagan
        assert told is not None
        wanted = het_breuschpagan(self.theirs.resid, self.theirs.model.exog)
        return [told.statistic, told.p], list(wanted[:2])

    def inflation(self, term: str) -> tuple[float, float]:
        from statsmodels.stats.outliers_influence import variance_inflation_factor

        j = self.theirs.model.exog_names.index(term)
        return self.effects["classical"].inflation[term][1], variance_inflation_factor(
            self.theirs.model.exog, j
        )

    def derived(self) -> tuple[Any, Any]:
        found = self.effects["hc3"].derived[0]
        names = self.theirs.model.exog_names
        result = self.robust["hc3"]
        b, v = np.asarray(result.params), np.asarray(result.cov_params())
        g = np.zeros(len(b))
        i, j = names.index("x"), names.index("z")
        g[i], g[j] = 1 / b[j], -b[i] / b[j] ** 2
        return [found.value, found.standard_error], [b[i] / b[j], np.sqrt(g @ v @ g)]

    def contrast(self) -> tuple[Any, Any]:
        found = self.effects["hc1"].marginal[0].contrasts[0].estimate
        wanted = self.robust["hc1"].t_test("h[T.yes] = 0")
        return [found.value, found.standard_error, found.p], [
            float(wanted.effect[0]),
            float(wanted.sd[0][0]),
            float(np.squeeze(wanted.pvalue)),
        ]

    def marginal_mean(self) -> tuple[Any, Any]:
        found = self.effects["cluster:firm"].marginal[0].means
        names = self.theirs.model.exog_names
        row = {
            "Intercept": 1.0,
            "x": self.frame.x.mean(),
            "z": self.frame.z.mean(),
            "v": self.frame.v.mean(),
            "g[T.b]": 1 / 3,
            "g[T.c]": 1 / 3,
        }
        row |= {"v:g[T.b]": row["v"] / 3, "v:g[T.c]": row["v"] / 3}
        wanted = self.robust["cluster:firm"].t_test(np.array([row.get(n, 0.0) for n in names]))
        assert found[0].name == "h=no"
        return [found[0].value, found[0].standard_error], [
            float(wanted.effect[0]),
            float(wanted.sd[0][0]),
        ]

    def average_effect(self) -> tuple[Any, Any]:
        found = {e.name: e for e in self.effects["hc2"].average}
        names = self.theirs.model.exog_names
        shares = {
            "v": 1.0,
            "v:g[T.b]": (self.frame.g == "b").mean(),
            "v:g[T.c]": (self.frame.g == "c").mean(),
        }
        wanted = self.robust["hc2"].t_test(np.array([shares.get(n, 0.0) for n in names]))
        return [found["v"].value, found["v"].standard_error], [
            float(wanted.effect[0]),
            float(wanted.sd[0][0]),
        ]


@pytest.fixture(scope="module")
def both() -> Both:
    return Both()


Compared = Callable[[Both], tuple[Any, Any]]
OUTPUTS: dict[str, Compared] = {}
for _errors in ("classical", "hc0", "hc1", "hc2", "hc3", "cluster:firm", "newey-west:3"):
    for _what in ("standard_error", "t", "p", "low"):
        OUTPUTS[f"{_what} of x, {_errors}"] = lambda b, e=_errors, w=_what: b.parameter(e, "x", w)
    OUTPUTS[f"standard error of the intercept, {_errors}"] = lambda b, e=_errors: b.parameter(
        e, "intercept", "standard_error"
    )
    OUTPUTS[f"joint test of a term, {_errors}"] = lambda b, e=_errors: b.test_of(
        e, 1, "g[T.b] = 0, g[T.c] = 0"
    )
for _name in ("intercept", "z", "g[T.b]", "v:g[T.c]"):
    OUTPUTS[f"coefficient {_name}"] = lambda b, n=_name: b.parameter("classical", n, "value")
OUTPUTS |= {
    "upper limit of z": lambda b: b.parameter("classical", "z", "high"),
    "test of an equality": lambda b: b.test_of("hc3", 0, "x = z"),
    "test of several hypotheses": lambda b: b.test_of(
        "cluster:firm", 2, "v:g[T.b] = 0, v:g[T.c] = 0, h[T.yes] = 1"
    ),
    "sum of squares, type II, of x": lambda b: b.anova(2, "x", "sum_of_squares"),
    "F, type II, of v:g": lambda b: b.anova(2, "v:g", "f"),
    "p, type II, of h": lambda b: b.anova(2, "h", "p"),
    "sum of squares, type III, of z": lambda b: b.anova(3, "z", "sum_of_squares"),
    "F, type III, of g": lambda b: b.anova(3, "g", "f"),
    "R²": lambda b: b.criterion("r2", b.theirs.rsquared),
    "adjusted R²": lambda b: b.criterion("adjusted_r2", b.theirs.rsquared_adj),
    "log-likelihood": lambda b: b.criterion("log_likelihood", b.theirs.llf),
    "AIC, σ counted": lambda b: b.criterion("aic", b.theirs.aic + 2),
    "BIC, σ counted": lambda b: b.criterion("bic", b.theirs.bic + np.log(260)),
    "F of the fit": lambda b: (b.effects["classical"].criteria.f.statistic, b.theirs.fvalue),
    "p of the fit": lambda b: (b.effects["classical"].criteria.f.p, b.theirs.f_pvalue),
    "F of the fit, hc3": lambda b: (
        b.effects["hc3"].criteria.f.statistic,
        float(np.squeeze(b.robust["hc3"].fvalue)),
    ),
    "residual standard deviation": lambda b: (
        b.ours["hc1"].residual_standard_deviation[0],
        np.sqrt(b.theirs.mse_resid),
    ),
    "degrees of freedom": lambda b: (
        b.ours["classical"].info["facts"]["degrees_of_freedom"],
        b.theirs.df_resid,
    ),
    "degrees of freedom of clusters": lambda b: (
        b.effects["cluster:firm"].fit.freedom,
        b.robust["cluster:firm"].df_resid_inference,
    ),
    "SSE": lambda b: (b.ours["classical"].train["sse"], b.theirs.ssr),
    "variance inflation of z": lambda b: b.inflation("z"),
    "Breusch–Pagan": lambda b: b.breusch_pagan(),
    "condition number": lambda b: b.criterion(
        "condition_number",
        np.linalg.cond(b.theirs.model.exog / np.linalg.norm(b.theirs.model.exog, axis=0)),
    ),
    "band of the mean": lambda b: b.prediction("mean"),
    "interval of a new target": lambda b: b.prediction("target"),
    "derived quantity, hc3": lambda b: b.derived(),
    "contrast of marginal means, hc1": lambda b: b.contrast(),
    "marginal mean, clusters": lambda b: b.marginal_mean(),
    "average effect, hc2": lambda b: b.average_effect(),
}


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_printed_number_is_that_of_statsmodels(both: Both, output: str) -> None:
    ours, theirs = OUTPUTS[output](both)
    np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-14)


def test_there_are_forty() -> None:
    assert len(OUTPUTS) >= 40


# R's printed values: summary(lm(...)), anova and emmeans of its own data sets.

PLANTS = pd.DataFrame(
    {
        "weight": [
            4.17,
            5.58,
            5.18,
            6.11,
            4.50,
            4.61,
            5.17,
            4.53,
            5.33,
            5.14,
            4.81,
            4.17,
            4.41,
            3.59,
            5.87,
            3.83,
            6.03,
            4.89,
            4.32,
            4.69,
            6.31,
            5.12,
            5.54,
            5.50,
            5.37,
            5.29,
            4.92,
            6.15,
            5.80,
            5.26,
        ],
        "group": ["ctrl"] * 10 + ["trt1"] * 10 + ["trt2"] * 10,
    }
)


def test_plant_growth_as_r_prints_it() -> None:
    """anova(lm(weight ~ group, PlantGrowth)): 3.76634 on 2, 10.49209 on 27, F 4.8461, p 0.01591."""
    model = fit(PLANTS, formula="weight ~ group", model="linear", test_fraction=0)
    found = effects_of(model, anova_type=1)
    group, residual = found.anova
    assert [round(group.sum_of_squares, 5), round(residual.sum_of_squares, 5)] == [
        3.76634,
        10.49209,
    ]
    assert [round(group.f, 4), round(group.p, 5)] == [4.8461, 0.01591]
    values = {p.name: round(p.value, 4) for p in model.parameters}
    assert values == {"intercept": 5.032, "group[T.trt1]": -0.371, "group[T.trt2]": 0.494}
    assert round(found.criteria.r2, 4) == 0.2641
    assert round(found.criteria.adjusted_r2, 4) == 0.2096
