"""Losses, gradients, objectives, metrics and steps with the bugs of ``audit_bugs``, and without."""

from __future__ import annotations

import numpy as np


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
