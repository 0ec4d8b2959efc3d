"""Batches of whole recordings from a store, read ahead of the network that learns from them.

Threads gather the valid rows of a batch straight from the store's files into one of a few buffers that are used again
and again, so that memory does not grow with the store. On a GPU the buffers are pinned, and the next batch is copied
while the network works on the last one. Features that fit may instead be kept whole, in memory or on the GPU.
"""

from __future__ import annotations

import os
import queue
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from ..errors import SettingError
from ..features.reader import RowReader, may_map
from ..features.rows import BLOCK_ROWS
from .config import TrainConfig
from .data import Batch, Recordings, batch_of
from .rows import Rows

_SHARE_OF_FREE_MEMORY = 0.5  # that features may take unless told otherwise


class _Buffers:
    """Host memory for one batch."""

    def __init__(self, dtypes: Mapping[str, torch.dtype] = {}, pin: bool = False) -> None:  # noqa: B006  never changed
        """``dtypes`` by feature, float32 unless named."""
        self._dtypes, self._pin = dtypes, pin
        self._values: dict[str, Tensor] = {}
        self.copied: torch.cuda.Event | None = None
        """When the GPU has taken what is in them."""

    def room(self, feature: str, rows: int, width: int) -> Tensor:
        """(rows, d) to write to."""
        there = self._values.get(feature)
        if there is None or len(there) < rows:
            # Some room to spare, or each batch that is a little longer would take new memory.
            there = torch.empty(
                rows + rows // 4, width, dtype=self._dtypes.get(feature, torch.float32), pin_memory=self._pin
            )
            self._values[feature] = there
        return there[:rows]


class Stream:
    """Reads one set of features for one training, in the process that trains. Use it as a context manager."""

    def __init__(
        self,
        store,
        features: Mapping[str, str],
        recordings: Iterable[Recordings],
        device: torch.device,
        config: TrainConfig,
    ) -> None:
        """``features`` are what the store calls each feature, by its name in a batch. ``recordings`` are all that will
        be asked for: they decide what fits where.

        Raises SettingError when features have to be kept where they do not fit.
        """
        self.waited = 0.0
        """Seconds in which a batch was asked for and not yet there."""

        self._features, self._device = dict(features), device
        self._pin = device.type == "cuda"
        self._widths = {feature: store.specs[name].width for feature, name in features.items()}
        self._dtypes = {feature: getattr(torch, store.specs[name].dtype) for feature, name in features.items()}
        self._lengths = {feature: store.lengths(name) for feature, name in features.items()}
        rows = [np.concatenate(each.rows) for each in recordings]
        self._rows = np.unique(np.concatenate(rows)) if rows else np.array([], int)
        self.cached_in = _place(self._bytes(), device, config)
        allowed = config.cache_gb * 1e9 or _SHARE_OF_FREE_MEMORY * free_memory()
        files = len(self._features) * -(-len(store.segments) // BLOCK_ROWS)
        mapped = self.cached_in == "none" and self._bytes() <= allowed and may_map(files)
        self._readers = {feature: RowReader(store, name, mapped) for feature, name in features.items()}
        self._ahead = config.readers + 1 if config.readers else 0
        self._pool = ThreadPoolExecutor(config.readers, "msmt-reader") if config.readers else None
        # One is being moved while as many as may be read ahead wait.
        self._free: queue.SimpleQueue[_Buffers] = queue.SimpleQueue()
        for _ in range(self._ahead + 2):
            self._free.put(_Buffers(self._dtypes, self._pin))
        self._converted = _Buffers()
        self._copying = torch.cuda.Stream(device) if self._pin else None
        self._kept: dict[str, tuple[Tensor, np.ndarray]] = {}

    def __enter__(self) -> Stream:
        if self.cached_in != "none":
            self._kept = {feature: self._keep(feature) for feature in self._features}
        return self

    def __exit__(self, *error) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
        self._kept = {}

    def batches(self, recordings: Recordings, groups: Sequence[np.ndarray]) -> Iterator[Batch]:
        """A batch on the device for each group of positions, in order, with features in float32.

        A batch holds only until the next one is asked for: then its memory is used again.
        """
        batches = self._from_kept(recordings, groups) if self._kept else self._from_files(recordings, groups)
        try:
            while True:
                started = time.perf_counter()
                batch = next(batches, None)
                self.waited += time.perf_counter() - started
                if batch is None:
                    return
                yield batch
        finally:
            batches.close()

    def _from_kept(self, recordings: Recordings, groups: Sequence[np.ndarray]) -> Iterator[Batch]:
        for group in groups:
            rows = recordings.rows_at(group)
            features = {}
            for feature, (values, starts) in self._kept.items():
                lengths = self._lengths[feature][rows].tolist()
                parts = [values[start : start + length] for start, length in zip(starts[rows].tolist(), lengths)]
                features[feature] = Rows(self._on_device(feature, torch.cat(parts)), tuple(lengths))
            yield self._rest_moved(batch_of(recordings, group, features))

    def _from_files(self, recordings: Recordings, groups: Sequence[np.ndarray]) -> Iterator[Batch]:
        if not self._pin and self._is_mapped(recordings, groups):
            yield from self._from_maps(recordings, groups)
            return
        if not self._pin:
            for batch, buffers in self._read(recordings, groups):
                moved = self._moved(batch)
                self._free.put(buffers)
                yield moved
            return
        arriving = None
        for batch, buffers in self._read(recordings, groups):
            with torch.cuda.stream(self._copying):
                moved = self._moved(batch)
                buffers.copied = self._copying.record_event()
            self._free.put(buffers)
            if arriving:
                yield self._arrived(*arriving)
            arriving = moved, buffers.copied
        if arriving:
            yield self._arrived(*arriving)

    def _is_mapped(self, recordings: Recordings, groups: Sequence[np.ndarray]) -> bool:
        rows = np.concatenate([recordings.rows_at(group) for group in groups]) if len(groups) else np.array([], int)
        return all(reader.is_mapped(rows) for reader in self._readers.values())

    def _from_maps(self, recordings: Recordings, groups: Sequence[np.ndarray]) -> Iterator[Batch]:
        """Converted straight from the mapped files: for a CPU, memory is read once, and nothing is left to read ahead."""
        for group in groups:
            rows, features = recordings.rows_at(group), {}
            for feature, reader in self._readers.items():
                lengths = self._lengths[feature][rows].tolist()
                values = self._converted.room(feature, sum(lengths), self._widths[feature])
                parts = [torch.from_numpy(part) for part in reader.parts(rows)]
                for into, part in zip(values.split([len(part) for part in parts]), parts, strict=True):
                    into.copy_(part)
                features[feature] = Rows(values, tuple(lengths))
            yield batch_of(recordings, group, features)

    def _moved(self, batch: Batch) -> Batch:
        """The batch on the device, nothing of it in the buffers any more."""
        features = {
            feature: replace(rows, values=self._on_device(feature, rows.values))
            for feature, rows in batch.features.items()
        }
        return self._rest_moved(replace(batch, features=features))

    def _rest_moved(self, batch: Batch) -> Batch:
        """The batch with labels and speakers on the device too."""
        if self._device.type == "cpu":
            return batch
        labels = {name: labels.to(self._device, non_blocking=True) for name, labels in batch.labels.items()}
        return replace(batch, labels=labels, speakers=batch.speakers.to(self._device, non_blocking=True))

    def _on_device(self, feature: str, values: Tensor) -> Tensor:
        """Stored values, wherever they are, as float32 on the device."""
        if self._device.type != "cpu":
            return values.to(self._device, non_blocking=True).float()
        # Memory that is used again need not be cleared by the system first, which takes longer than the conversion.
        return self._converted.room(feature, *values.shape).copy_(values)

    def _arrived(self, batch: Batch, copied: torch.cuda.Event) -> Batch:
        """``batch`` once the GPU has all of it, for the stream that computes."""
        computing = torch.cuda.current_stream(self._device)
        computing.wait_event(copied)
        for tensor in (*(rows.values for rows in batch.features.values()), *batch.labels.values(), batch.speakers):
            tensor.record_stream(computing)
        return batch

    def _read(self, recordings: Recordings, groups: Sequence[np.ndarray]) -> Iterator[tuple[Batch, _Buffers]]:
        """Batches in host memory, in order, each with the buffers that it lies in."""
        if not self._pool:
            for group in groups:
                yield self._gather(recordings, group)
            return
        todo = iter(groups)
        coming: deque[Future] = deque()
        try:
            for group in islice(todo, self._ahead):
                coming.append(self._pool.submit(self._gather, recordings, group))
            while coming:
                done = coming.popleft().result()
                for group in islice(todo, 1):
                    coming.append(self._pool.submit(self._gather, recordings, group))
                yield done
        finally:
            for future in coming:  # nobody wants them any more, but their buffers are needed
                if not future.cancel() and not future.exception():
                    self._free.put(future.result()[1])

    def _gather(self, recordings: Recordings, group: np.ndarray) -> tuple[Batch, _Buffers]:
        buffers = self._free.get()
        try:
            if buffers.copied:
                buffers.copied.synchronize()
            rows, features = recordings.rows_at(group), {}
            for feature, reader in self._readers.items():
                lengths = self._lengths[feature][rows].tolist()
                values = buffers.room(feature, sum(lengths), self._widths[feature])
                reader.copy(rows, values.numpy())
                features[feature] = Rows(values, tuple(lengths))
            batch = batch_of(recordings, group, features)
            if self._pin:
                labels = {name: values.pin_memory() for name, values in batch.labels.items()}
                batch = replace(batch, labels=labels, speakers=batch.speakers.pin_memory())
            return batch, buffers
        except BaseException:
            self._free.put(buffers)
            raise

    def _bytes(self) -> int:
        """Bytes of all features as they are stored."""
        return sum(
            self._dtypes[name].itemsize * self._widths[name] * int(self._lengths[name][self._rows].sum())
            for name in self._features
        )

    def _keep(self, feature: str) -> tuple[Tensor, np.ndarray]:
        """All rows of a feature in one tensor (total, d), and where each row of the store begins in it.

        They are read in the order in which they lie in the files, which a disk likes best.
        """
        lengths, width = self._lengths[feature], self._widths[feature]
        ends = np.cumsum(lengths[self._rows])
        starts = np.zeros(len(lengths), int)
        starts[self._rows] = ends - lengths[self._rows]
        on_gpu = self.cached_in == "gpu"
        kept = torch.empty(int(ends[-1]), width, dtype=self._dtypes[feature], device=self._device if on_gpu else "cpu")
        buffers = _Buffers(self._dtypes)
        for first in range(0, len(self._rows), BLOCK_ROWS):
            rows = self._rows[first : first + BLOCK_ROWS]
            total = int(lengths[rows].sum())
            into = kept[starts[rows[0]] : starts[rows[0]] + total]
            values = buffers.room(feature, total, width) if on_gpu else into
            self._readers[feature].copy(rows, values.numpy())
            if on_gpu:
                into.copy_(values)
        return kept, starts


def _place(size: int, device: torch.device, config: TrainConfig) -> str:
    """Where features of ``size`` bytes are kept: ``none``, ``ram`` or ``gpu``."""
    wanted = config.cache_in
    if wanted == "gpu" and device.type != "cuda":
        raise SettingError(f"cache_in is gpu, but the network runs on {device.type}: choose --cache-in ram or none")
    if wanted == "none" or (wanted == "auto" and device.type != "cuda"):
        return "none"
    on_gpu = wanted in ("gpu", "auto")
    free = torch.cuda.mem_get_info(device)[0] if on_gpu else free_memory()
    allowed = config.cache_gb * 1e9 or _SHARE_OF_FREE_MEMORY * free
    if size <= allowed:
        return "gpu" if on_gpu else "ram"
    if wanted == "auto":
        return "none"
    raise SettingError(
        f"cache_in is {wanted}, but the features take {size / 1e9:.1f} GB and {allowed / 1e9:.1f} GB may be used: "
        "choose --cache-in none, or raise --cache-gb"
    )


def free_memory() -> int:
    """Bytes of memory that can be had without pushing anything out but cached files."""
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
