"""Published figures on CMU-MOSEI: the MSMT-FN paper's table 2."""

from __future__ import annotations

from .mosi import row_of_table_2
from .row import PublishedCorpus

ROWS = (
    row_of_table_2("LMF", None, None, 82.0, 82.1, 48.00, 0.623, 0.700),
    row_of_table_2("TFN", None, None, 82.5, 82.1, 50.20, 0.593, 0.677),
    row_of_table_2("MFM", None, None, 84.4, 84.3, 51.30, 0.568, 0.703),
    row_of_table_2("SPC", None, None, 82.6, 82.8, None, None, None),
    row_of_table_2("ICCN", None, None, 84.2, 84.2, 51.60, 0.565, 0.704),
    row_of_table_2("MulT", None, None, 82.5, 82.3, None, 0.580, 0.713),
    row_of_table_2("MISA", 82.59, 82.67, 84.23, 83.97, None, 0.568, 0.717),
    row_of_table_2("Self-MM", 82.81, 82.53, 85.17, 85.30, None, 0.530, 0.765),
    row_of_table_2("MAG-BERT", 84.70, 84.50, None, None, None, None, None),
    row_of_table_2("MMIM", 82.24, 82.66, 85.97, 85.94, 54.24, 0.526, 0.772),
    row_of_table_2("UniMSE", 85.86, 85.79, 87.5, 87.46, 54.39, 0.523, 0.773),
    row_of_table_2("MMML", 86.32, 86.23, 86.73, 86.49, 54.95, 0.5174, 0.7908),
    row_of_table_2("MMML, with context", 87.24, 87.18, 88.02, 88.15, 55.74, 0.4922, 0.8137),
    row_of_table_2("MSMT-FN", 87.16, 87.02, 88.62, 88.85, 55.58, 0.5061, 0.7972),
)
BESIDE = ("MulT", "Self-MM", "UniMSE", "MMML", "MMML, with context", "MSMT-FN")
CORPUS = PublishedCorpus("CMU-MOSEI", ROWS, BESIDE, test_items=4659)
