"""What the backend celloracle refuses before it needs the package, and what is worked out beside it."""

import sys

import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.reprogramming.celloracle_backend import (
    available_memory,
    check_drawing,
    check_memory,
    equal_pairs,
    import_celloracle,
    most_probable,
)
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.options import DataOptions
from bioppo.envs.reprogramming.sources import oracle
from bioppo.envs.reprogramming.sources.oracle import read_oracle


def test_arrays_of_all_cells_by_all_cells_must_fit():
    check_memory(1000, available=48_000_000)
    with pytest.raises(UserError, match=r"1000 x 1000 cells take 48,000,000 bytes and 47,999,999 are free, so lower"):
        check_memory(1000, available=47_999_999)
    with pytest.raises(UserError, match="10000000 x 10000000 cells take 4,800,000,000,000,000 bytes"):
        check_memory(10_000_000)


def test_free_memory_is_less_than_the_machine_has():
    import psutil

    assert 0 < available_memory() <= psutil.virtual_memory().total


def test_drawings_that_celloracle_cannot_move_in():
    check_drawing(np.array([[0.0, 0.0], [0.0, 1.0]]))
    with pytest.raises(UserError, match=r"has 3 coordinates and celloracle takes 2: set table.embedding=pca2"):
        check_drawing(np.eye(3))
    with pytest.raises(UserError, match="1 of 3 cells share their place"):
        check_drawing(np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 1.0]]))


def test_the_remedy_is_named_where_the_package_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "celloracle", None)
    with pytest.raises(UserError, match=r"sim.backend=celloracle: .* tests/system/install_celloracle.sh"):
        import_celloracle()


def test_a_saved_oracle_is_read_only_where_pickles_are_allowed(tmp_path, monkeypatch):
    path = tmp_path / "cells.celloracle.oracle"
    with pytest.raises(UserError, match="there is no such file"):
        read_oracle(ReprogrammingConfig(data=DataOptions(kind="oracle", oracle=str(path))))
    path.write_bytes(b"")
    monkeypatch.setattr(oracle, "import_celloracle", lambda: pytest.fail("must be refused before"))
    with pytest.raises(UserError, match=r"holds pickles, which run code: set data.allow_pickle=true"):
        read_oracle(ReprogrammingConfig(data=DataOptions(kind="oracle", oracle=str(path))))


def test_pairs_of_cells_with_equal_expression():
    expression = np.array([[1.0, 2.0], [0.0, 1.0], [1.0, 2.0], [5.0, 5.0], [1.0, 2.0]])
    first, second = equal_pairs(expression)
    expected = {(0, 2), (0, 4), (2, 0), (2, 4), (4, 0), (4, 2)}
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == expected
    first, second = equal_pairs(expression[:2])
    assert len(first) == len(second) == 0


def test_the_most_probable_neighbours_come_first_and_ties_go_to_the_nearer():
    probability = np.array([[0, 0.2, 0.6, 0.2], [0.5, 0, 0.25, 0.25]])
    likely, share = most_probable(probability, np.array([[3, 1, 2], [3, 2, 0]]), 2)
    assert likely.tolist() == [[2, 3], [0, 3]]
    np.testing.assert_allclose(share, [[0.75, 0.25], [2 / 3, 1 / 3]])
