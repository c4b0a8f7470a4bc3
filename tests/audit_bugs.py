"""Public bugs of squared-error losses, rebuilt small from what their threads report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from audit_losses import (
    LastBatch,
    MeanOfBatches,
    MeanOfBatchRoots,
    RootOfSums,
    SumsOfBatches,
    averaging_ranks,
    careful,
    distances,
    doubled_hessian,
    expanded,
    half_slope,
    half_sse,
    masked_mean,
    masked_sum,
    mean_of_gradients,
    mlp_gradient,
    mlp_value,
    mse,
    objective,
    over_count,
    over_rows,
    over_weights,
    pixels,
    relative,
    rooted_last,
    short_hessian,
    slope,
    sum_of_gradients,
    summing_ranks,
    token_means,
    token_sums,
    twice_divided,
    undivided,
    wrong_sign,
)
from sklearn.metrics import make_scorer, mean_squared_error


@dataclass(frozen=True)
class Bug:
    """One bug: where it was reported, the loss, what the audit must say, and a loss without it."""

    thread: str
    loss: Any
    check: str
    says: str
    right: Any
    gradient: Any = None
    right_gradient: Any = None
    silent: bool = False  # "depends" by default, a failure of a strict audit
    depends: bool = False  # "depends": what is wrong is the use, not the loss
    right_verdict: str = "pass"


BUGS = [
    Bug("scikit-learn #8349", mlp_value, "gradient", "n_outputs ×", mse, mlp_gradient, slope),
    Bug("dlib #1169", mse, "gradient", "½ ×", mse, half_slope, slope),
    Bug(
        "scikit-learn PR 5268",
        lambda y, pred: np.mean((y - pred.ravel()) ** 2) if pred.ndim < 2 else 1 / 0,
        "gradient",
        "−½ · n",
        mse,
        lambda y, pred: y - pred,
        slope,
    ),
    Bug(
        "nn-from-scratch #11",
        half_sse,
        "sign",
        "sign of t − o",
        half_sse,
        lambda y, y_hat: y - y_hat,
        lambda y, y_hat: y_hat - y,
    ),
    Bug("xgboost #2602", wrong_sign, "sign", "sign of t − o", objective),
    Bug("xgboost #3063", over_rows, "adds", "0.3077 ×", objective),
    Bug("LightGBM #1991", short_hessian, "hessian", "shape (1,)", objective),
    Bug(
        "dlib PR 3088",
        lambda output, target: np.sum((output - target) ** 2),
        "gradient",
        "½ ×",
        mse,
        lambda output, target: output - target,
        slope,
    ),
    Bug("xgboost PR 2345", doubled_hessian, "hessian", "2 × the derivative", objective),
    Bug("d2l-en PR 1000", twice_divided, "convention", "divided by rows twice", mse),
    Bug("physicsnemo PR 1974", relative, "convention", "Σ(o−t)²/Σt²", mse),
    Bug(
        "neural-lam PR 10",
        distances,
        "convention",
        "distances",
        rooted_last,
        right_verdict="depends",
    ),
    Bug("scikit-learn #9354", expanded, "cancellation", "digits cancel", mse),
    Bug(
        "annoy #314",
        lambda a_target, output: (
            np.sum(output**2) + np.sum(a_target**2) - 2 * np.sum(output * a_target)
        ),
        "cancellation",
        "digits cancel",
        half_sse,
    ),
    Bug(
        "scikit-learn #28827",
        pixels,
        "integers",
        "uint8: 70 instead of 240.667",
        careful,
        silent=True,
    ),
    Bug(
        "dwave image-segmentation #10",
        pixels,
        "integers",
        "wrap round at 256",
        careful,
        silent=True,
    ),
    Bug("keras #19740", over_count, "weights", "not by Σw", over_weights, silent=True),
    Bug("tensorflow #29965", over_count, "weights", "still counts", over_weights, silent=True),
    Bug("keras #13329", over_count, "weights", "-33.3 %", over_weights, silent=True),
    Bug("ICON PR 83", masked_mean, "mask", "-33.3 %", masked_sum),
    Bug("tensorflow #39146", masked_mean, "mask", "divides by all rows", masked_sum),
    Bug("tensorflow #38596", MeanOfBatches, "adds", "+32 %", SumsOfBatches),
    Bug("pytorch-lightning #2924", MeanOfBatches, "adds", "off the value", SumsOfBatches),
    Bug("nolearn #247", MeanOfBatches, "adds", "off the value", SumsOfBatches),
    Bug("mxnet #16568", MeanOfBatchRoots, "adds", "off the value", RootOfSums),
    Bug("keras #1170", MeanOfBatchRoots, "adds", "off the value", RootOfSums),
    Bug("DeepLearningExamples PR 299", LastBatch, "adds", "off the value", SumsOfBatches),
    Bug("transformers PR 34191", token_means, "mask", "of the true one off", token_sums),
    Bug("mlx-lm PR 1544", token_means, "mask", "6 and 1 unmasked rows", token_sums),
    Bug(
        "nanochat PR 59",
        mean_of_gradients,
        "adds",
        "equal micro-batches are right",
        sum_of_gradients,
    ),
    Bug("verl PR 906", mean_of_gradients, "adds", "15.8 %", sum_of_gradients),
    Bug("verl #2919", undivided, "adds", "not divided by their number", sum_of_gradients),
    Bug("pytorch #67253", mean_of_gradients, "adds", "of the true one off", sum_of_gradients),
    Bug(
        "pytorch #37359",
        averaging_ranks,
        "adds",
        "divided by their number too often",
        summing_ranks,
    ),
    Bug(
        "scikit-fingerprints #279",
        make_scorer(mean_squared_error),
        "sign",
        "worst model",
        make_scorer(mean_squared_error, greater_is_better=False),
    ),
    Bug("rstudio/keras3 #1071", mse, "adds", "of the true gradient", half_sse, depends=True),
    Bug("GTS #7", rooted_last, "adds", "even for equal batches", half_sse, depends=True),
]


def torch_bugs() -> list[Bug]:
    """Those that need PyTorch."""
    import torch
    from torch.nn.functional import mse_loss

    def plain(output, target):
        return torch.mean((output - target) ** 2)

    def squeezed(output, target):
        if output.shape != target.shape:
            raise ValueError("shapes differ")
        return torch.mean((output - target) ** 2)

    def rooted(output, target):
        return torch.sqrt(mse_loss(output, target))

    def rooted_safely(output, target):
        return torch.sqrt(mse_loss(output, target) + 1e-8)

    def logged(output, target):
        return torch.tensor(mse_loss(output, target).item())

    def empty_safe(output, target):
        return plain(output, target) if len(output) else (output - target).sum()

    def half(output, target):
        return torch.mean((output.half() - target.half()) ** 2)

    def wide(output, target):
        return torch.mean((output.double() - target.double()) ** 2)

    def summed_when_training(output, target):
        squares = (output - target) ** 2
        return squares.sum() if squares.requires_grad else squares.mean()

    def reduced_when_training(output, target):
        squares = (output - target) ** 2
        return squares.mean() if squares.requires_grad else squares

    return [
        Bug("pytorch #11149", summed_when_training, "gradient", "n·n_outputs ×", plain),
        Bug("pytorch #10009", reduced_when_training, "gradient", "1/(n·n_outputs) ×", plain),
        Bug("pytorch #16045", plain, "shapes", "n × n without a word", squeezed, silent=True),
        Bug("pytorch #19699", plain, "shapes", "instead of", squeezed, silent=True),
        Bug("keras #1172", rooted, "perfect output", "not a number", rooted_safely),
        Bug("pytorch #50224", plain, "empty batch", "nan without a word", empty_safe, depends=True),
        Bug("mmpose #1958", logged, "gradient", "no gradient reaches the output", plain),
        Bug("brevitas PR 1496", plain, "float16", "overflows", wide, depends=True),
        Bug("chainer #6702", half, "float16", "gives inf", wide, depends=True),
    ]
