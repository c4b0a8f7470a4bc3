"""The audit of losses: every check passes on one and fails on another; no false alarms."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn._loss import HalfSquaredError
from sklearn.metrics import get_scorer, mean_squared_error, root_mean_squared_error

from halfsquare import SquaredError, assert_loss, audit_loss
from halfsquare.audit.convention import find_convention
from halfsquare.audit.judging import check_convention
from halfsquare.audit.law import DIVISORS
from halfsquare.audit.recognize import recognize
from halfsquare.audit.samples import uneven
from halfsquare.errors import OptionError


def mse(target, output):
    return np.mean((output - target) ** 2)


def slope(target, output):
    return 2 * (output - target) / output.size


def counted(target, output, w=None):
    w = np.ones(len(output)) if w is None else w
    return np.sum(w * (output - target) ** 2) / np.sum(w)


class Noisy:
    """Another value at every call."""

    calls = 0

    def __call__(self, target, output):
        self.calls += 1
        return np.mean((output - target) ** 2) * (1 + 0.01 * self.calls)


def mutating(target, output):
    output -= target
    return np.mean(output**2)


def huber(target, output):
    e = np.abs(output - target)
    return np.mean(np.where(e < 2, 0.5 * e * e, 2 * e - 2))


def checked(target, output):
    target, output = np.asarray(target, float), np.asarray(output, float)
    if target.shape != output.shape or not output.size:
        raise ValueError(f"shapes {target.shape} and {output.shape}")
    return np.mean((output - target) ** 2)


RIGHT, WRONG = (
    SquaredError("mse"),
    {
        "call": (lambda target, output: 1 / 0, {}),
        "reproducible": (Noisy(), {}),
        "convention": (huber, {}),
        "claim": (mse, {"convention": "sse"}),
        "sign": (lambda target, output: -mse(target, output), {}),
        "gradient": (mse, {"gradient": lambda target, output: 2 * (output - target)}),
        "hessian": (lambda y_true, y_pred: (y_pred - y_true, 3 * np.ones_like(y_pred)), {}),
        "perfect output": (lambda target, output: mse(target, output) + 0.5, {}),
        "adds": (lambda target, output: mse(target, output) / np.var(target), {}),
        "weights": (lambda target, output, w=None: mse(target, output), {}),
        "mask": (lambda target, output, mask: np.mean(mask * (output - target) ** 2), {}),
        "shapes": (mse, {"strict": True}),
        "NaN": (lambda target, output: np.nanmean((output - target) ** 2), {"strict": True}),
        "infinity": (
            lambda target, output: mse(target, np.clip(output, -1e3, 1e3)),
            {"strict": True},
        ),
        "empty batch": (lambda target, output: mse(target, output) if len(output) else 1.0, {}),
        "integers": (mse, {"strict": True}),
        "float32": (
            lambda target, output: mse(target, output) * (2 if output.dtype == np.float32 else 1),
            {},
        ),
        "cancellation": (
            lambda target, output: np.mean(target**2 - 2 * target * output + output**2),
            {},
        ),
    },
)


@pytest.mark.parametrize("check", WRONG)
def test_every_check_fails_on_a_loss_and_passes_on_another(check: str) -> None:
    loss, options = WRONG[check]
    wrong = audit_loss(loss, **options)
    assert wrong[check] in wrong.failures(), str(wrong)
    assert wrong[check].example
    if check == "call":  # what can be called has no such finding
        return
    rights: dict[str, Any] = {
        "claim": audit_loss(RIGHT, convention="mse"),
        "hessian": audit_loss(lambda y_true, y_pred: (y_pred - y_true, np.ones_like(y_pred))),
        "adds": audit_loss(SquaredError("sse")),
        "mask": audit_loss(lambda o, t, mask: np.sum(np.where(mask, o - t, 0) ** 2) / mask.sum()),
    }
    assert rights.get(check, audit_loss(RIGHT))[check].verdict == "pass"


def test_float16_overflows_or_is_widened() -> None:
    assert audit_loss(mse)["float16"].verdict == "depends"
    assert "inf instead of 90000" in audit_loss(mse)["float16"].says
    assert audit_loss(checked)["float16"].verdict == "pass"


CORRECT: list[tuple[Any, str | None]] = [
    *((SquaredError(c), c) for c in ("half_sse", "sse", "mse", "half_mse")),  # type: ignore[arg-type]
    (mse, "mse"),
    (checked, "mse"),
    (lambda t, o: float(np.ravel(o - t) @ np.ravel(o - t)), "sse"),
    (lambda t, o: 0.5 * np.linalg.norm(o - t) ** 2, "half_sse"),
    (
        lambda t, o: np.square(np.subtract(o, t)).sum(-1).mean() if o.ndim > 1 else mse(t, o),
        "mse_over_rows",
    ),
    (
        lambda t, o: (
            sum((b - a) ** 2 for a, b in zip(np.ravel(t), np.ravel(o), strict=True)) / np.size(t)
        ),
        "mse",
    ),
    (lambda t, o: (mse(t, o), slope(t, o)), "mse"),
    (lambda *, target, prediction: ((prediction - target) ** 2).sum(), "sse"),
    (lambda *both: np.mean((both[0] - both[1]) ** 2), "mse"),
    (lambda t, o: (o - t) ** 2, "sse"),
    (counted, "mse"),
    (mean_squared_error, "mse"),
    (functools.partial(mean_squared_error, multioutput="raw_values"), "mse_over_rows"),
    (root_mean_squared_error, "mean_of_output_rmse"),
    (get_scorer("neg_mean_squared_error"), "mse"),
    (get_scorer("neg_root_mean_squared_error"), "mean_of_output_rmse"),
    (HalfSquaredError, "half_sse"),
    (HalfSquaredError().__call__, "half_mse"),
    (lambda predt, dtrain: (predt - dtrain.get_label(), np.ones_like(predt)), "half_sse"),
    (lambda y_true, y_pred: (2 * (y_pred - y_true), np.full_like(y_pred, 2.0)), "sse"),
    (
        lambda y_true, y_pred, weight=None: (
            (y_pred - y_true) * (1 if weight is None else weight),
            np.ones_like(y_pred) * (1 if weight is None else weight),
        ),
        "half_sse",
    ),
]


@pytest.mark.parametrize("index", range(len(CORRECT)))
def test_a_correct_loss_raises_no_alarm(index: int) -> None:
    loss, convention = CORRECT[index]
    found = assert_loss(loss)
    assert found.convention == convention


def test_a_correct_pair_passes_and_says_so() -> None:
    found = assert_loss((mse, slope), convention="mse")
    assert "central differences agree" in found["gradient"].says
    assert found["gradient"].figures["error_of_differences"] < 1e-12
    assert found["adds"].figures["gradient_off_percent"] == pytest.approx(averaged_gradient_error())


def averaged_gradient_error() -> float:
    """By hand: the average of the batches' gradients against the gradient of all rows."""
    sample, inputs, batches = uneven()
    error = sample.output - sample.target
    true = 2 * inputs.T @ error / 13
    parts = [2 * inputs[b].T @ error[b] / len(error[b]) for b in batches]
    return float(100 * np.linalg.norm(np.mean(parts, axis=0) - true) / np.linalg.norm(true))


@given(
    st.sampled_from([0.5, 1.0, 2.0, 3.0, 1 / 3, 0.7]),
    st.sampled_from(["", "(n·k)", "n", "k", "n²", "(n·k)²", "(n−1)"]),
)
def test_factor_and_divisor_are_found_exactly(factor: float, divisor: str) -> None:
    def loss(target, output):
        n, k = output.shape[0], output.size // output.shape[0] if len(output) else 1
        return factor * np.sum((output - target) ** 2) / DIVISORS[divisor](n, k)

    law = find_convention(recognize(loss)).law
    assert law is not None and law.squared
    assert law.divisor == divisor
    assert law.factor == pytest.approx(factor, rel=1e-12)


@given(st.floats(0.2, 20))
def test_the_limit_of_a_clipped_loss_is_found(limit: float) -> None:
    def clipped(target, output):
        return np.minimum((output - target) ** 2, limit**2).sum()

    subject = recognize(clipped)
    found = check_convention(subject, find_convention(subject))
    assert found.verdict == "fail"
    assert found.figures["limit"] == pytest.approx(limit, rel=1e-3)


def test_which_argument_is_which() -> None:
    assert (
        "output: yhat, target: y (found by the names)"
        in audit_loss(lambda yhat, y: mse(y, yhat)).arguments
    )
    by_gradient = audit_loss(lambda a, b: mse(a, b), lambda a, b: 2 * (a - b) / a.size)
    assert "output: a, target: b (found by the gradient" in by_gradient.arguments
    assert by_gradient.passed
    told = audit_loss(
        lambda a, b: mse(a, b), lambda a, b: 2 * (b - a) / a.size, target="b", output="a"
    )
    assert told["sign"].verdict == "fail"
    assert "as told" in told.arguments


def test_odd_signatures() -> None:
    def scaled(target, output, delta):
        return delta * mse(target, output)

    with pytest.raises(OptionError, match="it needs delta"):
        audit_loss(scaled)
    assert audit_loss(scaled, arguments={"delta": 1.0}).convention == "mse"
    for loss in ("mse", 3, None):
        with pytest.raises(OptionError):
            audit_loss(loss)
    with pytest.raises(OptionError, match="no argument 'truth'"):
        audit_loss(mse, target="truth")
    with pytest.raises(OptionError, match="unknown convention"):
        audit_loss(mse, convention="rms")
    required = audit_loss(lambda y_true, y_pred, w: np.sum(w * (y_true - y_pred) ** 2) / np.sum(w))
    assert required.passed and required["weights"].verdict == "pass"


@pytest.mark.parametrize("returned", [None, "one", np.zeros(0), 1j, object(), {}, [[1.0, [2.0]]]])
def test_what_is_no_number_is_a_finding(returned: Any) -> None:
    found = audit_loss(lambda target, output: returned)
    assert not found.passed
    assert found.findings[0].check == "call"


def test_an_exception_is_a_finding_and_not_a_traceback() -> None:
    def leaving(target, output):
        raise SystemExit(3)

    def one_row(target, output):
        if len(output) == 1:
            raise ValueError("a batch of one")
        return mse(target, output)

    assert "SystemExit: 3" in audit_loss(leaving)["call"].says
    assert "a batch of one" in audit_loss(one_row)["adds"].says
    with pytest.raises(AssertionError, match="a batch of one"):
        assert_loss(one_row)


def test_rmse_is_known_and_its_figures_are_right() -> None:
    found = audit_loss(lambda t, o: np.sqrt(mse(t, o)), convention="rmse")
    assert found.passed and found.convention == "rmse"
    assert "even for equal batches" in found["adds"].says


def test_steps() -> None:
    coefficients = np.array([0.5, -1.0, 2.0])

    def step(batch):
        inputs, target = batch
        return [inputs.T @ (inputs @ coefficients - target)]

    assert assert_loss(step)["adds"].verdict == "pass"
    batch = {"x": np.eye(8)[:, :3] + 1.0, "y": np.arange(8.0)}
    named = audit_loss(lambda b: {"w": step((b["x"], b["y"]))[0] / len(b["y"])}, batch=batch)
    assert named.passed and named["adds"].verdict == "depends"
    totals = np.zeros(3)

    def accumulating(batch):
        totals[:] += step(batch)[0]
        return totals.copy()

    assert "adds to the gradients" in audit_loss(accumulating)["reproducible"].says
    absolute = audit_loss(lambda batch: batch[0].T @ np.sign(batch[0] @ coefficients - batch[1]))
    assert absolute["convention"].verdict == "fail"


def test_torch_losses() -> None:
    torch = pytest.importorskip("torch")
    for reduction, convention in (("mean", "mse"), ("sum", "sse"), ("none", "sse")):
        assert assert_loss(torch.nn.MSELoss(reduction=reduction)).convention == convention
    assert assert_loss(torch.nn.MSELoss).library == "PyTorch"
    found = assert_loss(torch.nn.functional.mse_loss, convention="mse")
    assert found["weights"].verdict == "pass" and "with a warning" in found["shapes"].says
    images = assert_loss(
        lambda pred, target: ((pred - target) ** 2).sum((1, 2, 3)).mean(), library="torch"
    )
    assert images.convention == "mse_over_rows"

    def single(output, target):
        if output.dtype != torch.float32:
            raise TypeError("float32 only")
        return torch.nn.functional.mse_loss(output, target)

    assert "float32 alone" in assert_loss(single)["float32"].says

    class Halved(torch.autograd.Function):
        @staticmethod
        def forward(ctx, output, target):
            ctx.save_for_backward(output, target)
            return ((output - target) ** 2).sum()

        @staticmethod
        def backward(ctx, above):
            output, target = ctx.saved_tensors
            return above * (output - target), None

    assert "½ ×" in audit_loss(lambda output, target: Halved.apply(output, target))["gradient"].says


def test_a_loss_with_more_beside_it() -> None:
    assert audit_loss(lambda t, o: {"loss": mse(t, o), "n": 3}).convention == "mse"
    assert audit_loss(lambda t, o: (mse(t, o), {"n": 3})).convention == "mse"


def test_a_one_sided_loss_is_told() -> None:
    def dear(target, output):
        return np.mean(np.where(output > target, 2.0, 1.0) * (output - target) ** 2)

    assert "too high by ½ costs 2 times" in audit_loss(dear)["convention"].says
