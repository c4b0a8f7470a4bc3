"""Many examples: sums that grow, means that settle, batches that scatter as the rows say."""

from __future__ import annotations

import numpy as np
import pytest

from halfsquare.errors import OptionError
from halfsquare.explain.many_examples import batch_scatter, best_line, built_in_sample, growth


def test_growth_agrees_with_numpy() -> None:
    sample = built_in_sample(500)
    for n, found in zip([8, 100, 500], growth(sample, [8, 100, 500]), strict=True):
        losses = (sample.output[:n] - sample.target[:n]) ** 2
        assert found.sse == pytest.approx(losses.sum(), rel=1e-12)
        assert found.mse_se == pytest.approx(losses.std(ddof=1) / np.sqrt(n), rel=1e-12)


def test_the_typical_loss_is_the_expected_one() -> None:
    sample = built_in_sample(200_000, seed=3)
    found = growth(sample, [200_000])[0]
    assert sample.typical is not None
    assert abs(found.mse - sample.typical) < 4 * found.mse_se


def test_batches_scatter_as_the_rows_say_and_half_as_far_with_four_times_the_rows() -> None:
    sample = built_in_sample(4096)
    few, many = (batch_scatter(sample, b, draws=3000) for b in (16, 64))
    for found in (few, many):
        assert found.scatter == pytest.approx(found.expected, rel=0.05)
        assert found.inside == pytest.approx(0.95, abs=0.02)
        assert found.batches.mean(axis=0) == pytest.approx(
            found.full, abs=5 * found.expected / np.sqrt(3000)
        )
    assert few.expected / many.expected == pytest.approx(2.0, rel=0.01)
    with pytest.raises(OptionError, match="fewer than the 4096 rows"):
        batch_scatter(sample, 4096)


def test_copies_do_not_move_the_best_line() -> None:
    sample = built_in_sample(300)
    slope, intercept = np.polyfit(sample.x, sample.target, 1)
    assert best_line(sample) == pytest.approx((intercept, slope), rel=1e-10)
    assert best_line(sample, copies=4) == pytest.approx(best_line(sample), rel=1e-12)
