"""What a person can ask for: the one object that a front end holds.

Every method may block (a disk, the hub, a database), is safe to call from any thread and raises ``HeftError`` with
words for people. Nothing here knows a screen; the command line and the app are two callers of the same methods.

Each file holds the requests of one subject and stands on the one before it: ``ground`` (what is opened once), ``disk``,
``models``, ``fits``, ``work`` (asking for jobs), ``queue``, ``chats``, ``trials``.
"""

from __future__ import annotations

from tui.workbench.chats import IDLE_MINUTES
from tui.workbench.trials import TrialRequests

__all__ = ["IDLE_MINUTES", "Workbench"]


class Workbench(TrialRequests):
    """The catalog, the library, the queue, the hardware and the chats of one user on one host."""
