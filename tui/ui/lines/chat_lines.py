"""How a chat reads on screen: who answers, the sections of a conversation, and the numbers under an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.chat.conversation import Message, MessageState
from tui.quantities import bytes_text, duration_text
from tui.ui.lines.section_lines import Section
from tui.ui.lines.span import Line, Span, line
from tui.ui.lines.stream_blocks import StreamBlocks

if TYPE_CHECKING:
    from tui.chat.endpoint import Endpoint
    from tui.chat.ollama import Pulled


def who_line(
    endpoint: Endpoint | None, note: str = "", used: int | None = None, context: int | None = None, written: int = 0
) -> Line:
    """The endpoint at the top of the pane; how much of its context (tokens) is used, and how much more is written in
    the field."""
    if endpoint is None:
        return line(Span(" ○ ", "dim"), Span(note or "nobody answers yet", "dim"))
    mark = Span(" ◆ ", "ok") if endpoint.local else Span(" ↗ ", "info")
    model = f"  {endpoint.model}" if endpoint.model and endpoint.model not in endpoint.name else ""
    spans = [mark, Span(endpoint.name, "strong"), Span(model, "dim"), Span(f"  {note}" if note else "", "dim")]
    if not endpoint.has_template:
        spans.append(Span("  base model: it has no chat template and only continues text", "warn"))
    more = f" + {written:,}" if written else ""
    if context:
        full = ((used or 0) + written) / context
        role = "bad" if full >= 0.95 else "warn" if full >= 0.8 else "dim"
        spans += [Span(" · " if note else "  ", "dim"), Span(f"{used or 0:,}{more} of {context:,} tokens", role)]
        if full >= 1:
            spans.append(Span("; the oldest messages are not sent", role))
    elif used or written:
        spans += [Span(" · " if note else "  ", "dim"), Span(f"{used or 0:,}{more} tokens", "dim")]
    return line(*spans)


def sections_of(messages: Sequence[Message], endpoint: Endpoint | None = None) -> list[Section]:
    """The sections that show ``messages``."""
    found: list[Section] = []
    for message in messages:
        if message.role == "user":
            found.append(user_section(message))
        elif message.role == "assistant":
            if message.thinking:
                found.append(thinking_section(message))
            section = _section("assistant", message.content, message)
            section.footer = answer_footer(message, endpoint)
            found.append(section)
    return found


def user_section(message: Message) -> Section:
    """A question; of attached files only the names are shown."""
    files = message.facts.get("files")
    shown = message.facts.get("text") if isinstance(files, list) else None
    section = _section("user", shown if isinstance(shown, str) else message.content, message)
    section.files = tuple(str(name) for name in files) if isinstance(files, list) else ()
    section.beside = version_text(message)
    return section


def thinking_section(message: Message) -> Section:
    """What was thought before an answer."""
    section = _section("thinking", message.thinking, message)
    seconds, tokens = message.facts.get("thinking_seconds"), message.facts.get("thinking_tokens")
    section.seconds = float(seconds) if isinstance(seconds, int | float) else 0.0
    section.tokens = tokens if isinstance(tokens, int) else 0
    return section


def note_section(text: str) -> Section:
    """A word of Heft between the messages."""
    return Section("note", source=[text])


def _section(role: str, text: str, message: Message) -> Section:
    blocks = StreamBlocks()
    blocks.take(text)
    return Section(role, message.id, blocks, [text])


def version_text(message: Message) -> str:
    """Which of the versions at this place is shown, such as "2/3"; empty where there is one."""
    if len(message.versions) < 2 or message.id not in message.versions:
        return ""
    return f"{message.versions.index(message.id) + 1}/{len(message.versions)}"


def answer_footer(message: Message, endpoint: Endpoint | None) -> Line:
    """Time to first token, tokens per second, tokens and cost of an answer; what ended it when it was cut."""
    parts: list[str] = []
    if message.time_to_first_token is not None:
        parts.append(f"{message.time_to_first_token:.2f} s to first token")
    if message.tokens_per_second is not None:
        parts.append(f"{message.tokens_per_second:.1f} tok/s")
    tokens, prompt = message.usage.get("completion_tokens"), message.usage.get("prompt_tokens")
    about = "about " if message.usage.get("estimated") else ""
    if tokens is not None:
        parts.append(f"{about}{tokens:,} tokens" if isinstance(tokens, int) else f"{tokens} tokens")
    price = message.facts.get("cost")
    if isinstance(price, int | float):
        parts.append(f"{about}${price:.4f}")
    if isinstance(prompt, int):
        parts.append(f"{about}{prompt:,} in the prompt")
    model = message.facts.get("model")
    if model and endpoint is not None and model not in (endpoint.model, endpoint.name):
        parts.append(str(model))
    spans = [Span(" · ".join(parts), "faint" if not parts else "dim")]
    if left_out := message.facts.get("left_out"):
        spans.append(Span(f"  the {left_out} oldest messages were not sent: the context is full", "warn"))
    if message.state is MessageState.STOPPED:
        spans.insert(0, Span("stopped, c goes on  ", "warn"))
    elif message.state is MessageState.FAILED:
        spans.insert(0, Span(f"✗ {message.problem}  ", "bad"))
    elif message.finish_reason == "length":
        spans.insert(0, Span("cut: the token limit was reached, c goes on  ", "warn"))
    if beside := version_text(message):
        spans.insert(0, Span(f"‹{beside}›  ", "accent"))
    return tuple(span for span in spans if span.text)


def age_text(seconds: float) -> str:
    """How long ago something was."""
    return "just now" if seconds < 60 else f"{duration_text(seconds)} ago"


def pull_text(model: str, pulled: Pulled) -> str:
    """How far a pull of Ollama is."""
    if not pulled.total:
        return f"{model}: {pulled.status}"
    rate = f", {bytes_text(pulled.rate)}/s" if pulled.rate else ""
    left = f", {duration_text((pulled.total - pulled.done) / pulled.rate)} left" if pulled.rate else ""
    return f"{model}: {pulled.done / pulled.total:.0%} of {bytes_text(pulled.total)}{rate}{left}"
