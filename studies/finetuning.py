"""Fine-tuning as it is asked for: examples are read, epochs are judged by the figures of evaluation."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import RunError, SettingError
from ..evaluate.metrics import figures_of_answers
from ..extract.corpora.config import CorpusOptions, GenericOptions
from ..extract.corpora.registry import load_corpus
from ..extract.finetuning.config import FinetuneOptions
from ..extract.finetuning.examples import Examples, of_corpus, of_csv
from ..extract.finetuning.finetune import Result, finetune
from ..extract.finetuning.folder import Folder, find, new_folder
from ..extract.finetuning.inputs import Encoder
from ..extract.sound.silence import SilenceOptions
from ..progress import Track, silent
from ..shown import as_line

Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """All that a run is begun with."""

    dataset: str
    """Corpus; empty for a csv of texts."""

    data: str
    """Folder of the corpus; empty for data/DATASET."""

    label_column: str
    """Of a csv of texts."""

    options: FinetuneOptions
    silence: SilenceOptions
    generic: GenericOptions
    of_corpus: CorpusOptions

    def examples(self, modality: str) -> Examples:
        """What is learnt from. Raises CorpusError."""
        if not self.dataset:
            if modality == "audio":
                raise SettingError(
                    f"{self.options.encoder}: is an encoder of speech, which takes texts of no csv; name a corpus with"
                    " --dataset, such as generic"
                )
            generic = self.generic
            is_value = generic.label_kind == "value"
            columns = (generic.text_column, self.label_column, generic.split_column)
            return of_csv(Path(generic.csv), *columns, is_value, self.options)
        folder = Path(self.data or Path("data") / self.dataset)
        corpus = load_corpus(self.dataset, folder, self.generic, modality, self.of_corpus)
        return of_corpus(corpus, modality, self.options)

    @classmethod
    def from_json(cls, fields: Mapping) -> Asked:
        kinds = {
            "options": FinetuneOptions,
            "silence": SilenceOptions,
            "generic": GenericOptions,
            "of_corpus": CorpusOptions,
        }
        return cls(**{name: kinds[name](**value) if name in kinds else value for name, value in fields.items()})


def begin(asked: Asked, runs: Path, name: str = "", track: Track = silent, say: Say = lambda line: None) -> Result:
    """A new run: of the given name, or of the time and the encoder's name."""
    encoder = Encoder.load(asked.options, asked.silence, asked.dataset)
    examples = asked.examples(encoder.modality)
    stem = re.sub(r"[^\w.-]+", "-", Path(asked.options.encoder).name) or "encoder"
    folder = new_folder(runs, name, stem)
    folder.write_settings({"asked": dataclasses.asdict(asked)})  # enough to go on with, however soon it is stopped
    return _run(asked, encoder, examples, folder, track, say)


def go_on(runs: Path, wanted: str, device: str = "", track: Track = silent, say: Say = lambda line: None) -> Result:
    """A run that was stopped, from its newest checkpoint; ``device`` where it is to be another one.

    Raises RunError where there is none, where it is done, and where what it learns from has changed.
    """
    folder = find(runs, wanted)
    if folder.is_done:
        folder.drop_checkpoints()
        raise RunError(f"{folder.path} is done: its encoder is {folder.encoder}")
    try:
        asked = Asked.from_json(folder.settings["asked"])
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{folder.path}: was begun by another version of msmt ({error}); begin anew") from error
    if device:
        asked = replace(asked, options=replace(asked.options, device=device))
    encoder = Encoder.load(asked.options, asked.silence, asked.dataset)
    say(f"going on with {as_line(folder.path.name)}")
    return _run(asked, encoder, asked.examples(encoder.modality), folder, track, say)


def _run(asked: Asked, encoder: Encoder, examples: Examples, folder: Folder, track: Track, say: Say) -> Result:
    for note in examples.notes:
        say(as_line(note))
    return finetune(examples, encoder, asked.options, folder, figures_of_answers, track, say, dataclasses.asdict(asked))
