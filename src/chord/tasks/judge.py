"""Asks a judge model behind an OpenAI-compatible server yes-or-no questions, many at a time.

Its address comes from the environment, not from a study: a study is published and runs on many machines, whereas an
address and a token belong to one. The variables are CHORD_JUDGE_URL (such as http://localhost:8000/v1),
CHORD_JUDGE_MODEL, and OPENAI_API_KEY if the server needs a token. The name of the model goes into the record of the
scores; address and token are recorded nowhere.
"""

import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from chord.errors import GraderError, UserError

if TYPE_CHECKING:
    from openai import OpenAI

AT_ONCE = 16  # concurrent requests
TRIES = 3  # to get a readable answer
AGAIN = "Answer with one word only: YES or NO."

_RETRIES = 5  # of a request to a busy or failing server; the client waits longer each time
_TIMEOUT_SECONDS = 600.0
_REFUSALS = {
    400: "it rejects this request; does the prompt fit the model's context?",
    401: "expected a valid token in OPENAI_API_KEY",
    403: "the token in OPENAI_API_KEY may not use this model",
    404: "expected the base URL of an OpenAI-compatible server, and a model that it serves",
}
_ANSWER = re.compile(r"\W*(YES|NO)\W*", re.IGNORECASE)


def model() -> str:
    return _setting("CHORD_JUDGE_MODEL", "the name of the judge model at CHORD_JUDGE_URL")


def answers(conversations: Iterable[list[dict]]) -> Iterator[bool]:
    """Yields the judge's yes or no to each conversation, in order, at temperature 0.

    An answer is YES or NO alone on the last line. After anything else the judge is asked again, up to TRIES times.
    Raises GraderError if there is still no answer or the server keeps failing, and UserError if the server refuses
    the model or the token.
    """
    from openai import OpenAI  # takes half a second, which tasks without a judge should not spend

    url = _setting("CHORD_JUDGE_URL", "the base URL of an OpenAI-compatible server, as in http://localhost:8000/v1")
    if urlsplit(url).username is not None or urlsplit(url).query:  # the client logs the address of each request
        raise UserError("environment variable CHORD_JUDGE_URL: expected a URL without user, password or query")
    token = os.environ.get("OPENAI_API_KEY", "none")
    with (
        OpenAI(base_url=url, api_key=token, max_retries=_RETRIES, timeout=_TIMEOUT_SECONDS) as client,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        yield from pool.map(partial(_answer, client, model()), conversations)


def _setting(name: str, meaning: str) -> str:
    if not os.environ.get(name):
        raise UserError(f"environment variable {name} is not set; the judge of task `rubric` needs {meaning}")
    return os.environ[name]


def _answer(client: "OpenAI", judge: str, conversation: list[dict]) -> bool:
    for _ in range(TRIES):
        reply = _reply(client, judge, conversation)
        match = _ANSWER.fullmatch(reply.strip().rpartition("\n")[2])
        if match:
            return match.group(1).upper() == "YES"
        conversation = [
            *conversation,
            {"role": "assistant", "content": reply},
            {"role": "user", "content": AGAIN},
        ]
    raise GraderError(f"judge {judge!r}: no YES or NO after {TRIES} tries; the last reply ends in {reply[-80:]!r}")


def _reply(client: "OpenAI", judge: str, conversation: list[dict]) -> str:
    import openai

    try:
        completion = client.chat.completions.create(model=judge, messages=conversation, temperature=0.0)
    except openai.APIStatusError as error:
        # The server's message and the chained error are omitted, because they may repeat the token.
        problem = f"judge {judge!r}: the server at CHORD_JUDGE_URL answered {error.status_code}"
        if error.status_code in _REFUSALS:
            raise UserError(f"{problem}: {_REFUSALS[error.status_code]}") from None
        raise GraderError(problem) from None
    except openai.APIConnectionError as error:
        raise GraderError(f"judge {judge!r}: no answer from CHORD_JUDGE_URL ({type(error).__name__})") from None
    return completion.choices[0].message.content or ""
