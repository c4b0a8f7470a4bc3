"""Which rows are set apart, and what that makes of the error: whole groups, the latest rows, folds,
and rows that are equal to others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from halfsquare import fit, load
from halfsquare.cli.main import app
from halfsquare.data.hashes import hashed
from halfsquare.data.kept_rows import KeptRows
from halfsquare.data.rows import ArrayRows
from halfsquare.data.splits import Split, Units, folds_of, latest, some_groups
from halfsquare.errors import OptionError
from halfsquare.fitting.folds import Folds, some_rows
from halfsquare.fitting.train_network import train_network

RANDOM = np.random.default_rng


def rows(n: int = 200, seed: int = 0) -> dict[str, Any]:
    """A line with noise; a store of each row, and its day."""
    random = RANDOM(seed)
    x = random.normal(size=n)
    return {
        "x": x,
        "z": random.normal(size=n),
        "store": [f"s{i}" for i in random.integers(0, 20, n)],
        "day": np.arange(n, dtype=float),
        "y": 2.0 * x + random.normal(size=n),
    }


def test_the_text_of_a_split() -> None:
    assert [str(Split.read(t)) for t in ("random", "rows", "time:day", "group: store")] == [
        "random",
        "rows",
        "time:day",
        "group:store",
    ]
    for text in ("", "time", "group:", "random:x", "kfold"):
        with pytest.raises(OptionError, match=r"expected random, rows"):
            Split.read(text)


def test_the_last_rows_measure_the_model_as_a_fit_of_the_others_does() -> None:
    data = rows()
    first = {name: values[:160] for name, values in data.items()}
    last = {name: values[160:] for name, values in data.items()}
    split = fit(data, "y", model="linear", split="rows", features=["x", "z"])
    given = fit(first, "y", model="linear", test=last, features=["x", "z"])
    assert split.test is not None and given.test is not None
    assert split.test["rows"] == 40
    assert split.test["mse"] == pytest.approx(given.test["mse"], rel=1e-12)
    assert split.info["split"] == "rows"
    # The rows of a table in another order are others.
    back = {name: values[::-1] for name, values in data.items()}
    other = fit(back, "y", model="linear", split="rows", features=["x", "z"])
    assert other.test is not None
    assert other.test["mse"] != pytest.approx(split.test["mse"], rel=1e-3)
    # By time the order in the file says nothing.
    timed = fit(back, "y", model="linear", split="time:day", features=["x", "z"])
    assert timed.test is not None
    assert timed.test["mse"] == pytest.approx(split.test["mse"], rel=1e-12)


def test_rows_of_one_time_stay_on_one_side() -> None:
    day = np.repeat(np.arange(20.0), 7)
    late = latest(day, 0.2)
    assert late.sum() == 28 and day[late].min() > day[~late].max()
    assert latest(np.array([1.0, 2.0, 2.0, 2.0]), 0.2).tolist() == [False, True, True, True]
    with pytest.raises(OptionError, match="the same time"):
        latest(np.ones(5), 0.2)


def test_groups_stay_whole_and_are_no_feature() -> None:
    data = rows()
    fitted = fit(data, "y", model="linear", split="group:store")
    assert [f.column for f in fitted.encoder.features] == ["x", "z", "day"]
    assert "--features names it" in fitted.encoder.left_out["store"]
    named = fit(data, "y", model="linear", split="group:store", features=["x", "store"])
    assert [f.column for f in named.encoder.features] == ["x", "store"]
    store = np.unique(data["store"], return_inverse=True)[1]
    chosen = some_groups(store, 0.2, RANDOM(0))
    assert not set(store[chosen]) & set(store[~chosen])
    assert abs(chosen.mean() - 0.2) < 0.05
    # Three groups of very different size: never all, never none.
    for seed in range(20):
        few = some_groups(np.repeat([0, 1, 2], [90, 9, 1]), 0.2, RANDOM(seed))
        assert 0 < few.sum() < 100
    with pytest.raises(OptionError, match="one group"):
        some_groups(np.zeros(9, dtype=np.intp), 0.2, RANDOM(0))


def test_garbage_in_the_groups_set_apart_changes_no_coefficient() -> None:
    """Whole groups are unseen: found by changing one group's targets at a time."""
    data = rows(120)
    options: dict[str, Any] = {"model": "linear", "split": "group:store", "refit": False}
    before = fit(data, "y", **options)
    unseen, stores = 0, sorted(set(data["store"]))
    for store in stores:
        y = np.where(np.array(data["store"]) == store, data["y"] + 1e3, data["y"])
        after = fit({**data, "y": y}, "y", **options)
        same = np.array_equal(before.members[0].parameters, after.members[0].parameters)
        assert before.test is not None and after.test is not None
        assert not same or before.test["mse"] != after.test["mse"]
        unseen += same
    assert 0 < unseen < len(stores)


@pytest.mark.parametrize("split", ["rows", "time:day", "group:store", None])
def test_folds_measure_every_row_once(split: str | None) -> None:
    data = rows()
    fitted = fit(data, "y", model="linear", folds=4, split=split)
    assert fitted.test is not None
    ordered = split in ("rows", "time:day")
    assert fitted.test["rows"] == (160 if ordered else 200)
    assert fitted.info["test_source"] == "4 folds"
    assert fitted.info["refit"]
    assert fitted.train["rows"] == 200
    whole = fit(data, "y", model="linear", test_fraction=0, split=split)
    assert [p.value for p in fitted.parameters] == [p.value for p in whole.parameters]


def test_folds_of_a_line_are_those_of_scikit_learn() -> None:
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import TimeSeriesSplit, cross_val_predict

    data = rows(120)
    x = np.column_stack([data["x"], data["z"]])
    fitted = fit(data, "y", model="linear", folds=5, split="rows", features=["x", "z"])
    losses = []
    for train, test in TimeSeriesSplit(5).split(x):
        line = LinearRegression().fit(x[train], data["y"][train])
        losses.append((line.predict(x[test]) - data["y"][test]) ** 2)
    assert fitted.test is not None
    assert fitted.test["mse"] == pytest.approx(np.concatenate(losses).mean(), rel=1e-9)
    # One row a fold: the folds that leave one out do not depend on how they are drawn.
    small = {name: values[:25] for name, values in data.items()}
    fitted = fit(small, "y", model="linear", folds=25, features=["x", "z"])
    out = cross_val_predict(LinearRegression(), x[:25], data["y"][:25], cv=25)
    assert fitted.test is not None
    assert fitted.test["mse"] == pytest.approx(((out - data["y"][:25]) ** 2).mean(), rel=1e-9)


def test_what_folds_do_not_go_with() -> None:
    data = rows(60)
    for options, text in (
        ({"folds": 1}, "at least 2"),
        ({"folds": 3, "refit": False}, "no-refit"),
        ({"folds": 3, "test": data}, "give one of them"),
        ({"folds": 80}, "ask for fewer folds"),
        ({"split": "time:store"}, "--split rows"),
        ({"split": "group:shop"}, "shop"),
        ({"split": "time:y"}, "is the target"),
    ):
        with pytest.raises(Exception, match=text) as found:
            fit(data, "y", model="linear", **options)  # type: ignore[arg-type]
        assert found.type.__module__.startswith("halfsquare")


def test_a_cluster_refuses_what_it_cannot_split() -> None:
    for option in ({"split": "rows"}, {"folds": 5}):
        with pytest.raises(OptionError, match="not for a cluster"):
            fit("a.csv", "y", model="linear", cluster="tcp://127.0.0.1:1", **option)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "of_row", [np.repeat(np.arange(40), 5), np.arange(200) % 40], ids=["together", "apart"]
)
@pytest.mark.parametrize("in_order", [False, True])
def test_folds_keep_units_whole_and_are_of_a_size(of_row: Any, in_order: bool) -> None:
    units = Units(of_row, in_order)
    fold = folds_of(200, 5, RANDOM(0), units)
    assert np.bincount(fold).tolist() == [40] * 5
    for unit in range(40):
        assert len(set(fold[of_row == unit])) == 1
    if in_order:
        assert (np.diff(fold[np.argsort(of_row, kind="stable")]) >= 0).all()
    folds = Folds.deal(200, 10, RANDOM(0), 0, units)
    assert folds is not None
    for member in range(10):
        left_out = folds.left_out(member)
        assert 30 <= left_out.sum() <= 50
        assert not set(of_row[left_out]) & set(of_row[~left_out])
    assert sum(folds.left_out(m).astype(int) for m in range(10)).tolist() == [2] * 200
    assert not np.array_equal(folds.fold[0], folds.fold[1])
    aside = some_rows(200, RANDOM(0), units)
    assert 10 <= aside.sum() <= 30 and not set(of_row[aside]) & set(of_row[~aside])


def test_of_many_rows_the_same_are_left_out_twice() -> None:
    units = Units(np.arange(5000) // 4, in_order=True)
    folds = Folds.deal(5000, 6, RANDOM(0), 10, units)
    assert folds is not None
    out = [folds.left_out(m) for m in range(6)]
    assert all(400 <= o.sum() <= 600 for o in out)
    assert np.array_equal(out[0] | out[1] | out[2], out[3] | out[4] | out[5])
    assert Folds.deal(200, 10, RANDOM(0), 0, Units(np.zeros(200, dtype=np.intp))) is None


def test_units_follow_their_rows() -> None:
    units = Units(np.array([5, 5, 7, 8]))

    class Grouped(ArrayRows):
        @property
        def units(self) -> Units:
            return units

    grouped = Grouped(np.zeros((4, 1)), np.zeros((4, 1)))
    kept = KeptRows.of(grouped, np.array([True, False, True, True]))
    assert kept.units is not None and kept.units.of_row.tolist() == [5, 7, 8]
    # A network of one group has nothing to leave out, and is fitted all the same.
    x = RANDOM(0).normal(size=(60, 1))

    class One(ArrayRows):
        @property
        def units(self) -> Units:
            return Units(np.zeros(60, dtype=np.intp))

    trained = train_network(One(x, x), members=4, hidden=(2,))
    assert len(trained) == 4


def copies(n: int, times: int, seed: int = 0) -> dict[str, Any]:
    random = RANDOM(seed)
    x, z = random.normal(size=n), random.normal(size=n)
    y = np.sin(2 * x) + 0.5 * random.normal(size=n)
    order = random.permutation(n * times)
    return {
        name: np.repeat(values, times)[order] for name, values in (("x", x), ("z", z), ("y", y))
    }


def test_copies_stay_on_one_side() -> None:
    """A model that learns its rows by heart would err by nothing on their copies."""
    data = copies(100, 3)
    fitted = fit(data, "y", model="trees")
    alone = fit(copies(100, 1), "y", model="trees")
    assert fitted.test is not None and alone.test is not None
    assert fitted.test["mse"] > 0.2  # the noise alone is 0.25
    assert fitted.test["mse_method"].endswith("clusters of equal rows")
    assert alone.test["mse_method"] == "independent rows"


def test_garbage_in_copies_set_apart_changes_no_coefficient() -> None:
    data = copies(60, 2)
    options: dict[str, Any] = {"model": "linear", "refit": False}
    before, sides = fit(data, "y", **options), []
    for x in np.unique(data["x"])[:16]:
        y = np.where(data["x"] == x, data["y"] + 100.0, data["y"])
        after = fit({**data, "y": y}, "y", **options)
        assert before.test is not None and after.test is not None
        learnt = not np.array_equal(before.members[0].parameters, after.members[0].parameters)
        # A copy on either side would be learnt and measured.
        sides.append(learnt)
        assert learnt == (after.test["sse"] < 1000.0)
    assert True in sides and False in sides


def test_settings_that_stand_often_are_no_copies() -> None:
    random = RANDOM(0)
    a = random.integers(0, 12, 600).astype(float)
    data = {"a": a, "y": a + random.normal(size=600)}
    fitted = fit(data, "y", model="linear")
    assert fitted.test is not None
    assert fitted.test["mse_method"] == "independent rows" and fitted.test["rows"] == 120
    # Many settings of two columns with few values each.
    b = random.integers(0, 12, 600).astype(float)
    data = {"a": a, "b": b, "y": a + b + random.normal(size=600)}
    fitted = fit(data, "y", model="linear")
    assert fitted.test is not None
    assert fitted.test["mse_method"] == "independent rows" and fitted.test["rows"] == 120
    # The same with copies of some rows: equal rows have equal targets.
    some = {name: np.concatenate([v[:100], v[:100], v[:100]]) for name, v in data.items()}
    fitted = fit(some, "y", model="linear")
    assert fitted.test is not None
    assert fitted.test["mse_method"].endswith("clusters of equal rows")
    levels = {"a": [f"v{int(v)}" for v in a[:60]], "y": data["y"][:60]}
    fitted = fit(levels, "y", model="linear")
    assert fitted.test is not None
    assert fitted.test["mse_method"] == "independent rows"


def test_hashes_tell_values_apart() -> None:
    grid = np.array([(a, b) for a in range(300) for b in range(300)], dtype=float).T
    assert len(np.unique(hashed(grid))) == 90_000
    same = np.array([[0.0, -0.0], [np.nan, -np.nan], [1.5, 1.5]])
    assert hashed(same)[0] == hashed(same)[1]
    swapped = np.array([[1.0, 2.0], [2.0, 1.0]])
    assert hashed(swapped)[0] != hashed(swapped)[1]


def dependent(kind: str, n: int = 300, seed: int = 0) -> dict[str, Any]:
    random = RANDOM(seed)
    x = random.normal(size=n)
    store = random.integers(0, 20, n)
    noise = random.normal(size=n)
    if kind == "time":
        for i in range(1, n):
            noise[i] = 0.9 * noise[i - 1] + 0.44 * noise[i]
    if kind == "groups":
        noise = noise + 1.5 * random.normal(size=20)[store]
    return {"x": x, "store": [f"s{i}" for i in store], "y": x + noise}


def warned(data: dict[str, Any], **options: Any) -> list[str]:
    fitted = fit(data, "y", model="linear", **options)
    return [w for w in fitted.info["warnings"] if "--split random says" in w]


def test_rows_in_time_are_warned_of() -> None:
    (said,) = warned(dependent("time"))
    assert "neighbouring rows" in said and "--split rows" in said
    assert warned(dependent("time"), split="random") == []
    assert warned(dependent("time"), split="rows") == []
    assert warned(dependent("time"), test_fraction=0) == []
    (said,) = warned(dependent("time"), folds=5)
    assert "neighbouring rows" in said
    for seed in range(8):
        assert warned(dependent("none", seed=seed)) == []
    # Sorted by its target, a table is no series.
    data = dependent("none")
    order = np.argsort(data["y"])
    assert warned({"x": data["x"][order], "y": data["y"][order]}) == []


def test_groups_that_recur_are_warned_of() -> None:
    data = dependent("groups")
    (said,) = warned(data, exclude=["store"])
    assert "'store'" in said and "--split group:store" in said
    assert warned(data, exclude=["store"], split="random") == []
    assert warned(data) == []  # the levels are in the model
    for seed in range(8):
        assert warned(dependent("none", seed=seed), exclude=["store"]) == []


def test_dates_are_warned_of() -> None:
    data = dependent("none")
    day = np.datetime64("2024-01-01") + np.arange(300)
    (said,) = warned({**data, "day": day})
    assert "--split time:day" in said
    assert warned({**data, "day": day}, split="time:day") == []
    assert warned({**data, "day": np.arange(300)}) == []


def test_groups_that_recur_are_measured_as_new_ones(tmp_path: Path) -> None:
    """The error by whole groups is that on new ones; drawn at random it is too small."""
    random = RANDOM(5)
    effect = 2.0 * random.normal(size=60)
    store = np.repeat(np.arange(60), 8)
    x = random.normal(size=480)
    # A column that tells the groups apart, as a coordinate does.
    place = np.repeat(random.uniform(size=60), 8)
    y = x + effect[store] + 0.5 * random.normal(size=480)
    data = {"x": x, "place": place, "z": random.normal(size=480), "store": store, "y": y}
    by_group = fit(data, "y", model="trees", split="group:store")
    at_random = fit(data, "y", model="trees", split="random", exclude=["store"])
    assert by_group.test is not None and at_random.test is not None
    assert by_group.test["mse"] > 3.0 > at_random.test["mse"]
    path = tmp_path / "m.hsq"
    by_group.save(path)
    again = load(path)
    assert again.test == by_group.test and again.info["split"] == "group:store"


def test_the_command_line_says_how_the_rows_were_split(tmp_path: Path) -> None:
    data = rows()
    table = tmp_path / "rows.csv"
    lines = [",".join(data), *(",".join(map(str, row)) for row in zip(*data.values(), strict=True))]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run = CliRunner()
    common = ["fit", str(table), "--target", "y", "--model", "linear"]
    for options, text in (
        (["--split", "rows"], "40 set apart for the test (the last ones)"),
        (["--split", "time:day"], "40 set apart for the test (the latest by day)"),
        (["--split", "group:store"], "(whole groups of store, seed 0)"),
        (["--folds", "4"], "200 measured in 4 folds (seed 0)"),
        (["--folds", "4", "--split", "rows"], "160 measured in 4 folds (each predicted from"),
    ):
        shown = run.invoke(app, [*common, *options, "--all"])
        assert shown.exit_code == 0, shown.output
        assert text in " ".join(shown.output.split())
        assert "with 95 % confidence" in shown.output
    gaps = tmp_path / "gaps.csv"
    gaps.write_text(table.read_text(encoding="utf-8").replace(",s3,", ",,"), encoding="utf-8")
    shown = run.invoke(app, ["fit", str(gaps), *common[2:], "--split", "group:store"])
    assert "without a value in the column of the split left out" in " ".join(shown.output.split())
    found = json.loads(run.invoke(app, [*common, "--split", "rows", "--json"]).stdout)
    assert found["split"] == "rows" and found["options"]["split"] == "rows"
    assert found["mse_low"] < found["mse"] < found["mse_high"]
    wrong = run.invoke(app, [*common, "--split", "kfold"])
    assert wrong.exit_code == 1 and "group:COL" in str(wrong.exception)


def test_folds_and_a_fraction_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="folds measure the model on every row, and a test"):
        fit(rows(), "y", model="linear", folds=3, test_fraction=0.2)
    assert fit(rows(), "y", model="linear", folds=3, test_fraction=0).test["rows"] == 200
    lines = [f"{i % 7},{2 * (i % 7) + i % 3}" for i in range(60)]
    (tmp_path / "a.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    asked = ["fit", str(tmp_path / "a.csv"), "-t", "y", "--model", "linear", "--json"]
    refused = CliRunner().invoke(app, [*asked, "--folds", "3", "--test-fraction", "0.2"])
    assert refused.exit_code != 0 and "a test fraction of 0.2" in str(refused.exception)
    assert CliRunner().invoke(app, [*asked, "--folds", "3"]).exit_code == 0
    told = json.loads(CliRunner().invoke(app, asked).stdout)
    assert told["test"]["rows"] == fit(tmp_path / "a.csv", "y", model="linear").test["rows"] > 0
