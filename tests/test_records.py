"""Records read strictly from JSON values: what has another type than its field is named, never
converted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfsquare.files.records import from_json, to_json
from halfsquare.loss import Floats


class Reason(Enum):
    SMALL = "small"
    LATE = "late"


@dataclass(frozen=True)
class Inner:
    name: str
    size: float | None = None


@dataclass(frozen=True)
class Outer:
    kind: Literal["a", "b"]
    count: int
    flag: bool
    reason: Reason
    pair: tuple[int, float]
    inner: tuple[Inner, ...]
    limits: dict[str, Inner]
    either: Inner | str
    more: list[Any] = field(default_factory=list)


OUTER = Outer(
    "a", 3, True, Reason.LATE, (1, 2.5), (Inner("x"), Inner("y", 0.1)), {"z": Inner("z")}, "text"
)


def test_a_record_comes_back() -> None:
    described = to_json(OUTER)
    assert json.loads(json.dumps(described)) == described
    assert from_json(Outer, described) == OUTER
    array = from_json(Floats, [1, 2.5])
    assert array.dtype == np.float64 and array.tolist() == [1.0, 2.5]
    assert to_json(array) == [1.0, 2.5]


WRONG: dict[str, tuple[Any, str]] = {
    "kind": ("c", "kind is 'c'; expected one of 'a', 'b'"),
    "count": (True, "count is True; expected a whole number"),
    "flag": (1, "flag is 1; expected true or false"),
    "reason": ("never", "reason is 'never'; expected one of 'small', 'late'"),
    "pair": ([1], r"pair is \[1\]; expected a list of 2"),
    "inner": ([{"name": "x"}, {"size": 1.0}], r"inner\[1\].name is missing"),
    "limits": ({"z": {"name": "z", "size": "1"}}, "limits.z.size is '1'; expected a number"),
    "either": (3, "either is 3; expected"),
    "more": (None, "more is None; expected a list"),
    "other": (0, "other is unknown; expected kind, count"),
}


@pytest.mark.parametrize("name", WRONG)
def test_another_type_is_named_with_its_place(name: str) -> None:
    value, words = WRONG[name]
    with pytest.raises(ValueError, match=words):
        from_json(Outer, {**to_json(OUTER), name: value})


def test_a_number_too_large_for_its_type_is_refused() -> None:
    for kind, value in ((float, 10**400), (int, 1 << 63)):
        with pytest.raises(ValueError, match="expected a"):
            from_json(kind, value)
    assert from_json(float, 3) == 3.0 and from_json(int, (1 << 63) - 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside),
    max_leaves=5,
)


@given(at=st.sampled_from(sorted(to_json(OUTER))), value=JSON)
def test_any_value_is_read_or_refused(at: str, value: Any) -> None:
    """What is read is described by the values it was read from."""
    given_ = {**to_json(OUTER), at: value}
    try:
        found = from_json(Outer, given_)
    except ValueError:
        return
    assert repr(to_json(found)[at]) == repr(value) or at in ("pair", "limits", "inner", "either")
