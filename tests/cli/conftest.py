"""A folder with tables in which commands run."""

import pytest

from tests.support.small_tables import skewed_table


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with two tables that share no row, in which commands run."""
    monkeypatch.chdir(tmp_path)
    opt, test = skewed_table(400, texts=[f"text {row}" for row in range(400)]).split(0.5)
    opt.write("opt.parquet")
    test.write("test.parquet")
    return tmp_path
