"""What may be chosen of an export and of an import."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import DamageError, SettingError
from ...shown import as_line
from ..head import check_name
from ..tasks import SCALES

NONE = "none"
AUTO = "auto"
MODALITIES = ("audio", "text", "vision")
CHOICES = {"scale": (AUTO, *SCALES, NONE)}
_CUT = re.compile(r"(?:(\w+)=)?(\d{1,9})")


@dataclass(frozen=True)
class MmsaExportOptions:
    """What of a store goes into the file."""

    audio: str = ""
    """Feature that is audio, unless there is only one of audio; none writes zeros."""

    text: str = ""
    """Feature that is text, unless there is only one of text; none writes zeros."""

    vision: str = ""
    """Feature that is vision, unless there is only one of vision; zeros where there is none."""

    task: str = ""
    """Task that regression_labels are of, unless only one fits."""

    classes: str = ""
    """Task that classification_labels and annotations are of; by default --task, or the signs of its values."""

    max_rows: tuple[str, ...] = ()
    """Cut segments after so many rows, such as 400, or audio=400 of one modality alone."""

    def __post_init__(self) -> None:
        for text in self.max_rows:
            match = _CUT.fullmatch(text)
            if not match or match[1] not in (None, *MODALITIES) or int(match[2]) < 1:
                raise SettingError(f"max_rows must be such as 400 or audio=400, but is {as_line(text)!r:.80}")

    def most_rows(self, modality: str, longest: int) -> int:
        """Where segments of a modality are cut."""
        cuts = [_CUT.fullmatch(text) for text in self.max_rows]
        return min([longest, *(int(match[2]) for match in cuts if match[1] in (None, modality))])


@dataclass(frozen=True)
class MmsaImportOptions:
    """What is made of a file."""

    name: str = "mmsa"
    """Name of the dataset in the store."""

    audio: str = "audio"
    """Name of the feature that audio becomes; none leaves it out."""

    text: str = "text"
    """Name of the feature that text becomes; none leaves it out."""

    vision: str = "vision"
    """Name of the feature that vision becomes; none leaves it out."""

    scale: str = AUTO
    """What labels mean: sentiment is -3 to 3 (MOSI, MOSEI), sims -1 to 1; auto goes by the largest label."""

    def __post_init__(self) -> None:
        if self.scale not in CHOICES["scale"]:
            raise SettingError(f"scale must be {', '.join(CHOICES['scale'])}, but is {as_line(self.scale)!r:.80}")
        if not self.name.strip():
            raise SettingError("name must be the name of a dataset, but is empty")
        names = [name for name in self.names.values() if name != NONE]
        for name in names:
            try:
                check_name(name)
            except DamageError as error:
                raise SettingError(f"{error}: letters, digits, - and _ can") from error
        if len(set(names)) < len(names):
            raise SettingError(f"audio, text and vision need names of their own, but are {', '.join(names)}")

    @property
    def names(self) -> dict[str, str]:
        """By modality the name of its feature."""
        return {key: getattr(self, key) for key in MODALITIES}
