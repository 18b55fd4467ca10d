"""Parsing for the commands that Hydra does not compose."""

import argparse
from typing import NoReturn

from .. import UserError


class Arguments(argparse.ArgumentParser):
    """argparse whose mistakes are one sentence, like everybody else's."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise UserError(f"{self.prog}: {message}; see `{self.prog} --help`.")
