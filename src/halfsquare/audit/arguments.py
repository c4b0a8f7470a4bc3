"""Which argument is the target, the output, the weights or a mask: by name, else by position."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from halfsquare.errors import OptionError

Role = Literal["target", "output", "weight", "mask", "count"]

_NAMES: dict[Role, str] = {
    "target": "t y y_true ytrue true truth target targets label labels y_target actual "
    "actuals observed observation "
    "observations obs ground_truth gt reference ref expected y_test tgt gold "
    "desired measured tar real y_batch yb",
    "output": "o y_pred ypred pred preds prediction predictions predicted predt output "
    "outputs out y_hat yhat hat input "
    "inputs logits estimate estimates estimated forecast fitted y_output "
    "model_output score raw_prediction x_hat recon "
    "reconstruction raw_score net_output approx computed simulated y_est",
    "weight": "w weight weights sample_weight sample_weights row_weight row_weights wt wts "
    "sw example_weight",
    "mask": "mask masks valid valid_mask padding_mask pad_mask attention_mask loss_mask "
    "is_valid keep",
    "count": "n count num_items num_items_in_batch batch_size n_samples num_samples n_rows m bs",
}
ROLES: dict[str, Role] = {name: role for role, names in _NAMES.items() for name in names.split()}
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Told:
    """What the user said about his loss."""

    target: str | None = None
    output: str | None = None
    library: str | None = None
    arguments: Mapping[str, Any] | None = None
    kind: str | None = None


@dataclass(frozen=True)
class Slot:
    """One parameter that gets a value of ours."""

    name: str
    role: Role
    positional: bool
    required: bool


@dataclass(frozen=True)
class Arguments:
    """How to call one function: its slots in order, what is fixed, and how that was found."""

    slots: tuple[Slot, ...]
    fixed: Mapping[str, Any]
    how: str

    def has(self, role: Role) -> bool:
        return any(s.role == role for s in self.slots)

    def needs(self, role: Role) -> bool:
        return any(s.role == role and s.required for s in self.slots)

    def bind(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments; a role without a value (None) is left out."""
        positional: list[Any] = []
        keywords = dict(self.fixed)
        gap = False
        for slot in self.slots:
            given = values.get(slot.role)
            if given is None:
                gap = True
            elif slot.positional and not gap:
                positional.append(given)
            else:
                keywords[slot.name] = given
        return positional, keywords

    def swapped(self, how: str) -> Arguments:
        """The same with target and output exchanged."""
        other: dict[Role, Role] = {"target": "output", "output": "target"}
        slots = tuple(
            Slot(s.name, other.get(s.role, s.role), s.positional, s.required) for s in self.slots
        )
        return Arguments(slots, self.fixed, how)


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """The parameters, or None where Python does not know them (some compiled functions)."""
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    return found


def read_arguments(
    function: Callable[..., Any], told: Told, *, output_first: bool = False
) -> Arguments:
    """Find the roles of a function's parameters.

    Parameters
    ----------
    told : Told
        Names of target and output, and further arguments, that the user gave.
    output_first : bool
        What the library's own losses do (torch); used where names say nothing.

    Raises
    ------
    OptionError
        If a required parameter has no role, or there are not two to take target and output.
    """
    target, output, fixed = told.target, told.output, dict(told.arguments or {})
    parameters = parameters_of(function)
    first, second = ("output", "target") if output_first else ("target", "output")
    unnamed = f"by position, the {first} first; nothing in the names says which is which"
    if parameters is None or (
        parameters and parameters[0].kind is inspect.Parameter.VAR_POSITIONAL
    ):
        return Arguments(_plain(first, second), fixed, unnamed)  # type: ignore[arg-type]
    known = {p.name for p in parameters}
    keywords = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    for name in [n for n in (target, output, *fixed) if n is not None]:
        if name not in known and not keywords:
            raise OptionError(
                f"it has no argument {name!r}; its arguments are {', '.join(known) or 'none'}"
            )
    usable = [
        p for p in parameters if p.kind in _POSITIONAL or p.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    usable = [p for p in usable if p.name not in fixed]
    roles: dict[str, Role] = {p.name: r for p in usable if (r := role_of(p.name)) is not None}
    if target is not None or output is not None:
        roles = {n: r for n, r in roles.items() if r not in ("target", "output")}
        roles.update({n: r for n, r in ((target, "target"), (output, "output")) if n is not None})  # type: ignore[misc]
    how = "as told" if target or output else "by the names"
    how = _complete(usable, roles, first, second, how, unnamed)
    required = [p for p in usable if p.default is inspect.Parameter.empty]
    unknown = [p.name for p in required if p.name not in roles]
    if unknown:
        raise OptionError(
            f"it needs {', '.join(unknown)}, and that is neither target, output, weights "
            "nor a mask: give a value with "
            f"--argument {unknown[0]}=VALUE (arguments={{{unknown[0]!r}: …}} in Python), or "
            "wrap it in a function of two"
        )
    slots: list[Slot] = []
    for p in (p for p in usable if p.name in roles):
        # By position only as long as no parameter before it is left out; by name from then on.
        leading = len(slots) < len(parameters) and parameters[len(slots)].name == p.name
        positional = p.kind is inspect.Parameter.POSITIONAL_ONLY or (
            p.kind in _POSITIONAL and leading
        )
        slots.append(Slot(p.name, roles[p.name], positional, p.default is inspect.Parameter.empty))
    return Arguments(tuple(slots), fixed, how)


def _complete(
    usable: list[inspect.Parameter],
    roles: dict[str, Role],
    first: str,
    second: str,
    how: str,
    unnamed: str,
) -> str:
    """Give target and output to parameters where names did not; returns how it was done."""
    for role in ("target", "output"):
        twice = [n for n, r in roles.items() if r == role]
        for name in twice[1:]:  # y and y_true: the first is meant, the other is read by position
            del roles[name]
    needed = [p.name for p in usable if p.default is inspect.Parameter.empty]
    if sum(name not in roles for name in needed) >= 2:
        for name in [n for n, r in roles.items() if r in ("target", "output") and n not in needed]:
            del roles[name]  # out=None of a ufunc is not the model's output
    missing = [r for r in ("target", "output") if r not in roles.values()]
    free = [p.name for p in usable if p.name not in roles and p.default is inspect.Parameter.empty]
    optional = {n for n, r in roles.items() if r in ("weight", "mask", "count")}
    if len(missing) == 2 and len(free) < 2:  # such as f(w, n): taken for the two arrays
        free = [p.name for p in usable if p.name in {*free, *optional}][:2]
    if len(free) < len(missing):
        raise OptionError(
            f"it takes {', '.join(p.name for p in usable) or 'no arguments'}; a loss takes "
            "a target and an output"
        )
    if len(missing) == 2:
        roles.update({free[0]: first, free[1]: second})  # type: ignore[dict-item]
        return unnamed
    if missing:
        roles[free[0]] = missing[0]  # type: ignore[assignment]
        return f"{how}, and {free[0]} as the other one"
    return how


def role_of(name: str) -> Role | None:
    """What a parameter of this name is for; None if its name does not tell."""
    plain = name.lower().strip("_")
    if plain in ROLES:
        return ROLES[plain]
    for ending, role in (
        ("_true", "target"),
        ("_pred", "output"),
        ("_hat", "output"),
        ("_target", "target"),
    ):
        if plain.endswith(ending):
            return role  # type: ignore[return-value]
    return None


def _plain(first: Role, second: Role) -> tuple[Slot, ...]:
    return Slot("first argument", first, True, True), Slot("second argument", second, True, True)
