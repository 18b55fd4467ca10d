"""`bioppo sweep`: `bioppo train --multirun`, in a directory that holds the runs of this sweep alone."""


def main(words: list[str]) -> int:
    """Train every combination of the comma-separated values."""
    from . import train

    return train.main(["--multirun", *(word for word in words if word not in ("-m", "--multirun"))])
