"""The loss over two weights as contours, and the path of a descent over it."""

from __future__ import annotations

from typing import Any

import altair as alt

from halfsquare.figures.marks import axis, curve, dot, drawn, finished, fixed_width, rows_of, span

_END = 1e15  # of a replay: everything


def surface_chart() -> Any:
    """The path over the two weights, from its first step to where the descent stands; ``until``
    cuts it off, to replay it.
    """
    a_scale = span([alt.ExprRef(f"a_span[{end}]") for end in (0, 1)])
    b_scale = span([alt.ExprRef(f"b_span[{end}]") for end in (0, 1)])
    x = alt.X("a:Q", scale=a_scale, axis=axis("a"))
    y = alt.Y("b:Q", scale=b_scale, axis=axis("b", **fixed_width(58)))
    path = alt.Chart(rows_of([], "path")).transform_filter("datum.i <= until")
    # The last step that is shown: where the descent stands, or stood.
    last = path.transform_window(rank="rank()", sort=[alt.SortField("i", order="descending")])
    here = last.transform_filter("datum.rank == 1")
    layers = [
        drawn(path, curve("ink", strokeWidth=2), x=x, y=y, detail="line:N", order="i:Q"),
        drawn(path, {"type": "point", "filled": True, "size": 14, "color": alt.ExprRef("ink")},
              x=x, y=y),
        drawn(here, dot("ink"), x=x, y=y),
    ]  # fmt: skip
    signals = {
        "a_span": [-1.0, 1.0],
        "b_span": [-1.0, 1.0],
        "a_name": "",
        "b_name": "",
        "levels": [],
        "grid_size": 1,
        "until": _END,
    }
    chart = alt.layer(*layers).properties(width=620, height=380)
    words = "Contours of the loss over two weights, and the path of the descent over them."
    return finished(chart, words, signals=signals)


def with_contours(spec: dict[str, Any]) -> dict[str, Any]:
    """The compiled chart over the contours of the data set ``grid``, and axes that are named by
    signals: Vega-Lite knows neither.
    """
    grid = {"name": "grid", "values": []}
    contours = {
        "name": "contours",
        "source": "grid",
        "transform": [
            {
                "type": "isocontour",
                "thresholds": {"signal": "levels"},
                "scale": {"signal": "[width / grid_size, height / grid_size]"},
            }
        ],
    }
    lines = {
        "type": "path",
        "clip": True,
        "aria": False,
        "from": {"data": "contours"},
        "encode": {
            "update": {
                "stroke": {"signal": "muted"},
                "strokeWidth": {"value": 1},
                "strokeOpacity": {"value": 0.6},
                "fill": {"signal": "ink"},
                "fillOpacity": {"value": 0.045},
            }
        },
        "transform": [{"type": "geopath", "field": "datum.contour"}],
    }
    named = {"a": {"signal": "a_name"}, "b": {"signal": "b_name"}}
    axes = [{**one, "title": named.get(one.get("title"), one.get("title"))} for one in spec["axes"]]
    return {
        **spec,
        "data": [grid, contours, *spec["data"]],
        "marks": [lines, *spec["marks"]],
        "axes": axes,
    }
