"""How sure an MSE is: skewed losses, clusters and time, against other implementations and by
simulation; and whether intervals keep their promise, as ``evaluate --coverage`` prints it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Ran
from scipy import stats

from halfsquare import fit
from halfsquare.errors import OptionError
from halfsquare.results.compare import compare
from halfsquare.results.evaluate import evaluate
from halfsquare.results.mean_error import LossMoments, by_cluster, in_time

Command = Callable[..., Ran]


def test_moments_merge_to_those_of_all_rows() -> None:
    random = np.random.default_rng(0)
    losses, weight = random.exponential(size=300), random.integers(0, 4, 300).astype(float)
    merged = LossMoments()
    for at in np.array_split(np.arange(300), 7):
        merged = merged.merge(LossMoments.of(losses[at], weight[at]))
    repeated = np.repeat(losses, weight.astype(int))
    n = len(repeated)
    want = (n, repeated.mean(), repeated.std(), stats.skew(repeated))
    got = (merged.weight, merged.mean, merged.deviation, merged.skewness)
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_the_interval_covers_for_few_skewed_losses_where_1_96_standard_errors_do_not() -> None:
    random = np.random.default_rng(1)
    inside, plain = 0, 0
    for _ in range(3000):
        losses = random.normal(size=20) ** 2
        low, high = LossMoments.of(losses).interval()
        inside += low <= 1.0 <= high
        error = losses.std(ddof=1) / np.sqrt(20)
        plain += abs(losses.mean() - 1.0) <= 1.96 * error
    assert abs(inside / 3000 - 0.95) < 0.02
    assert plain / 3000 < 0.91


def test_clusters_and_time_agree_with_statsmodels() -> None:
    sm = pytest.importorskip("statsmodels.api")
    random = np.random.default_rng(2)
    losses, groups = random.exponential(size=200), random.integers(0, 15, 200)
    model = sm.OLS(losses, np.ones(200))
    want = model.fit(cov_type="cluster", cov_kwds={"groups": groups}).bse[0]
    # Theirs has (n - 1)/(n - p) besides: 1 here.
    np.testing.assert_allclose(by_cluster(losses, None, groups, "g").standard_error, want)
    series = np.convolve(random.normal(size=260), 0.8 ** np.arange(30))[30:230] ** 2
    found = in_time(series, None)
    lags = int(found.method.split()[-2])
    assert lags > 3
    hac = sm.OLS(series, np.ones(200)).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True}
    )
    np.testing.assert_allclose(found.standard_error, hac.bse[0])


def test_dependent_rows_are_covered_once_it_is_said() -> None:
    """Forty rows of each of twenty groups; AR(0.9) in time. Independent rows' errors fail."""
    random = np.random.default_rng(3)
    clusters, time, naive = 0, 0, np.zeros(2)
    for _ in range(300):
        group = np.repeat(np.arange(20), 40)
        losses = (random.normal(size=20)[group] + random.normal(size=800)) ** 2
        low, high = by_cluster(losses, None, group, "g").interval()
        clusters += low <= 2.0 <= high
        low, high = LossMoments.of(losses).interval()
        naive[0] += low <= 2.0 <= high
        noise = random.normal(size=1100)
        series = np.convolve(noise, 0.9 ** np.arange(100))[100:1100] ** 2 * (1 - 0.81)
        low, high = in_time(series, None).interval()
        time += low <= 1.0 <= high
        low, high = LossMoments.of(series).interval()
        naive[1] += low <= 1.0 <= high
    assert clusters / 300 > 0.86 and time / 300 > 0.86
    assert (naive / 300 < 0.6).all()


def test_compare_of_equal_models_on_copies_is_no_better_by_the_number_of_copies() -> None:
    """Under no difference, five copies of each row: "better" at 5 %, unless clusters are said."""
    random = np.random.default_rng(4)
    false = np.zeros(2)
    x = random.normal(size=(80, 2))
    y = x @ [1.0, 1.0] + random.normal(size=80)
    a = fit({"x": x[:, 0], "z": x[:, 1], "y": y}, "y", model="linear", features=["x"])
    b = fit({"x": x[:, 0], "z": x[:, 1], "y": y}, "y", model="linear", features=["z"])
    for _ in range(36):
        new = random.normal(size=(40, 2))
        t = new @ [1.0, 1.0] + random.normal(size=40)
        # Swapped at random: neither is better.
        flip = random.random(40) < 0.5
        new[flip] = new[flip][:, ::-1]
        rows = {
            "x": np.repeat(new[:, 0], 5),
            "z": np.repeat(new[:, 1], 5),
            "y": np.repeat(t, 5),
            "id": np.repeat(np.arange(40.0), 5),
        }
        centre = compare(a, b, rows)
        clustered = compare(a, b, rows, cluster_by="id")
        assert clustered.method == "40 clusters of id"
        false += [centre.p < 0.05, clustered.p < 0.05]
    assert false[0] / 36 > 0.2
    assert false[1] / 36 < 0.2


def test_evaluate_tells_limits_clusters_and_coverage(tmp_path: Path, command: Command) -> None:
    random = np.random.default_rng(5)
    x, g = random.uniform(size=1200), random.integers(0, 12, 1200)
    y = x + random.normal(size=1200) * (0.1 + x)
    lines = [f"{a},g{b},{c}" for a, b, c in zip(x, g, y, strict=True)]
    (tmp_path / "old.csv").write_text("x,g,y\n" + "\n".join(lines[:600]) + "\n")
    (tmp_path / "new.csv").write_text("x,g,y\n" + "\n".join(lines[600:]) + "\n")
    fitting = ("fit", "old.csv", "--target", "y", "--model", "linear", "--exclude", "g")
    assert command(*fitting, "--out", "m.hsq").code == 0
    found = command("evaluate", "m.hsq", "new.csv", "--coverage", "--json").json
    assert found["mse_low"] < found["mse"] < found["mse_high"]
    assert found["mse_method"] == "independent rows"
    parts = found["coverage"]
    assert parts[0]["by"] == "all rows" and parts[0]["rows"] == 600
    fifths = [p for p in parts if p["by"] == "x"]
    assert len(fifths) == 5 and sum(p["rows"] for p in fifths) == 600
    _, low, high = fit({"x": x[:600], "y": y[:600]}, "y", model="linear").interval({"x": x[600:]})
    inside = (low <= y[600:]) & (y[600:] <= high)
    np.testing.assert_allclose(parts[0]["covered"], inside.mean(), atol=1e-12)
    clustered = command("evaluate", "m.hsq", "new.csv", "--cluster-by", "g", "--json").json
    assert clustered["mse_method"] == "12 clusters of g"
    assert clustered["mse"] == found["mse"] and clustered["mse_se"] != found["mse_se"]
    text = command("evaluate", "m.hsq", "new.csv", "--in-time").out
    assert "Newey-West" in text
    refused = command("evaluate", "m.hsq", "new.csv", "--cluster-by", "nope")
    assert refused.code == 2 and "'nope'" in refused.err
    # On rows of the fit it is said.
    told = command("compare", "m.hsq", "m.hsq", "old.csv")
    assert "Both models were fitted to old.csv" in told.out.replace("\n", " ")
    assert "fitted to" not in command("compare", "m.hsq", "m.hsq", "new.csv").out


def test_one_cluster_is_refused() -> None:
    fitted = fit({"x": [1.0, 2, 3, 4], "y": [1.0, 3, 2, 5]}, "y", model="linear", test_fraction=0)
    rows = {"x": [1.0, 2, 3], "y": [1.0, 2, 3], "g": ["a", "a", "a"]}
    with pytest.raises(OptionError, match="one cluster"):
        evaluate(fitted, rows, cluster_by="g")
