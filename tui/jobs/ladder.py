"""Asks for the ladder of a model: one quantize job per rung that is missing, all in one plan.

A rung does not wait for the one before it, so that one that fails does not take the others with it; the queue works on
one of them at a time anyway.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tui.catalog.build import Build, Recipe
from tui.catalog.ladder import LADDER_BITS
from tui.catalog.model import Model
from tui.errors import RecipeError
from tui.fit.quantize_recipe import GROUP_SIZES
from tui.jobs.job import Job, JobRequest, Kind, WhenFree
from tui.jobs.plan import folder_name, request_key, request_mark, when_free

if TYPE_CHECKING:
    from tui.jobs.planner import Planner


def ladder_recipes(model: Model, source: Build | None) -> list[tuple[str, Recipe]]:
    """Name and recipe of each rung, from most to fewest bits: the largest groups that all layers take."""
    group = _group_size(source)
    recipes = [Recipe(bits=bits, group_size=group) for bits in LADDER_BITS]
    return [(folder_name(model.id, recipe), recipe) for recipe in recipes]


def submit_ladder(planner: Planner, model: Model, when: WhenFree | None) -> tuple[Job, ...]:
    """The jobs of the rungs that are not on this disk, after the download where that is missing too."""
    source = planner.original(model)
    here = {build.id for build in planner.library.builds()}
    requests: list[JobRequest] = []
    download: JobRequest | None = None
    for name, recipe in ladder_recipes(model, source):
        if name not in here:
            found = planner.quantize_requests(model, recipe)
            download = next((request for request in found if request.kind is Kind.DOWNLOAD), download)
            requests.append(found[-1])
    jobs = planner.store.jobs()
    plan = f"ladder-{request_mark(Kind.QUANTIZE, {'model': model.id})}"
    made: list[Job] = []
    if download is not None and requests:
        made.append(planner.store.submit(replace(download, plan=plan, key=request_key(download, jobs))))
    first = (made[0].id,) if made else ()
    for request in requests:
        keyed = replace(when_free(request, when), plan=plan, after=first, key=request_key(request, jobs))
        made.append(planner.store.submit(keyed))
    return tuple(made)


def _group_size(source: Build | None) -> int:
    if source is None:
        return GROUP_SIZES[0]
    from tui.fit.quantize_plan import make_plan

    for size in GROUP_SIZES[:-1]:
        try:
            make_plan(source.path, Recipe(group_size=size), device="cpu", native_bfloat16=False)
        except RecipeError:
            continue
        return size
    return GROUP_SIZES[0]
