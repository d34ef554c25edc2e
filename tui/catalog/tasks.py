"""What models are for. This module alone maps the words that people and hubs use onto the catalog's kinds."""

from __future__ import annotations

KINDS = (
    "chat",
    "text",
    "code",
    "translation",
    "embedding",
    "classification",
    "ner",
    "vision",
    "multimodal",
    "speech",
    "audio",
    "image-gen",
)
"""Every value that ``kind`` may have in models.toml."""

_PIPELINES: dict[str, tuple[str, ...]] = {
    "text": ("text-generation", "text2text-generation", "fill-mask"),
    "chat": ("text-generation", "conversational"),
    "code": ("text-generation",),
    "translation": ("translation",),
    "embedding": ("sentence-similarity", "feature-extraction", "text-ranking"),
    "classification": ("text-classification", "zero-shot-classification", "question-answering"),
    "ner": ("token-classification",),
    "vision": ("image-classification", "image-segmentation", "mask-generation", "object-detection", "depth-estimation"),
    "multimodal": (
        "image-text-to-text",
        "any-to-any",
        "visual-question-answering",
        "image-to-text",
        "zero-shot-image-classification",
        "video-text-to-text",
        "audio-text-to-text",
    ),
    "speech": ("automatic-speech-recognition",),
    "audio": ("text-to-speech", "text-to-audio", "audio-to-audio", "audio-classification"),
    "image-gen": ("text-to-image", "image-to-image", "unconditional-image-generation", "text-to-video"),
}

_SYNONYMS: dict[str, tuple[str, ...]] = {
    "text": ("text", "generation", "completion", "base", "llm", "language-model", "causal-lm", "pretrained"),
    "chat": ("chat", "instruct", "instruction", "assistant", "conversation", "dialogue", "llm"),
    "code": ("code", "coding", "coder", "programming", "code-generation"),
    "translation": ("translation", "translate", "mt", "machine-translation"),
    "embedding": ("embedding", "embeddings", "embed", "retrieval", "similarity", "sentence-embedding", "rag"),
    "classification": ("classification", "classifier", "sentiment", "classify"),
    "ner": ("ner", "named-entity-recognition", "entities", "tagging"),
    "vision": ("vision", "image", "segmentation", "images"),
    "multimodal": ("multimodal", "vlm", "vision-language", "image-text", "vision"),
    "speech": ("speech", "asr", "transcription", "speech-recognition", "speech-to-text", "stt"),
    "audio": ("audio", "tts", "text-to-speech", "music", "sound", "voice"),
    "image-gen": ("image-gen", "image-generation", "diffusion", "text-to-image", "images", "drawing"),
}


def kinds_of_task(task: str) -> frozenset[str]:
    """Return the kinds that a word for a task means: a kind, a synonym or a hub pipeline tag; empty when unknown.

    "text" and "text-generation" take in chat and code models, because those generate text too.
    """
    word = "-".join(task.casefold().replace("_", "-").split())
    if not word:
        return frozenset()
    if word in ("text", "generation", "text-generation", "llm", "language-model", "causal-lm"):
        return frozenset(("text", "chat", "code"))
    return frozenset(kind for kind in KINDS if word == kind or word in _SYNONYMS[kind] or word in _PIPELINES[kind])


def pipeline_of_task(task: str) -> str:
    """Return the hub's pipeline tag for a word for a task; the word itself when it is one or nothing fits."""
    word = "-".join(task.casefold().replace("_", "-").split())
    if any(word in tags for tags in _PIPELINES.values()):
        return word
    kinds = kinds_of_task(word)
    return next((_PIPELINES[kind][0] for kind in KINDS if kind in kinds), word)


def kind_of_pipeline(tag: str, tags: tuple[str, ...] = ()) -> str:
    """Return the kind for a hub pipeline tag; ``tags`` are the repository's other tags, which tell chat from text."""
    if tag == "text-generation" or (not tag and "text-generation-inference" in tags):
        return "chat" if "conversational" in tags else "text"
    for kind in KINDS:
        if tag in _PIPELINES[kind]:
            return kind
    return "text"


def words_of_kind(kind: str) -> str:
    """All words that a text search should find a model of ``kind`` by, in one line."""
    return " ".join((kind, *_SYNONYMS.get(kind, ()), *_PIPELINES.get(kind, ())))
