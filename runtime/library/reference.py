"""What a model of the hub is called, and which files it is made of. Pure.

Names come from the user, from the hub and from records on the disk: none is used that could leave its folder.
"""

import re
from dataclasses import dataclass

from ...errors import UsageError
from ...offload.gguf_header import MOST_PARTS
from ...units import Bytes

_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_FILE = re.compile(r"(?!\.)[^\\/:]{1,200}(?:/(?!\.)[^\\/:]{1,200}){0,7}")
_PART = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reference:
    """A model on the hub: `hf:owner/repo[:file]`."""

    repo: str
    file: str = ""  # nothing: the one that suits this machine

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """From `owner/repo[:file]`, with or without `hf:` before it. Raises UsageError."""
        repo, _, file = text.removeprefix("hf:").partition(":")
        if not _REPO.fullmatch(repo) or ".." in repo:
            raise UsageError(f"'{text}' names no repository", "write hf:owner/repo or hf:owner/repo:file.gguf")
        if file and not is_model_name(file):
            raise UsageError(f"'{file}' is no name of a model file", "give a file of the repository that ends in .gguf")
        return cls(repo, file)

    def __str__(self) -> str:
        return f"hf:{self.repo}:{self.file}" if self.file else f"hf:{self.repo}"


def is_model_name(name: str) -> bool:
    """Whether it can be a GGUF file's path inside a repository, stays inside a folder when it is written there, and
    does nothing to a terminal that shows it."""
    return bool(_FILE.fullmatch(name)) and name.endswith(".gguf") and name.isprintable()


@dataclass(frozen=True, slots=True)
class HubFile:
    name: str
    size: Bytes
    sha256: str = ""  # nothing where the hub does not tell


@dataclass(frozen=True, slots=True)
class HubModel:
    """One model of a repository at one commit: one file, or the parts of one that is split, in order."""

    repo: str
    commit: str
    parts: tuple[HubFile, ...]

    @property
    def name(self) -> str:
        return self.parts[0].name

    @property
    def size(self) -> Bytes:
        return Bytes(sum(part.size for part in self.parts))

    @property
    def reference(self) -> Reference:
        return Reference(self.repo, self.name)


def grouped(repo: str, commit: str, files: list[HubFile]) -> list[HubModel]:
    """Files as models: the parts of a split one together, in order; incomplete ones left out."""
    models, splits = [], {}
    for file in files:
        if part := _PART.fullmatch(file.name):
            splits.setdefault((part["stem"], int(part["count"])), {})[int(part["number"])] = file
        else:
            models.append(HubModel(repo, commit, (file,)))
    for (_, count), parts in splits.items():
        if count <= MOST_PARTS and sorted(parts) == list(range(1, count + 1)):
            models.append(HubModel(repo, commit, tuple(parts[number] for number in range(1, count + 1))))
    return sorted(models, key=lambda model: model.name)
