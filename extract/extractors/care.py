"""The features ``care``: what CARE's speech encoder makes of a segment, from a state dict of its authors' names.

Of samples at 16,000 hertz and at the recording's own level. A segment shorter than half a second is filled up with
zeros to five seconds, as its authors do; a longer one is taken whole, up to ``seconds``, where they take a random crop
of five seconds of what is longer than twenty.

One pass makes, for a name NAME, the vectors NAME-layer0 to NAME-layer12, each the mean over time of a hidden state of
both stacks side by side (1,536), semantic first; and NAME-pooled, the mean of what leaves the semantic stack (768).
Each segment is computed alone, in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...errors import EncoderError, SettingError
from ...features.spec import SPEECH_RATE, FeatureSpec
from ..sound import audio
from . import care_network, hearing
from .care_network import CareSizes, with_own_names
from .checkpoints import check_sizes, digest_of, read_tensors
from .contract import Extractor, Job, Loaded, Material, Setup
from .hearing import Content, Hearing, HearingOptions

SOURCE = (
    "CARE's authors publish none: save the state_dict of a model that their code trained; without one, kind speech with"
    " a WavLM-base, layers=[0,1,2,3,4,5,6,7,8,9,10,11,12] and pool=mean stands in"
)
_SHORTEST = SPEECH_RATE // 2  # samples
_FILLED = 5 * SPEECH_RATE  # samples that a shorter segment becomes
_DEFINITION = "means over time; under 0.5 s filled up with zeros to 5 s"


@dataclass(frozen=True)
class CareOptions(HearingOptions):
    """Options of CARE's embeddings."""

    weights: str = ""
    """File of its state dict: safetensors, or tensors alone as torch.save writes them."""

    rate: int = SPEECH_RATE
    """Rate in hertz that the audio is resampled to: 16000, CARE knows no other."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rate:
            object.__setattr__(self, "rate", SPEECH_RATE)
        if self.rate != SPEECH_RATE:
            raise SettingError(
                f"rate must be {SPEECH_RATE} for CARE, the only one that it knows, but is {self.rate}; give the feature"
                f" rate={SPEECH_RATE} where --sample-rate is meant for others"
            )
        if self.seconds * SPEECH_RATE < _SHORTEST:
            raise SettingError(f"seconds must be at least {_SHORTEST / SPEECH_RATE}, but is {self.seconds}")


class Care(Extractor):
    """Makes one feature of each hidden state, and one of what is pooled."""

    loads_in_processes = True
    costs = {"13 layers of 1,536 and 768 pooled, for segments of 10 s": (13 * 1536 + 768) * 2 * 360.0}

    def __init__(self, name: str, options: CareOptions, heard: Hearing, device: torch.device) -> None:
        self.name, self.hearing, self.device = name, heard, device
        self.is_on_gpu = device.type != "cpu"
        network, sizes, digest = network_of(options.weights)
        self.network, self.kernels = network.to(device), sizes.kernels
        fields = heard.spec_fields(SPEECH_RATE, options.seconds, audio.AS_RECORDED)
        self.specs = {}
        for layer, called in [(layer, f"layer{layer}") for layer in range(sizes.layers)] + [(-1, "pooled")]:
            self.specs[f"{name}-{called}"] = FeatureSpec(
                modality="audio",
                encoder=options.weights,
                encoder_class="CARE",
                weights=digest,
                width=sizes.width if called == "pooled" else 2 * sizes.width,
                max_rows=1,
                layer=layer,
                kind="care",
                unit="vector",
                options={"definition": _DEFINITION, "made": "pooled" if called == "pooled" else "layer"},
                **fields,
            )

    @classmethod
    def load(cls, name: str, options: CareOptions, setup: Setup) -> Care:
        heard = Hearing.of(options, setup)
        return cls(name or f"care{heard.ending}", options, heard, setup.device)

    def identities(self, material: Material) -> Mapping[str, np.ndarray]:
        return hearing.identities(material, self.specs)

    def expected_rows(self, material: Material) -> Mapping[str, np.ndarray]:
        there = (hearing.expected_samples(material, self._spec) > 0).astype(int)
        return {name: there for name in self.specs}

    def job(self, material: Material, row: int) -> Job:
        return self.hearing.job(material, row, self._spec, Filled(self.kernels))

    @torch.inference_mode()
    def encode(self, batch: Sequence[Loaded]) -> list[Mapping[str, torch.Tensor]]:
        return [self._of(loaded.content) for loaded in batch]

    def cut_rows(self, material: Material) -> np.ndarray:
        return hearing.cut_rows(material, self._spec)

    @property
    def _spec(self) -> FeatureSpec:
        return next(iter(self.specs.values()))  # of the same audio in all

    def _of(self, samples: np.ndarray) -> dict[str, torch.Tensor]:
        """(n,) -> by name (1, d)"""
        made = self.network(torch.from_numpy(samples).to(self.device))
        vectors = [*(rows.mean(dim=0) for rows in made.layers), made.pooled]
        return {name: vector[None].float() for name, vector in zip(self.specs, vectors, strict=True)}


@dataclass(frozen=True)
class Filled:
    """Samples as CARE takes them; sent to where segments are loaded."""

    kernels: tuple[int, ...]

    def __call__(self, samples: np.ndarray) -> Content:
        """(n,) samples, filled up with zeros where they are few, and the frames that they cost."""
        if len(samples) < _SHORTEST:
            samples = np.pad(samples, (0, _FILLED - len(samples)))
        return samples, care_network.frames_of(len(samples), self.kernels)


def network_of(path: str) -> tuple[care_network.Care, CareSizes, str]:
    """The network with a state dict's values, its sizes, and the digest of what it is made of. Raises EncoderError."""
    tensors = with_own_names(read_tensors(path, SOURCE))
    try:
        sizes = CareSizes.of(tensors)
        network = care_network.Care(sizes).eval()
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        raise EncoderError(f"{path}: is no state dict of CARE's speech encoder (it lacks {error})") from error
    wanted = {name: values.shape for name, values in network.state_dict().items()}
    check_sizes(path, tensors, wanted, "a state dict of CARE's speech encoder")
    used = {name: tensors[name].float() for name in wanted}
    network.load_state_dict(used)
    return network, sizes, digest_of(used)
