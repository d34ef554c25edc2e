"""Who speaks the OpenAI protocol, under which address, and where each departs from it. Checked on ``CHECKED``.

The one table of these facts. A provider that is not here is taken for a plain server of the protocol.
"""

from __future__ import annotations

from dataclasses import dataclass

CHECKED = "2026-11-21"


@dataclass(frozen=True, slots=True)
class Provider:
    """A commercial API. ``domains`` are those its key may belong to; ``limit_name`` is what it calls the longest
    answer; ``counts_streams`` says that usage can be asked for in a stream; ``prices`` is its name in genai-prices."""

    id: str
    name: str
    domains: tuple[str, ...]
    base_url: str
    key_env: str
    limit_name: str = "max_tokens"
    counts_streams: bool = True
    prices: str = ""
    caution: str = ""


PROVIDERS = (
    Provider(
        "openai",
        "OpenAI",
        ("openai.com",),
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        limit_name="max_completion_tokens",
        prices="openai",
        caution="newer models refuse max_tokens and, while they reason, a temperature other than 1",
    ),
    Provider(
        "anthropic",
        "Anthropic",
        ("anthropic.com",),
        "https://api.anthropic.com/v1",
        "ANTHROPIC_API_KEY",
        prices="anthropic",
        caution="its OpenAI-compatible address is meant for tests; the native API does more",
    ),
    Provider(
        "google",
        "Google Gemini",
        ("googleapis.com",),
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "GEMINI_API_KEY",
        prices="google",
        caution="models are re-routed on their shutdown dates",
    ),
    Provider(
        "cohere",
        "Cohere",
        ("cohere.ai", "cohere.com"),
        "https://api.cohere.ai/compatibility/v1",
        "COHERE_API_KEY",
        counts_streams=False,
        prices="cohere",
        caution="refuses stream_options, so the tokens of a streamed answer are estimated",
    ),
    Provider("mistral", "Mistral", ("mistral.ai",), "https://api.mistral.ai/v1", "MISTRAL_API_KEY", prices="mistral"),
)


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A server that people run on their own machines: the address it takes by default, and what it can do besides the
    protocol. ``continues`` is how it goes on with an answer: by a flag of that name, by itself when the "last" message
    is the assistant's, or not at all; ``counts`` is the path that counts tokens."""

    kind: str
    name: str
    base_url: str = ""
    continues: str = ""
    counts: str = ""


LOCAL_SERVERS = (
    LocalServer("heft", "a host of Heft", continues="continue_final_message", counts="/tokenize"),
    LocalServer("ollama", "Ollama", "http://127.0.0.1:11434/v1", continues="last"),
    LocalServer("lmstudio", "LM Studio", "http://127.0.0.1:1234/v1"),
    LocalServer("vllm", "vLLM", "http://127.0.0.1:8000/v1", continues="continue_final_message", counts="/tokenize"),
    LocalServer("llama-server", "llama-server", "http://127.0.0.1:8080/v1", continues="last", counts="/tokenize"),
    LocalServer("textgen", "text-generation-webui", "http://127.0.0.1:5000/v1", continues="continue_"),
    LocalServer("transformers", "transformers serve", "http://127.0.0.1:8000/v1"),
)

PLAIN = LocalServer("", "a server of the OpenAI protocol")


def provider_of(host: str) -> Provider | None:
    """The provider that the host name ``host`` belongs to."""
    for provider in PROVIDERS:
        if any(host == domain or host.endswith("." + domain) for domain in provider.domains):
            return provider
    return None


def local_server(kind: str) -> LocalServer:
    """What is known of servers of ``kind``."""
    return next((server for server in LOCAL_SERVERS if server.kind == kind), PLAIN)
