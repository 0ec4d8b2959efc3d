"""What an extraction found and did, for the screen and for whoever calls it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..features.segments import ORIGINAL, REMOVED
from ..features.store import FeatureStore
from ..shown import as_line
from .config import ExtractConfig
from .corpora.corpus import Corpus
from .extractors.contract import Material
from .failures import of_share
from .making import Extractors
from .removed import SilenceLog
from .unusable import Failure
from .waits import Waits
from .wanted import Wanted, rows_per_class
from .work import FeatureWork, find_work


@dataclass
class Summary:
    """What an extraction did."""

    store: Path
    segments: int
    works: list[FeatureWork] = field(default_factory=list)
    copies: int = 0
    """Rows of altered views."""

    shard: str = ""
    """The share of the row blocks that was worked on, such as ``2/3``; empty for all."""

    computed: dict[str, int] = field(default_factory=dict)
    """Rows committed, by feature, those included that were copied."""

    copied: dict[str, int] = field(default_factory=dict)
    """How many of these were copied from rows made from the same input."""

    failures: list[Failure] = field(default_factory=list)
    failures_file: Path | None = None
    stopped_early: bool = False
    """Whether more segments failed than were allowed, so that the rest was not tried."""

    cut: dict[str, set[str]] = field(default_factory=lambda: {"audio": set(), "text": set()})
    """Ids of the segments of which more is there than the longest input of some feature, by its modality."""

    empty_texts: int = 0
    removed: int = 0
    """Segments of the store that have left the corpus."""

    removed_views: int = 0
    """Segments with views that are not wanted any more, mostly because they have left the training split."""

    split: str = ""
    """The training split."""

    classes_before: dict[str, int] = field(default_factory=dict)
    """Rows of the training split by class, originals only; empty without views."""

    classes_after: dict[str, int] = field(default_factory=dict)
    """The same with all views."""

    silences: dict[str, SilenceLog] = field(default_factory=dict)
    """What was removed where silence is, by the feature that is made without it."""

    waits: Waits = field(default_factory=Waits)

    @property
    def cut_audio(self) -> int:
        """Segments longer than the longest audio input."""
        return len(self.cut["audio"])

    @property
    def cut_text(self) -> int:
        """Segments with more tokens than the longest text input."""
        return len(self.cut["text"])

    def note_copied(self, feature: str, rows: int) -> None:
        """Count rows that were copied from others of the same input."""
        self.copied[feature] = self.copied.get(feature, 0) + rows

    def note_computed(self, feature: str, rows: int) -> None:
        """Count rows that were committed."""
        self.computed[feature] = self.computed.get(feature, 0) + rows

    def lines(self) -> list[str]:
        """The summary for the screen."""
        views = f" and {self.copies} altered copies" if self.copies else ""
        lines = [f"{self.store}: {self.segments} segments{views}"]
        if self.shard:
            lines.append(f"  of these, counted below are the rows of share {self.shard} alone")
        for work in self.works:
            committed, copied = self.computed.get(work.feature, 0), self.copied.get(work.feature, 0)
            alike = f"{copied} copied from rows of the same input, " if copied else ""
            lines.append(
                f"  {work.feature}: {committed - copied} computed, {alike}{work.done} were complete,"
                f" {len(work.rows) - committed} missing"
            )
        if self.classes_after:
            for when, counts in (("without", self.classes_before), ("with", self.classes_after)):
                shown = ", ".join(f"{as_line(name)} {count}" for name, count in counts.items())
                lines.append(f"  rows of {as_line(self.split)} {when} copies: {shown}")
        for feature, log in self.silences.items():
            of_which = f"{feature}: " if len(self.silences) > 1 else ""
            lines += [f"  {of_which}{line}" for line in log.lines()]
        lines += [f"  {count} segment{'s' if count != 1 else ''} {what}" for count, what in self._remarks() if count]
        total = sum(self.waits.seconds.values())
        if total > 1:
            shares = ", ".join(f"{stage} {seconds / total:.0%}" for stage, seconds in self.waits.seconds.items())
            lines.append(f"  time of the encoding thread: {shares}")
        return lines + self._lines_of_failures()

    @property
    def unknown_failures(self) -> list[Failure]:
        """The failures of segments that nothing was known to be wrong with."""
        return [failure for failure in self.failures if not failure.known]

    def failed(self) -> str:
        """How many segments failed, in one line."""
        count = len({failure.segment_id for failure in self.failures})
        known = len({failure.segment_id for failure in self.failures if failure.known})
        lack = "lack features" if any(failure.feature for failure in self.failures) else "have no audio feature"
        of_which = f" ({'all' if known == count else known} of them known defects of the corpus)" if known else ""
        return f"{count} segments {lack}{of_which}"

    def _lines_of_failures(self) -> list[str]:
        lines = []
        if self.failures:
            first = (self.unknown_failures or self.failures)[0]
            lines.append(f"  {self.failed()}, listed in {self.failures_file}; the first:")
            of_which = f"{first.feature}: " if first.feature else ""
            lines.append("    " + as_line(f"{first.origin}: {first.audio}: {of_which}{first.reason}"))
        if self.stopped_early:
            lines.append("  stopped early: more segments failed than --max-failures allows; what was computed stays")
        return lines

    def _remarks(self) -> tuple[tuple[int, str], ...]:
        return (
            (self.cut_audio, "longer than the longest audio input, cut"),
            (self.cut_text, "with more tokens than the longest text input, cut"),
            (self.empty_texts, "with an empty transcript"),
            (self.removed, "no longer in the corpus; their rows stay under the split 'removed' and are not used"),
            (
                self.removed_views,
                "with copies that are no longer wanted; these stay under the split 'removed' and are not used",
            ),
        )


def summary_before(
    corpus: Corpus,
    store: FeatureStore,
    extractors: Extractors,
    wanted: Wanted,
    material: Material,
    identities: dict[str, np.ndarray],
    config: ExtractConfig,
) -> Summary:
    """What can be told before anything is computed; ``material`` has the rows that are wanted, in their order."""
    rows = store.segments
    originals = (wanted.table["view"] == ORIGINAL).to_numpy()
    is_removed, of_views = rows["split"] == REMOVED, rows["view"] != ORIGINAL
    summary = Summary(
        store=store.path,
        segments=int(originals.sum()),
        copies=int((~originals).sum()),
        shard=config.shard,
        works=find_work(store, identities, config.share),
        removed=int((is_removed & ~of_views).sum()),
        removed_views=rows["segment_id"][is_removed & of_views].nunique(),
        split=wanted.split,
    )
    if extractors.need_text:
        summary.empty_texts = int((corpus.table["text"] == "").sum())
    for extractor in extractors:
        feature, spec = next(iter(extractor.specs.items()))
        if spec.silence:
            # How much is left of a segment is known once it is loaded; what is longer than the longest input counts then.
            mine = rows[~is_removed & ~of_views]
            path = silence_path(store.path, feature, config.shard)
            summary.silences[feature] = SilenceLog(path, mine, identities[feature][mine.index])
        else:
            cut = wanted.table["segment_id"][extractor.cut_rows(material) & originals]
            summary.cut["text" if spec.modality == "text" else "audio"].update(cut)
    if not originals.all():
        summary.classes_before, summary.classes_after = rows_per_class(wanted.table, corpus, wanted.split)
    return summary


def silence_path(store: Path, feature: str, shard: str = "") -> Path:
    """Where is listed what was removed of each segment."""
    return store.with_name(f"{store.stem}.{feature}.silence{of_share(shard)}.csv")
