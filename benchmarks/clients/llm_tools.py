"""simonw/llm with its OpenAI plugin against `coalm-lite serve`: its command line calls a tool, streamed and not.

    pip install llm               # in an environment of its own
    python llm_tools.py URL KEY

Runs `llm` with a user folder of its own, whose extra-openai-models.yaml points to the server. Prints one JSON line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

TOOLS = """
import json

def find_hotels(area: str, pricerange: str = "", parking: bool = False) -> str:
    "Find hotels of the town."
    found = {"name": "Juniper Lodge", "type": "guest house", "area": "north", "pricerange": "cheap", "stars": 2}
    found |= {"parking": True, "internet": True, "phone": "01632 960102"}
    return json.dumps({"count": 1, "hotels": [found]})
"""
MODEL = """
- model_id: town
  model_name: nano
  api_base: {url}
  api_key_name: coalm
  supports_tools: true
"""
ASKED = "a cheap hotel in the north with parking"


def main() -> None:
    """Both ways, and the log of the calls."""
    url, key = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "extra-openai-models.yaml").write_text(MODEL.format(url=url))
        (Path(folder) / "keys.json").write_text(json.dumps({"coalm": key}))
        environment = os.environ | {"LLM_USER_PATH": folder}
        llm = [str(Path(sys.executable).parent / "llm")]
        for more in ([], ["--no-stream"]):
            command = [*llm, "-m", "town", "--functions", TOOLS, "--td", *more, ASKED]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, done.stderr
            assert "Juniper Lodge" in done.stdout, done.stdout
            assert "find_hotels" in done.stderr, done.stderr
        asked = [*llm, "logs", "-n", "0", "--json"]
        logs = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)
        calls = [call for entry in json.loads(logs.stdout) for call in entry["tool_calls"]]
        assert len(calls) == 2
        assert all(call["arguments"]["area"] == "north" for call in calls), calls
    print(json.dumps({"client": f"llm {version('llm')}", "parts": 2, "passed": True}))


if __name__ == "__main__":
    main()
