"""The live hub: searching it, and asking what one repository holds.

It speaks the hub's documented HTTP API itself, because huggingface_hub's listing waits for ever on a silent server and
its small downloads enter the user's cache.
"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

from tui.catalog.hub_answers import (
    REPOSITORY_NAME,
    HubFile,
    HubRepository,
    read_files,
    read_model,
    safe_path,
)
from tui.catalog.hub_connection import HubConnection, Question, Reply
from tui.catalog.hub_errors import hub_error, not_a_hub
from tui.catalog.model import Model
from tui.catalog.tasks import pipeline_of_task
from tui.errors import HubUnreachableError, NotFoundError, UsageError
from tui.plain_text import clean_line
from tui.quantities import bytes_text

__all__ = ["Hub", "HubFile", "HubRepository", "hub_error"]

_EXPAND = (
    "safetensors",
    "gguf",
    "gated",
    "downloads",
    "likes",
    "lastModified",
    "createdAt",
    "pipeline_tag",
    "tags",
    "config",
)


class Hub(HubConnection):
    """One hub, as the environment names it when this object is made (HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_OFFLINE).

    Every method blocks for at most ``LONGEST_CALL`` seconds, may be called from any thread, and raises
    ``HubUnreachableError``, ``NotFoundError`` or ``NotAllowedError``.
    """

    def search(
        self,
        text: str,
        *,
        task: str = "",
        limit: int = 50,
        min_params: int | None = None,
        max_params: int | None = None,
        ungated: bool = False,
    ) -> list[Model]:
        """Models whose repository name contains ``text``, most downloaded first (most talked about when ``text`` is
        empty). ``task`` is any word for a task; ``limit`` counts models, at most 1000; bounds count parameters."""
        limit = max(1, min(limit, 1000))
        bounds = (("min", min_params), ("max", max_params))
        wanted = {
            "search": " ".join(text.split()),
            "pipeline_tag": pipeline_of_task(task) if task else "",
            "num_parameters": ",".join(f"{name}:{_short_count(bound)}" for name, bound in bounds if bound),
            "gated": "false" if ungated else "",
        }
        sort = "downloads" if wanted["search"] else "trendingScore"
        query = [("sort", sort), ("limit", str(limit)), *((key, value) for key, value in wanted.items() if value)]
        question = Question("/api/models", (*query, *(("expand", name) for name in _EXPAND)))
        deadline = time.monotonic() + self.seconds
        found: dict[str, Model] = {}
        while True:
            try:
                reply = self.get(question, deadline)
            except HubUnreachableError:
                if found:
                    break  # the first page is an answer; a later one is only more of it
                raise
            answer = self._json(reply)
            if not isinstance(answer, list):
                raise not_a_hub(self.endpoint, str(answer))
            found |= {model.repo: model for model in map(read_model, answer) if model is not None}
            if len(found) >= limit or not answer or not reply.following or reply.following == question.path:
                break
            question = Question(reply.following)
        return list(found.values())[:limit]

    def repository(self, repo: str, revision: str = "") -> HubRepository:
        """What ``repo`` holds at ``revision`` (a branch, tag or commit; empty: its main branch): commit, files with
        sizes and checksums, and the model. Works without a token for gated repositories too; their files do not."""
        path = f"/api/models/{_checked(repo)}" + (f"/revision/{quote(revision, safe='')}" if revision else "")
        answer = self._json(self.get(Question(path, (("blobs", "true"),), repo, revision)))
        model = read_model(answer)
        files = read_files(answer) if isinstance(answer, dict) else None
        commit = answer.get("sha") if isinstance(answer, dict) else None
        if model is None or files is None or not isinstance(commit, str) or not commit.isalnum():
            raise not_a_hub(self.endpoint, str(answer))
        return HubRepository(model.repo, commit, files, model.gated, model)

    def eval_results(self, repo: str) -> list[Any]:
        """The hub's evaluation results for ``repo`` as they came, unchecked: an entry should be a dict in the shape of
        the files in its ``.eval_results`` folder."""
        answer = self._json(self.get(Question(f"/api/models/{_checked(repo)}", (("expand", "evalResults"),), repo)))
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), str):
            raise not_a_hub(self.endpoint, str(answer))
        entries = answer.get("evalResults")
        return entries if isinstance(entries, list) else []

    def read_file(self, repo: str, path: str, revision: str = "", limit: int = 2_000_000) -> bytes:
        """Return the bytes of one small file. Raises ``UsageError`` when it is longer than ``limit`` bytes."""
        if not safe_path(path):
            raise UsageError(f"{clean_line(path, 80)!r} is not a path inside a repository")
        address = f"/{_checked(repo)}/resolve/{quote(revision or 'main', safe='')}/{quote(path)}"
        content = self.get(Question(address, (), repo, revision, limit + 1)).content
        if len(content) > limit:
            raise UsageError(f"{path} of {repo} is longer than {bytes_text(limit)}")
        return content

    def read_range(self, repo: str, path: str, start: int, length: int, revision: str = "") -> bytes:
        """Return ``length`` bytes of a file from byte ``start`` on (fewer where it ends before that), whatever its
        size. Raises ``HubUnreachableError`` where the server knows no ranges."""
        if not safe_path(path):
            raise UsageError(f"{clean_line(path, 80)!r} is not a path inside a repository")
        address = f"/{_checked(repo)}/resolve/{quote(revision or 'main', safe='')}/{quote(path)}"
        return self.get(Question(address, (), repo, revision, length, start)).content

    def check_access(self, repo: str) -> None:
        """Raise ``NotAllowedError`` with the page to visit unless the files of ``repo`` may be downloaded now."""
        self.get(Question(f"/api/models/{_checked(repo)}/auth-check", repo=repo))

    def _json(self, reply: Reply) -> Any:
        try:
            return json.loads(reply.content)
        except (ValueError, RecursionError):
            raise not_a_hub(self.endpoint, reply.content[:200].decode("utf-8", "replace")) from None


def _short_count(number: int) -> str:
    """A count as the hub's own client writes it: "6B", "0.5B"."""
    return f"{number / 1e9:g}B" if number >= 10**8 else f"{number / 1e6:g}M"


def _checked(repo: str) -> str:
    if not REPOSITORY_NAME.fullmatch(repo) or ".." in repo:
        raise NotFoundError(f"{clean_line(repo, 80)!r} is not the name of a repository", "write it like org/name")
    return repo
