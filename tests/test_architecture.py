"""What machines can check of the design: imports flow one way, the public names, quick starts,
documented functions.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import halfsquare

ROOT = Path(halfsquare.__file__).parent
PROJECT = ROOT.parent.parent

# Every room, lowest first: a module imports from its own floor and those before it, never from one
# after it.
FLOORS = [
    ("errors", "text", "process"),
    ("arrays",),
    ("loss", "moments"),
    ("sums", "normal_sums"),
    ("parallel", "files"),
    ("data",),
    ("models",),
    ("solvers",),
    ("cluster",),
    ("results",),
    ("fitting", "exact"),
    ("explain", "audit"),
    ("figures",),
    ("report",),
    ("estimators", "web", "cli"),
]
RANK = {room: rank for rank, rooms in enumerate(FLOORS) for room in rooms}
MODULES = {
    ".".join(p.relative_to(ROOT).with_suffix("").parts): p
    for p in sorted(ROOT.rglob("*.py"))
    if p.name != "__init__.py"
}


def room(module: str) -> str:
    return module.split(".")[0]


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Modules of this package that a file imports, with the line: as it loads, in a function, or
    for its types alone.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.ImportFrom)
            and node.level == 0
            and (node.module or "").split(".")[0] == "halfsquare"
        ):
            base = (node.module or "").removeprefix("halfsquare").lstrip(".")
            for alias in node.names:
                whole = f"{base}.{alias.name}".lstrip(".")
                yield (whole if whole in MODULES or not base else base), node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("halfsquare."):
                    yield alias.name.removeprefix("halfsquare."), node.lineno
        assert not (isinstance(node, ast.ImportFrom) and node.level), (
            f"{path} has a relative import"
        )


def test_every_room_has_its_floor_and_every_floor_its_rooms() -> None:
    assert {room(m) for m in MODULES} == RANK.keys()


@pytest.mark.parametrize("module", MODULES)
def test_no_import_runs_back(module: str) -> None:
    back = [
        f"line {line}: {found}"
        for found, line in imports(MODULES[module])
        if found in MODULES and RANK[room(found)] > RANK[room(module)]
    ]
    assert back == []


def test_no_circles_among_rooms() -> None:
    """Nor among rooms of one floor."""
    graph: dict[str, set[str]] = {room(module): set() for module in MODULES}
    for module, path in MODULES.items():
        graph[room(module)] |= {room(found) for found, _ in imports(path) if found in MODULES}
    TopologicalSorter({name: below - {name} for name, below in graph.items()}).prepare()


def circle(modules: dict[str, Path]) -> list[str]:
    """Modules that import each other in a circle, however they do: as they load, in a function, or
    for their types alone; none is best.
    """
    graph = {
        module: {found for found, _ in imports(path) if found in modules} - {module}
        for module, path in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as problem:
        return list(problem.args[1])
    return []


def test_no_circles_among_modules() -> None:
    assert circle(MODULES) == []


def test_the_check_sees_a_circle_through_a_function_and_through_types(tmp_path: Path) -> None:
    two = {name: tmp_path / f"{name.split('.')[1]}.py" for name in ("loss.a", "loss.b")}
    two["loss.a"].write_text("def f():\n    from halfsquare.loss.b import g\n")
    lines = "if TYPE_CHECKING:\n    import halfsquare.loss.a\n"
    two["loss.b"].write_text(lines)
    assert set(circle(two)) == {"loss.a", "loss.b"}
    two["loss.b"].write_text(lines.replace("halfsquare.loss.a", "math"))
    assert circle(two) == []


def test_one_module_alone_looks_others_up_by_name() -> None:
    """A fitted model that shows, judges and explains itself needs what is built on top of it: its
    methods look that up when they are called, which is the one exception.
    """
    found = {
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func)
        if "halfsquare" in ast.unparse(node)
    }
    assert found == {"results.methods"}


def test_the_check_sees_an_import_that_runs_back(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "def f():\n    from halfsquare.cli.main import main\n    import halfsquare.web.app\n"
    )
    assert list(imports(tmp_path / "bad.py")) == [("cli.main", 2), ("web.app", 3)]


PUBLIC = [
    "AutoRegressor",
    "ErrorSums",
    "FittedModel",
    "FormulaRegressor",
    "LinearRegressor",
    "NetworkRegressor",
    "SquaredError",
    "TreesRegressor",
    "assert_loss",
    "audit_loss",
    "fit",
    "fit_sums",
    "load",
    "load_sums",
    "sum_rows",
]


def test_the_public_names() -> None:
    assert halfsquare.__all__ == PUBLIC == dir(halfsquare)
    for name in PUBLIC:
        assert getattr(halfsquare, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = halfsquare.nothing  # type: ignore[attr-defined]


def loaded(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
        ).stdout.split()
    )


HEAVY = {
    "scipy",
    "duckdb",
    "pyarrow",
    "sklearn",
    "sympy",
    "pandas",
    "polars",
    "altair",
    "starlette",
    "uvicorn",
    "safetensors",
    "torch",
    "dask",
    "distributed",
}


def test_importing_is_quick() -> None:
    assert loaded("import halfsquare") & (HEAVY | {"numpy", "typer", "rich"}) == set()
    assert (
        loaded("from halfsquare import SquaredError, ErrorSums; SquaredError().value(1, 2)") & HEAVY
        == set()
    )


def test_help_is_quick() -> None:
    code = (
        "import sys, io\nsys.argv = ['halfsquare', '--help']\nstdout, sys.stdout = "
        "sys.stdout, io.StringIO()\nfrom halfsquare.cli.main import main\ntry: "
        "main()\nexcept SystemExit: pass\nsys.stdout = stdout"
    )
    assert loaded(code) & (HEAVY | {"numpy", "markdown_it", "pygments"}) == set()


def test_fitting_and_using_a_line_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    """Of what a short run takes, imports are the most; pandas would come with Arrow's to_numpy."""
    table = tmp_path / "table.csv"
    rows = [f"{i % 7 * 1.5},{i % 5},{'ab'[i % 2]},{'' if i == 9 else i * 0.25}" for i in range(120)]
    table.write_text("\n".join(["y,x,t,z", *rows]))
    model, out = tmp_path / "m.hsq", tmp_path / "p.csv"
    for arguments in (
        ["fit", table, "--target", "y", "--model", "linear", "--out", model, "--quiet"],
        ["evaluate", model, table],
        ["predict", model, table, "--out", out],
    ):
        code = (
            f"sys.argv = {['halfsquare', *map(str, arguments)]!r}\n"
            "from halfsquare.cli.main import main\nimport io, contextlib\n"
            "try:\n  with contextlib.redirect_stdout(io.StringIO()): main()\n"
            "except SystemExit as ended: assert not ended.code, ended.code"
        )
        found = loaded(code)
        assert "duckdb" in found and "numpy" in found
        unused = HEAVY - {"scipy", "duckdb", "pyarrow", "safetensors"}
        assert found & (unused | {"scipy.stats", "scipy.optimize", "scipy.sparse"}) == set()
        assert not [name for name in found if name.startswith("halfsquare.models.formula.")]
    assert out.exists()


def public(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef) and not node.bases:
                yield from public(node, f"{node.name}.")


@pytest.mark.parametrize("module", MODULES)
def test_what_is_public_is_documented(module: str) -> None:
    """Modules, public classes and functions; methods that a base class already describes may do
    without.
    """
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    bare = [name for name, node in public(tree) if "." not in name and not ast.get_docstring(node)]
    assert bare == []


def tracked() -> list[Path]:
    found = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    return [PROJECT / name for name in found.stdout.split("\0") if name]


@pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="needs the repository")
def test_no_file_names_a_place_on_somebodys_machine() -> None:
    places = [f"/{folder}/" for folder in ("work", "home", "root", "Users")]
    told = []
    for path in tracked():
        if not path.is_file() or path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        told += [f"{path.relative_to(PROJECT)}: {place}" for place in places if place in text]
    assert told == []
