"""What exists in the world: the catalog, the hub, folders, and the facts and files of one model."""

from __future__ import annotations

import contextlib
import difflib
import json
from dataclasses import replace
from pathlib import Path

from tui.catalog.card import Card, load_card
from tui.catalog.gguf_header import DamagedGgufError, GgufHeader, parse_gguf_header
from tui.catalog.hub import HubFile, HubRepository
from tui.catalog.model import Model, ModelFilter
from tui.catalog.remote_tensors import remote_tensors
from tui.catalog.search import search
from tui.catalog.weight_files import gguf_quantization
from tui.errors import HeftError, NotAllowedError, NotFoundError
from tui.fit.config_facts import folder_model, with_config
from tui.fit.gguf_shape import with_gguf
from tui.workbench.disk import DiskRequests

GGUF_READ = 262_144
"""Bytes of a GGUF file on the hub that are read for its dimensions, which stand before its vocabulary."""


class ModelRequests(DiskRequests):
    """Requests about models."""

    def models(self, wanted: ModelFilter | None = None) -> list[Model]:
        """The rows of the catalog that ``wanted`` asks for."""
        return search(self._catalog.models, wanted or ModelFilter())

    def search_hub(
        self,
        text: str,
        limit: int = 50,
        task: str = "",
        *,
        min_params: int | None = None,
        max_params: int | None = None,
        ungated: bool = False,
    ) -> list[Model]:
        """Models of the hub whose name holds ``text``; raises ``HubUnreachableError``."""
        return self.hub.search(
            text, task=task, limit=limit, min_params=min_params, max_params=max_params, ungated=ungated
        )

    def other_models(self) -> list[Model]:
        """Models that are on this disk and not in the catalog, as their own files describe them."""
        found: dict[str, Model] = {}
        for build in self.builds():
            name = build.repo or build.model
            if build.recipe or build.problem or self._catalog.find(build.model) or self._catalog.find(name):
                continue
            with contextlib.suppress(HeftError):
                model = folder_model(build.path, model_id=name)
                repo = build.repo or model.repo
                found[name] = replace(model, name=name.rpartition("/")[2] or name, repo=repo, source="cache")
        return list(found.values())

    def model(self, ref: str) -> Model:
        """The model of that catalog id, repository (``org/name[@revision]``), folder or build.

        Raises ``NotFoundError`` with the nearest names. A repository that the catalog does not know is asked of the
        hub by whoever needs its facts; here it is only named.
        """
        named, _, revision = ref.partition("@")
        name, _, gguf = named.partition(":") if not named.startswith(("/", ".", "~")) else (named, "", "")
        row = self._catalog.find(name)
        if row is not None:
            return replace(row, revision=revision) if revision else row
        folder = Path(ref).expanduser()
        if ref.startswith(("/", "./", "../", "~")):
            if not folder.is_dir():
                raise NotFoundError(f"there is no folder {ref}")
            return folder_model(folder.absolute())
        for build in self.library.builds():
            if ref == build.id and build.source != "hub-cache" and build.path.is_dir():
                known = self._catalog.find(build.model)
                return known or folder_model(build.path, model_id=build.model)
        if name.count("/") == 1 and all(name.split("/")):
            last = name.split("/")[1] + (f" {gguf}" if gguf else "")
            return Model(id=named, name=last, repo=name, revision=revision, source="hub", gguf=gguf.lower())
        near = difflib.get_close_matches(ref, [row.id for row in self._catalog.models], n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "heft models lists them; hub models are named org/name"
        raise NotFoundError(f"no model is called {ref!r}", hint)

    def known(self, model: Model) -> Model:
        """``model`` with the facts of the hub when the catalog has none; raises hub errors."""
        if model.source != "hub" or not model.repo or model.shape.layers is not None:
            return model
        repository = replace(self.hub.repository(model.repo, model.revision), gguf=model.gguf)
        if any(file.path.endswith(".gguf") for file in repository.needed_files):
            return replace(self._with_gguf(repository), id=model.id, name=model.name, gguf=model.gguf)
        if not any(file.path == "config.json" for file in repository.files):
            return repository.model
        try:
            config = json.loads(self.hub.read_file(model.repo, "config.json", repository.commit))
        except (NotAllowedError, ValueError):
            return repository.model  # a gated repository shows its facts, not its files
        return with_config(repository.model, config) if isinstance(config, dict) else repository.model

    def _with_gguf(self, repository: HubRepository) -> Model:
        """The model of a GGUF repository, with the dimensions from the head of the file that would be fetched."""
        files = [file for file in repository.needed_files if file.path.endswith(".gguf")]
        try:
            data = self.hub.read_range(repository.repo, files[0].path, 0, GGUF_READ, repository.commit)
            header = parse_gguf_header(data, partial=True)
        except (NotAllowedError, DamagedGgufError):
            header = GgufHeader({})  # a gated repository shows its facts, not its files
        size = sum(file.size for file in files)
        return with_gguf(repository.model, header, size, gguf_quantization(files[0].path))

    def with_tensors(self, model: Model) -> Model:
        """``model`` with its exact tensors, read from the heads of its published files; raises hub errors. As it is
        where there is nothing to read: APIs, folders, repositories without safetensors."""
        if model.is_api or not model.repo or model.is_local_folder or model.tensors is not None:
            return model
        repository = self.hub.repository(model.repo, model.revision)
        found = remote_tensors(self.hub, self.paths, repository)
        return model if found is None else replace(model, tensors=found, weights_bytes=found.bytes)

    def sized(self, model: Model) -> Model:
        """``model`` with all that can be learned of its size: the hub's facts, and the exact tensors of a model that
        the catalog does not know. Raises hub errors only where nothing is known without the hub."""
        known = self.known(model)
        if known.source != "hub":
            return known
        try:
            return self.with_tensors(known)
        except HeftError:
            return known

    def card(self, model: Model) -> Card:
        """The model card: from the folder, the cache or the hub, else one made from the catalog's facts."""
        return load_card(model, self.paths, self.hub)

    def files(self, model: Model) -> list[HubFile]:
        """The published files of a model with their sizes."""
        if model.is_local_folder:
            root = Path(model.repo)
            found = sorted(path for path in root.rglob("*") if path.is_file())
            return [HubFile(str(path.relative_to(root)), path.stat().st_size, "", "") for path in found]
        if not model.repo:
            return []
        return list(self.hub.repository(model.repo, model.revision).files)
