"""What an encoder was given of a row, for the ear and the eye: a WAV and a picture, or two transcripts."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import AudioError, SettingError, StoreError
from ..features.durable import write_whole
from ..features.rows import MISSING
from ..features.segments import ORIGINAL
from ..features.spec import FeatureSpec
from ..features.store import FeatureStore
from ..shown import as_line
from .corpora.checks import leads_out
from .digests import file_digest
from .pipeline import audio_identity
from .sound.audio import wav_of
from .sound.inputs import sound_of
from .sound.silence import SilenceOptions, SilenceRemover
from .sound.views import AUDIO_VIEWS, drawn_for, kind_of
from .wanted import check_installed

_WINDOW_SECONDS, _HOP_SECONDS = 0.032, 0.008
_DECIBELS_SHOWN = 80.0  # below the loudest
_MOST_POINTS = 4000  # of a waveform: more than a picture has columns


@dataclass(frozen=True)
class Heard:
    """What ``listen`` made."""

    lines: tuple[str, ...]
    """For the screen."""

    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Panel:
    """One sound of the picture."""

    title: str
    samples: np.ndarray
    """(n,) float32"""


def listen(store: FeatureStore, segment_id: str, view: str, out: Path | None, data: Path, feature: str = "") -> Heard:
    """Write the samples that the encoder was given of a segment's view, and a picture beside them.

    The samples are loaded as an extraction loads them, but for the shift to zero mean and unit variance, which the ear
    does not need: they keep the recording's own level. Of a view of the text, both transcripts are shown instead.

    Raises StoreError when the store has no such segment or view, or when the audio has changed since it was extracted,
    SettingError when the choice of a feature is open, and AudioError when the audio cannot be read.
    """
    row = _row_of(store, segment_id, view)
    if view != ORIGINAL and kind_of(view) not in AUDIO_VIEWS:
        before, after = (store.segments["text"].iloc[_row_of(store, segment_id, one)] for one in (ORIGINAL, view))
        return Heard(lines=_compared(before, after, view))
    name = _feature_of(store, feature)
    spec, segment = store.specs[name], store.segments.iloc[row]
    if view in spec.views:
        check_installed(store.path, view, spec.views[view])
    elif view != ORIGINAL:
        raise StoreError(f"{store.path}: {name} has no view {view} yet; run msmt extract to make it")
    original = store.segments.iloc[_row_of(store, segment_id, ORIGINAL)]
    for path in (segment["audio"], original["audio"]):
        if leads_out(path):
            raise StoreError(f"{store.path}: segment {segment_id} names audio outside the data folder: {path!r}")
    out = Path(out or re.sub(r"[^\w.-]+", "_", f"{segment_id}-{view}.wav"))
    if out.suffix != ".wav":
        raise SettingError(f"{out}: must end in .wav")
    remover = _remover_of(store, spec)
    try:
        digest = file_digest(data / segment["audio"])
        heard = sound_of(data, segment, spec, remover).samples[: spec.max_samples]
        beside = _beside(data, original, view, spec, remover)
    except (AudioError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise AudioError(
            f"{data / segment['audio']}: {reason}; name the folder of the corpus with --data,"
            " or its folder of audio where msmt extract was given one outside (--audio-dir)"
        ) from error
    states, identity = store.states(name), audio_identity(spec.of_originals.fingerprint, spec.views, segment, digest)
    if states.length[row] != MISSING and states.identity[row] != identity:
        raise StoreError(
            f"{data / segment['audio']}: is not what {name} was made from; run msmt extract, or name the right --data"
        )
    picture = out.with_suffix(".png")
    panels = [*beside, Panel(f"{view}, as {name} was made from it", heard)]
    write_whole(out, [wav_of(heard, spec.sample_rate)])
    write_whole(picture, [_picture(panels, spec.sample_rate, segment_id)])
    seconds = len(heard) / spec.sample_rate
    drawn = f", {drawn_for(spec.views[view], segment_id, view)}" if view in spec.views else ""
    lines = [f"{out}: {seconds:.2f} s at {spec.sample_rate} Hz{drawn}, what {name} was made from", str(picture)]
    if states.length[row] == MISSING:
        lines.append(f"the row itself is missing from {store.path}; run msmt extract to fill it")
    return Heard(tuple(lines), (out, picture))


def marked(before: str, after: str) -> tuple[str, str]:
    """Two texts of one length with brackets around the stretches in which they differ."""
    texts = [[], []]
    is_open = False
    for one, other in zip(before, after, strict=True):
        if (one != other) != is_open:
            for text in texts:
                text.append("]" if is_open else "[")
            is_open = not is_open
        texts[0].append(one)
        texts[1].append(other)
    ending = ["]"] if is_open else []
    return "".join(texts[0] + ending), "".join(texts[1] + ending)


def _compared(before: str, after: str, view: str) -> tuple[str, ...]:
    if len(before) != len(after):
        return f"original:  {as_line(before)}", f"{view}: {as_line(after)}"
    replaced = sum(one != other for one, other in zip(before, after, strict=True))
    width = max(len(ORIGINAL), len(view)) + 2
    one, other = marked(before, after)
    return (
        f"{ORIGINAL + ':':<{width}}{as_line(one)}",
        f"{view + ':':<{width}}{as_line(other)}",
        f"{replaced} of {len(before)} characters replaced",
    )


def _row_of(store: FeatureStore, segment_id: str, view: str) -> int:
    table = store.segments
    rows = table[table["segment_id"] == segment_id]
    if not len(rows):
        raise StoreError(
            f"{store.path}: has no segment {segment_id!r}; its segments are {table['segment_id'].iloc[0]} and the like"
        )
    found = np.flatnonzero((table["segment_id"] == segment_id) & (table["view"] == view))
    if not len(found):
        raise StoreError(f"{store.path}: segment {segment_id} has no view {view!r}, only {', '.join(rows['view'])}")
    return int(found[0])


def _feature_of(store: FeatureStore, asked: str) -> str:
    there = [name for name, spec in store.specs.items() if spec.modality == "audio"]
    if asked and asked not in there:
        raise SettingError(f"{store.path} has no audio feature {asked}: choose --feature from {', '.join(there)}")
    # As in training: features without silence, or of one speaker, are meant only when named.
    plain = [name for name in there if store.specs[name].silence is None and store.specs[name].channel is None]
    if not asked and len(plain) == 1:
        return plain[0]
    if not asked and len(there) != 1:
        raise SettingError(f"{store.path} has several audio features: choose --feature from {', '.join(there)}")
    return asked or there[0]


def _remover_of(store: FeatureStore, spec: FeatureSpec) -> SilenceRemover | None:
    """What removes silence as it was removed when the feature was made."""
    if not spec.silence:
        return None
    recipe = spec.silence
    remover = SilenceRemover(
        SilenceOptions("remove", recipe["threshold"], silence_min_ms=recipe["min_ms"], silence_pad_ms=recipe["pad_ms"])
    )
    if remover.recipe() != recipe:
        raise StoreError(
            f"{store.path}: its silence was removed by {recipe['detector']}, which is not what is installed here"
        )
    return remover


def _beside(
    data: Path, original: pd.Series, view: str, spec: FeatureSpec, remover: SilenceRemover | None
) -> Sequence[Panel]:
    """What the view is to be compared with, if there is anything: the original, or the recording with its silence."""
    if view != ORIGINAL:
        return [Panel(ORIGINAL, sound_of(data, original, spec, remover).samples[: spec.max_samples])]
    if spec.silence:
        return [Panel("as recorded", sound_of(data, original, replace(spec, silence=None)).samples)]
    return []


def _picture(panels: Sequence[Panel], rate: int, segment_id: str) -> bytes:
    """Waveform and spectrogram of each sound, one below the other on the same axes, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    longest = max(len(panel.samples) for panel in panels) / rate
    highest = max(float(np.abs(panel.samples).max()) for panel in panels) or 1.0
    spectra = [_decibels(panel.samples, rate) for panel in panels]
    loudest = max(float(one.max()) for one in spectra)
    canvas = Figure(figsize=(11, 1 + 4 * len(panels)), layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots(2 * len(panels), sharex=True, height_ratios=[1, 2] * len(panels))
    for place, (panel, spectrum) in enumerate(zip(panels, spectra, strict=True)):
        wave, image = axes[2 * place], axes[2 * place + 1]
        low, high, times = _envelope(panel.samples, rate)
        wave.fill_between(times, low, high, linewidth=0.4, color="tab:blue")
        wave.set_ylim(-1.05 * highest, 1.05 * highest)
        wave.set_ylabel("amplitude")
        wave.set_title(f"{panel.title}: {len(panel.samples) / rate:.2f} s", loc="left", fontsize=11)
        shown = image.imshow(
            spectrum,
            origin="lower",
            aspect="auto",
            extent=(0, len(panel.samples) / rate, 0, rate / 2),
            cmap="magma",
            vmin=loudest - _DECIBELS_SHOWN,
            vmax=loudest,
            interpolation="nearest",
        )
        image.set_facecolor("0.9")  # where the shorter sound has ended
        image.set_ylabel("frequency (Hz)")
    axes[-1].set_xlim(0, longest)
    axes[-1].set_xlabel("time (seconds)")
    canvas.colorbar(shown, ax=list(axes), label="level (dB)", shrink=0.6, aspect=40)
    if segment_id.isascii():  # the default font knows no others
        canvas.suptitle(as_line(segment_id).replace("$", r"\$"))  # which would begin a formula
    png = io.BytesIO()
    canvas.savefig(png, format="png", dpi=110, metadata={"Software": None})
    return png.getvalue()


def _envelope(samples: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lowest and highest sample of each of at most so many stretches, and their times in seconds."""
    step = -(-len(samples) // _MOST_POINTS)
    starts = np.arange(0, len(samples), step)
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts), starts / rate


def _decibels(samples: np.ndarray, rate: int) -> np.ndarray:
    """(frequencies, times) the level of each short stretch at each frequency."""
    size, hop = round(_WINDOW_SECONDS * rate), round(_HOP_SECONDS * rate)
    padded = np.pad(samples, (size // 2, size))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[: max(len(samples), 1) : hop]
    power = np.abs(np.fft.rfft(windows * np.hanning(size), axis=1)) ** 2
    return 10 * np.log10(power.T + 1e-12)
