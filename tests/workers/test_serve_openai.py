"""The official client of the protocol, and curl, against a real host on a port with its key."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.workers.test_serve_host import ENGINES, Hosted, free_port
from tui.starter import starter_folder

pytestmark = pytest.mark.slow
QUESTION = [{"role": "user", "content": "What is GPTQ?"}]


@pytest.fixture(scope="module", params=ENGINES)
def hosted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    home = tmp_path_factory.mktemp("openai") / "heft"
    started = Hosted(home, starter_folder(), port=free_port(), engine=request.param)
    try:
        yield started.wait()
    finally:
        started.work.close()


@pytest.fixture(scope="module")
def client(hosted: Hosted) -> Iterator[openai.OpenAI]:
    key = Path(hosted.result["key_file"]).read_text()
    base = f"http://127.0.0.1:{hosted.result['port']}/v1"
    with openai.OpenAI(base_url=base, api_key=key, max_retries=0, timeout=60) as made:
        yield made


def chat(client: openai.OpenAI, **more: Any) -> Any:
    values = {"model": "starter", "messages": QUESTION, "temperature": 0, "max_tokens": 16, **more}
    return client.chat.completions.create(**values)


def test_models_and_a_whole_answer(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["starter"]
    answer = chat(client)
    assert answer.choices[0].message.content and answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 16
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 16


def test_a_stream_gives_the_same_text_and_its_usage(client: openai.OpenAI) -> None:
    whole = chat(client).choices[0].message.content
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == whole
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage.completion_tokens == 16 and not chunks[-1].choices
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens > 0


def test_several_answers_and_chances(client: openai.OpenAI) -> None:
    answer = chat(client, n=2, temperature=1.5, seed=4, logprobs=True, top_logprobs=2)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].message.content != answer.choices[1].message.content
    first = answer.choices[0].logprobs.content[0]
    assert first.logprob <= 0 and len(first.top_logprobs) == 2 and bytes(first.bytes).decode() == first.token
    seen = {0: "", 1: ""}
    for chunk in chat(client, n=2, temperature=1.5, seed=4, stream=True):
        for choice in chunk.choices:
            seen[choice.index] += choice.delta.content or ""
    assert list(seen.values()) == [choice.message.content for choice in answer.choices]


def test_plain_completions(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="starter", prompt="GPTQ is", max_tokens=5, temperature=0, logprobs=1)
    assert answer.choices[0].text
    assert len(answer.choices[0].logprobs.tokens) == len(answer.choices[0].logprobs.top_logprobs) == 5
    parts = client.completions.create(model="starter", prompt="GPTQ is", max_tokens=5, temperature=0, stream=True)
    assert "".join(part.choices[0].text for part in parts) == answer.choices[0].text


def test_errors_have_the_clients_types(hosted: Hosted, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        chat(client, model="gpt-9")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        chat(client, temperature=-1)
    assert bad.value.param == "temperature"
    with pytest.raises(openai.APIStatusError) as long:
        chat(client, messages=[{"role": "user", "content": "word " * 3000}])
    assert (long.value.status_code, long.value.code) == (413, "context_length_exceeded")
    with pytest.raises(openai.AuthenticationError):
        chat(client.with_options(api_key="wrong"))


def test_curl_with_the_key_from_its_file(hosted: Hosted) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    key_file, port = hosted.result["key_file"], hosted.result["port"]
    body = json.dumps({"messages": QUESTION, "max_tokens": 3})
    header = f"Authorization: Bearer {Path(key_file).read_text()}"
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    done = subprocess.run(
        [curl, "-sS", "-H", "@-", url, "-d", body], input=header, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout)["usage"]["completion_tokens"] == 3
