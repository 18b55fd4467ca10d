"""Turn exceptions into the sentence a user needs; what is not a user's mistake stays an exception."""

import re
from pathlib import Path

from .. import UserError
from ..configs.option import nearest
from ..configs.registry import inner_choice

WANTED = {
    "Integer": "give a whole number",
    "Float": "give a number",
    "valid bool": "give true or false",
    "is not Optional": "give a value other than null",
}
"""What to give instead, by the type that OmegaConf names in its message."""


def explain(error: BaseException) -> str | None:
    """Return one sentence with key, value and remedy, or None if the error is a bug."""
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    if type(error).__module__.partition(".")[0] in ("hydra", "omegaconf"):
        return _explain_composition(error)
    if isinstance(error, OSError):
        from ..training.run_directory import storage_error

        return str(storage_error(error, Path(error.filename or "the results")))
    return None


def _explain_composition(error: BaseException) -> str:
    """Explain a mistake in overrides or YAML files, as Hydra and OmegaConf report it."""
    from hydra.errors import MissingConfigException
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

    if match := re.search(r"UserError raised while resolving interpolation: (.*)", str(error)):
        return match[1]
    cause = error.__cause__
    if isinstance(error, MissingConfigException) and (inner := inner_choice(str(error.missing_cfg_file))):
        group, name, names = inner
        return f"{group}={name} does not exist: {nearest(name, names)}"
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={name} does not exist: {nearest(name, error.options)}"
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return _explain_key(str(cause.full_key or cause.key), cause)
    if isinstance(cause, ValidationError):
        wanted = next((words for kind, words in WANTED.items() if kind in str(cause)), "give a value of its type")
        return f"{_overridden(error) or cause.full_key}: {_first_line(cause)}; {wanted}."
    if isinstance(error, OmegaConfBaseException):
        return f"{error.full_key or 'The config'}: {_first_line(error)}."
    text = str(error)
    if match := re.match(r"(?:mismatched|extraneous|missing|no viable|token).*", text):
        return f"An override cannot be read ({match[0]}): write key=value, and quote values with special characters."
    return " ".join(text.split("\nSee ")[0].split())


def _explain_key(key: str, cause: BaseException) -> str:
    parent = getattr(cause, "parent_node", None)
    valid = [str(name) for name in parent] if parent is not None else []
    prefix = key.removesuffix(key.rpartition(".")[2])
    if not valid:
        return f"There is no key '{key}': add it with +{key}=VALUE if it is meant."
    return f"There is no key '{key}': {nearest(key, [prefix + name for name in valid])}"


def _overridden(error: BaseException) -> str | None:
    match = re.search(r"(?:Error merging override|Could not (?:override|append to config)) '?([^'\n]+)", str(error))
    return match[1].strip() if match else None


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
