"""Audio and video files as corpora hold them, whole and damaged. The same samples give the same bytes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

_WIDTH, _HEIGHT, _FRAMES = 64, 48, 10  # pixels and frames per second of the video track
_AAC_BITS = 48_000  # per second
_AAC_FRAME = 1024  # samples
_KEPT = 0.4  # of the bytes of a file that was cut off
_EXACT = {"fflags": "+bitexact"}  # no versions and times in the file


def write_wav(path: Path, samples: np.ndarray, rate: int) -> None:
    """16-bit wav of ``samples`` (n,), or (n, channels), within -1 and 1."""
    soundfile.write(path, np.clip(samples, -1, 1), rate, subtype="PCM_16", format="WAV")


def write_video(path: Path, samples: np.ndarray, rate: int, video: bool = True) -> None:
    """An mp4 of ``samples`` (n,) as AAC, beside a tiny video track unless ``video`` is False."""
    _write(path, np.clip(np.asarray(samples, np.float32), -1, 1), rate, len(samples) / rate if video else 0.0)


def write_silent_video(path: Path, seconds: float) -> None:
    """An mp4 whose sound is zeros throughout."""
    write_video(path, np.zeros(max(round(seconds * 16000), 1), np.float32), 16000)


def write_video_without_audio(path: Path, seconds: float) -> None:
    """An mp4 with a video track alone."""
    _write(path, None, 0, seconds)


def truncate(path: Path) -> None:
    """Cut a file off, as a broken download is, so that nothing of it can be decoded.

    An mp4 loses the table at its end without which its tracks cannot be found; of a wav not even the header is left.
    """
    content = path.read_bytes()
    kept = 20 if content[:4] == b"RIFF" else int(len(content) * _KEPT)
    path.write_bytes(content[:kept])


def _write(path: Path, samples: np.ndarray | None, rate: int, seconds: float) -> None:
    """``samples`` None for no sound, ``seconds`` 0 for no picture."""
    with av.open(str(path), "w", format="mp4", options=_EXACT) as container:
        picture = sound = None
        if seconds:
            picture = container.add_stream("mpeg4", rate=_FRAMES)
            picture.width, picture.height, picture.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
            picture.thread_count = 1
            picture.codec_context.flags |= av.codec.context.Flags.bitexact
        if samples is not None:
            sound = container.add_stream("aac", rate=rate, layout="mono", options={"aac_coder": "fast"})
            sound.bit_rate = _AAC_BITS
            sound.codec_context.flags |= av.codec.context.Flags.bitexact
        if picture:
            for place in range(max(1, round(seconds * _FRAMES))):
                frame = av.VideoFrame.from_ndarray(_picture(place), format="yuv420p")
                frame.pts, frame.time_base = place, Fraction(1, _FRAMES)
                container.mux(picture.encode(frame))
            container.mux(picture.encode(None))
        if sound:
            for start in range(0, len(samples), _AAC_FRAME):
                frame = av.AudioFrame.from_ndarray(samples[None, start : start + _AAC_FRAME], "fltp", "mono")
                frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
                container.mux(sound.encode(frame))
            container.mux(sound.encode(None))


def _picture(place: int) -> np.ndarray:
    """One frame as yuv420p has it, rows of brightness above rows of colour: a bright bar that moves across a dark field."""
    planes = np.full((_HEIGHT * 3 // 2, _WIDTH), 128, np.uint8)
    planes[:_HEIGHT] = 40
    planes[:_HEIGHT, 2 * place % _WIDTH : 2 * place % _WIDTH + 8] = 200
    return planes
