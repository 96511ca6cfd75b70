"""Tiny models are quickest on one thread, above all on a machine that does other work."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compute on one thread, except with the demo model."""
    before = torch.get_num_threads()
    if "demo_engine" not in request.fixturenames:
        torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
