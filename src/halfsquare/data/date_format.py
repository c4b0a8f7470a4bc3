"""How dates and times are written as text, in the notation of ``strptime``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from halfsquare.data.sql import quote_text
from halfsquare.errors import OptionError

ORDERS = ("mdy", "dmy", "ymd")
ISO = "iso"
# What DuckDB casts by itself, and the same for its regular expressions.
ISO_PATTERN = (
    r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}(?::?\d{2})?)?)?"
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
_TIME = (
    r"(?P<clock>(?P<gap>[T ,]+)?9{1,2}:99(?P<seconds>:99(?P<fraction>[.,]9{1,9})?)?"
    r"(?P<half> ?[ap]m)?"
    r"(?P<zone> ?(?:z|utc|gmt|[+-]99:?(?:99)?)| [a-z]{3,14}/[a-z_/-]{3,30}| (?!am|pm)[a-z]{3,4})?)?"
)
_DAY = r"(?P<weekday>(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},? )?"
_NUMERIC = re.compile(
    rf"{_DAY}(?P<a>9{{1,4}})(?P<s>[-/.])(?P<b>9{{1,2}})(?P=s)(?P<c>9{{1,4}}){_TIME}", re.I
)
_NAMED = (
    (re.compile(rf"{_DAY}9{{1,2}}(?P<s>[-/. ]|\. )?(?P<m>{_MONTH})\.?(?P<t>[-/. ,]+)?"
                rf"(?P<y>9999|99){_TIME}", re.I), "{weekday}%d{s}{m}{t}{y}"),
    (re.compile(rf"{_DAY}(?P<m>{_MONTH})(?P<s>[-/. ]+)9{{1,2}}(?P<t>,? |[-/])"
                rf"(?P<y>9999){_TIME}", re.I), "{weekday}{m}{s}%d{t}{y}"),
    (re.compile(rf"(?P<y>9999)(?P<s>[-/. ])(?P<m>{_MONTH})(?P<t>[-/. ])9{{1,2}}{_TIME}", re.I),
     "{y}{s}{m}{t}%d"),
    (re.compile(rf"(?P<m>{_MONTH})(?P<s>[-/. ]+)(?P<y>9999)", re.I), "{m}{s}{y}"),
    (re.compile(r"(?P<y>9999)-99"), "{y}-%m"),
    (re.compile(r"99(?P<s>[-/.])(?P<y>9999)"), "%m{s}{y}"),
    (re.compile(rf"(?P<m>{_MONTH})(?P<s>[-/' ]+)(?P<y>99)", re.I), "{m}{s}{y}"),
    (re.compile(r"9999-W99-9", re.I), "%G-W%V-%u"),
    (re.compile(r"9999(?P<s>-?)W99", re.I), "%G{s}W%V"),
    (re.compile(r"9999(?P<s>[-/ ]?)(?P<q>Q)9", re.I), "%Y{s}{q}%q"),
    (re.compile(r"(?P<q>Q)9(?P<s>[-/ ]?)9999", re.I), "{q}%q{s}%Y"),
    (re.compile(r"(?P<q>Q)9(?P<s>[-/' ])(?P<y>99)", re.I), "{q}%q{s}{y}"),
    (re.compile(r"(?P<y>99)(?P<s>[-/ ]?)(?P<q>Q)9", re.I), "{y}{s}{q}%q"),
    (re.compile(r"9(?P<q>Q)(?P<s>[-/' ]?)(?P<y>9999|99)", re.I), "%q{q}{s}{y}"),
    (re.compile(r"9999(?P<s>[/M])99"), "%Y{s}%m"),
)  # fmt: skip
_CLOCK = re.compile(rf"{_TIME}", re.I)
_WORDS = {"yyyy": "%Y", "yy": "%y", "mmmm": "%B", "mmm": "%b", "mm": "%m", "m": "%m", "dd": "%d",
          "d": "%d", "q": "%q", "qq": "Q%q", "hh": "%H", "h": "%H", "ss": "%S",
          "am/pm": "%p"}  # fmt: skip


def formats_of(shape: str, order: str) -> str | None:
    """The format of a date of that shape (digits as 9) in an order of its parts; None for no date.

    Examples
    --------
    >>> formats_of("99/99/9999 9:99 PM", "dmy"), formats_of("9-Mar-9999", "mdy")
    ('%d/%m/%Y %I:%M %p', '%d-%b-%Y')
    """
    shape = shape.strip()
    match = _NUMERIC.fullmatch(shape)
    if match:
        date = _ordered(match["a"], match["s"], match["b"], match["c"], order)
        return None if date is None else f"{_weekday(match)}{date}{_time(match)}"
    for pattern, form in _NAMED:
        match = pattern.fullmatch(shape)
        if match:
            have = match.groupdict()
            date = form.format(
                weekday=_weekday(match),
                s=have.get("s") or "",
                t=have.get("t") or "",
                m=_month(have.get("m") or ""),
                q=have.get("q") or "",
                y="%y" if have.get("y") == "99" else "%Y",
            )
            return date + _time(match)
    match = _CLOCK.fullmatch(shape)
    return _time(match) if match and match["clock"] and not match["gap"] else None


def is_date(text: str) -> bool:
    """Whether a text reads as a date or time in some format."""
    shape = re.sub(r"\d", "9", text)
    return any(formats_of(shape, order) for order in ORDERS)


def _ordered(a: str, s: str, b: str, c: str, order: str) -> str | None:
    if len(a) == 4:
        return f"%Y{s}%m{s}%d" if len(c) <= 2 else None
    if len(a) > 2 or len(c) not in (2, 4) or (order == "ymd" and (len(c) == 4 or len(a) != 2)):
        return None
    year = "%Y" if len(c) == 4 else "%y"
    return {"dmy": f"%d{s}%m{s}{year}", "mdy": f"%m{s}%d{s}{year}", "ymd": f"%y{s}%m{s}%d"}[order]


def _month(name: str) -> str:
    return "%b" if len(name) <= 3 else "%B"


def _weekday(match: re.Match[str]) -> str:
    found = match.groupdict().get("weekday") or ""
    name = found.rstrip(", ")
    return ("%a" if len(name) <= 3 else "%A") + found[len(name) :] if found else ""


def _time(match: re.Match[str]) -> str:
    have = match.groupdict()
    if not have.get("clock"):
        return ""
    hour = "%I" if have["half"] else "%H"
    seconds = ":%S" if have["seconds"] else ""
    fraction = f"{have['fraction'][0]}%f" if have["fraction"] else ""
    half = have["half"].lower().replace("am", "%p").replace("pm", "%p") if have["half"] else ""
    zone = have["zone"] or ""
    if "/" in zone:
        zone = " %Z"  # a name, such as Europe/Berlin
    elif zone and not zone.strip().isalpha():
        zone = " " * zone.startswith(" ") + "%z"
    return f"{have['gap'] or ''}{hour}:%M{seconds}{fraction}{half}{zone}"


def date_sql(text: str, formats: Sequence[str]) -> str:
    """SQL for the time (seconds since 1970; seconds of the day for times alone) that is written as
    the SQL ``text``; NULL where it fits none of the formats.
    """
    found = []
    for form in formats:
        if form == ISO:
            pattern = quote_text(f"^{ISO_PATTERN}$")
            cast = f"TRY_CAST({text} AS TIMESTAMP)"
            found.append(f"CASE WHEN regexp_matches({text}, {pattern}) THEN epoch({cast}) END")
        elif "%q" in form:
            found.append(_quarter_sql(text, form))
        else:
            value = f"trim({text})"
            if "%V" in form and "%u" not in form:  # a week is its Monday
                value, form = f"{value} || ' 1'", f"{form} %u"
            parsed = f"epoch(try_strptime({value}, {quote_text(form)}))"
            # A time alone is one of the first of January 1900.
            found.append(f"({parsed} + 2208988800)" if is_clock([form]) else parsed)
    return f"coalesce({', '.join(found)})" if len(found) > 1 else found[0]


def _quarter_sql(text: str, form: str) -> str:
    """SQL for the first day of a quarter."""
    parts = {"%Y": r"((?:1[6-9]|2[01])\d\d)", "%y": r"(\d\d)", "%q": "([1-4])"}
    pattern = "".join(parts.get(p) or re.escape(p) for p in re.split("(%[Yyq])", form) if p)
    year, quarter = (1, 2) if form.lower().startswith("%y") else (2, 1)

    def part(group: int) -> str:
        value = f"regexp_extract(trim({text}), {quote_text(f'^{pattern}$')}, {group})"
        return f"TRY_CAST({value} AS INTEGER)"

    # Years of two digits are those of strptime: from 1969 to 2068.
    century = f"(CASE WHEN {part(year)} < 69 THEN 2000 ELSE 1900 END)" if "%y" in form else "0"
    return f"epoch(make_date({part(year)} + {century}, {part(quarter)} * 3 - 2, 1)::TIMESTAMP)"


def is_period(shape: str) -> bool:
    """Whether the shape is that of a quarter, which ends like a unit: 2021Q2."""
    return "%q" in (formats_of(shape, "ymd") or "")


def zones_in(formats: Sequence[str]) -> list[str]:
    """Short names of zones, such as EST, that stand in times and are not converted."""
    found = (re.search(r" ((?!UTC|GMT|Z\b)[A-Za-z]{3,4})$", f) for f in formats if "%H" in f)
    return sorted({m[1] for m in found if m})


def is_clock(formats: Sequence[str]) -> bool:
    """Whether these are formats of times without a date."""
    dated = ("%d", "%m", "%b", "%B", "%y", "%Y", "%G", ISO)
    return bool(formats) and not any(part in form for form in formats for part in dated)


def of_digits(said: str | None) -> bool:
    """Whether dates are said to be written as digits alone, as yyyymmdd: then they look like
    numbers.
    """
    return said is not None and re.fullmatch("(?:%[YymdHMS])+", asked(said)[1]) is not None


def in_words(form: str) -> str:
    """``%d/%m/%Y`` as dd/mm/yyyy."""
    if form == ISO:
        return "yyyy-mm-dd"
    words = {"%Y": "yyyy", "%y": "yy", "%m": "mm", "%d": "dd", "%b": "mmm", "%B": "month",
             "%H": "hh", "%I": "hh", "%M": "mm", "%S": "ss", "%p": "AM/PM", "%z": "zone",
             "%f": "fraction", "%a": "weekday", "%A": "weekday", "%G": "year", "%V": "week",
             "%u": "day", "%q": "quarter", "%Z": "zone"}  # fmt: skip
    return re.sub(r"%[A-Za-z]", lambda m: words.get(m[0], m[0]), form)


def reordered(form: str, order: str) -> str:
    """The format with day, month and year in another order, where they are numbers and a year of
    four digits does not stand first.

    Examples
    --------
    >>> reordered("%d/%m/%y %H:%M", "mdy"), reordered("%Y-%m-%d", "dmy")
    ('%m/%d/%y %H:%M', '%Y-%m-%d')
    """
    found = re.findall(r"%[dmyY]", form)
    if sorted(p.lower() for p in found) != ["%d", "%m", "%y"] or found[0] == "%Y":
        return form
    year = next(p for p in found if p in ("%y", "%Y"))
    if order == "ymd" and year == "%Y":
        return form
    parts = iter(year if p == "y" else f"%{p}" for p in order)
    return re.sub(r"%[dmyY]", lambda _: next(parts), form)


def asked(text: str) -> tuple[str, str]:
    """What ``--dates`` says: an order such as dmy, or a format; the other of the two is "".

    Raises
    ------
    OptionError

    Examples
    --------
    >>> asked("DMY"), asked("dd.mm.yyyy"), asked("yyyymmdd"), asked("%d.%m.%y")
    (('dmy', ''), ('', '%d.%m.%Y'), ('', '%Y%m%d'), ('', '%d.%m.%y'))
    """
    if text.lower() in ORDERS:
        return text.lower(), ""
    if "%" in text:
        return "", text
    parts = re.split(r"(:mm|am/pm|y+|m+|d+|h+|s+|[a-z]+)", text.lower())
    form = "".join("" if not p else ":%M" if p == ":mm" else _WORDS.get(p, p) for p in parts)
    if not re.search("%[dmybBY]", form):
        raise OptionError(
            f"dates are {text!r}; expected dmy, mdy or ymd, or a format such as dd/mm/yyyy "
            "or %d/%m/%Y"
        )
    return "", form
