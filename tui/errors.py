"""Errors that a person can act on: what happened, and what to do about it.

Every error that may reach a user is a ``HeftError``; its class decides the exit code of the command line, so the
contract of exit codes has one home.
"""

from __future__ import annotations


class HeftError(Exception):
    """Something a person should read: ``summary`` says what happened, ``hint`` what to do (may be empty)."""

    exit_code = 1

    def __init__(self, summary: str, hint: str = "") -> None:
        super().__init__(summary)
        self.summary = summary
        self.hint = hint


class UsageError(HeftError):
    """The words on the command line do not make a request."""

    exit_code = 2


class NotFoundError(HeftError):
    """A model, build, job or endpoint of that name is not known."""

    exit_code = 3


class NotAllowedError(HeftError):
    """The hub refuses: gated repository, missing or wrong token."""

    exit_code = 4


class DoesNotFitError(HeftError):
    """There is not enough memory or disk; the summary carries the numbers."""

    exit_code = 5


class CatalogError(HeftError):
    """A catalog file cannot be read; the summary names file, row and key."""


class HubUnreachableError(HeftError):
    """The hub did not answer in time, or the answer was not a hub's. ``passing`` tells trouble that may go away by
    itself from a setting or an answer that will be the same the next time."""

    def __init__(self, summary: str, hint: str = "", *, passing: bool = True) -> None:
        super().__init__(summary, hint)
        self.passing = passing


class BuildBrokenError(HeftError):
    """A build on this disk is incomplete or damaged; the summary names the file."""


class RecipeError(HeftError):
    """A recipe cannot be carried out on this model or device; the summary says why."""


class StoreError(HeftError):
    """The job database cannot be used (newer schema, damaged, read-only, full disk)."""


class MoveRefusedError(HeftError):
    """A job cannot go from its present state to the wanted one."""


class EndpointError(HeftError):
    """A chat endpoint refused, failed or went away."""
