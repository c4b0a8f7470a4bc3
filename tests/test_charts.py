"""Figures: what is drawn is what was computed, and a file is written whole or not at all."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("altair", reason="the figures need the extra 'page'")

from halfsquare.errors import OptionError, OutputError
from halfsquare.explain.one_example import explain_example
from halfsquare.figures.charts import one_example_chart, view_range
from halfsquare.figures.engine import DrawingError, Engine, clean, specification
from halfsquare.figures.live import Compiled, vega_spec, without_inputs
from halfsquare.figures.marks import bar, drawn, finished, rows_of
from halfsquare.figures.save import data_island, save_chart, save_example
from halfsquare.figures.theme import DARK, LIGHT, Theme

PNG = b"\x89PNG\r\n\x1a\n"


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours ``#rrggbb``, 1 to 21 (WCAG 2.2, "relative luminance")."""

    def luminance(colour: str) -> float:
        channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        low = channels <= 0.04045
        linear = np.where(low, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    return vega_spec(one_example_chart(explain_example(3.0, 2.2)))


def texts(svg: str) -> list[str]:
    return [t for t in re.findall(r"<text[^>]*>([^<]*)</text>", svg) if t]


@pytest.mark.parametrize(
    ("target", "output", "convention", "expected"),
    [
        (
            3.0,
            2.2,
            "half_sse",
            ["The output 2.2 is too low by 0.8.", "loss 0.32", "step +0.8", "gradient −0.8"],
        ),
        (
            3.0,
            3.6,
            "sse",
            ["The output 3.6 is too high by 0.6.", "loss 0.36", "step −0.6", "gradient +1.2"],
        ),
        (
            -2.0,
            -2.0,
            "mse",
            [
                "The output −2 equals the target.",
                "loss 0",
                "Gradient zero: descent leaves it alone.",
            ],
        ),
    ],
)
def test_the_drawn_words_are_the_computed_ones(
    tmp_path: Path, target: float, output: float, convention: Any, expected: list[str]
) -> None:
    explained = explain_example(target, output, convention=convention)
    svg = save_chart(one_example_chart(explained), tmp_path / "one.svg").read_text()
    drawn = texts(svg)
    for words in expected:
        assert words in drawn
    # Python's numbers and the figure's own expressions agree.
    assert f"loss {explained.value:.6g}" in drawn


def test_light_and_dark_differ_in_colour_alone(tmp_path: Path) -> None:
    explained = explain_example(3.0, 2.2)
    light, dark = (
        save_chart(one_example_chart(explained, t), tmp_path / f"{t.name}.svg").read_text()
        for t in (LIGHT, DARK)
    )
    assert LIGHT.low in light
    assert DARK.low not in light
    assert DARK.low in dark
    assert texts(light) == texts(dark)


def test_png(tmp_path: Path) -> None:
    content = save_chart(
        one_example_chart(explain_example(3.0, 2.2)), tmp_path / "one.PNG"
    ).read_bytes()
    assert content.startswith(PNG)
    assert len(content) > 10_000


def test_html_stands_alone_and_forbids_every_request(tmp_path: Path) -> None:
    page = save_chart(
        one_example_chart(explain_example(3.0, 2.2)), tmp_path / "one.html", title="<b>&"
    ).read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "script-src 'sha256-" in policy[1]
    assert "unsafe-eval" not in policy[1]
    assert not re.search(r'(src|href)="', page.split("</head>")[0])
    assert "<title>&lt;b&gt;&amp;</title>" in page
    assert page.count("</script>") == 4  # two data islands, the library, the figure's own script


def test_the_saved_example_brings_its_derivation(tmp_path: Path) -> None:
    page = save_example(
        explain_example(3.0, 2.2, convention="sse"), tmp_path / "one.html"
    ).read_text()
    assert page.count("<math") == 4
    assert "differentiate each term" in page
    assert (
        save_example(explain_example(3.0, 2.2), tmp_path / "one.png").read_bytes().startswith(PNG)
    )


def test_handles_move_their_signals(spec: dict[str, Any]) -> None:
    signals = {signal["name"]: signal for signal in spec["signals"]}
    assert len(signals["output"]["on"]) == 2  # the points of both panels
    assert len(signals["target"]["on"]) == 1
    assert "@output_handle_0_marks:pointerdown" in signals["output"]["on"][0]["events"]
    assert "width" not in spec
    assert "containerSize" in signals["width"]["init"]
    assert [s["name"] for s in spec["signals"] if "bind" in s] == ["target", "output", "convention"]
    assert not any("bind" in s for s in without_inputs(spec)["signals"])


def test_the_factors_of_the_conventions_are_those_of_the_loss() -> None:
    explained = explain_example(3.0, 2.2, weight=4.0)
    params = {p["name"]: p for p in one_example_chart(explained).to_dict()["params"]}
    assert params["factors"]["value"] == {"half_sse": 2.0, "sse": 4.0, "mse": 1.0, "half_mse": 0.5}


@pytest.mark.parametrize(("target", "output"), [(3.0, 2.2), (0.0, 0.0), (1e9, 1e9), (-5.0, 100.0)])
def test_the_view_holds_both(target: float, output: float) -> None:
    low, high = view_range(target, output)
    assert low < min(target, output) <= max(target, output) < high


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda t: t.name)
def test_every_text_colour_stands_out(theme: Theme) -> None:
    for text in (theme.ink, theme.muted, theme.low, theme.high):
        for paper in (theme.paper, theme.panel, theme.low_wash, theme.high_wash):
            assert contrast(text, paper) >= 4.5
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(
        4.48, abs=0.01
    )  # the well-known grey that just fails


def test_what_cannot_be_written_says_why(tmp_path: Path) -> None:
    chart = one_example_chart(explain_example(3.0, 2.2))
    with pytest.raises(OptionError, match=r"one\.pdf.*\.html, \.svg, \.png"):
        save_chart(chart, tmp_path / "one.pdf")
    with pytest.raises(OutputError, match="no folder"):
        save_chart(chart, tmp_path / "missing" / "one.svg")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        save_chart(chart, tmp_path / "folder.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.svg"]


def test_data_cannot_end_its_island() -> None:
    island = data_island("spec", {"a": "</script><script>alert(1)</script>", "b": "ß−"})
    assert island.count("</script>") == 1
    inner = island.split(">", 1)[1].rsplit("<", 1)[0]
    assert json.loads(inner)["a"].startswith("</script>")
    with pytest.raises(ValueError):
        data_island("spec", float("nan"))


HOSTILE = "a\x1b[31m\x07\x01\ufffe\ud800b"


def bars(name: str) -> Any:
    rows = rows_of([{"name": name, "v": 1.0}])
    return finished(drawn(rows, bar("muted"), x="v:Q", y="name:N"), name)


def test_what_no_figure_can_show_is_replaced_and_not_sent_to_the_engine(tmp_path: Path) -> None:
    svg = save_chart(bars(HOSTILE), tmp_path / "bars.svg").read_text()
    assert "a\ufffd[31m\ufffd\ufffd\ufffd\ufffdb" in texts(svg)
    assert clean("ß − \U0001f600\n") == "ß − \U0001f600\n"


def test_an_engine_that_ends_is_an_error_and_the_next_figure_is_drawn() -> None:
    """The same text, not cleaned: without a process of its own this would end the tests."""
    engine = Engine()
    spec = {**specification(bars("fine")), "title": HOSTILE[:4]}
    with pytest.raises(DrawingError, match="the engine ended"):
        engine.ask("vegalite_to_svg", spec)
    assert "fine" in engine.ask("vegalite_to_svg", specification(bars("fine")))
    with pytest.raises(DrawingError, match="could not be drawn"):
        engine.ask("vegalite_to_svg", {"mark": 3})
    engine.close()


def test_a_figure_that_many_ask_for_at_once_is_compiled_once() -> None:
    made = []

    def make() -> Any:
        made.append(1)
        time.sleep(0.2)  # the others come meanwhile
        return bars("one")

    compiled = Compiled(make)
    with ThreadPoolExecutor(8) as pool:
        specs = list(pool.map(lambda _: compiled(), range(8)))
    assert len(made) == 1
    assert all(spec is specs[0] for spec in specs)
    Compiled.every.remove(compiled)
