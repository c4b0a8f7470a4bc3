"""Connections to DuckDB."""

from __future__ import annotations

from typing import Any

import duckdb

from halfsquare.data.sql import quote_text
from halfsquare.files.private import PrivateFolder


def duckdb_connection() -> Any:
    """A connection of its own, in which times mean the same wherever it runs."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone='UTC'")
    without_progress_bar(connection)
    connection.execute("SET temp_directory=''")  # a scan puts nothing aside
    # Ahead of its use DuckDB copies what it reads of a file, which costs more than it saves where
    # the file is at hand.
    connection.execute("SET disable_parquet_prefetching=true")
    return connection


def without_progress_bar(connection: Any) -> None:
    """Switch off what would stand in the middle of JSON.

    In a notebook without ipywidgets it is off, and there switching it off is an error.
    """
    ((on,),) = connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()
    if on:
        connection.execute("SET enable_progress_bar=false")


def spill_privately(connection: Any) -> PrivateFolder:
    """Let a connection put aside what does not fit into its memory, as sorting and joining may
    need: in a folder that goes with the one that is returned.
    """
    folder = PrivateFolder()
    connection.execute(f"SET temp_directory={quote_text(str(folder.path / 'duckdb'))}")
    return folder
