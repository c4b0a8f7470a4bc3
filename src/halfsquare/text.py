"""Numbers and sentences as people read them: in the terminal, the report and the page alike."""

from __future__ import annotations

from typing import Any

# How the conventions of the loss are written wherever they are named.
LOSS_NAMES = {"half_sse": "½SSE", "sse": "SSE", "mse": "MSE", "half_mse": "½MSE"}


def visible(text: str) -> str:
    r"""The text with every character that is not to be seen written by its number: what stands in a
    file's columns and levels must not steer a terminal.

    Examples
    --------
    >>> print(visible("a" + chr(27) + "[2J"))
    a\x1b[2J
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def showable(text: str) -> str:
    r"""The text for a page: what no page can show, and what would turn the text around it, written
    by its number. Spaces of every width and what joins characters stay.

    Examples
    --------
    >>> print(showable("a" + chr(27) + "[2J " + chr(0x202E) + "b" + chr(0xA0) + "c"))
    a\x1b[2J \u202eb c
    """
    if text.isprintable():
        return text
    return "".join(repr(c)[1:-1] if is_hidden(c) else c for c in text)


def is_hidden(character: str) -> bool:
    """A control character, half of a character, a noncharacter, or a mark of writing direction."""
    from unicodedata import bidirectional, category

    kind, code = category(character), ord(character)
    return (
        (kind in ("Cc", "Cs", "Zl", "Zp") and character not in "\n\t")
        or code & 0xFFFE == 0xFFFE
        or 0xFDD0 <= code <= 0xFDEF
        or bidirectional(character) in _TURNING
    )


_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def number(value: float | None, digits: int = 5) -> str:
    """A number to some significant digits, a whole one to all of them; see :func:`plain`."""
    if value is None or value != value:
        return "–"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    return plain(value, digits)


def plain(value: float | None, digits: int = 4) -> str:
    """A measured number as people write it: thousands set apart, no power of ten where the size
    can be seen without one.

    Examples
    --------
    >>> plain(137912.3), plain(0.0045678), plain(-2.0), plain(2e-9), plain(float("nan"))
    ('137,900', '0.004568', '-2', '2e-09', '–')
    """
    if value is None or value != value:
        return "–"
    rounded = float(f"{value:.{digits}g}")
    size = abs(rounded)
    if size >= 1e15 or 0 < size < 1e-5:
        return f"{rounded:.{digits}g}"
    if size >= 10 ** (digits - 1) or rounded.is_integer():
        return f"{rounded:,.0f}"
    from math import floor, log10

    places = digits - 1 - floor(log10(size))
    return f"{rounded:,.{places}f}".rstrip("0").rstrip(".")


def digits_apart(one: float, other: float, least: int) -> int:
    """The significant digits, ``least`` or more, with which two numbers are to be written so that
    their difference can be read off to five digits.

    Examples
    --------
    >>> digits_apart(3.0, 2.2, 5), digits_apart(1e12, 1e12 + 1, 10), digits_apart(0.3, 0.1 + 0.2, 5)
    (5, 13, 17)
    """
    difference = other - one
    for digits in range(least, 17):
        shown = float(f"{other:.{digits}g}") - float(f"{one:.{digits}g}")
        if abs(shown - difference) <= 1e-5 * abs(difference):
            return digits
    return 17


def with_error(value: float, error: float | None) -> str:
    """value ± standard error, both to the digits that the error leaves: two of its own.

    Examples
    --------
    >>> with_error(310.8123, 1.634), with_error(795998067.0, 95184264.0), with_error(2.5, None)
    ('310.8 ± 1.6', '796,000,000 ± 95,000,000', '2.5')
    """
    from math import floor, isfinite, log10

    if not error or not isfinite(error) or not isfinite(value):
        return number(value)
    places = 1 - floor(log10(abs(error)))
    if places > 8 or abs(value) >= 1e15:
        return f"{value:.6g} ± {error:.2g}"
    shown = max(0, places)
    return f"{round(value, places):,.{shown}f} ± {round(error, places):,.{shown}f}"


def counted(count: float, what: str) -> str:
    """A count and what is counted, which stands in the plural.

    Examples
    --------
    >>> counted(1, "rows"), counted(1200, "test rows"), counted(1, "levels")
    ('1 row', '1,200 test rows', '1 level')
    """
    return f"{count:,.12g} {what.removesuffix('s') if count == 1 else what}"


def rows_sentence(info: dict[str, Any]) -> str:
    """How many rows were read and what became of them."""
    said = [f"{counted(info['rows_read'], 'rows')} read"]
    if info["rows_missing_target"]:
        said.append(f"{info['rows_missing_target']:,} without a target left out")
    if info.get("rows_missing_feature"):
        options = info.get("options") or {}
        split = options.get("split") or ""
        beside = "the column of the split" if ":" in split else "a column of clusters"
        where = "a column of the formula" if options.get("formula") else beside
        said.append(f"{info['rows_missing_feature']:,} without a value in {where} left out")
    if info["rows_zero_weight"]:
        said.append(f"{info['rows_zero_weight']:,} of weight 0 left out")
    measured = _measured_on(info)
    if measured:
        said.append(measured)
    return "; ".join(said)


def mse_limits(summary: dict[str, Any]) -> str:
    """Between which values the MSE of all such rows lies; empty where that is not known."""
    low, high = summary.get("mse_low"), summary.get("mse_high")
    if low is None or high is None:
        return ""
    return (
        f"MSE between {number(low, 4)} and {number(high, 4)} with 95 % confidence "
        f"({summary['mse_method']})"
    )


def _measured_on(info: dict[str, Any]) -> str:
    """Which rows measured the model, where these are some of its own."""
    source = info.get("test_source") or ""
    if not info.get("test") or source == "rows given":
        return ""
    kind, _, column = (info.get("split") or "random").partition(":")
    seed = f"seed {info['options']['seed']}"
    if source.endswith("folds"):
        whole = {
            "random": seed,
            "group": f"whole groups of {column}, {seed}",
            "time": f"by {column}, each predicted from what is earlier",
            "rows": "each predicted from the rows before it",
        }
        return f"{info['test']['rows']:,} measured in {source} ({whole[kind]})"
    rows = {
        "random": seed,
        "group": f"whole groups of {column}, {seed}",
        "time": f"the latest by {column}",
        "rows": "the last ones",
    }
    return f"{info['test']['rows']:,} set apart for the test ({rows[kind]})"


def descent_sentence(info: dict[str, Any]) -> str:
    """How an iterative descent went, from its first to its last loss."""
    history = info.get("history") or []
    if len(history) < 2:
        return ""
    first, last = history[0], history[-1]
    name = LOSS_NAMES[info["options"]["loss"]]
    said = (
        f" after {last['iteration']:,.0f} step{'s' if last['iteration'] != 1 else ''}: "
        f"{name} {number(first['loss'])} → {number(last['loss'])}"
    )
    if "batch" in last:
        noisy = [h for h in history if h.get("noise")]
        said += f"; batches of {history[0]['batch']:,.0f} grown to {last['batch']:,.0f} rows"
        if noisy:
            said += (
                ", signal to noise of the gradient "
                f"{noisy[0]['signal'] / noisy[0]['noise']:.3g} at first, "
                f"{noisy[-1]['signal'] / noisy[-1]['noise']:.3g} at last"
            )
    return said
