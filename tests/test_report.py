"""The report: what it gathers in one pass agrees with NumPy, and the page stands alone, is small,
safe and readable.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from halfsquare import fit
from halfsquare.errors import DataError, OptionError
from halfsquare.figures.static_figure import draw
from halfsquare.figures.theme import LIGHT
from halfsquare.report.bins import Bins, Grid
from halfsquare.report.collect import HIGH, LOW, WEIGHT, collect
from halfsquare.report.drawn import coverage, learning
from halfsquare.report.first_screen import first_screen
from halfsquare.report.html import report_page
from halfsquare.report.learning import LinearLearning, Point
from halfsquare.report.packed import packed
from halfsquare.report.profiles import _words
from halfsquare.results.fitted import FittedModel
from halfsquare.text import plain, visible

NASTY = "<script>alert('x')</script>&\"{{7*7}}"
numbers = hnp.arrays(float, st.integers(1, 60), elements=st.floats(-1e6, 1e6))


def table(n: int = 3000, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    x, z = random.normal(10.0, 3.0, n), random.exponential(2.0, n)
    group = np.array(["a", "b", NASTY])[random.integers(0, 3, n)]
    y = 2.0 + 0.5 * x - 0.2 * z * z + (group == "b") * 1.5 + random.normal(0.0, 0.5, n)
    return {"x": x, "z": z, "group": group, "y": y}


@pytest.fixture(scope="module")
def linear() -> tuple[FittedModel, dict[str, Any]]:
    data = table()
    return fit(data, "y", model="linear", method="minibatch"), data


@pytest.fixture(scope="module")
def page(linear: tuple[FittedModel, dict[str, Any]]) -> str:
    return report_page(*linear)


@given(parts=st.lists(numbers, min_size=1, max_size=6), most=st.integers(4, 64))
def test_bins_lose_nothing_whatever_the_order_and_range(parts: list[Any], most: int) -> None:
    bins = Bins(2, most)
    for part in parts:
        bins.add(part, np.vstack([np.ones_like(part), part]))
    every = np.concatenate(parts)
    assert len(bins.table) <= most
    assert bins.table[:, 0].sum() == len(every)
    assert bins.table[:, 1].sum() == pytest.approx(every.sum(), rel=1e-9, abs=1e-3)
    # Each bin holds what lies in it.
    at = np.floor(every / bins.width).astype(int) - bins.start
    assert np.array_equal(np.bincount(at, minlength=len(bins.table)), bins.table[:, 0])
    edges, sums = bins.groups(5)
    assert len(sums) <= 5 and len(edges) == len(sums) + 1 and sums[:, 0].sum() == len(every)
    assert (np.diff(edges) > 0).all()
    for share in (0.1, 0.5, 0.9):
        exact = np.quantile(every, share, method="inverted_cdf")
        assert abs(bins.quantile(share) - exact) <= bins.width * 1.001


@given(parts=st.lists(numbers, min_size=1, max_size=4))
def test_a_grid_loses_nothing_either(parts: list[Any]) -> None:
    grid = Grid(most=16)
    for part in parts:
        grid.add(part, -2.0 * part, np.ones_like(part))
    every = np.concatenate(parts)
    assert grid.table is not None and max(grid.table.shape) <= 16
    assert grid.table.sum() == len(every)
    cells = grid.cells(8, (-1e7, 1e7), (-1e7, 1e7))
    assert sum(c["weight"] for c in cells) == len(every)


def test_values_that_are_not_finite_are_passed_over() -> None:
    bins, grid = Bins(1), Grid()
    values = np.array([np.nan, np.inf, 1.0])
    bins.add(values, np.ones((1, 3)))
    grid.add(values, values, np.ones(3))
    assert bins.table.sum() == 1.0 and grid.table is not None and grid.table.sum() == 1.0
    assert Bins(1).groups(3)[1].shape == (0, 1) and Grid().cells(3, (0, 1), (0, 1)) == []


def test_one_pass_gathers_what_numpy_finds(linear: tuple[FittedModel, dict[str, Any]]) -> None:
    fitted, data = linear
    found = collect(fitted, data)
    error = fitted.predict(data) - data["y"]
    assert found.summary.sse == pytest.approx(float(error @ error))
    for bins in (found.by_output, found.by_error):
        sums = bins.table.sum(axis=0)
        assert sums[[WEIGHT, LOW, HIGH]] == pytest.approx(
            [3000, (error < 0).sum(), (error > 0).sum()]
        )
    _, low, high = fitted.interval(data)
    inside = (data["y"] >= low) & (data["y"] <= high)
    assert found.covered == pytest.approx(inside.sum()) and found.measured == 3000
    order = np.argsort(-np.abs(error))[:10]
    assert [w.row for w in found.worst] == list(order + 1)
    assert [w.error for w in found.worst] == pytest.approx(list(error[order]))
    assert [float(w.values["x"]) for w in found.worst] == pytest.approx(
        list(data["x"][order]), rel=1e-5
    )
    assert [w.values["group"] for w in found.worst] == list(data["group"][order])
    by_group = next((v, s) for v, s in found.by_feature if v.feature.column == "group")
    counts = dict(zip(by_group[0].levels, by_group[1][:, WEIGHT], strict=True))  # type: ignore[index]
    assert counts == {
        level: float((data["group"] == level).sum()) for level in np.unique(data["group"])
    }


def test_the_learning_curve_is_of_refits_on_nested_rows(
    linear: tuple[FittedModel, dict[str, Any]],
) -> None:
    fitted, data = linear
    points = collect(fitted, data).learning
    assert [p.rows for p in points] == sorted(p.rows for p in points) and len(points) >= 5
    assert points[-1].rows == pytest.approx(2400, rel=0.05)
    whole = fitted.info["test"]
    assert abs(points[-1].mse - whole["mse"]) < 4 * (points[-1].mse_se + whole["mse_se"])
    # The largest training set, fitted by another hand: its rows are those that are no test rows.
    sums = LinearLearning(fitted)
    design = np.vstack([b.design for b in fitted.batches(data)])
    rows, weight = np.arange(1, 3001), np.ones(3000)
    for at in (slice(0, 700), slice(700, None)):  # batches do not matter
        sums.add(rows[at], design[at], data["y"][at, None], weight[at])
    again = sums.finish()
    assert [p.rows for p in again] == [p.rows for p in points]
    assert [p.mse for p in again] == pytest.approx([p.mse for p in points], rel=1e-9)


class _Page(HTMLParser):
    """What a browser would load, and whether elements are closed."""

    void = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_runs_nothing(page: str) -> None:
    found = _Page()
    found.feed(page)
    assert not found.open  # everything is closed in its order
    names = {tag for tag, _ in found.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    for _, attributes in found.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "src", "xlink:href", "action"):
                assert (value or "").startswith("#")
    policy = next(
        a["content"] for t, a in found.tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None and policy.startswith("default-src 'none'; style-src 'sha256-")
    urls = re.findall(r"https?://[^\s\"'<]+", page)
    assert set(urls) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert len(page.encode()) < 600_000


def test_text_of_the_data_is_escaped(page: str) -> None:
    assert "<script" not in page and "&lt;script&gt;alert" in page and "{{7*7}}" in page


def test_every_figure_has_a_text_alternative_and_ids_are_unique(page: str) -> None:
    found = _Page()
    found.feed(page)
    ids = [a["id"] for _, a in found.tags if "id" in a]
    assert len(ids) == len(set(ids))
    figures = [a for t, a in found.tags if t == "svg"]
    assert len(figures) >= 8
    for figure in figures:
        assert figure["role"] == "img" and figure["aria-labelledby"] in ids
    for _, attributes in found.tags:  # links lead somewhere, and inner references too
        for value in (
            attributes.get("href"),
            *re.findall(r"url\((#[^)]+)\)", str(attributes.get("clip-path"))),
        ):
            assert value is None or value[1:] in ids
    levels = [int(t[1]) for t, _ in found.tags if re.fullmatch(r"h[1-6]", t)]
    assert levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in pairwise(levels))
    for colour in LIGHT.colours().values():  # figures take the page's colours, light or dark
        assert page.lower().count(colour.lower()) <= 1


def test_the_page_says_what_was_found(
    page: str, linear: tuple[FittedModel, dict[str, Any]]
) -> None:
    fitted, _ = linear
    for said in (
        "too low",
        "too high",
        "Would more data help?",
        "Coefficients",
        "norm of the gradient",
        "rows in a batch",
    ):
        assert said in page
    assert f"{fitted.info['test']['rmse']:.4g}" in page and "± " in page and "600 set apart" in page


@pytest.mark.parametrize("kind", ["formula", "network", "few rows", "two targets", "constant"])
def test_a_report_of_anything(kind: str) -> None:
    random = np.random.default_rng(0)
    x = random.uniform(1, 5, 40)
    data: dict[str, Any] = {"x": x, "y": 2.0 * np.exp(-0.5 * x) + random.normal(0, 0.01, 40)}
    if kind == "formula":
        said = report_page(fit(data, formula="y ~ a*exp(-b*x)"), data)
        assert "a*exp(-b*x)" in said and "Test MSE from" in said
    elif kind == "network":
        said = report_page(fit(data, "y", model="network", time_limit=2.0), data)
        assert (
            "Relevance of the inputs" in said
            and "Left out: each point would be another training" in said
        )
    elif kind == "few rows":
        few = {k: v[:3] for k, v in data.items()}
        assert "too few rows" in report_page(fit(few, "y", model="linear", test_fraction=0), few)
    elif kind == "two targets":
        data["t"] = data["y"] ** 2
        said = report_page(fit(data, ["y", "t"], model="linear"), data)
        assert "the first target" in said
    else:
        data["y"] = np.ones(40)
        assert "Linear model of y" in report_page(
            fit(data, "y", model="linear", test_fraction=0), data
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": ["y", "z"], "features": ["x"]}, "2 targets"),
        ({"formula": "y ~ x + poly(z, 2)", "model": "linear"}, "of terms"),
        ({"formula": "y ~ a + b*gamma(x)", "start": {"a": 0, "b": 1e-6}}, "uses gamma"),
        ({"formula": "y ~ a[g] + b*x"}, r"uses a\[group\], which"),
    ],
)
def test_what_sliders_cannot_compute_is_refused_with_what_to_do(
    options: dict[str, Any], words: str
) -> None:
    data = {name: v[:80] for name, v in table().items() if name != "group"}
    data["g"] = ["u", "v"] * 40
    fitted = fit(data, **{"model": "linear" if "formula" not in options else "auto", **options})
    with pytest.raises(OptionError, match=words) as refused:
        report_page(fitted, data, interactive=True)
    assert "leave out --interactive" in str(refused.value)


def test_a_page_that_would_be_too_large_is_refused(
    linear: tuple[FittedModel, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from halfsquare.report import whatif

    page = report_page(*linear, interactive=True)
    size = len(page.encode())
    assert size < whatif.LIMIT
    monkeypatch.setattr(whatif, "LIMIT", size - 1)
    with pytest.raises(OptionError, match="Leave out --interactive, or fit a smaller model"):
        report_page(*linear, interactive=True)


def test_an_interactive_page_holds_its_scripts_and_escapes_the_rest(
    linear: tuple[FittedModel, dict[str, Any]],
) -> None:
    page = report_page(*linear, interactive=True)
    assert NASTY not in page and "<script>alert" not in page
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "unsafe" not in policy[1] and "default-src 'none'" in policy[1]
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = re.findall(r"'sha256-([^']*)'", policy[1].split("script-src")[1])
    made = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert len(made) == 2 and made == digests
    assert "holds no script" not in page


def test_the_strongest_columns_have_a_size_that_matters(tmp_path: Path) -> None:
    """A number that lacks values was named without its size, and columns of "0%" stood there."""
    random = np.random.default_rng(2)
    x, z = random.normal(size=(2, 120))
    data = {"x": np.where(np.arange(120) % 8, x, np.nan), "z": z, "y": 3 * x + 2 * z}
    said = first_screen(fit(data, "y", model="linear"))
    assert re.search(r"Strongest columns: (x|z) \+\d[\d.]* per std\. deviation; ", said)
    assert re.search(r"x \+\d[\d.]* per std\. deviation", said)
    still = {"x": x, "still": np.arange(120) % 2 * 1.0, "y": 3 * x}
    shown = first_screen(fit(still, "y", model="trees"))
    assert "Strongest columns: x" in shown and " 0%" not in shown


def test_a_decisive_row_is_told_as_it_stands_in_the_file(tmp_path: Path) -> None:
    """Row 8 was called 1007.0."""
    lines = [f"{1000 + i},{i if i < 11 else 400},{2 * i + i % 3}" for i in range(12)]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["id,x,y", *lines]))
    said = first_screen(fit(str(path), "y", model="linear", test_fraction=0))
    assert "Row 12 (id: 1011) decides" in said


def test_a_packed_number_keeps_what_it_promises() -> None:
    values = np.random.default_rng(0).normal(size=500) * 10.0 ** np.arange(-250, 250)
    raw = np.frombuffer(base64.b64decode(packed(values, "f6")["text"]), np.uint8).reshape(-1, 6)
    whole = np.zeros((500, 8), np.uint8)
    whole[:, 2:] = raw
    np.testing.assert_allclose(whole.view("<f8")[:, 0], values, rtol=7.3e-12)
    exact = np.frombuffer(base64.b64decode(packed(values)["text"]), "<f8")
    assert exact.tobytes() == values.tobytes()


def test_rows_without_a_target_are_refused(linear: tuple[FittedModel, dict[str, Any]]) -> None:
    fitted, data = linear
    with pytest.raises(DataError, match="nothing to report"):
        report_page(fitted, {**data, "y": np.full(3000, np.nan)})


def test_a_drawing_keeps_its_references_to_itself() -> None:
    import altair as alt

    rows = alt.InlineData(values=[{"a": 1, "b": 2}, {"a": 2, "b": 1}])
    chart = alt.Chart(rows).mark_line(clip=True, color=LIGHT.low).encode(x="a:Q", y="b:Q")
    svg = draw(chart, "one", "rises & falls")
    assert "rises &amp; falls" in svg and "var(--low)" in svg
    assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= set(re.findall(r'id="([^"]+)"', svg))
    assert all(name.startswith("one-") for name in re.findall(r'id="([^"]+)"', svg))


def test_the_command_line_writes_reports(command: Callable[..., Any]) -> None:
    data = table(200)
    lines = [
        "x,z,y",
        *(
            f"{x:.17g},{z:.17g},{y:.17g}"
            for x, z, y in zip(data["x"], data["z"], data["y"], strict=True)
        ),
    ]
    Path("t.csv").write_text("\n".join(lines) + "\n")
    made = command(
        "fit",
        "t.csv",
        "--target",
        "y",
        "--model",
        "linear",
        "--out",
        "m.hsq",
        "--report",
        "fit.html",
        "--json",
    )
    assert made.code == 0 and made.json["report"] == "fit.html"
    found = command("report", "m.hsq", "t.csv", "--out", "again.html", "--json")
    assert found.code == 0 and found.json["bytes"] == Path("again.html").stat().st_size
    assert Path("again.html").read_bytes() == Path("fit.html").read_bytes()
    before = Path("again.html").read_bytes()
    assert command("report", "m.hsq", "no.csv", "--out", "again.html").code == 1
    assert Path("again.html").read_bytes() == before
    assert command("report", "m.hsq", "t.csv", "--out", "no/r.html").code == 1
    assert command("report", "m.hsq", "t.csv").code == 2
    assert command("fit", "-", "--target", "y", "--report", "r.html").code == 2


@pytest.mark.parametrize("hostile", ["\x1b[31m", "\x07", "\x9b", "\ufffe", "\u202e"])
def test_control_characters_in_names_and_levels_are_drawn_as_what_they_are(hostile: str) -> None:
    """Each of them ended the process in which the figures were drawn, or stood in the page as it
    is, where `cat` sends it to a terminal and a browser turns the text around.
    """
    rng = np.random.default_rng(0)
    n = 120
    data = {
        f"x{hostile}": rng.normal(size=n),
        "town": np.array([f"a{hostile}", "b"])[rng.integers(0, 2, n)],
    }
    data[f"y{hostile}"] = data[f"x{hostile}"] + (data["town"] == "b") + 0.1 * rng.normal(size=n)
    fitted = fit(data, f"y{hostile}", model="linear")
    page = report_page(fitted, data, interactive=True)
    assert page.count("<svg") > 4 and "x\ufffd" in page
    # A value that the page's own script compares with the model's is exact, and in an attribute.
    assert hostile[0] not in page.replace(f'value="a{hostile}"', "")
    assert f"of y{visible(hostile)}</h1>" in page
    assert hostile[0] not in fitted._repr_html_()


def test_the_sentence_of_the_learning_curve_divides_by_the_earlier_error() -> None:
    """From 3.71 to 1 the error fell by 73 %, not by 271 %."""
    points = [Point(100, 3.71, 0.1), Point(200, 1.0, 0.1)]
    drawn = learning(SimpleNamespace(learning=points), "y")  # type: ignore[arg-type]
    assert drawn is not None and "lowered the test MSE by 73.0%" in drawn.caption


def test_coverage_by_fifths_counts_what_numpy_counts(
    linear: tuple[FittedModel, dict[str, Any]],
) -> None:
    fitted, data = linear
    output, low, high = fitted.interval(data)
    inside = (data["y"] >= low) & (data["y"] <= high)
    table = coverage(collect(fitted, data), fitted)
    assert len(table) == 5
    order = np.argsort(output)
    for fifth, rows in zip(np.array_split(order, 5), table, strict=True):
        assert float(rows[1]) == pytest.approx(len(fifth), abs=15)
        assert float(rows[2].split("%")[0]) == pytest.approx(100 * inside[fifth].mean(), abs=1.0)
    width = float(np.mean((high - low)[np.array_split(order, 5)[2]]))
    assert float(table[2][3]) == pytest.approx(width, rel=0.01)


def test_the_profile_names_the_surest_group_and_not_only_the_largest() -> None:
    rows = [
        {"error": 3.0, "se": 2.0, "rmse": 5.0, "mid": 1.0},
        {"error": -1.4, "se": 0.2, "rmse": 5.0, "mid": 2.0},
    ]
    said = _words("x", rows, "y")
    assert "at most 3 y too high, about 1" in said
    assert "The surest, 1.4 y too low, about 2, lies 7.0 standard errors from zero." in said
    calm = [{"error": 0.1, "se": 0.2, "rmse": 5.0, "mid": 1.0}]
    assert "Each lies within two standard errors" in _words("x", calm, "y")


def test_the_worst_rows_carry_their_identifiers_and_their_zeros(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lines = ["id,x,y"]
    for i in range(200):
        x = round(float(rng.normal()), 1) if i != 7 else 0.0
        lines.append(f"K-{i:04d},{x},{3 * x + rng.normal() + (50 if i == 7 else 0):.3f}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    fitted = fit(str(tmp_path / "t.csv"), "y", model="linear")
    worst = collect(fitted, str(tmp_path / "t.csv")).worst[0]
    assert (worst.row, worst.values["id"], float(worst.values["x"])) == (8, "K-0007", 0.0)
    assert "K-0007" in report_page(fitted, str(tmp_path / "t.csv"))


@pytest.mark.parametrize("model", ["trees", "auto"])
def test_the_line_beside_a_model_is_judged_on_the_same_rows(model: str) -> None:
    """The test rows of the fit, and no others: its RMSE is that of the linear fit of that seed."""
    random = np.random.default_rng(4)
    x = random.uniform(-2, 2, 240)
    data = {"x": x, "y": np.sin(2 * x) + random.normal(0, 0.1 + 0.5 * (x > 1.5))}
    fitted = fit(data, "y", model=model, seed=3)
    line = fit(data, "y", model="linear", seed=3)
    assert fitted.info["test"]["line_rmse"] == pytest.approx(line.info["test"]["rmse"], rel=1e-9)
    assert "line_rmse" not in line.info["test"]
    screen = " ".join(first_screen(fitted).split())
    share = 1 - fitted.info["test"]["rmse"] / line.info["test"]["rmse"]
    assert f"{share:.0%} smaller than a line's (±{plain(line.info['test']['rmse'])})" in screen


def test_the_first_screen_of_a_formula_has_its_parameters() -> None:
    x = np.linspace(0, 5, 60)
    y = 2 * np.exp(-x) + np.random.default_rng(0).normal(0, 0.1, 60)
    data = {"x": x, "y": y, "small": np.full(60, 0.02), "right": np.full(60, 0.1)}
    formula = "y ~ a*exp(-k*x)"
    said = first_screen(fit(data, formula=formula, test_fraction=0))
    assert re.search(r"^ +a +[12]\.\d+ ", said, re.MULTILINE) and "std. error" in said
    assert "residual standard deviation" in said and len(said.splitlines()) <= 15
    doubtful = first_screen(fit(data, formula=formula, sigma="small", test_fraction=0))
    assert "the errors are larger than sigma says" in doubtful
    right = first_screen(fit(data, formula=formula, sigma="right", test_fraction=0))
    assert "larger than sigma" not in right


def test_no_share_is_rounded_to_all_or_nothing() -> None:
    random = np.random.default_rng(0)
    x, z = random.normal(size=(2, 400))
    fitted = fit({"x": x, "z": z, "y": 20 * x + z + random.normal(0, 0.1, 400)}, "y", model="trees")
    assert re.search(r"Strongest columns: x > 99%; z < 1%", first_screen(fitted))
