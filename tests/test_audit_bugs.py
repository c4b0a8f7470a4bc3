"""Every public bug is found, by its own check; the same loss without it passes that check."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from audit_bugs import BUGS, Bug, torch_bugs

from halfsquare import audit_loss


def found(bug: Bug) -> None:
    audit = audit_loss(bug.loss, bug.gradient)
    finding = audit[bug.check]
    assert bug.says in finding.says, finding.says
    assert finding.verdict == ("depends" if bug.silent or bug.depends else "fail")
    assert finding.example or finding.check == "adds"
    assert audit.passed is not (finding.verdict == "fail")
    if bug.silent:
        assert not audit_loss(bug.loss, bug.gradient, strict=True).passed
    right = audit_loss(bug.right, bug.right_gradient)
    assert right[bug.check].verdict == bug.right_verdict, right[bug.check]
    assert bug.says not in right[bug.check].says


@pytest.mark.parametrize("bug", BUGS, ids=lambda b: b.thread)
def test_a_public_bug_is_found(bug: Bug) -> None:
    found(bug)


def test_public_bugs_of_pytorch_losses_are_found() -> None:
    pytest.importorskip("torch")
    for bug in torch_bugs():
        found(bug)


def test_the_docs_name_every_thread() -> None:
    docs = (Path(__file__).parents[1] / "docs" / "audit.md").read_text(encoding="utf-8")
    threads = [bug.thread for bug in BUGS]
    assert len(set(threads)) == len(threads) >= 20
    for thread in threads:
        number = re.search(r"(PR |#)\d+$", thread)
        assert number is not None and number[0] in docs, thread
