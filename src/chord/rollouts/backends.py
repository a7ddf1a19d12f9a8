"""Which engine completes prompts, as a configuration names it. Imports no torch."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt

from chord.settings import Settings, TimeOnly


def _plain_url(url: str) -> str:
    """A base URL without anything secret in it: specifications and manifests hold it as it is."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected a base URL such as http://localhost:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("expected no user, password or query in it; the key is read from OPENAI_API_KEY")
    return url


class HuggingFaceBackend(Settings):
    """Models of transformers, in processes of one thread and one model each."""

    kind: Literal["huggingface"] = "huggingface"
    workers: Annotated[PositiveInt, TimeOnly()] = Field(
        default=1, description="processes; changes the time and nothing else"
    )


class VllmBackend(Settings):
    """vLLM in this process. All of its settings can move the last bits of a logit."""

    kind: Literal["vllm"] = "vllm"
    max_model_len: PositiveInt | None = Field(
        default=None, description="positions to make room for, prompt and response; none: all that the model has"
    )
    kv_cache_gib: PositiveFloat | None = Field(
        default=None, description="memory for keys and values on each device; none: what vLLM takes, nearly all"
    )
    tensor_parallel_size: PositiveInt = Field(default=1, description="devices that share the model")
    enforce_eager: bool = Field(default=False, description="true: no compilation, which a small model is not worth")


class Endpoint(Settings):
    """An OpenAI-compatible server. The key, if it wants one, is read from OPENAI_API_KEY and written nowhere."""

    url: Annotated[str, AfterValidator(_plain_url), TimeOnly()] = Field(
        description="base URL: http://localhost:8000/v1"
    )
    model: str = Field(min_length=1, description="the name under which the server knows the model")
    concurrency: Annotated[PositiveInt, TimeOnly()] = Field(default=32, description="requests under way at once")
    timeout_seconds: Annotated[PositiveFloat, TimeOnly()] = Field(
        default=3600, description="limit of one request: a long answer takes long"
    )


class ServerBackend(Endpoint):
    """A server that serves the very model folder and takes and gives token ids (vLLM's does)."""

    kind: Literal["server"] = "server"


Backend = Annotated[HuggingFaceBackend | VllmBackend | ServerBackend, Field(discriminator="kind")]
