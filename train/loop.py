"""The training loop: runs that read the same data are trained in one pass over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ..errors import MsmtError
from ..progress import Advance, Track, silent
from . import runs
from .assembly import answer
from .config import NetworkSettings, TrainConfig
from .data import groups_of_similar_length, training_steps
from .devices import choose_device, reproducible
from .inputs import measure
from .jobs import Job, job_for
from .learner import Learner, Score
from .predict import infer
from .processes import Processes
from .stream import Stream
from .trained import Trained

_MEANT_FOR_ONE = (MsmtError, torch.OutOfMemoryError)  # errors that say nothing about the runs beside


def train(
    store,
    model_config: NetworkSettings | None,
    train_config: TrainConfig | None,
    runs_dir: Path | str,
    score: Score,
    track: Track = silent,
    resume: Path | str | None = None,
    say: Callable[[str], None] = print,
    command: Sequence[str] | None = None,
) -> Trained:
    """Trains one variant on the store's training split and keeps the epoch that does best on validation.

    ``resume`` names a run to go on with: its settings hold, and the two configs must be None or equal to them.
    ``score`` turns labels and outputs of the validation split into figures called ``task/figure``. ``command`` is
    recorded; by default the command line. Ctrl-C ends training with the files in order. Under torchrun, the
    processes share each optimizer step.

    Raises StoreError, SettingError or RunError before anything is written when the store, the settings or the run to
    resume will not do, and RunError when the loss is no longer a number.
    """
    resumed = None if resume is None else runs.resolve(runs_dir, resume)
    job = job_for(store, model_config, train_config, resumed, command)
    return train_together(store, [job], runs_dir, score, track, say)[0]


def train_together(
    store,
    jobs: Sequence[Job],
    runs_dir: Path | str,
    score: Score,
    track: Track = silent,
    say: Callable[[str], None] = print,
    stop: Callable[[int, dict], bool] = lambda job, line: False,
    alone: bool | None = None,
) -> list[Trained]:
    """Trains runs that may share a pass (see ``passes``): each batch is read and moved once, then every run takes a step.

    Each comes to the numbers that it would have come to alone. One that fails does not stop the others; only where
    it is ``alone``, by default as a single job, its error is raised. ``stop`` is asked after each epoch of each, with
    its number among ``jobs`` and its line of metrics.jsonl, whether to end it there.
    """
    processes = Processes()
    alone = len(jobs) == 1 if alone is None else alone
    lead = jobs[0]
    config = lead.settings.train
    if not processes.is_first:
        track, say = silent, lambda line: None
    device = processes.join(choose_device(config.device))
    with reproducible(device, config.seed), ExitStack() as opened:
        learners = [
            Learner(
                store,
                job,
                runs_dir,
                device,
                processes,
                say=_named(say, job) if len(jobs) > 1 else say,
                stop=partial(stop, number),
                is_apart=len(jobs) == 1,
            )
            for number, job in enumerate(jobs)
        ]
        running = {number: learner for number, learner in enumerate(learners) if learner.is_running}
        for learner in learners:
            if not learner.is_running:
                status, epoch = learner.progress.status, learner.progress.epoch
                learner.say(f"run {learner.run.name} is done ({status} after epoch {epoch}): nothing to resume")
        if not running:
            return [learner.result() for learner in learners]
        for learner in running.values():
            for line in learner.announcement():
                learner.say(line)
        try:
            # Once each, however many slots and runs it serves.
            features = {name: name for job in jobs for name in job.settings.features}
            recordings = (lead.material.learning, lead.material.validation)
            stream = opened.enter_context(Stream(store, features, recordings, device, config))
            for learner in running.values():
                opened.enter_context(learner.writing())
            _measure(running, stream, alone)
            running = {number: learner for number, learner in running.items() if learner.is_running}
            while running:
                # Runs that were interrupted at different epochs meet again where the last of them has got to.
                epoch = 1 + min(learner.progress.epoch for learner in running.values())
                now = {number: each for number, each in running.items() if each.progress.epoch + 1 == epoch}
                _epoch(now, stream, epoch, score, track, alone)
                running = {number: learner for number, learner in running.items() if learner.is_running}
        except KeyboardInterrupt:
            for learner in running.values():
                done, of = learner.saved.epoch, learner.config.epochs
                # Runs of a plan or a sweep go on with that, and whoever began it says so.
                how = f": {learner.run.how_to_resume(store.path)}" if alone else ""
                learner.say(f"interrupted, {done} of {of} epochs are kept{how}")
            return [learner.result(interrupted=True) for learner in learners]
    for learner in learners:
        for line in learner.closing():
            learner.say(line)
    return [learner.result() for learner in learners]


def _measure(running: Mapping[int, Learner], stream: Stream, alone: bool) -> None:
    """Let networks that have to see what they learn from before their first step see it, in one pass for all.

    Every process sees all of it, so that each has the same numbers.
    """
    measuring = {number: learner for number, learner in running.items() if learner.has_to_measure}
    if not measuring:
        return
    lead = next(iter(measuring.values()))
    learning, size = lead.material.learning, lead.config.batch_recordings
    groups = groups_of_similar_length(lead.material.learnt, learning.longest, size)
    measure([learner.model for learner in measuring.values()], stream.batches(learning, groups), answer)
    _Each(measuring, alone).do(Learner.check_measured)


def _epoch(
    running: Mapping[int, Learner],
    stream: Stream,
    epoch: int,
    score: Score,
    track: Track,
    alone: bool,
) -> None:
    """One pass over both splits; every run learns from each batch of the first and is judged by the second."""
    lead = next(iter(running.values()))
    waited = stream.waited
    what = f"epoch {epoch}" if len(running) == 1 else f"epoch {epoch} of {len(running)} runs"
    each = _Each(running, alone)
    with track(what, total=len(lead.material.learnt), unit="recordings") as advance:
        _learn(each, stream, epoch, advance)
    left = each.left
    with track(f"{what}, validation", total=len(lead.material.validation), unit="recordings") as advance:
        logits = infer(
            [learner.model for learner in left.values()],
            lead.material.validation,
            stream,
            [learner.config for learner in left.values()],
            lead.device,
            lead.processes,
            advance,
        )
    waited = stream.waited - waited
    answered = {id(learner): outputs for learner, outputs in zip(left.values(), logits, strict=True)}
    each.do(lambda learner: learner.end_epoch(answered[id(learner)], score, waited))


def _learn(each: _Each, stream: Stream, epoch: int, advance: Advance) -> None:
    lead = next(iter(each.left.values()))
    config, learning, processes = lead.config, lead.material.learning, lead.processes
    steps = training_steps(
        lead.material.learnt, learning.longest, config.seed, epoch, config.batch_recordings, config.accumulation
    )
    shares = [processes.share(step) for step in steps]
    batches = stream.batches(learning, [group for share in shares for _, group in share])
    first = 0  # number of the step's first batch
    each.do(Learner.begin_epoch)
    try:
        for at, (step, share) in enumerate(zip(steps, shares, strict=True)):
            members = np.concatenate(step)
            each.do(Learner.begin_step, members)
            for number, _group in share:
                batch = next(batches)
                each.do(Learner.learn, batch, first + number)
                if processes.count == 1:
                    advance(len(batch.positions))
            each.do(Learner.step, at, len(steps), members)
            if processes.count > 1:
                advance(len(members))
            if not each.left:
                return
            first += len(step)
    finally:
        batches.close()


class _Each:
    """Does something with each run that is still well; one that fails is left out from then on."""

    def __init__(self, running: Mapping[int, Learner], alone: bool) -> None:
        self.left = dict(running)
        self._alone = alone

    def do(self, action: Callable[..., None], *arguments) -> None:
        """``action(learner, *arguments)`` for each."""
        for number, learner in list(self.left.items()):
            try:
                action(learner, *arguments)
            except _MEANT_FOR_ONE as error:
                if self._alone:
                    raise
                learner.error = " ".join(str(error).split())
                learner.say(f"failed: {learner.error}")
                learner.forget()
                del self.left[number]


def passes(jobs: Sequence[Job], together: int) -> list[list[int]]:
    """Which of the jobs, by number, share a pass: those that see the same batches, at most ``together`` of them."""
    found: list[tuple[tuple, list[int]]] = []
    for number, job in enumerate(jobs):
        key = _what_it_reads(job)
        for other, members in found:
            if other == key and len(members) < together:
                members.append(number)
                break
        else:
            found.append((key, [number]))
    return [members for _, members in found]


def _what_it_reads(job: Job) -> tuple:
    """All that decides which recordings are in which batch."""
    config, material = job.settings.train, job.material
    splits = (material.learning, material.validation)
    return (
        config.seed,
        config.batch_recordings,
        config.accumulation,
        config.device,
        str(material.learning.store.path),
        *((each.split, tuple(map(bytes, each.rows)), bytes(each.longest)) for each in splits),
        bytes(material.learnt),
    )


def _named(say: Callable[[str], None], job: Job) -> Callable[[str], None]:
    name = job.settings.train.name or job.settings.model.variant
    return lambda line: say(f"{name}: {line}")
