"""Correct losses of the usual libraries, audited: none may fail.

    python benchmarks/audit.py

Needs what it finds of PyTorch, JAX with optax, Keras with TensorFlow, torchmetrics, XGBoost and
LightGBM; what is missing is said. KERAS_BACKEND chooses what Keras runs on. Times are those of one
audit in a process that has imported the library; CPU seconds beside them, for a busy machine.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from halfsquare import SquaredError, audit_loss

Case = tuple[str, str, Any, str | None]


def own() -> Iterator[Case]:
    for convention in ("half_sse", "sse", "mse", "half_mse"):
        yield "halfsquare", f'SquaredError("{convention}")', SquaredError(convention), convention


def numpy() -> Iterator[Case]:
    yield "numpy", "np.mean((o − t)²)", lambda t, o: np.mean((o - t) ** 2), "mse"
    yield "numpy", "e @ e", lambda t, o: float(np.ravel(o - t) @ np.ravel(o - t)), "sse"
    yield "numpy", "½ norm²", lambda t, o: 0.5 * np.linalg.norm(o - t) ** 2, "half_sse"

    def looped(t, o):
        return sum((b - a) ** 2 for a, b in zip(t.flat, o.flat, strict=True))

    yield "numpy", "a loop", looped, "sse"

    def both(t, o):
        return np.mean((o - t) ** 2), 2 * (o - t) / o.size

    yield "numpy", "value and gradient", both, "mse"


def sklearn() -> Iterator[Case]:
    from sklearn._loss import HalfSquaredError
    from sklearn.metrics import (
        get_scorer,
        make_scorer,
        mean_squared_error,
        root_mean_squared_error,
    )

    raw = functools.partial(mean_squared_error, multioutput="raw_values")
    lower = make_scorer(mean_squared_error, greater_is_better=False)
    yield "scikit-learn", "mean_squared_error", mean_squared_error, "mse"
    yield "scikit-learn", "mean_squared_error, raw_values", raw, "mse_over_rows"
    yield "scikit-learn", "root_mean_squared_error", root_mean_squared_error, "mean_of_output_rmse"
    yield "scikit-learn", "neg_mean_squared_error", get_scorer("neg_mean_squared_error"), "mse"
    yield "scikit-learn", "make_scorer(…)", lower, "mse"
    yield "scikit-learn", "HalfSquaredError, loss and gradient", HalfSquaredError, "half_sse"
    yield "scikit-learn", "HalfSquaredError, called", HalfSquaredError().__call__, "half_mse"


def torch() -> Iterator[Case]:
    from torch import nn
    from torch.nn import functional

    for reduction, convention in (("mean", "mse"), ("sum", "sse"), ("none", "sse")):
        yield "torch", f'MSELoss("{reduction}")', nn.MSELoss(reduction=reduction), convention
    yield "torch", "mse_loss", functional.mse_loss, "mse"
    half = lambda output, target: 0.5 * (output - target).square().sum()  # noqa: E731
    yield "torch", "½ square().sum()", half, "half_sse"


def torchmetrics() -> Iterator[Case]:
    from torchmetrics import MeanSquaredError
    from torchmetrics.functional import mean_squared_error

    yield "torchmetrics", "MeanSquaredError", MeanSquaredError(), "mse"
    yield "torchmetrics", "MeanSquaredError(squared=False)", MeanSquaredError(squared=False), "rmse"
    yield "torchmetrics", "functional.mean_squared_error", mean_squared_error, "mse"


def jax() -> Iterator[Case]:
    import jax
    import jax.numpy as jnp

    yield "jax", "jnp.mean((o − t)²)", lambda output, y: jnp.mean((output - y) ** 2), "mse"
    yield (
        "jax",
        "jit of ½ sum",
        jax.jit(lambda output, y: jnp.sum((output - y) ** 2) / 2),
        "half_sse",
    )


def optax() -> Iterator[Case]:
    import optax

    yield "optax", "squared_error", optax.squared_error, "sse"
    yield "optax", "l2_loss", optax.l2_loss, "half_sse"


def keras() -> Iterator[Case]:
    from keras import losses, metrics

    weighted = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    yield "keras", "losses.MeanSquaredError", losses.MeanSquaredError(), "mse"
    yield "keras", "…, sum", losses.MeanSquaredError(reduction="sum"), "mse"
    yield "keras", "…, mean_with_sample_weight", weighted, "mse"
    yield "keras", "losses.mean_squared_error", losses.mean_squared_error, "mse"
    yield "keras", "metrics.MeanSquaredError", metrics.MeanSquaredError(), "mse"
    yield "keras", "metrics.RootMeanSquaredError", metrics.RootMeanSquaredError(), "rmse"


def xgboost() -> Iterator[Case]:
    import xgboost  # noqa: F401, the objectives below are for it

    def trained(predt, dtrain):
        w = dtrain.get_weight()
        w = w if w.size else np.ones_like(predt)
        return w * (predt - dtrain.get_label()), w

    def estimator(y_true, y_pred):
        return 2 * (y_pred - y_true), np.full_like(y_pred, 2.0)

    yield "xgboost", "objective of train", trained, "half_sse"
    yield "xgboost", "objective of XGBRegressor", estimator, "sse"


def lightgbm() -> Iterator[Case]:
    import lightgbm  # noqa: F401, the objectives below are for it

    def trained(preds, train_data):
        w = train_data.get_weight()
        w = np.ones_like(preds) if w is None else w
        return w * (preds - train_data.get_label()), w

    def estimator(y_true, y_pred, weight=None):
        w = np.ones_like(y_pred) if weight is None else weight
        return w * (y_pred - y_true), w

    yield "lightgbm", "objective of train", trained, "half_sse"
    yield "lightgbm", "objective of LGBMRegressor", estimator, "half_sse"


LIBRARIES: list[Callable[[], Iterator[Case]]] = [
    own, numpy, sklearn, torch, torchmetrics, jax, optax, keras, xgboost, lightgbm,
]  # fmt: skip


def of(package: str) -> str:
    for name in (package, f"{package}-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "here"


def main() -> None:
    print("| library | loss | verdict | convention | depends | s | CPU s |")
    print("|---|---|---|---|---|---:|---:|")
    count, wrong, missing = 0, 0, []
    for library in LIBRARIES:
        try:
            cases = list(library())
        except ImportError as problem:
            missing.append(problem.name)
            continue
        for package, name, loss, convention in cases:
            began, cpu = time.perf_counter(), time.process_time()
            found = audit_loss(loss, name=name)
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            right = found.passed and found.convention == convention
            count, wrong = count + 1, wrong + (not right)
            depends = ", ".join(f.check for f in found.findings if f.verdict == "depends")
            verdict = "pass" if right else "FALSE ALARM"
            cells = (f"{package} {of(package)}", name, verdict, found.convention, depends or "–")
            print(f"| {' | '.join(map(str, cells))} | {seconds:.2f} | {cpu:.2f} |")
    print(f"\n{count} correct losses, {wrong} false alarms.", end=" ")
    print(f"Not installed: {', '.join(map(str, missing))}." if missing else "Nothing missing.")


if __name__ == "__main__":
    main()
