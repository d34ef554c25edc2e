"""``heft compare``, ``heft replay`` and ``heft trials retry``: put prompts to several models, and follow the job."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tui.chat.conversation import Parameters
from tui.cli.follow import follow
from tui.cli.output import Output
from tui.cli.trials import diff_facts, print_trial, trial_document
from tui.compare.difference import words_of
from tui.compare.plan import Plan, cost_text
from tui.compare.prompt_set import PromptSet, read_prompt_set
from tui.compare.trial import Order, Prompt, Trial, dollars
from tui.errors import UsageError
from tui.jobs.job import Job
from tui.quantities import bytes_text, duration_text
from tui.workbench import Workbench


def compare(arguments: Namespace, output: Output) -> int:
    """Put one prompt, or a file of them, to two to eight models."""
    asked = _prompts(arguments)
    bench = Workbench()
    trials = bench.trials()
    cap = arguments.max_cost if arguments.max_cost is not None else bench.settings.compare.max_cost or None
    order = Order(
        contestants=tuple(trials.contestant(ref) for ref in arguments.models),
        prompts=asked.prompts,
        system=arguments.system or asked.system,
        parameters=Parameters(
            temperature=arguments.temperature,
            top_p=arguments.top_p,
            max_tokens=arguments.max_tokens,
            seed=arguments.seed,
        ),
        repeat=arguments.repeat,
        max_cost=cap,
        timeout=arguments.timeout,
        memory=arguments.memory,
        context=arguments.context,
        judge=trials.contestant(arguments.judge) if arguments.judge else None,
        embeddings=bench.settings.compare.embeddings,
    )
    plan = trials.plan(order)
    for line in plan_lines(plan):
        output.note(line)
    if arguments.plan:
        output.document({"plan": plan_facts(plan)})
        return 0
    trial, job = bench.compare(order)
    return _followed(bench, trial, job, arguments, output, {"plan": plan_facts(plan)})


def retry(arguments: Namespace, output: Output) -> int:
    """Ask only what is missing or failed."""
    bench = Workbench()
    trial, job = bench.go_on_with_trial(arguments.trial, arguments.max_cost)
    return _followed(bench, trial, job, arguments, output, {})


def replay(arguments: Namespace, output: Output) -> int:
    """Ask everything again as a new trial, and say what differs."""
    bench = Workbench()
    trial, job = bench.replay(arguments.trial)
    output.note(f"trial {trial.id} repeats trial {arguments.trial}")
    if arguments.detach:
        return _followed(bench, trial, job, arguments, output, {})
    code = follow(bench, (job,), Output(as_json=False))
    found = diff_facts(bench.trials(), arguments.trial, trial.id)
    output.document(trial_document(bench.trials(), trial.id) | {"difference": found})
    for line in words_of(found):
        output.text(line)
    return code


def plan_lines(plan: Plan) -> list[str]:
    """The plan for people: waves, memory, time and cost."""
    memory = ", ".join(f"{bytes_text(size)} on {device}" for device, size in plan.memory.items())
    totals = f"about {duration_text(plan.seconds)}" + (f", at most {memory}" if memory else "")
    cost = f"{cost_text(plan.likely)} likely, {cost_text(plan.most)} at most"
    cap = f", stops at ${plan.max_cost:g}" if plan.max_cost is not None else ""
    lines = [*plan.words(), f"{totals}; {cost}{cap}"]
    if plan.unpriced:
        lines.append(f"no price is known for {', '.join(plan.unpriced)}: its cost is not counted")
    if plan.judging:
        lines.append(f"the judge is asked {plan.judging} times")
    return lines


def plan_facts(plan: Plan) -> dict[str, Any]:
    """The plan as JSON; costs in US dollars."""
    return {
        "waves": [[plan.entries[number].name for number in wave] for wave in plan.waves],
        "seconds": plan.seconds,
        "memory": dict(plan.memory),
        "cost_likely": dollars(plan.likely),
        "cost_most": dollars(plan.most),
        "max_cost": plan.max_cost,
        "judging": plan.judging,
        "contestants": [
            asdict(entry) | {"likely": dollars(entry.likely), "most": dollars(entry.most)} for entry in plan.entries
        ],
    }


def _prompts(arguments: Namespace) -> PromptSet:
    if arguments.prompts and arguments.prompt:
        raise UsageError("there are a prompt and a file of prompts", "give one of them")
    if arguments.prompts:
        return read_prompt_set(Path(arguments.prompts).expanduser())
    text = sys.stdin.read() if arguments.prompt == "-" else arguments.prompt
    if not text.strip():
        raise UsageError("there is no prompt", 'heft compare "a question" -m one -m other, or --prompts FILE')
    return PromptSet((Prompt((text.strip(),)),))


def _followed(
    bench: Workbench, trial: Trial, job: Job, arguments: Namespace, output: Output, more: dict[str, Any]
) -> int:
    if arguments.detach:
        output.document(trial_document(bench.trials(), trial.id) | more)
        output.text(f"trial {trial.id} (job {job.id}); heft trials show {trial.id} shows it")
        return 0
    output.note(f"trial {trial.id} (job {job.id})")
    code = follow(bench, (job,), Output(as_json=False))
    output.document(trial_document(bench.trials(), trial.id) | more)
    print_trial(bench.trials(), trial.id, output)
    return code
