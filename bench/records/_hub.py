"""A data set of the Hugging Face Hub, as far as runs need one: what is in it, a file of it, a commit to it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import bench
from bench.errors import DISTRIBUTION, ConfigError, StoreError, UnsupportedError, install_tip, reason

_PART = r"[A-Za-z0-9][\w.-]*"
_ADDRESS = re.compile(
    rf"hf://(?:datasets/)?(?P<repo>{_PART}/{_PART})(?:@(?P<revision>[^/@\s]+))?(?:/(?P<run>[^/]+))?/?",
    re.ASCII,
)
_KINDS = ("datasets", "models", "spaces")  # no owners: what a full address begins with


@dataclass(frozen=True, slots=True)
class Address:
    """Where runs lie: ``hf://datasets/OWNER/NAME@REVISION/RUN``.

    Attributes:
        repo: the data set, ``OWNER/NAME``.
        run: a run in it; None where all are meant.
        revision: a commit, branch or tag; None is the newest state.
    """

    repo: str
    run: str | None = None
    revision: str | None = None

    @classmethod
    def read(cls, text: str) -> Address:
        """Return the address that a text such as ``hf://OWNER/NAME/RUN`` says.

        Raises:
            ConfigError: for any other text.
        """
        parts = _ADDRESS.fullmatch(text)
        if parts is None or parts["repo"].partition("/")[0] in _KINDS:
            raise ConfigError(
                f"{text!r} is no data set of a hub", "such as hf://OWNER/NAME, or hf://OWNER/NAME/RUN"
            )
        return cls(parts["repo"], parts["run"], parts["revision"])

    def of(self, run: str) -> Address:
        """Return the address of a run in the data set."""
        return replace(self, run=run)

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"hf://datasets/{self.repo}{revision}{f'/{self.run}' if self.run else ''}"


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a data set: at which commit, the paths of its files, and whether only its owners see it."""

    commit: str
    files: frozenset[str]
    private: bool


class Hub(Protocol):
    """What keeps data sets; each method raises a StoreError where the hub does not do it."""

    def contents(self, repo: str, revision: str | None = None) -> Contents | None:
        """Return what is in a data set; None where it is not there, or not to be seen."""

    def file(self, repo: str, path: str, commit: str, *, anew: bool = False) -> Path:
        """Return a file of a data set, fetched; `anew` also where a cache has it."""

    def make(self, repo: str, *, private: bool) -> None:
        """Make a data set."""

    def commit(self, repo: str, files: Mapping[str, bytes | Path], message: str, parent: str) -> str:
        """Write files to a data set that is still as it was at the commit `parent`; return the new commit."""


class HuggingFace:
    """The Hugging Face Hub, or what stands at HF_ENDPOINT; the token is the one of `hf auth login` or HF_TOKEN.

    Raises:
        UnsupportedError: where huggingface_hub is not installed.
    """

    def __init__(self) -> None:
        try:
            import huggingface_hub.errors
        except ImportError as error:
            raise UnsupportedError("huggingface_hub is not installed", install_tip("hub")) from error
        self._api = huggingface_hub.HfApi(library_name=DISTRIBUTION, library_version=bench.__version__)
        self._add = huggingface_hub.CommitOperationAdd
        self._errors = huggingface_hub.errors

    def contents(self, repo: str, revision: str | None = None) -> Contents | None:
        """Return what is in a data set."""
        with _answer(repo):
            try:
                info = self._api.dataset_info(repo, revision=revision)
            except self._errors.GatedRepoError:  # it is there, and asks for its owner's leave
                raise
            except self._errors.RepositoryNotFoundError:
                return None
        return Contents(
            str(info.sha), frozenset(file.rfilename for file in info.siblings or ()), bool(info.private)
        )

    def file(self, repo: str, path: str, commit: str, *, anew: bool = False) -> Path:
        """Return a file of a data set, in the cache of the hub's own client."""
        with _answer(f"{repo}/{path}"):
            return Path(
                self._api.hf_hub_download(
                    repo, path, repo_type="dataset", revision=commit, force_download=anew
                )
            )

    def make(self, repo: str, *, private: bool) -> None:
        """Make a data set."""
        with _answer(repo):
            self._api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)

    def commit(self, repo: str, files: Mapping[str, bytes | Path], message: str, parent: str) -> str:
        """Write files to a data set in one commit."""
        with _answer(repo):
            added = [self._add(path_in_repo=path, path_or_fileobj=content) for path, content in files.items()]
            done = self._api.create_commit(
                repo, added, commit_message=message, repo_type="dataset", parent_commit=parent
            )
        return str(done.oid)


_TIPS = {
    401: "log in: hf auth login, with a token that may write where you push",
    403: "take a token that may do this: hf auth login",
    404: "look at its page whether it is there",
    412: "somebody else wrote to it meanwhile: give the command again",
    429: "the hub asks for patience: try again in some minutes",
}


@contextlib.contextmanager
def _answer(what: str) -> Iterator[None]:
    """Turn whatever the hub or the way to it refuses into what a user can mend."""
    try:
        yield
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        tip = _TIPS.get(
            int(status or 0), "see whether the hub is to be reached from here, then give the command again"
        )
        raise StoreError(f"the hub does not do it, for {what}: {reason(error)}", tip) from error
