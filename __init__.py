"""Train PPO-family agents on biological simulators, from Hydra configs to result tables."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .envs import make_env

__all__ = ["UserError", "__version__", "make_env"]


class UserError(Exception):
    """A mistake a user can mend: one sentence with the key or file, the value and the remedy.

    The command line prints the sentence without a traceback and ends with status 2.
    """


def __getattr__(name: str) -> Any:
    """Import what is heavy only when it is asked for."""
    if name == "make_env":
        from .envs import make_env

        return make_env
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
