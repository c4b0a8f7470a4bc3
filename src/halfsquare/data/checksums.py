"""Whether the pages of Parquet files are as they were written, where their writer gave them checksums."""

from __future__ import annotations

from collections.abc import Sequence

from halfsquare.data.unchanged import Unchanged
from halfsquare.errors import DataError


def require_whole_pages(files: Unchanged, columns: Sequence[str]) -> None:
    """Refuse a Parquet file with a page of these columns that is not what its checksum says.

    DuckDB reads over checksums: a flipped bit would be another number. Arrow reads the pages once before it,
    which takes about a tenth of the time of a linear fit. Pages without a checksum pass.

    Raises
    ------
    DataError
        Naming the file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in files.files:
        try:
            with pq.ParquetFile(file.path, page_checksum_verification=True, buffer_size=1 << 20) as opened:
                for _ in opened.iter_batches(1 << 16, columns=list(columns), use_threads=False):
                    pass
        except (pa.ArrowException, OSError) as problem:
            if "crc" in str(problem).lower():
                raise DataError(
                    f"{file.path} is damaged: a page is not what its checksum says. Copy or write it again"
                ) from None
            # Whatever else Arrow cannot read, DuckDB may; if it cannot either, it is told there.
