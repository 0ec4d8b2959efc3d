"""Networks of these tests are so small that a second thread only costs time."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")  # what a class or module makes once counts on it too
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
