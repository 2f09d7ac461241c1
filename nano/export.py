"""Turns a training checkpoint into `nano/checkpoint/`, in Hugging Face layout: `python -m nano.export --work WORK`.

`nano/embed.py` makes the embedded GGUF of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nano.checkpoints import write_checkpoint

CHECKPOINT = Path(__file__).parent / "checkpoint"


def main() -> None:
    """Parses the command line and exports."""
    parser = argparse.ArgumentParser(description="Export coalm-nano.")
    parser.add_argument("--work", type=Path, required=True, help="the folder that nano.train wrote")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    options = parser.parse_args()
    write_checkpoint(options.work, options.checkpoint)


if __name__ == "__main__":
    main()
