"""Published figures on CMU-MOSI: the MSMT-FN paper's table 2.

A column that the table leaves empty is absent here.
"""

from __future__ import annotations

from .row import MSMT_FN, PublishedCorpus, PublishedRow

COLUMNS = ("accuracy_2_has0", "f1_2_has0", "accuracy_2_non0", "f1_2_non0", "accuracy_7", "mae", "corr")


def row_of_table_2(name: str, *printed: float | None) -> PublishedRow:
    """A row of the table: a number or nothing for each of its ``COLUMNS``."""
    figures = {column: number for column, number in zip(COLUMNS, printed, strict=True) if number is not None}
    return PublishedRow(name, MSMT_FN, "table 2", {"sentiment": figures})


ROWS = (
    row_of_table_2("LMF", None, None, 82.5, 82.4, 33.90, 0.917, 0.695),
    row_of_table_2("TFN", None, None, 80.8, 80.7, 34.90, 0.901, 0.698),
    row_of_table_2("MFM", None, None, 81.7, 81.6, 34.50, 0.877, 0.706),
    row_of_table_2("MTAG", None, None, 82.3, 82.1, 38.90, 0.866, 0.722),
    row_of_table_2("SPC", None, None, 82.8, 82.9, None, None, None),
    row_of_table_2("ICCN", None, None, 83.0, 83.0, 39.00, 0.862, 0.714),
    row_of_table_2("MulT", 81.50, 80.60, 84.1, 83.9, None, 0.861, 0.711),
    row_of_table_2("MISA", 80.79, 80.77, 82.10, 82.03, None, 0.804, 0.764),
    row_of_table_2("Self-MM", 84.00, 84.42, 85.98, 85.95, None, 0.713, 0.798),
    row_of_table_2("MAG-BERT", 84.20, 84.10, 86.10, 86.00, None, 0.712, 0.796),
    row_of_table_2("MMIM", 84.14, 84.00, 86.06, 85.98, 46.65, 0.700, 0.800),
    row_of_table_2("TEASEL", 84.79, 84.72, 87.5, 85, 47.52, 0.644, 0.836),
    row_of_table_2("UniMSE", 85.85, 85.83, 86.9, 86.42, 48.68, 0.691, 0.809),
    row_of_table_2("MMML", 85.91, 85.85, 88.16, 88.15, 48.25, 0.6429, 0.838),
    row_of_table_2("MMML, with context", 87.51, 87.45, 89.69, 89.67, 50.34, 0.5831, 0.8693),
    row_of_table_2("MSMT-FN", 86.15, 86.14, 91.21, 91.38, 51.02, 0.6458, 0.8243),
)
BESIDE = ("MulT", "Self-MM", "UniMSE", "MMML", "MMML, with context", "MSMT-FN")
CORPUS = PublishedCorpus("CMU-MOSI", ROWS, BESIDE, test_items=686)
