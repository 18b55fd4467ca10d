"""What the tests of several learners share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bioppo.training.checkpoint import read_checkpoint, write_checkpoint
from bioppo.training.random_state import global_states, set_global_states


@pytest.fixture
def assert_continues_exactly(tmp_path: Path, bitwise_same: Callable[[Any, Any], bool]) -> Callable[..., None]:
    """Return a check that a learner restored from a real checkpoint goes on like one that was never stopped."""

    def check(make_environment: Callable[..., Any], build: Callable[[Any], Any]) -> None:
        environment = make_environment()
        learner = build(environment)
        for _ in range(2):
            learner.update(0.5)
        write_checkpoint(
            tmp_path / "c.pt",
            {"learner": learner.get_state(), "environment": environment.get_state(), "random": global_states()},
        )
        expected = [learner.update(0.5) for _ in range(2)]
        content = read_checkpoint(tmp_path / "c.pt")
        environment = make_environment(seed=5)
        other = build(environment)
        other.update(0.5)
        environment.set_state(content["environment"])
        other.set_state(content["learner"])
        set_global_states(content["random"])
        assert bitwise_same(expected, [other.update(0.5) for _ in range(2)])
        assert bitwise_same(learner.get_state(), other.get_state())

    return check
