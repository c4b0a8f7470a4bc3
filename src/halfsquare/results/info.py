"""How a model was made as JSON values, under one set of keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halfsquare.files.records import to_json
from halfsquare.results.record import FitRecord
from halfsquare.results.trained import LinearFacts, NetworkFacts, Trained, TreesFacts
from halfsquare.solvers.base import Reason, Record


def interrupted(members: Sequence[Trained[Any]]) -> bool:
    """Whether somebody ended the descent of one of them."""
    return any(member.termination.reason is Reason.INTERRUPTED for member in members)


def as_info(record: FitRecord, members: Sequence[Trained[Any]]) -> dict[str, Any]:
    """All of it as JSON values under one set of keys, as ``fit --json`` prints them."""
    first, training, data = members[0], record.training, record.data
    info: dict[str, Any] = {
        "kind": training.kind,
        "method": training.method,
        "reason": str(first.termination),
        "ended": first.termination.reason.value,
        "converged": all(member.termination.converged for member in members),
        "effective_parameters": first.effective_parameters,
        "facts": to_json(first.facts),
        "warnings": list(training.warnings),
        "history": [_line(step) for step in training.history],
    }
    if isinstance(first.facts, LinearFacts):
        info["inference"] = info["facts"].pop("inference")
        info["facts"].pop("cluster_sums")
    if training.kind == "network":
        info["members"] = [_network(member) for member in members]
        info["relevance"] = training.relevance
    if training.kind == "trees":
        info["members"] = [_trees(member) for member in members]
        info["relevance"] = training.relevance
        info["ensembles"] = to_json(training.ensembles)
    if training.kind == "blend":
        info |= {"effective_parameters": None, "facts": {}, "relevance": training.relevance}
        info["parts"] = to_json(training.parts)
        info["left_out"] = {"mse": training.left_out_mse, "mse_se": training.left_out_mse_se}
    if training.weighed is not None:
        info["weighed"] = to_json(training.weighed)
    if training.calibration:
        info["calibration"] = to_json(training.calibration)
    if training.stretches:
        info["stretches"] = to_json(training.stretches)
    if training.transforms:
        info["transforms"] = to_json(training.transforms)
    if training.candidates:
        info["tried"] = to_json(training.candidates)
        info["chosen"] = training.chosen
    if data is not None:
        info |= {
            "data": data.name,
            "target": list(data.targets),
            "weights": data.weights,
            "rows_read": data.rows_read,
            "reading": data.reading,
            "rows_missing_target": data.rows_missing_target,
            "rows_missing_feature": data.rows_missing_feature,
            "rows_zero_weight": data.rows_zero_weight,
            "options": record.options,
        }
        if data.sources:
            info["sources"] = to_json(data.sources)
    if record.measured is not None:
        info |= {"version": record.version, **record.measured.as_dict(), "refit": record.refit}
    return info


def _line(step: Record) -> dict[str, float]:
    line = {"iteration": step.iteration, "loss": step.loss, "gradient_norm": step.gradient_norm}
    return {**line, **step.notes}


def _network(member: Trained[NetworkFacts]) -> dict[str, Any]:
    return {
        "hidden": list(member.facts.hidden),
        "reason": str(member.termination),
        "ended": member.termination.reason.value,
        "effective_parameters": member.effective_parameters,
        "parameters": len(member.parameters),
        "log_evidence": member.facts.log_evidence,
    }


def _trees(member: Trained[TreesFacts]) -> dict[str, Any]:
    return {
        "ensemble": member.facts.ensemble,
        "trees": list(member.facts.trees),
        "reason": str(member.termination),
        "ended": member.termination.reason.value,
        "effective_parameters": member.effective_parameters,
        "parameters": len(member.parameters),
    }
