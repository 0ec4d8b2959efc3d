"""Features of a segment's samples by openSMILE. The only file that imports it, and only when it is asked for."""

from __future__ import annotations

import re
import tempfile
import warnings
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import ModuleType

import numpy as np

from ...errors import AudioError, EncoderError, SettingError, shown

LEVELS = {"functionals": "func", "lld": "lld", "deltas": "lld_de"}  # and what openSMILE's own files call them
_LARGEST = 32767 / 32768  # openSMILE hears 16-bit samples, and one of 1.0 would become the most negative


@dataclass(frozen=True)
class SmileRecipe:
    """What openSMILE is to compute; can be pickled."""

    feature_set: str
    """Name of a set that the package ships, or of what ``path`` says."""

    level: str
    """What is taken of it, as its configuration names it: ``func``, ``lld``."""

    rate: int
    """Hertz of the samples."""

    path: Path | None = None
    """A configuration file that stands alone (see smile_conf.py); None for a set that the package ships."""


def package() -> ModuleType:
    """The package opensmile. EncoderError, which says how it is installed, where it is not."""
    try:
        import opensmile
    except ImportError:
        raise EncoderError('opensmile is not installed: pip install "msmt[opensmile]"') from None
    except (OSError, RuntimeError) as error:  # it loads a library that is not built for every system
        raise EncoderError(f"opensmile cannot be loaded ({error})") from error
    return opensmile


def version() -> str:
    """The package's version."""
    package()
    return metadata.version("opensmile")


def shared_files() -> Path:
    """The folder of the files that the package's configurations share."""
    return Path(package().__file__).parent / "core/config/shared"


def shipped_set(name: str) -> str:
    """The name of a set that the package ships, with its version where it has two. SettingError when there is none."""
    sets = package().FeatureSet.__members__
    if name not in sets:
        raise SettingError(f"set must be one of {', '.join(sets)}, but is {shown(name)}")
    return max((other for other, each in sets.items() if each is sets[name]), key=len)  # GeMAPS is GeMAPSv01a


def columns(recipe: SmileRecipe) -> list[str]:
    """What each value (d,) is called."""
    return list(_smile(recipe).feature_names)


def values(recipe: SmileRecipe, samples: np.ndarray) -> np.ndarray:
    """Samples (n,) float32 -> (T, d) float32, as openSMILE's own interface gives them.

    What is beyond -1 and 1 is clipped, as in a recording of 16 bits. AudioError for a segment too short for any frame.
    """
    made = _smile(recipe)(np.clip(samples, -1.0, np.float32(_LARGEST)), recipe.rate)[0].T  # (1, d, T) -> (T, d)
    if np.isnan(made).all():  # what it gives where it has made nothing
        raise AudioError(
            f"is too short: openSMILE makes nothing of {len(samples)} samples at {recipe.rate} Hz"
            f" ({recipe.feature_set})"
        )
    return np.ascontiguousarray(made, np.float32)


@lru_cache(64)  # one for all threads of a process: it is not written to
def _smile(recipe: SmileRecipe):
    opensmile = package()
    is_shipped = recipe.path is None
    levels = {level.value: level for level in opensmile.FeatureLevel}
    made_of = (
        opensmile.FeatureSet[recipe.feature_set] if is_shipped else str(recipe.path),
        levels[recipe.level] if is_shipped else recipe.level,
    )
    try:
        with warnings.catch_warnings(action="ignore"):  # which sets are deprecated is for the user to know
            smile = opensmile.Smile(*made_of, loglevel=0)
    except ValueError as error:
        raise SettingError(f"{recipe.feature_set}: {' '.join(str(error).split())}") from error
    except Exception as error:  # of its library, which is not exported
        reason = _reason(opensmile, made_of) or str(error)
        raise SettingError(f"{recipe.feature_set}: openSMILE cannot use it ({reason})") from error
    warnings.filterwarnings("ignore", "Segment too short", UserWarning)  # such a segment is listed as a failure
    return smile


def _reason(opensmile: ModuleType, made_of: tuple) -> str:
    """What openSMILE's log says about a configuration that it cannot use."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        try:
            opensmile.Smile(*made_of, loglevel=1, logfile=str(log))
        except Exception:  # noqa: S110  known
            pass
        text = log.read_text(errors="replace") if log.exists() else ""
    errors = re.findall(r"\(ERR\)\s*\[\d+\]\s*(.+)", text)
    said = [error.strip() for error in errors if not error.startswith("commandlineParser")]
    return said[0] if said else ""
