"""The rubric task: the sum of weights, what the judge is told, and a judge's server that fails in each way.

The server here is real HTTP with prepared replies, for failures that no model gives on demand; a real judge model is
asked in tests/integration/test_rubric_server.py.
"""

import json
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chord.errors import GraderError, UserError
from chord.tasks import grading_record, rubric, verdict
from chord.tasks.judge import AGAIN, AT_ONCE
from chord.tasks.rubric import RUBRIC, aggregate
from chord.tasks.task import Verdict

TOKEN = "sk-secret-0123456789"
ROW = {
    "id": "med-1",
    "task": "rubric",
    "gold": "",
    "messages": RUBRIC.render("What helps against a cold?"),
    "meta": {
        "rubric": [{"description": "names rest", "weight": 3}, {"description": "names water", "weight": 1}],
    },
}
ONE = ROW | {"meta": {"rubric": ROW["meta"]["rubric"][:1]}}


@pytest.mark.parametrize(
    ("weights", "met", "reward"),
    [
        ([3, 1], [True, True], 1.0),
        ([3, 1], [True, False], 0.75),
        ([3, 1], [False, False], 0.0),
        ([0.1, 0.2, 0.7], [True, True, True], 1.0),
        ([3, 1, -2], [True, True, False], 1.0),
        ([3, 1, -2], [True, True, True], 0.5),  # (4 - 2) / 4
        ([3, 1, -2], [False, True, True], 0.0),  # never below 0
    ],
)
def test_explicit_aggregation(weights, met, reward):
    assert aggregate(weights, met) == pytest.approx(reward)


@given(st.lists(st.tuples(st.floats(-5, 5), st.booleans()), min_size=1, max_size=8).filter(lambda x: max(x)[0] > 0.01))
def test_the_reward_is_a_share_and_grows_with_each_merit(items):
    weights, met = zip(*items, strict=True)
    reward = aggregate(weights, met)
    assert 0.0 <= reward <= 1.0
    for place, weight in enumerate(weights):
        more = aggregate(weights, [*met[:place], True, *met[place + 1 :]])
        less = aggregate(weights, [*met[:place], False, *met[place + 1 :]])
        assert more >= less if weight >= 0 else more <= less


class Server(ThreadingHTTPServer):
    """Answers with `reply(request) -> (status, text)`, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self, reply):
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply, self.lock = reply, threading.Lock()
        self.asked, self.at_once, self.most_at_once = [], 0, 0


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append(request)
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        status, text = self.server.reply(request)
        message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        refusal = {"message": f"{text} {self.headers['Authorization']}"}  # some servers repeat the token
        body = json.dumps({"choices": [message]} if status == 200 else {"error": refusal}).encode()
        with self.server.lock:
            self.server.at_once -= 1
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def in_turn(*replies):
    """The replies one after the other, the last one for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def reads(request):
    """A judge that reads: YES where the last word of the criterion stands in the response. It takes a moment."""
    time.sleep(0.01)
    text = request["messages"][1]["content"]
    response = text.split("<response>")[1].split("</response>")[0]
    word = text.split("<criterion>")[1].split("</criterion>")[0].split()[-1]
    return 200, "YES" if word in response else "NO"


@pytest.fixture
def serve(monkeypatch):
    """Starts a server and points the judge to it."""
    servers = []

    def start(reply):
        server = Server(reply)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        monkeypatch.setenv("CHORD_JUDGE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        return server

    monkeypatch.setenv("CHORD_JUDGE_MODEL", "judge-7b")
    monkeypatch.setenv("OPENAI_API_KEY", TOKEN)
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_what_the_judge_is_told(serve):
    server = serve(in_turn((200, "YES")))
    assert verdict(ONE, "<think>secret thoughts</think>\nRest {and} sleep.\n", False) == Verdict(
        1.0, True, True, "correct"
    )
    assert server.asked == [
        {
            "model": "judge-7b",
            "temperature": 0.0,
            "messages": [
                {
                    "role": "system",
                    "content": "You judge whether the response to a question meets one criterion. Judge this criterion "
                    "only, by what the response says, and take no side in anything else. Answer with one word: YES if "
                    "the response meets the criterion, NO if it does not.",
                },
                {
                    "role": "user",
                    "content": "<question>\nWhat helps against a cold?\n</question>\n\n<response>\nRest {and} sleep.\n"
                    "</response>\n\n<criterion>\nnames rest\n</criterion>",
                },
            ],
        }
    ]


def test_the_record_names_the_judge_and_hashes_the_prompt(serve, monkeypatch):
    serve(in_turn((200, "YES")))
    record = grading_record(["world", "rubric", "rubric"])
    assert record == {"rubric": {"judge_model": "judge-7b", "judge_prompt_hash": record["rubric"]["judge_prompt_hash"]}}
    assert TOKEN not in json.dumps(record)
    monkeypatch.setattr(rubric, "INSTRUCTION", "Be kind.")
    assert grading_record(["rubric"]) != record
    assert grading_record(["world", "choice"]) == {}


def test_an_unreadable_answer_is_asked_for_again(serve):
    server = serve(in_turn((200, "It depends."), (200, "Well,\n**No.**"), (200, "<think>so\nNO</think>\nyes")))
    assert verdict(ONE, "Rest.", False).reward == 0.0
    assert [message["content"] for message in server.asked[1]["messages"][2:]] == ["It depends.", AGAIN]
    assert verdict(ONE, "Rest.", False).reward == 1.0


def test_a_judge_that_never_answers_is_an_error_and_no_score(serve):
    server = serve(in_turn((200, "It depends.")))
    with pytest.raises(GraderError, match=r"no YES or NO after 3 tries; the last reply ends in 'It depends.'"):
        verdict(ONE, "Rest.", False)
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(serve, status):
    server = serve(in_turn((status, "busy"), (status, "busy"), (200, "YES")))
    assert verdict(ROW, "Rest and water.", False).correct
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("status", "error", "problem"),
    [
        (401, UserError, "answered 401: expected a valid token in OPENAI_API_KEY"),
        (404, UserError, "answered 404: expected the base URL of an OpenAI-compatible server, and a model"),
        (400, UserError, "answered 400: .* does the prompt fit"),
        (500, GraderError, "answered 500$"),
    ],
)
def test_a_server_that_refuses_or_fails_is_named_and_the_token_is_not(serve, status, error, problem):
    serve(in_turn((status, "you sent")))
    with pytest.raises(error, match=problem) as caught:
        verdict(ROW, "Rest.", False)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_is_not_there(serve, monkeypatch):
    server = serve(in_turn((200, "YES")))
    server.shutdown()
    server.server_close()
    monkeypatch.setattr("chord.tasks.judge._RETRIES", 0)
    with pytest.raises(GraderError, match=r"'judge-7b': no answer from CHORD_JUDGE_URL \(APIConnectionError\)"):
        verdict(ROW, "Rest.", False)


@pytest.mark.parametrize("missing", ["CHORD_JUDGE_URL", "CHORD_JUDGE_MODEL"])
def test_a_judge_that_is_not_named(serve, monkeypatch, missing):
    serve(in_turn((200, "YES")))
    monkeypatch.delenv(missing)
    with pytest.raises(UserError, match=f"environment variable {missing} is not set"):
        verdict(ROW, "Rest.", False)


def test_where_nothing_follows_the_thinking_no_one_is_asked(monkeypatch):
    monkeypatch.delenv("CHORD_JUDGE_URL", raising=False)
    assert verdict(ROW, "<think>and on", True) == Verdict(0.0, False, False, "truncated")
    assert verdict(ROW, " ", False) == Verdict(0.0, False, False, "unparsed")


@pytest.mark.parametrize(
    "items",
    [
        None,
        [],
        ["names rest"],
        [{"description": "x"}],
        [{"description": "x", "weight": "3"}],
        [{"description": "x", "weight": True}],
        [{"description": "x", "weight": -1}],
        [{"weight": 1}],
    ],
)
def test_a_row_without_a_usable_rubric_is_an_error(items):
    with pytest.raises(UserError, match=r"row 'med-1': meta.rubric: expected a list of \{description: text, weight"):
        verdict(ROW | {"meta": {"rubric": items}}, "Rest.", False)


def test_many_verdicts_come_in_order(serve):
    """Requests overlap; an answer given to the wrong question would show."""
    server = serve(reads)
    texts = ["rest", "water", "rest and water", "", "nothing"] * 20
    found = list(RUBRIC.verdicts((ROW, text, False) for text in texts))
    assert [item.reward for item in found] == [0.75, 0.25, 1.0, 0.0, 0.0] * 20
    assert 1 < server.most_at_once <= AT_ONCE
    assert len(server.asked) == 160
