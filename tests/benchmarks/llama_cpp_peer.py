"""llama.cpp as a peer of the chat engine: the same Llama weights written as GGUF, and what it takes to answer."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import xllamacpp

_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write_gguf(model: Any, file: Path, kind: str) -> None:
    """Write a Llama model of transformers; its tokens get made-up names, because only ids are used."""
    config = model.config
    writer = gguf.GGUFWriter(file, "llama")
    heads, key_heads = config.num_attention_heads, config.num_key_value_heads
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.hidden_size // heads)
    writer.add_vocab_size(config.vocab_size)
    bytes_ = [f"<0x{value:02X}>" for value in range(256)]
    tokens = ["<unk>", "<s>", "</s>", *bytes_, *(f"\u2581t{place}" for place in range(config.vocab_size - 259))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([2, 3, 3, *([6] * 256), *([1] * (config.vocab_size - 259))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        _add(writer, _gguf_name(name), _permuted(name, value, heads, key_heads), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gguf_name(name: str) -> str:
    plain = {"model.embed_tokens.weight": "token_embd", "model.norm.weight": "output_norm", "lm_head.weight": "output"}
    if name in plain:
        return plain[name] + ".weight"
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{_NAMES[rest.removesuffix('.weight')]}.weight"


def _permuted(name: str, value: Any, heads: int, key_heads: int) -> Any:
    count = heads if "q_proj" in name else key_heads if "k_proj" in name else 0
    data = value.float().numpy()
    if count:
        data = data.reshape(count, 2, data.shape[0] // count // 2, -1).swapaxes(1, 2).reshape(data.shape)
    return np.ascontiguousarray(data)


def _add(writer: Any, name: str, data: Any, kind: str) -> None:
    if data.ndim == 1:
        writer.add_tensor(name, data.astype(np.float32))
    elif kind == "F16":
        writer.add_tensor(name, data.astype(np.float16))
    else:
        type_ = gguf.GGMLQuantizationType[kind]
        writer.add_tensor(name, gguf.quantize(data, type_), raw_dtype=type_)


class LlamaCppPeer:
    """A loaded GGUF file."""

    def __init__(self, file: Path, threads: int, context: int) -> None:
        self._threads = threads
        self._folder = tempfile.TemporaryDirectory()
        params = xllamacpp.CommonParams()
        params.model.path = str(file)
        params.n_ctx = context
        params.n_parallel = 1
        params.cache_ram_mib = 0
        params.verbosity = 0
        params.hostnames = [f"{self._folder.name}/x.sock"]
        params.ui = False
        for cpu in (params.cpuparams, params.cpuparams_batch):
            cpu.n_threads = threads
        self._server = xllamacpp.Server(params)

    def speeds(self, prompt: Sequence[int], tokens: int) -> tuple[float, float]:
        """Tokens per second read and written: by llama.cpp's own clock, or with one thread by CPU seconds."""
        if self._threads > 1:
            timings = self._ask(prompt, n_predict=tokens, cache_prompt=False)["timings"]
            return timings["prompt_per_second"], timings["predicted_per_second"]
        seconds = []
        for count in (1, tokens):
            started = time.process_time()
            self._ask(prompt, n_predict=count, cache_prompt=False)
            seconds.append(time.process_time() - started)
        return len(prompt) / seconds[0], (tokens - 1) / max(1e-9, seconds[1] - seconds[0])

    def next_token(self, prompt: Sequence[int]) -> int:
        """The likeliest token after ``prompt``."""
        return int(self._ask(prompt, n_predict=1, logprobs=1)["choices"][0]["logprobs"]["content"][0]["id"])

    def _ask(self, prompt: Sequence[int], **more: Any) -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        body = {"prompt": list(prompt), "temperature": 0, "ignore_eos": True, "stream": False, **more}
        self._server.handle_completions(body, lambda item: bool(found.append(item)))
        value = found[-1]
        return value[0] if isinstance(value, list) else value
