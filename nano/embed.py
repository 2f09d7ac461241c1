"""Makes the embedded GGUF from `nano/checkpoint/` with the project's own converter: `python -m nano.embed`.

Dialects, instruction style, licence and origin go into its metadata; the runtime reads them from there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from coalm_lite.converters.gguf import Quant, convert

ROOT = Path(__file__).parent.parent
CHECKPOINT = ROOT / "nano" / "checkpoint"
EMBEDDED = ROOT / "coalm_lite" / "models" / "coalm-nano.Q8_0.gguf"
METADATA = {
    "general.name": "coalm-nano",
    "general.license": "cc-by-sa-4.0",
    "coalm.dialects": "cra,dst,hammer",
    "coalm.instructions": "short",
    "coalm.source": "trained by nano/train.py of coalm-lite",
}


def main() -> None:
    """Parses the command line and converts."""
    parser = argparse.ArgumentParser(description="Make the embedded GGUF.")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--gguf", type=Path, default=EMBEDDED)
    parser.add_argument("--quant", choices=[str(quant) for quant in Quant], default=str(Quant.Q8_0))
    options = parser.parse_args()
    print(convert(options.checkpoint, options.gguf, Quant(options.quant), metadata=METADATA))


if __name__ == "__main__":
    main()
