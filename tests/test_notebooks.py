"""The notebooks of the documentation run from top to bottom, as a reader would run them."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOKS = Path(__file__).parents[1] / "docs" / "notebooks"


def run(book: nbformat.NotebookNode) -> list[str]:
    """What the cells show, as text or HTML."""
    client = NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOKS)}}
    )
    client.execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    return [
        output.get("text") or "\n".join(map(str, output.get("data", {}).values()))
        for output in outputs
    ]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("penguins", ["Typical error ±", "species:flipper_length_mm", "vega", "Row 1: the model"]),
        ("diabetes", ["Typical error ±", "cannot tell", "vega", "lie inside their 95 % interval"]),
    ],
)
def test_a_notebook_runs(name: str, shown: list[str]) -> None:
    book = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells)  # kept as written
    told = "\n".join(run(book))
    for words in shown:
        assert words in told, told[:3000]


def test_a_cell_that_fails_is_noticed() -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        run(book)
