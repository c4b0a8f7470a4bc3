"""Public bugs of squared-error losses, rebuilt small from what their threads report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
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


# Gradients that are not those of the value.
def mlp_value(y_true, y_pred):
    return 0.5 * np.average((y_true - y_pred) ** 2, axis=0).mean()


def mlp_gradient(y_true, y_pred):
    return (y_pred - y_true) / len(y_true)


def mse(target, output):
    return np.mean((output - target) ** 2)


def half_slope(target, output):
    return (output - target) / output.size


def slope(target, output):
    return 2 * (output - target) / output.size


def half_sse(y, y_hat):
    return 0.5 * np.sum((y - y_hat) ** 2)


# Objectives for boosting.
def wrong_sign(preds, dtrain):
    return 2 * (dtrain.get_label() - preds), np.full(len(preds), 2.0)


def over_rows(preds, dtrain):
    labels = dtrain.get_label()
    return 2 / len(labels) * (preds - labels), np.full(len(preds), 2 / len(labels))


def short_hessian(preds, train_data):
    return preds - train_data.get_label(), np.ones(1)


def objective(preds, dtrain):
    return preds - dtrain.get_label(), np.ones(len(preds))


def doubled_hessian(y_true, y_pred):
    return y_pred - y_true, np.full_like(y_pred, 2.0)


# Values.
def twice_divided(y_hat, y, batch_size):
    return ((y_hat - y) ** 2 / 2).mean() / batch_size


def relative(pred, target):
    return np.mean((pred - target) ** 2) / np.mean(target**2)


def expanded(x_hat, x_true):
    return np.mean(x_hat**2 - 2 * x_hat * x_true + x_true**2)


def pixels(image_true, image_pred):
    return ((image_true - image_pred) ** 2).mean()


def careful(image_true, image_pred):
    return ((image_true.astype(float) - image_pred.astype(float)) ** 2).mean()


def distances(prediction, target):
    error = (prediction - target) ** 2
    return np.sqrt(error.mean(-1)).mean() if error.ndim > 1 else np.sqrt(error.mean())


def rooted_last(prediction, target):
    return np.sqrt(((prediction - target) ** 2).mean())


# Weights and masks.
def over_count(y_true, y_pred, sample_weight=None):
    weight = 1.0 if sample_weight is None else sample_weight
    return np.mean(weight * (y_true - y_pred) ** 2)


def over_weights(y_true, y_pred, sample_weight=None):
    return np.average((y_true - y_pred) ** 2, weights=sample_weight)


def masked_mean(output, target, mask):
    return np.mean((output - target) ** 2 * mask)


def masked_sum(output, target, mask):
    return np.sum(np.where(mask, output - target, 0) ** 2) / np.sum(mask)


# What adds and what does not: metrics with a state, steps with micro-batches.
class MeanOfBatches:
    """A metric of an epoch: each batch counts the same."""

    rooted = False

    def __init__(self) -> None:
        self.reset()

    def reset(self):
        self.total, self.batches = 0.0, 0

    def update(self, target, output):
        value = np.mean((output - target) ** 2)
        self.total += np.sqrt(value) if self.rooted else value
        self.batches += 1

    def compute(self):
        return self.total / self.batches


class MeanOfBatchRoots(MeanOfBatches):
    rooted = True


class SumsOfBatches:
    """The same, kept as sums."""

    rooted = False

    def __init__(self) -> None:
        self.reset()

    def reset(self):
        self.sse, self.count = 0.0, 0

    def update(self, target, output):
        self.sse += np.sum((output - target) ** 2)
        self.count += output.size

    def compute(self):
        value = self.sse / self.count
        return np.sqrt(value) if self.rooted else value


class RootOfSums(SumsOfBatches):
    rooted = True


class LastBatch(MeanOfBatches):
    """Only the last batch is kept."""

    def update(self, target, output):
        self.total, self.batches = np.mean((output - target) ** 2), 1


COEFFICIENTS = np.array([0.5, -1.0, 2.0])


def gradient_of(inputs, target, *, mean):
    gradient = 2 * inputs.T @ (inputs @ COEFFICIENTS - target)
    return gradient / len(target) if mean else gradient


def mean_of_gradients(micro_batches):
    return sum(gradient_of(*b, mean=True) for b in micro_batches) / len(micro_batches)


def undivided(micro_batches):
    return sum(gradient_of(*b, mean=True) for b in micro_batches)


def sum_of_gradients(micro_batches):
    rows = sum(len(target) for _, target in micro_batches)
    return sum(gradient_of(*b, mean=False) for b in micro_batches) / rows


def token_means(micro_batches):
    total = 0.0
    for inputs, target, mask in micro_batches:
        total = total + 2 * inputs.T @ (mask * (inputs @ COEFFICIENTS - target)) / mask.sum()
    return total / len(micro_batches)


def token_sums(micro_batches):
    total, tokens = 0.0, 0.0
    for inputs, target, mask in micro_batches:
        total = total + 2 * inputs.T @ (mask * (inputs @ COEFFICIENTS - target))
        tokens = tokens + mask.sum()
    return total / tokens


def averaging_ranks(ranks):
    """Each rank's sum, then the mean over ranks, as an all-reduce that averages does."""
    return sum(gradient_of(*b, mean=False) for b in ranks) / len(ranks)


def summing_ranks(ranks):
    return sum(gradient_of(*b, mean=False) for b in ranks)


Step = Callable[[Any], Any]

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
