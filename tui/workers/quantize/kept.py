"""Gives back what GPTQModel's loop leaves behind of the calibration inputs, which else grow by a whole set per layer.

A forward pass of a layer ends in an exception. Its traceback holds the frames of the pass and those hold inputs of the
calibration set, in cycles that Python's collector finds after many layers only.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from tui.workers.weights import release_memory


@contextmanager
def new_objects_watched() -> Iterator[None]:
    """While ``quantize`` runs, the collector passes over the hundreds of thousands of objects of the libraries."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()  # or the model would never be collected


def release_kept() -> None:
    """Call between forward passes: drop what the last one left behind, and return the memory to the system."""
    from gptqmodel.nn_modules.hooked_linear import STOP_FORWARD_EXCEPTION

    STOP_FORWARD_EXCEPTION.__traceback__ = None
    gc.collect()
    release_memory()
