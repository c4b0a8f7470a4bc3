"""Files of our own, uploads and formulas, changed by the thousand; what came of each.

``"right"``: what was read is what was written, to the last bit. ``"error"``: it was refused with an
error of ours. ``"another"``: a value was edited and the digest made anew, as nobody does by chance,
and the file was read as what it then says, and could be used. Anything else is a failure.
"""

from __future__ import annotations

import io
import json
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import numpy as np
from loading import mutated

from halfsquare.data.passes import record_batches
from halfsquare.errors import HalfsquareError
from halfsquare.exact.sums_file import SUMS_FILE
from halfsquare.exact.table_sums import load_sums
from halfsquare.files.checkpoint import CHECKPOINT_FILE, Checkpoint
from halfsquare.files.container import Container
from halfsquare.results.fitted import load
from halfsquare.results.model_file import MODEL_FILE

Random = np.random.Generator
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 10**6, 2**63, 10**400, 0.5, -2.5, 1e308, float("nan"),
    float("inf"), "", "x", "linear", "number", "\x1b[2J", "1", [], [1], [[1.0]], ["a", "a"], {},
    {"kind": "number"}, {"a": 1},
)  # fmt: skip


def edited(header: Any, random: Random) -> Any:
    """A copy of JSON values with one of them replaced, removed or doubled."""
    copy = json.loads(json.dumps(header))
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            places.append((value, key))
            if isinstance(value[key], (dict, list)) and len(places) < 5000:
                collect(value[key])

    collect(copy)
    inside, key = places[int(random.integers(len(places)))]
    kind = random.random()
    if kind < 0.8:
        inside[key] = _VALUES[int(random.integers(len(_VALUES)))]
    elif kind < 0.9:
        del inside[key]
    elif isinstance(inside, list):
        inside.append(inside[key])
    else:
        inside[f"{key}2"] = inside[key]
    return copy


def used_model(path: Path) -> None:
    """Load a model, and do with it what the commands do, each for itself."""
    from halfsquare.cli.effects import shown
    from halfsquare.cli.options import dump
    from halfsquare.cli.shown import as_dict
    from halfsquare.report.summary import summary
    from halfsquare.results.inference.effects import effects_of
    from halfsquare.results.inference.table import model_table

    model = load(path)
    rows = {"a": np.array([0.5, np.nan]), "t": np.array(["u", "new"]), "i": np.array([1, 2])}
    commands: tuple[Callable[[], object], ...] = (
        lambda: model.interval(rows, 0.9),
        lambda: summary(model),
        lambda: dump(as_dict(model)),
        lambda: repr(model),
        lambda: shown(effects_of(model)),
        lambda: model_table([model], ["it"]).render("html"),
    )
    refused: list[HalfsquareError] = []
    with np.errstate(all="ignore"), redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for command in commands:
            try:
                command()
            except HalfsquareError as problem:
                refused.append(problem)
    if len(refused) == len(commands):
        raise refused[0]


def used_sums(path: Path) -> None:
    """Load sums, show them and fit to them."""
    from halfsquare import fit_sums
    from halfsquare.cli.sums import show

    sums = load_sums(path)
    with np.errstate(all="ignore"), redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        show(sums, str(path), json=False)
        show(sums, str(path), json=True)
        fit_sums(sums.merge(sums))


def used_checkpoint(path: Path) -> None:
    """Read a checkpoint and unpack every state in it."""
    from halfsquare.fitting.resume import differences

    found = Checkpoint.read(path)
    data = {"rows": 1, "columns": [], "digest": ""}
    differences(found.identity, {"version": {}, "options": {}, "data": data})
    for entry in found.entries.values():
        try:
            entry.pack().value()
        except ValueError as problem:  # which the fit tells as a CheckpointError
            raise HalfsquareError(str(problem)) from None


USED: dict[str, tuple[Container, Callable[[Path], None]]] = {
    "model": (MODEL_FILE, used_model),
    "sums": (SUMS_FILE, used_sums),
    "checkpoint": (CHECKPOINT_FILE, used_checkpoint),
}


def changed_file(kind: str, whole: bytes, path: Path, random: Random) -> str:
    """Some bytes changed by chance: right only if none is."""
    made = mutated(whole, random)
    path.write_bytes(made)
    try:
        USED[kind][1](path)
    except HalfsquareError:
        return "error" if made != whole else "the file as it was written is refused"
    return "right" if made == whole else "a changed file is read"


def edited_file(kind: str, whole: bytes, path: Path, random: Random) -> str:
    """A value of the header edited, with the digest that belongs to it."""
    container, use = USED[kind]
    path.write_bytes(whole)
    header, arrays = container.read(path)
    container.write(path, edited(header, random), arrays)
    try:
        use(path)
    except HalfsquareError:
        return "error"
    return "another"


def upload(whole: dict[str, bytes], folder: Path, random: Random, case: int) -> str:
    """A file as a visitor of the page may send it: taken and read to its end, or refused."""
    from halfsquare.web.datasets import DataSet, _require_rows

    suffix = sorted(whole)[case % len(whole)]
    made = mutated(whole[suffix], random)
    path = folder / f"upload-{case}{suffix}"
    path.write_bytes(made)
    try:
        one = DataSet("upload", "the file", "uploaded", lambda: path)
        _require_rows(one, {})
        source = one.open()
        for _ in record_batches(source, source.columns):
            pass
    except HalfsquareError:
        return "error" if made != whole[suffix] else "the file as it was written is refused"
    finally:
        path.unlink()
    return "right" if made == whole[suffix] else "another"


@contextmanager
def one_connection(cases: int = 500) -> Iterator[None]:
    """One connection of DuckDB for many cases, in place of one for each, which is most of the time.

    What the opening of rows leaves in a connection are limits and a frame, set anew each time.
    """
    from halfsquare.data import opening

    made, taken = vars(opening)["duckdb_connection"], 0
    kept: list[Any] = []

    def connection() -> Any:
        nonlocal taken
        taken += 1
        if kept and taken % cases:
            with suppress(duckdb.Error):  # an internal error of DuckDB ends its whole database
                kept[0].execute("SELECT 1").fetchall()
                return kept[0]
        kept[:] = [made()]
        return kept[0]

    with patch.object(opening, "duckdb_connection", connection):
        yield


_PIECES = (
    *"+-*/^()~,.=<>!&|[]{}:;@#%'\"\\ \t\n_0123456789abxyzπé\x00\x1b", "**", "~ ", "exp(", "log(",
    "1e", "1e999", "b1*x", "y ~ ", "lambda: 0", "__import__('os')", "x.real", "x if x else y",
    "sin(x)", "(((((", ")))))", "9" * 50, "-" * 30, "x^" * 20, "not", "exp(" * 40,
)  # fmt: skip


def formula(random: Random) -> str:
    """A formula of pieces, some of them no formula: parsed and computed, or refused."""
    from halfsquare.models.formula.model import Formula

    whole = "y ~ b1*(1 - exp(-b2*x)) + b3*log(x + 2)^2"
    if random.random() < 0.5:
        at = sorted(int(i) for i in random.integers(0, len(whole) + 1, 2))
        text = whole[: at[0]] + _some(random, 3) + whole[at[1] :]
    else:
        text = _some(random, 12)
    try:
        found = Formula.read(text, ["x", "y"])
        with np.errstate(all="ignore"):
            found.outputs_and_jacobian(np.ones(len(found.names)), np.ones((2, len(found.columns))))
    except HalfsquareError:
        return "error"
    return "right"


def _some(random: Random, most: int) -> str:
    return "".join(
        _PIECES[int(i)] for i in random.integers(0, len(_PIECES), random.integers(0, most + 1))
    )


@cache
def written() -> dict[str, list[bytes]]:
    """Files of each kind to be changed."""
    with tempfile.TemporaryDirectory() as folder:
        return _written(Path(folder))


def _written(folder: Path) -> dict[str, list[bytes]]:
    from halfsquare import fit, sum_rows

    random = np.random.default_rng(0)
    data = {
        "a": random.normal(size=40),
        "t": random.choice(["u", "v"], 40),
        "i": np.arange(40) % 5,
        "y": random.normal(size=40),
    }
    found: dict[str, list[bytes]] = {}

    def keep(kind: str, save: Callable[[Path], object]) -> None:
        save(folder / "whole")
        found.setdefault(kind, []).append((folder / "whole").read_bytes())

    kept = folder / "kept"
    for options in (
        {"model": "linear"},
        {"model": "network"},
        {"formula": "y ~ b0 + b1*a"},
        {"model": "linear", "formula": "y ~ poly(a, 2) + t"},
        {
            "model": "linear",
            "formula": "y ~ bs(a, df=4) + center(a):t + C(i)",
            "errors": "cluster:i",
        },
        {"model": "trees"},
        {"method": "gradient", "checkpoint": kept},
    ):
        keep("model", fit(data, "y", **options).save)
    found["checkpoint"] = [kept.read_bytes()]
    keep("sums", sum_rows(data, "y").save)
    return found


def uploads(folder: Path) -> dict[str, bytes]:
    """Small tables of every format that the page takes."""
    import gzip

    import pyarrow as pa
    import pyarrow.parquet as pq

    lines = [f"{i},{'uv'[i % 2]},{i * 0.5},2024-01-{i % 28 + 1:02}" for i in range(20)]
    text = "\n".join(["a,t,y,d", *lines]) + "\n"
    table = pa.table({"a": [1.0, 2.0, None] * 9, "t": ["u", "v", "é"] * 9})
    pq.write_table(table, folder / "whole.parquet", write_page_checksum=True)
    cells = [line.split(",")[:3] for line in text.splitlines()[:9]]
    return {
        ".csv": text.encode(),
        ".txt": text.replace(",", ";").encode("cp1252"),
        ".tsv": text.replace(",", "\t").encode(),
        ".csv.gz": gzip.compress(text.encode()),
        ".csv.zst": pa.compress(text.encode(), "zstd", asbytes=True),
        ".jsonl": b'{"a": 1, "t": "u"}\n{"a": 2.5, "t": null}\n' * 10,
        ".json": b'[{"a": 1, "t": {"u": 3}}, {"a": 2.5, "t": null}]',
        ".parquet": (folder / "whole.parquet").read_bytes(),
        ".xlsx": _zipped(_workbook(cells)),
        ".ods": _zipped(_open_document(cells)),
    }


def _zipped(files: dict[str, str]) -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return kept.getvalue()


def _workbook(cells: list[list[str]]) -> dict[str, str]:
    """The least that is a workbook of Office Open XML (ECMA-376)."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    rows = "".join("<row>" + "".join(_xlsx_cell(cell) for cell in row) + "</row>" for row in cells)
    return {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override '
        f'PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/><Override '
        f'PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="one" '
        'sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="rId1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/>'
        "</Relationships>",
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData>'
        "</worksheet>",
    }


def _xlsx_cell(text: str) -> str:
    if _is_number(text):
        return f"<c><v>{text}</v></c>"
    return f'<c t="inlineStr"><is><t>{text}</t></is></c>'


def _open_document(cells: list[list[str]]) -> dict[str, str]:
    """The least that is a spreadsheet of OpenDocument (ISO/IEC 26300)."""
    name = "urn:oasis:names:tc:opendocument:xmlns"
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    spaces = " ".join(f'xmlns:{s}="{name}:{s}:1.0"' for s in ("office", "table", "text"))
    rows = "".join(
        "<table:table-row>" + "".join(_ods_cell(cell) for cell in row) + "</table:table-row>"
        for row in cells
    )
    return {
        "mimetype": kind,
        "META-INF/manifest.xml": f'<manifest:manifest xmlns:manifest="{name}:manifest:1.0">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
        "</manifest:manifest>",
        "content.xml": f"<office:document-content {spaces}><office:body><office:spreadsheet>"
        f'<table:table table:name="one">{rows}</table:table></office:spreadsheet></office:body>'
        "</office:document-content>",
    }


def _ods_cell(text: str) -> str:
    value = (
        f'office:value-type="float" office:value="{text}"'
        if _is_number(text)
        else ('office:value-type="string"')
    )
    return f"<table:table-cell {value}><text:p>{text}</text:p></table:table-cell>"


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def fuzzed(what: str, folder: Path, seed: int, count: int) -> Counter[str]:
    """So many cases of one of ``KINDS``."""
    random, found = np.random.default_rng([seed, len(what)]), Counter[str]()
    kind, _, how = what.partition(", ")
    case: Callable[[int], str]
    if kind == "formula":
        case = lambda i: formula(random)  # noqa: E731
    elif kind == "upload":
        case = partial(upload, uploads(folder), folder, random)
    else:
        change = edited_file if how else changed_file
        files = written()[kind]
        case = lambda i: change(kind, files[i % len(files)], folder / "changed", random)  # noqa: E731
    with one_connection():
        for i in range(count):
            try:
                found[case(i)] += 1
            except Exception as problem:
                found[f"{type(problem).__name__}: {problem}"[:200]] += 1
    return found


KINDS = (
    "model", "sums", "checkpoint", "model, edited", "sums, edited", "checkpoint, edited", "upload",
    "formula",
)  # fmt: skip
