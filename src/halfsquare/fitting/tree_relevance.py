"""What each column adds to the outputs of trees, and how much of them it makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from halfsquare.data.encoder import Encoder
from halfsquare.fitting.blend import Sample
from halfsquare.fitting.coded import inputs_of
from halfsquare.loss import Floats
from halfsquare.models.trees import Trees
from halfsquare.results.trained import Trained


def column_contributions(
    members: Sequence[Trained[Any]], encoder: Encoder, design: Floats
) -> tuple[Floats, Floats]:
    """What adds up to the outputs of rows of a design (m, d), in the unit of the targets: a
    constant (k,), and of each column of the encoder (m, k, columns).
    """
    constant, added = _contributions(members, encoder, design)
    scales = encoder.target_scales
    return (
        constant * scales + encoder.target_means,
        np.stack([*added], axis=2) * scales[:, None],
    )


def _contributions(
    members: Sequence[Trained[Any]], encoder: Encoder, design: Floats
) -> tuple[Floats, list[Floats]]:
    """The constant (k,), and what each column adds (m, k), standardized."""
    shares = np.array([m.share for m in members])
    constant: Any = 0.0
    total: Any = 0.0
    for member, share in zip(members, shares / shares.sum(), strict=True):
        assert isinstance(member.model, Trees)
        own, parts = member.model.contributions(member.parameters, design)
        constant, total = constant + share * own, total + share * parts
    places: list[list[int]] = [[] for _ in encoder.groups]
    group_of = encoder.group_of
    for j, one in enumerate(inputs_of(encoder)):
        places[group_of[one.first]].append(j)
    return constant, [total[:, :, own].sum(axis=2) for own in places]


def trees_relevance(
    members: Sequence[Trained[Any]], encoder: Encoder, some: Sample
) -> dict[str, float]:
    """The share of each column in the mean square of all contributions to the outputs."""
    added = _contributions(members, encoder, some.design)[1]
    found = [float(some.share @ np.square(part).mean(axis=1)) for part in added]
    whole = sum(found)
    return {
        column: value / whole if whole > 0 else 0.0
        for (column, _, _), value in zip(encoder.groups, found, strict=True)
    }
