"""The router: takes the first word of a command line and hands the rest to that command's module.

It imports nothing heavy, so that help and mistakes answer at once.
"""

import importlib
import os
import sys
from collections.abc import Sequence

COMMANDS = {
    "train": "train an agent, continue it, or say that it is done: bioppo train env=kinetic algo=ppo",
    "sweep": "train all combinations: bioppo sweep env=kinetic algo=ppo,random seed=0,1,2",
    "tune": "search for better settings: bioppo tune env=kinetic algo=ppo search=kinetic_ppo",
    "evaluate": "measure a trained agent again: bioppo evaluate RUN --episodes 1000",
    "table": "write the table of the runs below a folder: bioppo table DIR",
    "plot": "draw curves and final scores of the runs below a folder: bioppo plot DIR",
    "report": "write one interactive page about the runs below a folder: bioppo report DIR",
    "status": "say how far the jobs below a folder are: bioppo status DIR",
    "list": "name the environments, algorithms and other choices: bioppo list env",
    "describe": "explain every option of a choice: bioppo describe env=kinetic",
    "data": "list, download and remove public data sets: bioppo data get kinetic_varma",
    "export": "write a trained policy for use elsewhere: bioppo export RUN",
}

EPILOG = """\
Completion of commands, groups and keys:  eval "$(bioppo -sc install=bash)"
BIOPPO_DEBUG=1 shows the traceback of an error."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 2 for a user's mistake, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    pin_blas_threads()
    if words and words[0] in ("-sc", "--shell-completion"):
        return call("completion", words)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if words[0] in ("-V", "--version"):
        from bioppo import __version__

        print(f"bioppo {__version__}")
        return 0
    return run_command(words[0], words[1:])


def run_command(name: str, words: list[str]) -> int:
    """Run the command ``name``; what a user can mend becomes one sentence on standard error."""
    from bioppo import UserError

    try:
        if name not in COMMANDS:
            from bioppo.configs.option import nearest

            raise UserError(f"There is no command '{name}': {nearest(name, COMMANDS)}")
        status = call(name, words)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as stop:
        print(f"bioppo: {stop or 'Stopped.'}", file=sys.stderr)
        return getattr(stop, "exit_status", 130)
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Exception, SystemExit) as raised:
        error = raised.__cause__ if isinstance(raised, SystemExit) else raised
        if error is None:
            raise
        from .mistakes import explain

        sentence = explain(error)
        if sentence is None or os.environ.get("BIOPPO_DEBUG") == "1":
            raise error from error.__cause__
        print(f"bioppo: {sentence}", file=sys.stderr)
        return 2


def call(name: str, words: list[str]) -> int:
    """Import the module of a command and run it."""
    status: int = importlib.import_module(f"bioppo.cli.{name}").main(words)
    return status


def pin_blas_threads() -> None:
    """Give linear algebra one thread, unless the user chose; must happen before NumPy is imported."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


def usage() -> str:
    """Return the help text."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {meaning}" for name, meaning in COMMANDS.items()]
    return "usage: bioppo COMMAND ...\n\n" + "\n".join(lines) + "\n\n" + EPILOG


if __name__ == "__main__":
    sys.exit(main())
