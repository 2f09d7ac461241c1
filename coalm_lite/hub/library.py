"""What is used of huggingface_hub, the same for its versions 0.36 and 2.x: addresses, the token, metadata.

Its HTTP library differs between versions (requests, httpx and its successor), so errors are told by what it shares.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from coalm_lite.hub.refusals import endpoint, no_hub, refused, unreachable

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata, ModelInfo
    from huggingface_hub.hf_api import RepoFile

Answer = TypeVar("Answer")


def file_url(repository: str, path: str, revision: str) -> str:
    """The address at which the Hub gives a file or says where it lies."""
    _prepare()
    from huggingface_hub import hf_hub_url

    return hf_hub_url(repository, path, revision=revision, endpoint=endpoint())


def token_header() -> str:
    """The value of the Authorization header for the Hub; empty without HF_TOKEN and without a saved login."""
    _prepare()
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented, not marked as exported

    return build_hf_headers().get("authorization", "")


def read_timeout_s() -> float:
    """How long a server may be silent: HF_HUB_DOWNLOAD_TIMEOUT, 10 s when unset."""
    _prepare()
    from huggingface_hub import constants

    return float(constants.HF_HUB_DOWNLOAD_TIMEOUT)


def model_info(repository: str, revision: str) -> ModelInfo:
    """A repository's commit, files, licence and gate at a revision."""
    _prepare()
    from huggingface_hub import HfApi, constants

    api = HfApi(endpoint=endpoint())
    return _asked(
        lambda: api.model_info(repository, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT),
        repository,
        f"{repository}@{revision}",
    )


def file_tree(repository: str, revision: str) -> list[RepoFile]:
    """Every file of a repository at a revision, with its size and hash; one request for each thousand."""
    _prepare()
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    api = HfApi(endpoint=endpoint())

    def ask() -> list[RepoFile]:
        found = api.list_repo_tree(repository, recursive=True, revision=revision)
        return [entry for entry in found if isinstance(entry, RepoFile)]

    return _asked(ask, repository, f"{repository}@{revision}")


def file_metadata(repository: str, path: str, revision: str) -> HfFileMetadata:
    """A file's hash, size and commit."""
    url = file_url(repository, path, revision)
    from huggingface_hub import get_hf_file_metadata

    return _asked(lambda: get_hf_file_metadata(url, endpoint=endpoint()), repository, f"{repository}/{path}")


def _prepare() -> None:
    """Switch off huggingface_hub's telemetry, which must happen before its first import; a user's own setting stands.

    Version 2.x would first ask the Hub how to tell which agent runs this process, which can take seconds.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def _asked(ask: Callable[[], Answer], repository: str, wanted: str) -> Answer:
    """What the library answers; its errors as ours."""
    from huggingface_hub.errors import HfHubHTTPError

    # The first base of its error is the base of its HTTP library's errors, whichever library that is.
    network: tuple[type[BaseException], ...] = (OSError, ImportError, *HfHubHTTPError.__bases__)
    try:
        return ask()
    except HfHubHTTPError as error:
        raise refused(error.response.status_code, error.response.headers, repository, wanted) from error
    except (LookupError, TypeError, AttributeError, ValueError) as error:  # of an answer that is not the Hub's JSON
        raise no_hub(endpoint(), f"{type(error).__name__}: {str(error)[:200]}") from error
    except network as error:  # ImportError: a SOCKS proxy is set and the package for it is missing
        raise unreachable(error, endpoint()) from error
