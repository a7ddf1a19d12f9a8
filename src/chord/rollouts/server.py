"""Gets completions from an OpenAI-compatible server, in two ways that share only the connection.

`ServerEngine` is an `Engine`: token ids in and out (`/v1/completions`), so that a checkpoint is asked under its own
chat template and no text is tokenized twice. The server must serve that checkpoint and support token ids, as vLLM's
does. `ChatServer` asks a model that is not ours (`/v1/chat/completions`): the server applies its template and returns
only text. Every server can do that, and an expert needs no more.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import httpx
from openai import APIConnectionError, APIStatusError, AsyncOpenAI
from openai.types import CompletionChoice
from openai.types.chat import ChatCompletionMessage

from chord.errors import UserError
from chord.rollouts.backends import Endpoint
from chord.rollouts.completions import Batch, Completion
from chord.rollouts.engine import Decoding, Sample, check_lengths

Item = TypeVar("Item")
Answer = TypeVar("Answer")
RETRIES = 6  # of a request to a busy or restarting server; the client waits longer each time
logging.getLogger("httpx").setLevel(logging.WARNING)  # otherwise it logs a line per request
UNLIMITED = 2**31  # positions: the server knows its limit and says so


class ServerEngine:
    """An `Engine` over a server that serves one of our model folders."""

    def __init__(
        self, endpoint: Endpoint, eos_token_ids: list[int], socket: Path | None = None, gives_logps: bool = False
    ):
        """socket: the file on which the server listens, if it has no port.

        gives_logps: the server's log-probabilities are known to be those of the distribution from which tokens are
        drawn (vLLM's `--logprobs-mode processed_logprobs`).
        """
        self.endpoint = endpoint
        self.eos_token_ids = list(eos_token_ids)
        self.socket = socket
        self.gives_logps = gives_logps

    def generate(self, prompt_ids: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Sample]:
        """One sample for each prompt, in input order; see `Engine`."""
        check_lengths(prompt_ids, decoding, UNLIMITED)

        async def ask(client: AsyncOpenAI, item: tuple[list[int], int]) -> Sample:
            prompt, seed = item
            completion = await client.completions.create(
                model=self.endpoint.model,
                prompt=prompt,
                seed=seed,  # signed 64 bits in the protocol and in vLLM; ours have 63 bits
                temperature=decoding.temperature,
                top_p=decoding.top_p,
                max_tokens=decoding.max_response_tokens,
                presence_penalty=0,
                frequency_penalty=0,
                logprobs=0 if self.gives_logps else None,  # of the drawn token only
                # vLLM takes whatever a request omits from the model's generation_config.json.
                extra_body={
                    "top_k": -1,
                    "min_p": 0.0,
                    "repetition_penalty": 1.0,
                    "stop_token_ids": self.eos_token_ids,
                    "return_token_ids": True,
                },
            )
            return self._sample(completion.choices[0], decoding)

        return _ask_all(self.endpoint, ask, list(zip(prompt_ids, seeds, strict=True)), self.socket)

    def score(self, sequences: list[list[int]]) -> list[list[float]]:
        """The log-probability of each token except the first; see `Engine`."""

        async def ask(client: AsyncOpenAI, sequence: list[int]) -> list[float]:
            completion = await client.completions.create(
                model=self.endpoint.model, prompt=sequence, max_tokens=0, echo=True, logprobs=0
            )
            logprobs = completion.choices[0].logprobs
            scores = logprobs.token_logprobs[1:] if logprobs and logprobs.token_logprobs else []
            if len(scores) != len(sequence) - 1:
                raise self._no_token_ids("gives no log-probabilities of a prompt (echo)")
            return scores

        return _ask_all(self.endpoint, ask, sequences, self.socket)

    def _sample(self, choice: CompletionChoice, decoding: Decoding) -> Sample:
        tokens = getattr(choice, "token_ids", None)
        if tokens is None:
            raise self._no_token_ids("returns no token ids")
        logps = None
        if self.gives_logps:
            # At temperature 0 the chosen token has probability 1.
            logps = choice.logprobs.token_logprobs if decoding.temperature else [0.0] * len(tokens)
        return Sample(list(tokens), choice.finish_reason != "stop", logps, None)

    def _no_token_ids(self, what: str) -> UserError:
        return UserError(f"{self.endpoint.url}: the server {what}; expected vLLM's, other servers can only be experts")


class ChatServer:
    """A model behind a chat API."""

    def __init__(self, endpoint: Endpoint, decoding: Decoding):
        self.endpoint, self.decoding = endpoint, decoding

    def complete(self, batch: Batch) -> list[Completion]:
        """Returns the answers to a batch of chats in order; its prompts are lists of messages."""

        async def ask(client: AsyncOpenAI, item: tuple[list[dict], int]) -> Completion:
            messages, seed = item
            completion = await client.chat.completions.create(
                model=self.endpoint.model,
                messages=messages,
                seed=seed,
                temperature=self.decoding.temperature,
                top_p=self.decoding.top_p,
                max_tokens=self.decoding.max_response_tokens,
            )
            choice = completion.choices[0]
            # Other reasons, such as content filters and tool calls, also count as truncated.
            return Completion(_full_text(choice.message), choice.finish_reason != "stop")

        return _ask_all(self.endpoint, ask, list(zip(batch.prompts, batch.seeds, strict=True)))


def _full_text(message: ChatCompletionMessage) -> str:
    """The answer as the model wrote it: servers move the reasoning into a field with one of two names."""
    content = message.content or ""
    reasoning = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    if not reasoning:
        return content
    thinking = f"<think>\n{reasoning.strip()}\n"
    return f"{thinking}</think>\n\n{content.strip()}" if content else thinking


def _ask_all(
    endpoint: Endpoint,
    ask: Callable[[AsyncOpenAI, Item], Awaitable[Answer]],
    items: Sequence[Item],
    socket: Path | None = None,
) -> list[Answer]:
    """Call `ask` for every item, `endpoint.concurrency` at a time, and return the answers in order.

    Raises UserError at the first failure.
    """
    client_options = {}
    if socket is not None:
        transport = httpx.AsyncHTTPTransport(uds=str(socket), limits=httpx.Limits(max_connections=endpoint.concurrency))
        client_options["http_client"] = httpx.AsyncClient(transport=transport)

    async def run() -> list[Answer]:
        slots = asyncio.Semaphore(endpoint.concurrency)
        # Our own servers need no key, but the client does.
        key = os.environ.get("OPENAI_API_KEY", "none")
        async with AsyncOpenAI(
            base_url=endpoint.url, api_key=key, timeout=endpoint.timeout_seconds, max_retries=RETRIES, **client_options
        ) as client:

            async def one(item: Item) -> Answer:
                async with slots:
                    return await ask(client, item)

            return await asyncio.gather(*map(one, items))

    try:
        return asyncio.run(run())
    except APIConnectionError as error:
        raise UserError(f"{endpoint.url}: no answer from the server ({error.__cause__ or error})") from error
    except APIStatusError as error:
        raise UserError(f"{endpoint.url}: model {endpoint.model!r}: {_reason(error)}") from error


def _reason(error: APIStatusError) -> str:
    """The reason in one line, without the key: servers send it back, or parts of it when they refuse it."""
    if error.status_code in (401, 403):
        return f"the server refuses the key (HTTP {error.status_code}); it is read from OPENAI_API_KEY"
    message = error.body.get("message") if isinstance(error.body, dict) else None
    text = str(message or error.message)
    if key := os.environ.get("OPENAI_API_KEY"):
        text = text.replace(key, "(the key)")
    return f"HTTP {error.status_code}: {' '.join(text.split())}"
