"""``heft recipes``, and the options that describe a recipe on the command line."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict, replace
from typing import Any

from tui.catalog.build import Recipe
from tui.catalog.recipes import NamedRecipe, recipe_text
from tui.cli.output import Output
from tui.errors import HeftError
from tui.fit.quantize_recipe import BITS, GROUP_SIZES, METHODS, ROUTES
from tui.quantities import bytes_text, duration_text
from tui.workbench import Workbench


def add_options(command: ArgumentParser) -> None:
    """Every part of a recipe; what is not given comes from ``--recipe``, or is as usual."""
    command.add_argument("--recipe", default="", metavar="NAME", help="a name of heft recipes, or a .toml file")
    command.add_argument("--method", choices=METHODS, help="gptq, awq, or rtn (rounding, no calibration)")
    command.add_argument("--bits", type=int, choices=sorted(BITS))
    command.add_argument("--group-size", type=int, choices=sorted(GROUP_SIZES), help="-1: one group per row")
    command.add_argument(
        "--desc-act", action="store_true", default=None, help="most active columns first: finer, slower"
    )
    command.add_argument("--asym", action="store_true", default=None, help="asymmetric: a zero point per group")
    command.add_argument(
        "--no-group-aware", action="store_true", default=None, help="keep the columns of a group in order"
    )
    command.add_argument("--damp", type=float, metavar="SHARE", help="dampening of the Hessian, 0.05 without it")
    command.add_argument("--route", choices=ROUTES, help="the library that does it; auto takes what reloads")
    command.add_argument(
        "--calibration",
        metavar="TEXT",
        help="a text or JSONL file, chat, prose or code (built in), or wikitext2, c4 (from the hub)",
    )
    command.add_argument("--samples", type=int, metavar="N", help="calibration samples, 128 without it")
    command.add_argument("--sample-length", type=int, metavar="N", help="tokens of each, 512 without it")
    command.add_argument("--seed", type=int, metavar="N", help="picks the samples")


def recipe_of(bench: Workbench, arguments: Namespace) -> Recipe:
    """The recipe that the words describe; raises ``HeftError`` for a name that is not known."""
    base = bench.recipes.find(arguments.recipe).recipe if arguments.recipe else Recipe()
    if arguments.method == "awq" and base.method != "awq":
        base = replace(base, sym=False)  # what servers expect of an AWQ checkpoint
    given: dict[str, Any] = {
        "method": arguments.method,
        "bits": arguments.bits,
        "group_size": arguments.group_size,
        "desc_act": arguments.desc_act,
        "sym": None if arguments.asym is None else False,
        "act_group_aware": None if arguments.no_group_aware is None else False,
        "damp_percent": arguments.damp,
        "route": arguments.route,
        "calibration": arguments.calibration,
        "samples": arguments.samples,
        "sample_length": arguments.sample_length,
        "seed": arguments.seed,
    }
    return replace(base, **{key: value for key, value in given.items() if value is not None})


def list_recipes(arguments: Namespace, output: Output) -> int:
    """Print every recipe; with a model, what each would take."""
    bench = Workbench()
    model = bench.model(arguments.model) if arguments.model else None
    rows, facts = [], []
    for named in bench.recipes.all():
        table = _facts(named)
        row = [named.name, named.recipe.label, named.about]
        if model is not None:
            try:
                outlook = bench.outlook(model, named.recipe)
            except HeftError as error:
                table["problem"] = error.summary
                row[2:] = ["", "", "", error.summary]
            else:
                table |= {"bytes": outlook.size, "memory": outlook.memory, "seconds": outlook.seconds}
                time = duration_text(outlook.seconds) if outlook.seconds is not None else "—"
                row[2:] = [bytes_text(outlook.size), bytes_text(outlook.memory), time, outlook.problem]
                table["problem"] = outlook.problem
        facts.append(table)
        rows.append(row)
    output.document(facts)
    wide = ["RECIPE", "IS", ">SIZE", ">MEMORY", ">TIME", ""]
    output.table(["RECIPE", "IS", "FOR"] if model is None else wide, rows, "no recipes")
    if model is not None:
        output.text("\nsizes and memory are estimates; times come from what was quantized here (—: nothing yet)")
    return 0


def show(arguments: Namespace, output: Output) -> int:
    """Print one recipe as the file that can be shared."""
    named = Workbench().recipes.find(arguments.name)
    output.document(_facts(named))
    output.text(recipe_text(named).rstrip())
    return 0


def save(arguments: Namespace, output: Output) -> int:
    """Keep a recipe under a name."""
    bench = Workbench()
    named = bench.recipes.save(arguments.name, recipe_of(bench, arguments), arguments.about)
    output.document(_facts(named))
    output.text(f"saved {named.name} ({named.recipe.label}) in {named.path}")
    return 0


def remove(arguments: Namespace, output: Output) -> int:
    """Forget a saved recipe."""
    named = Workbench().recipes.remove(arguments.name)
    output.document(_facts(named))
    output.text(f"removed {named.name}")
    return 0


def _facts(named: NamedRecipe) -> dict[str, Any]:
    return {
        "name": named.name,
        "about": named.about,
        "label": named.recipe.label,
        "recipe": asdict(named.recipe),
        "path": str(named.path) if named.path else None,
    }
