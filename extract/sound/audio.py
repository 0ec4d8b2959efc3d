"""From an audio file to the samples an encoder sees. The only file that imports audio libraries."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio

from ...errors import AudioError
from ...features.segments import MEAN_OF_CHANNELS

NORMALISATION = "zero mean, unit variance over the segment"
AS_RECORDED = "none: samples at the recording's own level"
_VARIANCE_FLOOR = 1e-7  # added to the variance, as the encoders' own feature extractors do
_STRETCH_WINDOW = 0.032  # seconds that a phase vocoder hears at once: a few periods of a voice
_STRETCH_OVERLAP = 8  # windows that hear the same sample

# libsndfile's codes for "not a format I know" and "a codec of that format I do not know", and those for a resource fork of
# Sound Designer II that makes no sense: for one it takes whatever file ``._NAME`` a Mac has left beside NAME.
_UNKNOWN_TO_LIBSNDFILE = (1, 4, *range(149, 155))
# Beginnings of containers, mostly of video: libsndfile takes some of their bytes for those of an MP3.
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # MP4, M4A and QuickTime, at byte 4
_CONTAINERS = (b"\x1aE\xdf\xa3", b"FLV\x01", b"\x00\x00\x01\xba", b"0&\xb2u")  # Matroska and WebM, FLV, MPEG-PS, ASF
# Programs that stream a WAV cannot know its size and write a value close to the largest; that is no damage.
_STREAMED_SIZE = 0x7FFF0000
# Containers state durations with padding and priming samples counted in or not; less than this is no damage.
_DURATION_TOLERANCE = 0.25  # seconds


def load_segment(
    path: Path, sample_rate: int, start: float = np.nan, end: float = np.nan, channel: int = MEAN_OF_CHANNELS
) -> np.ndarray:
    """The samples of one segment: decoded, mixed or one channel picked, resampled; float32, (samples,).

    ``start`` and ``end`` are seconds within the file, NaN for its beginning and its end.
    Raises AudioError when the file is not audio, is cut off, or holds nothing that can be used.
    """
    samples, rate = _decode(Path(path), start, end)
    _check(samples)
    if channel == MEAN_OF_CHANNELS:
        mono = samples.mean(axis=1)
    elif channel < samples.shape[1]:
        mono = samples[:, channel]
    else:
        raise AudioError(f"has {samples.shape[1]} channels, so no channel {channel}")
    _check_sounding(mono)
    if rate != sample_rate:
        mono = resampled(mono, rate, sample_rate)
    return np.ascontiguousarray(mono, np.float32)


def decoded_seconds(path: Path) -> float:
    """Length of a file in seconds, all of it decoded. Raises AudioError as ``load_segment`` does of the whole file."""
    samples, rate = _decode(Path(path), np.nan, np.nan)
    _check(samples)
    _check_sounding(samples)
    return len(samples) / rate


def _check(samples: np.ndarray) -> None:
    if not len(samples):
        raise AudioError("holds no samples")
    if not np.isfinite(samples).all():
        raise AudioError("holds samples that are not finite numbers")


def _check_sounding(samples: np.ndarray) -> None:
    if samples.min() == samples.max():
        raise AudioError(f"is silent: all its samples are {'zero' if not samples.any() else 'equal'}")


def normalised(samples: np.ndarray) -> np.ndarray:
    """``samples`` with zero mean and unit variance; the sums are taken in float64."""
    mean = samples.mean(dtype=np.float64)
    variance = samples.var(dtype=np.float64)
    return ((samples - mean) / np.sqrt(variance + _VARIANCE_FLOOR)).astype(np.float32)


def resampled(samples: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    """``samples`` (n,) float32 of one rate in hertz at another."""
    return torchaudio.functional.resample(torch.from_numpy(np.ascontiguousarray(samples)), rate, sample_rate).numpy()


def stretched(samples: np.ndarray, factor: float, sample_rate: int) -> np.ndarray:
    """``samples`` (n,) said ``factor`` times as fast, at the same pitch: round(n / factor) of them, float32.

    A factor of 1.1 is faster and shorter, 0.9 slower and longer; it is as loud. By a phase vocoder, whose phases are summed in
    float64: over a long segment float32 would lose them.
    """
    size = max(16, 2 * round(_STRETCH_WINDOW * sample_rate / 2))
    hop = size // _STRETCH_OVERLAP
    wanted = max(1, round(len(samples) / factor))
    window = torch.hann_window(size, dtype=torch.float64)
    # Silence after the end lets the last samples be heard by as many windows as all others.
    ending = torch.nn.functional.pad(torch.tensor(samples, dtype=torch.float64), (0, 2 * size))
    spectra = torch.stft(ending, size, hop, window=window, pad_mode="constant", return_complex=True)
    advance = torch.linspace(0, np.pi * hop, size // 2 + 1, dtype=torch.float64)[:, None]
    spectra = torchaudio.functional.phase_vocoder(spectra, factor, advance)
    sound = torch.istft(spectra, size, hop, window=window)[:wanted]
    # Neighbouring windows no longer agree in every phase, and take a little from each other: the loudness is restored.
    before, after = (float(np.mean(np.square(each, dtype=np.float64))) for each in (samples, sound.numpy()))
    return (sound * (before / after) ** 0.5 if after > 0 else sound).float().numpy()


def mel_spectrogram(
    transform: int, window: int, hop: int, rate: int, bands: int, low: float, high: float
) -> torchaudio.transforms.MelSpectrogram:
    """What makes samples (n,) the power in each band of each frame, (bands, 1 + n // hop).

    Frames are centred, weighted with a periodic Hann window, and hear zeros beyond the ends; lengths are in samples. Bands
    are triangles of height 1 on HTK's mel scale, from ``low`` to ``high`` hertz.
    """
    return torchaudio.transforms.MelSpectrogram(
        sample_rate=rate,
        n_fft=transform,
        win_length=window,
        hop_length=hop,
        f_min=low,
        f_max=high,
        n_mels=bands,
        pad_mode="constant",
    )


@dataclass(frozen=True)
class Header:
    """What name, size and header of a file tell."""

    problem: str | None = None
    """Why it cannot be used; None where they tell nothing."""

    seconds: float | None = None
    """Its length, of a video that of its sound; None where they do not tell."""


def header_of(path: Path) -> Header:
    """Look at the header of a file; it is opened once."""
    try:
        if Path(path).stat().st_size == 0:
            return Header("the file is empty")
        information = _information_of(path)
        return Header(seconds=information.frames / information.samplerate if information.samplerate else None)
    except _ForAv:
        pass
    except FileNotFoundError:
        return Header("there is no such file")
    except OSError as error:
        return Header(f"cannot be read ({error.strerror})")
    except soundfile.LibsndfileError as error:
        if error.code not in _UNKNOWN_TO_LIBSNDFILE:
            return Header(f"cannot be decoded ({error.error_string.strip().rstrip('.')})")
    import av

    try:
        with av.open(str(path)) as container:
            for stream in container.streams.audio:
                return Header(seconds=float(stream.duration * stream.time_base) if stream.duration else None)
            return Header("holds no audio stream")
    except (av.error.FFmpegError, OSError) as error:
        return Header(f"is not audio that can be decoded ({error.strerror})")


def seconds_of(path: Path) -> float | None:
    """Length of a file in seconds by its header alone, of a video that of its sound; None when the header does not tell."""
    return header_of(path).seconds


def problem_of(path: Path) -> str | None:
    """Why a file cannot be used, as far as its name, size and header tell; None where they tell nothing."""
    return header_of(path).problem


def wav_of(samples: np.ndarray, rate: int) -> bytes:
    """A WAV file of (n,) samples as they are: 32-bit float, so that none is cut off or rounded."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def channels_of(path: Path) -> int | None:
    """How many channels a file has by its header alone; None when the header does not tell."""
    try:
        return _information_of(path).channels
    except (_ForAv, OSError, soundfile.LibsndfileError, RuntimeError):
        import av

    try:
        with av.open(str(path)) as container:
            return container.streams.audio[0].channels if container.streams.audio else None
    except (av.error.FFmpegError, OSError):
        return None


class _ForAv(Exception):
    """The file is one that libsndfile must not be given."""


def _check_for_soundfile(path: Path) -> None:
    with open(path, "rb") as file:
        start = file.read(12)
    is_video = start[4:8] in _BOXES or start.startswith(_CONTAINERS) or (start[:4], start[8:]) == (b"RIFF", b"AVI ")
    if is_video:
        raise _ForAv


def _information_of(path: Path):
    _check_for_soundfile(path)
    return soundfile.info(str(path))


def _decode(path: Path, start: float, end: float) -> tuple[np.ndarray, int]:
    """(samples, channels) float32 and the rate in hertz."""
    if path.stat().st_size == 0:
        raise AudioError("the file is empty")
    try:
        _check_for_soundfile(path)
        return _decode_soundfile(path, start, end)
    except _ForAv:
        pass
    except soundfile.LibsndfileError as error:
        if error.code not in _UNKNOWN_TO_LIBSNDFILE:
            raise AudioError(f"cannot be decoded ({error.error_string.strip().rstrip('.')})") from error
    samples, rate = _decode_av(path)
    begin, stop = _range_of(start, end, rate, len(samples))
    return samples[begin:stop], rate


def _decode_soundfile(path: Path, start: float, end: float) -> tuple[np.ndarray, int]:
    with soundfile.SoundFile(str(path)) as file:
        declared = re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
        if declared and int(declared[2]) < int(declared[1]) < _STREAMED_SIZE:
            raise AudioError(
                f"is cut off: the header promises {declared[1]} bytes of samples, the file holds {declared[2]}"
            )
        if file.format == "OGG" and not _ogg_ends(path):
            raise AudioError("is cut off: its last page does not end the stream")
        begin, stop = _range_of(start, end, file.samplerate, file.frames)
        file.seek(begin)
        samples = file.read(stop - begin, dtype="float32", always_2d=True)
        missing = stop - begin - len(samples)
        if missing > _DURATION_TOLERANCE * file.samplerate:
            raise AudioError(f"is cut off: {missing / file.samplerate:.2f} s of what the header promises are missing")
        return samples, file.samplerate


def _ogg_ends(path: Path) -> bool:
    """Whether the last page of an Ogg file says that it is the last (RFC 3533, section 6)."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 65_307))  # the longest a page can be
        tail = file.read()
    page = tail.rfind(b"OggS")
    return 0 <= page < len(tail) - 5 and bool(tail[page + 5] & 4)


def _decode_av(path: Path) -> tuple[np.ndarray, int]:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise AudioError("holds no audio stream")
            stream = container.streams.audio[0]
            to_float = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)
            frames = [out.to_ndarray() for frame in container.decode(stream) for out in to_float.resample(frame)]
            frames += [out.to_ndarray() for out in to_float.resample(None)]
            rate = stream.rate
            declared = float(stream.duration * stream.time_base) if stream.duration else 0.0
    except av.error.FFmpegError as error:
        raise AudioError(f"is not audio that can be decoded ({error.strerror})") from error
    samples = np.concatenate(frames, axis=1).T if frames else np.zeros((0, 1), np.float32)
    if declared - len(samples) / rate > max(_DURATION_TOLERANCE, 0.02 * declared):
        raise AudioError(f"is cut off: holds {len(samples) / rate:.2f} s of the {declared:.2f} s that it promises")
    return samples, rate


def _range_of(start: float, end: float, rate: int, frames: int) -> tuple[int, int]:
    begin = 0 if np.isnan(start) else round(start * rate)
    stop = frames if np.isnan(end) else round(end * rate)
    if begin >= frames > 0:
        raise AudioError(f"ends at {frames / rate:.2f} s, before the segment's start at {start} s")
    if stop > frames + _DURATION_TOLERANCE * rate:
        raise AudioError(f"ends at {frames / rate:.2f} s, before the segment's end at {end} s")
    return begin, min(stop, frames)
