"""What an audit says: one finding a check, all of them in one record that prints as a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["pass", "fail", "depends", "not checked"]

# Every check, in the order in which it is printed, with the question that it answers.
CHECKS = {
    "call": "can it be called with a target and an output",
    "reproducible": "the same rows give the same value, the arguments are left as they were",
    "convention": "which multiple of Σ(o−t)² it is",
    "claim": "its name, or the convention asked for, against what it computes",
    "sign": "it grows with the error, and its gradient has the sign of o − t",
    "gradient": "the gradient belongs to the value",
    "hessian": "the second derivative belongs to the gradient",
    "perfect output": "value and gradient are zero where o = t",
    "adds": "uneven batches, accumulation, ranks",
    "weights": "an integer weight stands for repeated rows, zero for an absent one",
    "mask": "a masked row counts as no row",
    "shapes": "(n,) against (n, 1)",
    "NaN": "a missing output is not passed over",
    "infinity": "an infinite output is not passed over",
    "empty batch": "what no rows give",
    "integers": "whole numbers, unsigned ones too",
    "float32": "value and gradient in single precision",
    "float16": "errors whose squares exceed 65,504",
    "cancellation": "a large common level of target and output",
}


@dataclass(frozen=True)
class Finding:
    """The answer of one check.

    Attributes
    ----------
    check : str
        One of :data:`CHECKS`.
    verdict : {"pass", "fail", "depends", "not checked"}
        *depends*: right as long as something holds that ``says`` names.
    says : str
        The answer in words, with its figures.
    example : str
        The smallest example of what is wrong; empty where nothing is.
    mend : str
        One line that mends it; empty where there is nothing to mend.
    silent : bool
        A *depends* that gives a wrong number without a word; it fails a strict audit.
    figures : dict
        The numbers of ``says``, for machines.
    """

    check: str
    verdict: Verdict
    says: str
    example: str = ""
    mend: str = ""
    silent: bool = False
    figures: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def passed(cls, check: str, says: str, **more: Any) -> Finding:
        """Nothing is wrong."""
        return cls(check, "pass", says, **more)

    @classmethod
    def failed(
        cls, check: str, says: str, example: str = "", mend: str = "", **more: Any
    ) -> Finding:
        """Something is."""
        return cls(check, "fail", says, example, mend, **more)

    @classmethod
    def depends(
        cls, check: str, says: str, example: str = "", mend: str = "", **more: Any
    ) -> Finding:
        """Right as long as something holds."""
        return cls(check, "depends", says, example, mend, **more)

    @classmethod
    def unchecked(cls, check: str, says: str) -> Finding:
        """It could not be checked, and why."""
        return cls(check, "not checked", says)


@dataclass(frozen=True)
class Audit:
    """The findings about one loss.

    Attributes
    ----------
    name, kind, library : str
        What was audited: its name, what it was taken for, whose arrays it was given.
    arguments : str
        Which argument is which, and how that was found.
    convention : str or None
        ``half_sse``, ``sse``, ``mse``, ``half_mse`` as in :mod:`halfsquare.loss`, another name of
        docs/audit.md, or None where the value is no known function of the errors.
    formula : str
        The value as a formula.
    findings : tuple of Finding
    strict : bool
        Whether a silent *depends* counts as a failure.
    """

    name: str
    kind: str
    library: str
    arguments: str
    convention: str | None
    formula: str
    findings: tuple[Finding, ...]
    strict: bool = False

    def failures(self) -> tuple[Finding, ...]:
        """The findings that fail this audit."""
        return tuple(f for f in self.findings if f.verdict == "fail" or (self.strict and f.silent))

    @property
    def passed(self) -> bool:
        """Whether nothing fails; a *depends* passes unless the audit is strict and it is silent."""
        return not self.failures()

    def __getitem__(self, check: str) -> Finding:
        """The finding of one check, by its name."""
        for found in self.findings:
            if found.check == check:
                return found
        raise KeyError(check)

    def as_dict(self) -> dict[str, Any]:
        """The audit under its JSON names."""
        return {
            "loss": self.name,
            "kind": self.kind,
            "library": self.library,
            "arguments": self.arguments,
            "convention": self.convention,
            "formula": self.formula,
            "passed": self.passed,
            "strict": self.strict,
            "findings": [
                {
                    "check": f.check,
                    "verdict": f.verdict,
                    "says": f.says,
                    "example": f.example or None,
                    "mend": f.mend or None,
                    "silent": f.silent,
                    "figures": f.figures,
                }
                for f in self.findings
            ],
        }

    def __str__(self) -> str:
        """The table, and below it an example and a remedy for all that is not plainly right."""
        width = max(len(f.check) for f in self.findings)
        lines = [f"{self.name}: {self.kind}, {self.library}", f"  {self.arguments}", ""]
        for f in self.findings:
            lines.append(f"  {f.check:<{width}}  {_word(f, self.strict):<11}  {f.says}")
            if f.example and f.verdict != "pass":
                lines.append(f"  {'':<{width}}  {'':<11}  example: {f.example}")
            if f.mend:
                lines.append(f"  {'':<{width}}  {'':<11}  mend: {f.mend}")
        return "\n".join([*lines, "", self.conclusion()])

    def conclusion(self) -> str:
        """One sentence: how many checks passed, failed, depend."""
        counts = {
            v: sum(f.verdict == v for f in self.findings) for v in ("pass", "fail", "depends")
        }
        failed = len(self.failures())
        more = f", {failed - counts['fail']} more of them silent" if failed > counts["fail"] else ""
        return (
            f"{'Passed' if self.passed else 'FAILED'}: {counts['pass']} pass, "
            f"{counts['fail']} fail, "
            f"{counts['depends']} depend{'s' if counts['depends'] == 1 else ''}{more}."
        )


def _word(found: Finding, strict: bool) -> str:
    if found.verdict == "fail" or (strict and found.silent):
        return "FAIL"
    return found.verdict
