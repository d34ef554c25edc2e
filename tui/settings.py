"""What the user has set in ``config.toml``. This module alone knows the keys, their defaults and their bounds.

A bad key or value never stops the program: it is listed in ``Settings.problems`` with its name, and its default holds.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tui.quantities import parse_bytes

ENGINES = ("auto", "transformers", "llama.cpp")


@dataclass(frozen=True, slots=True)
class DownloadSettings:
    """``at_once`` jobs, ``connections`` per large file, ``limit`` bytes per second (0: none), ``timeout`` seconds of
    silence before a connection counts as stalled."""

    at_once: int = 2
    connections: int = 4
    limit: int = 0
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class JobSettings:
    """``retries``: how often a job that failed for a passing reason (the hub does not answer) tries again by itself;
    ``retry_wait`` seconds before the first of them, twice as long before each further one."""

    retries: int = 3
    retry_wait: float = 20.0


@dataclass(frozen=True, slots=True)
class QuantizeSettings:
    """``loss_limit``: share of perplexity that a quantized build may lose before it is marked (0.1: 10 %)."""

    loss_limit: float = 0.1


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """What happens when a job ends or a host is ready. ``terminal`` asks the terminal for a desktop notification
    (OSC 9); ``command`` is a program with arguments that gets the job as JSON on stdin, and at most ``timeout``
    seconds. It is never given to a shell."""

    terminal: bool = True
    command: str = ""
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class HubSettings:
    """``timeout`` seconds for one answer of the hub."""

    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """Defaults of a new conversation. ``max_tokens`` 0 means: until the model ends or the context is full; ``engine``
    is what answers for builds on this disk: "transformers", "llama.cpp", or "auto" for the faster one.
    ``unload_after`` is in minutes without a question; 0 means never. ``lossy_int8`` rounds the layers of 16-bit models
    to 8 bits where a CPU computes."""

    system: str = ""
    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 0
    engine: str = "auto"
    unload_after: int = 240
    lossy_int8: bool = False


@dataclass(frozen=True, slots=True)
class InterfaceSettings:
    """``theme`` names one of the app's themes; "auto" goes by the terminal. ``connection`` is "ssh" (10 frames a
    second, nothing moves), "local", or "auto": ssh where the app runs under SSH. ``keys`` maps binding ids to keys;
    ``bell`` rings when a job ends."""

    theme: str = "auto"
    connection: str = "auto"
    bell: bool = True
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """A remote endpoint that the user named. ``key_env`` is the variable that holds its key; the key itself never
    stands in the file."""

    name: str
    base_url: str
    model: str = ""
    key_env: str = ""


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """Trials. ``gpu_hour`` US dollars for an hour of this machine (0: local answers cost nothing); ``max_cost`` US
    dollars that a trial may spend where it names no cap of its own (0: no cap); ``embeddings`` names an endpoint whose
    model embeds text."""

    gpu_hour: float = 0.0
    max_cost: float = 0.0
    embeddings: str = ""


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """What a model costs: US dollars per million tokens ``input`` and ``output``, and the ``date`` they held."""

    input: float = 0.0
    output: float = 0.0
    date: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """All of ``config.toml``."""

    downloads: DownloadSettings = DownloadSettings()
    jobs: JobSettings = JobSettings()
    quantize: QuantizeSettings = QuantizeSettings()
    notify: NotifySettings = NotifySettings()
    hub: HubSettings = HubSettings()
    chat: ChatSettings = ChatSettings()
    interface: InterfaceSettings = InterfaceSettings()
    compare: CompareSettings = CompareSettings()
    endpoints: tuple[EndpointSettings, ...] = ()
    prices: Mapping[str, PriceSettings] = field(default_factory=dict)
    """By the name of an endpoint, a catalog id or the model name of an API."""
    problems: tuple[str, ...] = ()


def load_settings(path: Path) -> Settings:
    """Read ``path``; a missing file gives the defaults, a broken one the defaults and a problem that names it."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return Settings(problems=(f"{path}: {error}",))
    return settings_from_table(table, str(path))


def settings_from_table(table: Mapping[str, Any], name: str = "config.toml") -> Settings:
    """Build settings from a parsed table; ``name`` is the file named in problems."""
    problems: list[str] = []
    settings = Settings()
    sections: dict[str, Any] = {
        "downloads": settings.downloads,
        "jobs": settings.jobs,
        "quantize": settings.quantize,
        "notify": settings.notify,
        "hub": settings.hub,
        "chat": settings.chat,
        "interface": settings.interface,
        "compare": settings.compare,
    }
    for key, value in table.items():
        if key in ("endpoints", "prices"):
            continue
        if key not in sections:
            problems.append(
                f"{name}: [{key}] is not a section; known are {', '.join([*sections, 'endpoints', 'prices'])}"
            )
        elif not isinstance(value, dict):
            problems.append(f"{name}: {key} must be a section like [{key}]")
        else:
            sections[key] = _section(sections[key], value, f"{name}: {key}", problems)
    if sections["chat"].engine not in ENGINES:
        problems.append(f"{name}: chat.engine: {sections['chat'].engine!r} is none of {', '.join(ENGINES)}")
        sections["chat"] = replace(sections["chat"], engine="auto")
    prices = _prices(table.get("prices", {}), name, problems)
    endpoints = _endpoints(table.get("endpoints", {}), name, problems)
    return replace(settings, **sections, endpoints=endpoints, prices=prices, problems=tuple(problems))


def _section(default: Any, table: Mapping[str, Any], place: str, problems: list[str]) -> Any:
    known = {item.name: getattr(default, item.name) for item in fields(default)}
    changes: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            problems.append(f"{place}.{key} is not a setting; known are {', '.join(known)}")
            continue
        try:
            changes[key] = _READERS[type(known[key])](value)
            if key in _CHOICES and changes[key] not in _CHOICES[key]:
                raise ValueError(f"{changes.pop(key)!r} is none of {', '.join(_CHOICES[key])}")
        except (TypeError, ValueError) as error:
            problems.append(f"{place}.{key}: {error}")
        except Exception as error:  # a size that does not parse carries its own words
            problems.append(f"{place}.{key}: {error}")
    return replace(default, **changes)


def _endpoints(table: Any, name: str, problems: list[str]) -> tuple[EndpointSettings, ...]:
    found = []
    for key, value in table.items() if isinstance(table, dict) else ():
        if not isinstance(value, dict) or not isinstance(value.get("base_url"), str):
            problems.append(f"{name}: endpoints.{key} needs a base_url")
            continue
        default = EndpointSettings(name=key, base_url=value["base_url"])
        found.append(_section(default, value, f"{name}: endpoints.{key}", problems))
    return tuple(found)


def _prices(table: Any, name: str, problems: list[str]) -> dict[str, PriceSettings]:
    found = {}
    for key, value in table.items() if isinstance(table, dict) else ():
        if not isinstance(value, dict) or not {"input", "output"} <= set(value):
            problems.append(f"{name}: prices.{key} needs input and output, in US dollars per million tokens")
            continue
        found[key] = _section(PriceSettings(), value, f"{name}: prices.{key}", problems)
    return found


def _read_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is not true or false")
    return value


def _read_int(value: Any) -> int:
    number = parse_bytes(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise TypeError(f"{value!r} is not a whole number of at least 0")
    return number


def _read_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise TypeError(f"{value!r} is not a number of at least 0")
    return float(value)


def _read_str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text in quotes")
    return value


def _read_texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise TypeError(f"{value!r} is not a table of texts")
    return dict(value)


_CHOICES = {"connection": ("auto", "ssh", "local")}
"""Texts that a setting is limited to."""

_READERS: dict[type, Callable[[Any], Any]] = {
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    str: _read_str,
    dict: _read_texts,
}
