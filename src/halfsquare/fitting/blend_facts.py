"""What is told of a blend: its parts, the relevance of columns, the table of what was tried."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.fitting.blend import Blend, some_design, table
from halfsquare.fitting.judged import Part
from halfsquare.fitting.network import network_training
from halfsquare.fitting.tree_relevance import trees_relevance
from halfsquare.fitting.trees import unit_of
from halfsquare.models.network import Network
from halfsquare.models.trees import Trees
from halfsquare.results.record import BlendPart, Candidate, Training


def blend_training(blend: Blend, rows: EncodedRows) -> Training:
    """How the parts of a blend were trained, their weights, and the relevance of each column."""
    relevance: dict[str, float] = {}
    for part, weight in blend.used:
        for column, share in _relevance(part, rows).items():
            relevance[column] = relevance.get(column, 0.0) + weight * share
    unit = unit_of(rows)
    known = bool(np.isfinite(blend.mse))
    return Training(
        "blend",
        "blend",
        relevance=relevance,
        parts=tuple(
            BlendPart(
                part.name, weight, len(part.members), sum(m.parameters.size for m in part.members)
            )
            for part, weight in sorted(blend.used, key=lambda pair: -pair[1])
        ),
        left_out_mse=blend.mse * unit if known else None,
        left_out_mse_se=blend.mse_se * unit if known else None,
    )


def _relevance(part: Part, rows: EncodedRows) -> dict[str, float]:
    """The share of each column in what moves the outputs of a part."""
    if isinstance(part.members[0].model, Trees):
        return trees_relevance(part.members, rows.encoder, some_design(rows))
    if isinstance(part.members[0].model, Network):
        return network_training(part.members, rows).relevance or {}
    b = part.members[0].parameters.reshape(1 + len(rows.encoder.names), -1)[1:]
    squares = {c: float(np.square(b[i:j]).sum()) for c, i, j in rows.encoder.groups}
    total = sum(squares.values())
    return {column: value / total if total else 0.0 for column, value in squares.items()}


def candidates_of(blend: Blend, notes: dict[str, str], rows: EncodedRows) -> tuple[Candidate, ...]:
    """The table of what was tried; differences are to the linear model, negative: better."""
    unit, found = unit_of(rows), []
    for i, line in enumerate(table(blend, unit)):
        if i and blend.judged is not None:
            one = np.eye(len(blend.parts))
            gained = blend.judged.losses(one[i]) - blend.judged.losses(one[0])
            difference, doubt = blend.judged.mean(gained)
            line = replace(line, difference=difference * unit, difference_se=doubt * unit)
        found.append(line)
    return (*found, *(Candidate(name, note=note) for name, note in notes.items()))
