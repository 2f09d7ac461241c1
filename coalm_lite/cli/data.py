"""`coalm-lite data`: fetch the benchmarks' public data, and list what is here. Nothing of it is in the package."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import click

from coalm_lite.cli.invocation import Invocation, pass_invocation
from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.output import print_json, print_table, size_words
from coalm_lite.errors import UsageError

if TYPE_CHECKING:
    from coalm_lite.evals.data.pins import PinnedSuite

Action: TypeAlias = Literal["fetch", "list"]
State: TypeAlias = Literal["fetched", "own", "absent"]
_STATES = {"fetched": "here", "own": "here, not by data fetch", "absent": "not here"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedData:
    """What is told of a suite's data; of those that are not here, the size to fetch as far as it is known."""

    suite: str
    state: State
    files: int
    size_bytes: int
    more: bool  # than size_bytes: one of its files has no size that is known beforehand
    licence: str
    source: str
    path: str


@click.command()
@click.argument("action", metavar="fetch|list", type=click.Choice(["fetch", "list"]))
@click.argument("suites", metavar="[SUITE]...", nargs=-1)
@click.option(
    "--from",
    "mirror",
    metavar="URL|FOLDER",
    default="",
    help="Take the files from a copy of a fetched folder. Default: COALM_LITE_DATA_MIRROR, else the public places.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="The folder of all suites' data. Default: one in your cache.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@verbosity_options
@pass_invocation
def data(
    invocation: Invocation, action: Action, suites: tuple[str, ...], mirror: str, data_dir: Path | None, as_json: bool
) -> None:
    """Fetch the benchmarks' public data, or list what is here.

    SUITE is bfcl, apibank, multiwoz, or bfcl-executors (BFCL's own package, which carries out its conversations; it is
    unpacked, not installed). Files come from fixed commits and are checked against pinned hashes; a folder is whole or
    not there, and a cut download goes on where it stopped.
    """
    from coalm_lite.evals.data.files import fetched_dir
    from coalm_lite.evals.data.pins import pinned, pinned_suites

    if action == "fetch" and not suites:
        raise UsageError("data fetch needs the name of a suite", f"These can be fetched: {', '.join(pinned_suites())}.")
    if action == "list" and mirror:
        raise UsageError("data list takes no --from", "It looks at this machine alone.")
    home = (data_dir or fetched_dir()).expanduser().absolute()
    chosen = [pinned(name) for name in suites or pinned_suites()]
    if action == "fetch":
        for suite in chosen:
            _fetch(suite, home, mirror, invocation.verbosity)
    if action == "list" or as_json:
        _print([_listed(suite, home) for suite in chosen], as_json)


def _fetch(suite: PinnedSuite, home: Path, mirror: str, verbosity: int) -> None:
    from coalm_lite.cli.pull_progress import PullScreen
    from coalm_lite.evals.data.download import Origin
    from coalm_lite.evals.data.fetch import fetch

    with PullScreen(verbosity) as screen:
        screen.show([f"{suite.name}: {suite.title} ({suite.licence}), {suite.source}"])
        done = fetch(suite, home, Origin(mirror) if mirror else None, screen.report)
        what = f"{done.files} files, {size_words(done.size_bytes)}"
        screen.tell(f"{suite.name}: {what} in {done.folder}" + ("" if done.new else ", unchanged"))


def _listed(suite: PinnedSuite, home: Path) -> ListedData:
    from coalm_lite.evals.data.fetch import fetched_state

    found, folder = fetched_state(suite, home), home / suite.folder
    state: State = "fetched" if found else "own" if folder.is_dir() else "absent"
    return ListedData(
        suite=suite.name,
        state=state,
        files=found.files if found else len(suite.pins),
        size_bytes=found.size_bytes if found else sum(pin.size_bytes for pin in suite.pins),
        more=not found and not all(pin.size_bytes for pin in suite.pins),
        licence=suite.licence,
        source=suite.source,
        path=str(folder),
    )


def _print(listed: list[ListedData], as_json: bool) -> None:
    if as_json:
        print_json([asdict(entry) for entry in listed])
        return
    sizes = [("more than " if entry.more else "") + size_words(entry.size_bytes) for entry in listed]
    rows = [[e.suite, _STATES[e.state], size, e.licence, e.path] for e, size in zip(listed, sizes, strict=True)]
    print_table(("suite", "state", "size", "licence", "folder"), rows)
