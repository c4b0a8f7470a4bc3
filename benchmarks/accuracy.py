"""Test RMSE, log-likelihood, coverage and time on published splits, beside other learners in the
same run.

    python benchmarks/accuracy.py --data DIR --quick

writes docs/accuracy.md. Peers that are not installed are left out. Defaults were compared on rows
set aside from the training rows of the first splits, over all sets together. Two things weaken
that: rows set aside in one split are test rows of another, and test figures of the first three
splits were seen while the defaults took shape (that of energy gave the occasion for keeping inputs
in play in half of the members). Splits from the fourth on are the fairer judges.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from _datasets import Split, names, splits

Predict = Callable[
    [Split], tuple[np.ndarray, np.ndarray | None]
]  # mean, and standard deviation if there is one

_LARGE = 5000  # rows from which a split takes minutes: the quick mode runs one


@dataclass(frozen=True)
class Result:
    rmse: float
    seconds: float
    log_likelihood: float
    coverage: float


def halfsquare(split: Split) -> tuple[np.ndarray, np.ndarray | None]:
    from halfsquare import AutoRegressor

    return AutoRegressor().fit(split.design, split.target).predict(split.test_design, True)


def halfsquare_trees(split: Split) -> tuple[np.ndarray, np.ndarray | None]:
    from halfsquare import TreesRegressor

    return TreesRegressor().fit(split.design, split.target).predict(split.test_design, True)


def halfsquare_network(split: Split) -> tuple[np.ndarray, np.ndarray | None]:
    from halfsquare import NetworkRegressor

    return NetworkRegressor().fit(split.design, split.target).predict(split.test_design, True)


def sklearn_peer(make: Callable[[], object], *, scaled: bool) -> Predict:
    def predict(split: Split) -> tuple[np.ndarray, np.ndarray | None]:
        x, x_test = _standardized(split) if scaled else (split.design, split.test_design)
        mean, scale = (split.target.mean(), split.target.std()) if scaled else (0.0, 1.0)
        model = make()
        model.fit(x, (split.target - mean) / scale)  # type: ignore[attr-defined]
        return mean + scale * np.ravel(model.predict(x_test)), None  # type: ignore[attr-defined]

    return predict


def learners() -> dict[str, Predict]:
    """halfsquare and every peer that can be imported."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import LinearRegression
    from sklearn.neural_network import MLPRegressor

    found: dict[str, Predict] = {
        "halfsquare": halfsquare,
        "halfsquare trees": halfsquare_trees,
        "halfsquare network": halfsquare_network,
        "LinearRegression": sklearn_peer(LinearRegression, scaled=True),
        "MLPRegressor": sklearn_peer(lambda: MLPRegressor(random_state=0), scaled=True),
        "MLPRegressor lbfgs": sklearn_peer(
            lambda: MLPRegressor(solver="lbfgs", random_state=0), scaled=True
        ),
        "HistGradientBoosting": sklearn_peer(
            lambda: HistGradientBoostingRegressor(random_state=0), scaled=False
        ),
    }
    try:
        import torch_levenberg_marquardt  # noqa: F401

        found["torch-levenberg-marquardt"] = torch_levenberg_marquardt_peer
    except ImportError:
        pass
    try:
        from catboost import CatBoostRegressor

        found["CatBoost"] = sklearn_peer(
            lambda: CatBoostRegressor(verbose=0, random_seed=0, allow_writing_files=False),
            scaled=False,
        )
    except ImportError:
        pass
    try:
        from lightgbm import LGBMRegressor

        found["LightGBM"] = sklearn_peer(
            lambda: LGBMRegressor(verbosity=-1, random_state=0), scaled=False
        )
    except ImportError:
        pass
    try:
        from pytabkit import RealMLP_TD_Regressor

        found["RealMLP-TD"] = sklearn_peer(
            lambda: RealMLP_TD_Regressor(device="cpu", random_state=0), scaled=False
        )
    except ImportError:
        pass
    return found


def torch_levenberg_marquardt_peer(split: Split) -> tuple[np.ndarray, None]:
    """One layer of 20 tanh units, as MATLAB's fitnet would have it tuned by hand, for at most 100
    steps on all rows.

    The package is a trainer without a default network, regularization or stopping rule of its own.
    """
    import torch
    from torch_levenberg_marquardt.training import LevenbergMarquardtModule

    torch.manual_seed(0)
    (x, x_test), mean, scale = _standardized(split), split.target.mean(), split.target.std()
    inputs, targets = torch.from_numpy(x), torch.from_numpy((split.target - mean) / scale)[:, None]
    hidden = torch.nn.Linear(x.shape[1], 20, dtype=torch.float64)
    network = torch.nn.Sequential(
        hidden, torch.nn.Tanh(), torch.nn.Linear(20, 1, dtype=torch.float64)
    )
    trainer = LevenbergMarquardtModule(network, max_batch_size=8192)
    for _ in range(100):
        _, _, stopped, _ = trainer.training_step(inputs, targets)
        if stopped:
            break
    with torch.no_grad():
        return mean + scale * network(torch.from_numpy(x_test)).numpy()[:, 0], None


def _standardized(split: Split) -> tuple[np.ndarray, np.ndarray]:
    mean, scale = split.design.mean(axis=0), split.design.std(axis=0)
    scale[scale == 0] = 1.0
    return (split.design - mean) / scale, (split.test_design - mean) / scale


class Record:
    """Results on disk, one a line: a run that was broken off goes on where it was, and runs can be
    put together.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path is not None and path.exists() else []
        self.known = {tuple(key): Result(*values) for key, values in map(json.loads, lines)}

    def result(self, key: tuple[str, int, str], make: Callable[[], Result]) -> Result:
        """The result of (set, split, learner): made if it is not known."""
        if key not in self.known:
            self.known[key] = make()
            print(
                *key, f"{self.known[key].rmse:.4g} in {self.known[key].seconds:.1f} s", flush=True
            )
            if self.path is not None:
                with self.path.open("a") as file:
                    file.write(json.dumps([key, astuple(self.known[key])]) + "\n")
        return self.known[key]

    def by_set(self, names: Iterable[str], peers: list[str]) -> dict[str, dict[str, list[Result]]]:
        """All that is known, in the order of the splits."""
        return {
            name: {
                peer: [
                    r for key, r in sorted(self.known.items()) if key[0] == name and key[2] == peer
                ]
                for peer in peers
            }
            for name in names
        }


def judge(predict: Predict, split: Split) -> Result:
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mean, deviation = predict(split)
    seconds = time.perf_counter() - begun
    error = mean - split.test_target
    if deviation is None:
        return Result(float(np.sqrt(np.mean(error**2))), seconds, np.nan, np.nan)
    z = error / deviation
    likelihood = float(np.mean(-0.5 * z**2 - np.log(deviation) - 0.5 * np.log(2 * np.pi)))
    return Result(
        float(np.sqrt(np.mean(error**2))), seconds, likelihood, float(np.mean(np.abs(z) < 1.959964))
    )


def table(
    results: dict[str, dict[str, list[Result]]],
    peers: list[str],
    quiet: dict[str, dict[str, list[Result]]],
) -> str:
    """RMSE ± standard error by set and learner, then how halfsquare knows what it does not know;
    seconds of ``quiet``.
    """
    lines = ["| set | " + " | ".join(peers) + " |", "|---" * (len(peers) + 1) + "|"]
    ratios: dict[str, list[float]] = {peer: [] for peer in peers}
    for name, by_peer in results.items():
        means = {
            peer: float(np.mean([r.rmse for r in by_peer[peer]])) for peer in peers if by_peer[peer]
        }
        cells = []
        for peer in peers:
            if peer not in means:
                cells.append("–")
                continue
            rmse = [r.rmse for r in by_peer[peer]]
            error = f" ± {np.std(rmse, ddof=1) / np.sqrt(len(rmse)):.2g}" if len(rmse) > 1 else ""
            text = f"{means[peer]:.4g}{error}"
            cells.append(f"**{text}**" if means[peer] == min(means.values()) else text)
            ratios[peer].append(means["halfsquare"] / means[peer])
        lines.append(f"| {name} ({len(by_peer['halfsquare'])}) | " + " | ".join(cells) + " |")
    geometric = [f"{np.exp(np.mean(np.log(ratios[peer]))):.3f}" for peer in peers]
    lines.append("| **ours / theirs, geometric mean** | " + " | ".join(geometric) + " |")
    lines += ["", "Median seconds of fit and prediction:", ""]
    lines += ["| set | " + " | ".join(peers) + " |", "|---" * (len(peers) + 1) + "|"]
    for name, by_peer in quiet.items():
        spent = [[r.seconds for r in by_peer[peer]] for peer in peers]
        lines.append(
            f"| {name} | " + " | ".join(f"{np.median(s):.2f}" if s else "–" for s in spent) + " |"
        )
    lines += [
        "",
        "Intervals of halfsquare:",
        "",
        "| set | log-likelihood | coverage of 95 % |",
        "|---|---|---|",
    ]
    coverages = []
    for name, by_peer in results.items():
        ours = by_peer["halfsquare"]
        coverages.append(float(np.mean([r.coverage for r in ours])))
        lines.append(
            f"| {name} | {np.mean([r.log_likelihood for r in ours]):.3f} | "
            f"{100 * coverages[-1]:.1f} % |"
        )
    lines.append(f"| **mean** | | {100 * np.mean(coverages):.1f} % |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--quick", action="store_true", help="3 splits of small sets and 1 of large ones"
    )
    parser.add_argument(
        "--skip",
        type=int,
        default=0,
        help="leave out this many splits: 3 leaves those that were seen",
    )
    parser.add_argument("--sets", nargs="*", help="only these, such as splits/yacht")
    parser.add_argument("--peers", nargs="*", help="only these")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parents[1] / "docs" / "accuracy.md"
    )
    parser.add_argument(
        "--record", type=Path, help="results are kept here, a line each, and not made again"
    )
    parser.add_argument(
        "--quiet",
        type=Path,
        help="a record of a run that had the machine to itself: seconds are its",
    )
    parser.add_argument(
        "--known", action="store_true", help="make no results: put together those of the record"
    )
    options = parser.parse_args()
    available, record = learners(), Record(options.record)
    quiet = Record(options.quiet) if options.quiet else record
    peers = [p for p in available if p in (options.peers or available)]
    results: dict[str, dict[str, list[Result]]] = {}
    if options.known:
        sets = [name.split("/")[1] for name in options.sets or names(options.data)]
        options.out.write_text(
            _HEADING + table(record.by_set(sets, peers), peers, quiet.by_set(sets, peers)) + "\n"
        )
        return
    for name in options.sets or names(options.data):
        count = 20 if name.startswith("splits") else 10
        if options.quick:
            count = 1 if len(next(splits(options.data, name, 1)).target) > _LARGE else 3
        short = name.split("/")[1]
        results[short] = {peer: [] for peer in peers}
        for split in islice(splits(options.data, name, count + options.skip), options.skip, None):
            for peer in peers:
                key = (short, split.number, peer)
                results[short][peer].append(
                    record.result(key, partial(judge, available[peer], split))
                )
        if "halfsquare" in peers:
            options.out.write_text(
                _HEADING + table(results, peers, quiet.by_set(results, peers)) + "\n"
            )
    if "halfsquare" in peers:
        print(table(results, peers, quiet.by_set(results, peers)))


_HEADING = """# Accuracy on published splits

Test RMSE, mean ± standard error over splits (their number in brackets), every learner with
its defaults, on
one machine. The best of each row is bold: where a tree ensemble wins, it says so. Written by
`benchmarks/accuracy.py`, whose first lines say how the defaults were chosen and what weakens that.

"""


if __name__ == "__main__":
    main()
