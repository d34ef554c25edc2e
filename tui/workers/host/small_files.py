"""What transformers makes of a folder's small files: tokenizer, chat template, configuration, generation defaults.

A program of its own: ``python -m tui.workers.host.small_files FOLDER FILE`` writes the facts to FILE as JSON, and the
tokenizer beside it where the folder's own ``tokenizer.json`` is not what transformers would use. It loads transformers
without torch, which takes a third of the time and none of the host's memory, and runs once for a folder
(``kept_facts``). Where the host's own tokenizer could not do the same, it writes why, and the host loads the folder
through transformers itself.
"""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

HIDDEN = ("torch", "torchao", "torchvision", "accelerate")
"""What transformers finds not to be there, so that it loads none of it."""

CONFIG = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_parameters",
    "tie_word_embeddings",
    "attention_bias",
    "mlp_bias",
    "layer_types",
    "sliding_window",
    "bos_token_id",
    "eos_token_id",
    "dtype",
)
GENERATION = ("do_sample", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "eos_token_id")

AS_THE_BASE = (
    "__call__",
    "__len__",
    "_convert_encoding",
    "_decode",
    "_encode_plus",
    "_encode_without_added_tokens",
    "apply_chat_template",
    "convert_tokens_to_ids",
    "decode",
    "encode",
    "get_added_vocab",
)
"""Methods that no class of tokenizers may have changed."""


def main(folder: Path, file: Path) -> None:
    """Write the facts of ``folder`` to ``file``; raises whatever stands against it."""
    for name in HIDDEN:
        sys.modules[name] = None  # type: ignore[assignment]
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    try:
        generation = GenerationConfig.from_pretrained(folder, local_files_only=True)
    except OSError:
        generation = GenerationConfig.from_pretrained(
            folder, config_file_name="config.json", _from_model_config=True, local_files_only=True
        )
    try:
        known = tokenizer_facts(tokenizer)
    except (ValueError, AttributeError) as error:
        return _write(file, json.dumps({"why_not": str(error)}))
    facts = {
        "tokenizer": {**known, "file": _own_file(tokenizer, folder, file)},
        "config": {name: getattr(config, name, None) for name in CONFIG},
        "generation": {name: getattr(generation, name, None) for name in GENERATION},
    }
    return _write(file, json.dumps(facts, allow_nan=False))


def tokenizer_facts(tokenizer: Any) -> dict[str, Any]:
    """What ``light_tokenizer`` needs beside the backend; raises ``ValueError`` for a tokenizer that has ways of its
    own, and ``AttributeError`` for a version of transformers that does not tell which marks it keeps out of messages.
    """
    from transformers.tokenization_utils_tokenizers import TokenizersBackend

    own, base = type(tokenizer), TokenizersBackend
    changed = [name for name in AS_THE_BASE if getattr(own, name, None) is not getattr(base, name)]
    if not isinstance(tokenizer, base) or changed or tokenizer.split_special_tokens:
        raise ValueError(f"{own.__name__} has ways of its own: {', '.join(changed)}")
    template = tokenizer.get_chat_template() if tokenizer.chat_template else None
    longest = tokenizer.model_max_length
    return {
        "chat_template": template,
        "marks": list(tokenizer._get_control_tokens(template)) if template else [],
        "names": tokenizer.special_tokens_map,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "unk_token_id": tokenizer.unk_token_id,
        "model_max_length": int(longest) if math.isfinite(longest) and longest < 2**62 else None,
    }


def _own_file(tokenizer: Any, folder: Path, file: Path) -> str:
    """Name of the file beside ``file`` that holds the backend, or "" where it is the folder's own."""
    from tokenizers import Tokenizer

    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    used, given = backend.to_str(), folder / "tokenizer.json"
    if given.is_file():
        plain = Tokenizer.from_file(str(given))
        plain.no_padding()
        plain.no_truncation()
        if plain.to_str() == used:
            return ""
    beside = file.with_suffix(".tokenizer.json")
    _write(beside, used)
    return beside.name


def _write(file: Path, text: str) -> None:
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
