"""``heft chat``: stream an answer to stdout, from a build on this disk or from any endpoint."""

from __future__ import annotations

import sys
from argparse import Namespace

from tui.chat.client import Answer, AnswerReader
from tui.chat.context_window import window
from tui.chat.conversation import Message, Parameters
from tui.chat.cost import cost_of
from tui.chat.endpoint import Endpoint
from tui.cli.follow import follow
from tui.cli.obtain import build_for
from tui.cli.output import Output
from tui.errors import EndpointError, HeftError, NotFoundError, UsageError
from tui.plain_text import clean
from tui.workbench import IDLE_MINUTES, Workbench


def chat(arguments: Namespace, output: Output) -> int:
    """Answer one prompt, or hold a conversation when there is none and stdin is a terminal."""
    prompt = _prompt(arguments)
    bench = Workbench()
    endpoint, code = _endpoint(bench, arguments.model, arguments.served, output)
    if endpoint is None:
        return code
    defaults = bench.settings.chat
    parameters = Parameters(
        temperature=defaults.temperature if arguments.temperature is None else arguments.temperature,
        top_p=defaults.top_p,
        max_tokens=arguments.max_tokens or defaults.max_tokens or None,
        seed=arguments.seed,
    )
    system = arguments.system or defaults.system
    talk = _Talk(bench, endpoint, parameters, system, keep=arguments.keep)
    if prompt is not None:
        answer = talk.ask(prompt, output)
        output.document(
            {
                "text": answer.text,
                "usage": answer.usage,
                "finish_reason": answer.finish_reason,
                "time_to_first_token": answer.time_to_first_token,
                "tokens_per_second": answer.tokens_per_second,
                "thinking": answer.thinking,
                "model": answer.model or endpoint.model,
                "cost": talk.cost(answer),
                "conversation": talk.conversation or None,
            }
        )
        return 0
    return _converse(talk, output)


def _prompt(arguments: Namespace) -> str | None:
    if arguments.prompt == "-" or (arguments.prompt is None and not sys.stdin.isatty()):
        text = sys.stdin.read().strip()
        if not text:
            raise UsageError("stdin held no prompt", 'heft chat BUILD "a question"')
        return text
    if arguments.prompt is None and arguments.json:
        raise UsageError("--json needs a prompt", 'heft chat BUILD "a question" --json')
    return str(arguments.prompt) if arguments.prompt is not None else None


def _endpoint(bench: Workbench, ref: str, served: str, output: Output) -> tuple[Endpoint | None, int]:
    """Where ``ref`` answers; a build that is on this disk but not loaded is loaded first."""
    try:
        return bench.endpoint(ref, served), 0
    except NotFoundError:
        build = build_for(bench, ref)
    try:
        return bench.endpoint(build.id), 0
    except NotFoundError:
        job = bench.serve(build, idle_minutes=IDLE_MINUTES)
    output.note(f"loading {build.id} (job {job.id}; it unloads after {IDLE_MINUTES} idle minutes)")
    code = follow(bench, [job], Output(as_json=False))
    if code:
        failure = bench.job(job.id).failure
        if output.as_json and failure is not None:
            output.document({"error": {"summary": failure.summary, "hint": failure.hint, "exit_code": code}})
        return None, code
    return bench.endpoint(str(job.id)), 0


class _Talk:
    """One conversation on the command line; with ``keep`` it is kept with those of the app."""

    def __init__(
        self, bench: Workbench, endpoint: Endpoint, parameters: Parameters, system: str, *, keep: bool
    ) -> None:
        self._bench = bench
        self._endpoint = endpoint
        self._parameters = parameters
        self._system = system
        self._keep = keep
        self._messages: tuple[Message, ...] = ()
        self.conversation = 0

    def ask(self, prompt: str, output: Output) -> Answer:
        """Stream one answer to stdout; raises ``EndpointError``."""
        question = Message("user", prompt)
        reader = AnswerReader()
        system = [Message("system", self._system)] if self._system else []
        sent = window([*self._messages, question], self._endpoint.context, self._system, self._parameters.max_tokens)
        if sent.left_out:
            output.note(f"the {sent.left_out} oldest messages are not sent: the context is full")
        for delta in self._bench.chat(self._endpoint, [*system, *sent.messages], self._parameters):
            text = reader.read(delta)
            if delta.notice:
                output.status(delta.notice)
            if text and not output.as_json:
                sys.stdout.write(clean(text))
                sys.stdout.flush()
        answer = reader.answer()
        self._add(question, answer)
        if not output.as_json:
            print()
            if sys.stderr.isatty():
                output.note(self._numbers(answer))
        return answer

    def cost(self, answer: Answer) -> float | None:
        """US dollars, where they are known."""
        cost = cost_of(self._endpoint, answer.usage)
        return None if cost is None else cost.dollars

    def _add(self, question: Message, answer: Answer) -> None:
        said = Message(
            "assistant",
            answer.text,
            thinking=answer.thinking,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            time_to_first_token=answer.time_to_first_token,
            tokens_per_second=answer.tokens_per_second,
        )
        self._messages = (*self._messages, question, said)
        if not self._keep:
            return
        store = self._bench.transcripts()
        if not self.conversation:
            facts = {"system": self._system} if self._system else {}
            self.conversation = store.start(self._endpoint.name, self._parameters, facts=facts).id
        for message in (question, said):
            store.add(self.conversation, message)

    def _numbers(self, answer: Answer) -> str:
        speed = f"{answer.tokens_per_second:.1f} tokens/s" if answer.tokens_per_second else ""
        first = f"first token after {answer.time_to_first_token:.2f} s" if answer.time_to_first_token else ""
        cost = self.cost(answer)
        price = f"${cost:.4f}" if cost is not None else ""
        return ", ".join(part for part in (first, speed, price, str(answer.finish_reason or "")) if part)


def _converse(talk: _Talk, output: Output) -> int:
    output.note("one line is one message; an empty line or Ctrl-D ends it")
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            line = ""
        if not line:
            return 0
        try:
            talk.ask(line, output)
        except (EndpointError, HeftError) as error:
            output.error(error)
