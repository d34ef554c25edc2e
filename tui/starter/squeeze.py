"""Makes a 4-bit GPTQ build of the starter for the model card. Run as ``python -m tui.starter.squeeze OUT``.

Set ``GPTQMODEL_CPU_WORKERS=2`` and ``TORCHDYNAMO_DISABLE=1`` on a small machine. The calibration text is training text,
never held-out text. Measure the result with ``python -m tui.starter.measure OUT``.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from tui.starter import starter_folder, training_text


def squeeze(source: Path, out: Path, *, bits: int, group_size: int, samples: int) -> None:
    """Quantize ``source`` into ``out`` through gptqmodel in float32 on the CPU."""
    import torch
    from gptqmodel import GPTQModel, QuantizeConfig

    shutil.rmtree(out, ignore_errors=True)
    model = GPTQModel.load(str(source), QuantizeConfig(bits=bits, group_size=group_size), dtype=torch.float32)
    model.quantize(training_text(samples, seed=3), batch_size=4)
    model.save(str(out))


def main(words: list[str] | None = None) -> None:
    """Read the command line and quantize."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--source", type=Path, default=starter_folder())
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--group-size", type=int, default=128)
    parser.add_argument("--samples", type=int, default=256, help="calibration conversations")
    arguments = parser.parse_args(words)
    squeeze(
        arguments.source,
        arguments.out,
        bits=arguments.bits,
        group_size=arguments.group_size,
        samples=arguments.samples,
    )


if __name__ == "__main__":
    main()
