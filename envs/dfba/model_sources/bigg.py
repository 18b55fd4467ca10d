"""Models of the BiGG database (King et al. 2016, doi:10.1093/nar/gkv1049), fetched into the cache of data sets."""

import re
from pathlib import Path

from .... import UserError
from ....datasets.cache import cache_directory

ADDRESS = "http://bigg.ucsd.edu/static/models/{identifier}.xml.gz"


def fetch_bigg_model(identifier: str, *, allow_download: bool) -> Path:
    """Return the SBML file of a BiGG model, from the cache or, where that is allowed, from the database."""
    if not re.fullmatch(r"[A-Za-z0-9_]+", identifier):
        raise UserError(f"model=bigg:{identifier}: give a model's BiGG id, such as bigg:iYO844.")
    cache = cache_directory()
    if cache is None:
        raise UserError("There is no home directory to keep models in: set BIOPPO_CACHE to a folder.")
    folder = cache / "data" / "bigg"
    path = folder / f"{identifier}.xml.gz"
    if path.is_file():
        return path
    address = ADDRESS.format(identifier=identifier)
    if not allow_download:
        raise UserError(
            f"model=bigg:{identifier} is not in the cache: set allow_download=true to fetch {address}, or give the "
            "path of the file."
        )
    _download(address, path)
    return path


def _download(address: str, path: Path) -> None:
    from ....datasets.download import changing
    from ....datasets.progress import SilentProgress
    from ....datasets.transfer import ContinuingDownloader, SourceError

    with changing(path.parent):
        if path.is_file():  # another process was first
            return
        partial = path.with_name(f"{path.name}.part")
        # BiGG states no size and no checksum, so that an earlier attempt's bytes cannot be told from another version's.
        partial.unlink(missing_ok=True)
        path.touch()
        try:
            ContinuingDownloader(f"bigg/{path.name}", partial, None, SilentProgress())(address, str(path), None)
        except SourceError as error:
            path.unlink(missing_ok=True)
            raise UserError(
                f"Cannot download {address} ({error}): try again, or download the file yourself and give its path."
            ) from error
