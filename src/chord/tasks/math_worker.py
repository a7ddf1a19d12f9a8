"""The process that runs math-verify: it reads pairs, writes one reply per pair, and dies rather than hangs.

`chord.tasks.grader_pool` starts it as a script and defines the protocol; the script imports nothing from this package.
The process imports math-verify once and forks. The child does the work under limits that the kernel enforces (CPU
time, wall time, memory), so that neither a loop in C nor a blocked interpreter lock escapes them. A child that dies is
reported and replaced by a new fork, which takes milliseconds instead of the seconds of a fresh import.
"""

import json
import logging
import os
import resource
import signal
import sys
from functools import lru_cache

CPU_SECONDS = 2.0  # per pair; CPU time, so that a busy machine gives the same verdicts
WALL_SECONDS = 120.0  # per pair, for code that waits without computing
MEMORY_BYTES = 2 << 30
MAX_POWER_BITS = 100_000


def main() -> None:
    replies = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not mix with the replies
    _limit()
    judge("\\int_0^1 x dx", "\\frac{1}{2}")  # builds the parser's tables
    while True:
        child = os.fork()
        if child == 0:
            _serve(replies)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:  # no more input
            return
        died = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        os.write(replies, json.dumps({"died": died}).encode() + b"\n")


def _limit() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ends silently once nobody reads any more
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable()  # math-verify warns about the timeouts that are switched off here
    _keep_large_powers_symbolic()


def _keep_large_powers_symbolic() -> None:
    """Bound the integer powers that sympy evaluates: 9^(9^9) would never end, and stays a symbol instead."""
    from sympy import Integer, Rational

    evaluate = Integer._eval_power

    def bounded(self, exponent):
        if isinstance(exponent, Rational) and abs(exponent.p) * self.p.bit_length() > MAX_POWER_BITS * exponent.q:
            return None
        return evaluate(self, exponent)

    Integer._eval_power = bounded


def _serve(replies: int) -> None:
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # the default is to die
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for line in sys.stdin.buffer:  # the parent waits for all replies before it sends more, so nothing is read ahead
        for request in json.loads(line):
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
            reply = judge(*request)
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            os.write(replies, json.dumps({"reply": reply}).encode() + b"\n")


def judge(gold: str, answer: str) -> str:
    """Returns `correct`, `wrong`, `undecided` (unreadable gold), `unreadable` (the answer), or `grader_error:...`."""
    try:
        golds, answers = _parse(gold), _parse(answer)
    except Exception as error:  # noqa: BLE001  the parser may raise anything, and it is about this text
        return f"grader_error:{type(error).__name__}"
    last_error = None
    for gold_form in golds:
        for answer_form in answers:
            try:
                if _verify(gold_form, answer_form):
                    return "correct"
            except Exception as error:  # noqa: BLE001  likewise; a later pair may still agree
                last_error = error
    if not _is_parsed(golds):
        return "undecided"
    if not _is_parsed(answers):
        return "unreadable"
    return f"grader_error:{type(last_error).__name__}" if last_error else "wrong"


def _is_parsed(items: list) -> bool:
    return any(not isinstance(item, str) for item in items)


@lru_cache(maxsize=4096)
def _parse(text: str) -> list:
    """Returns expressions, and the text from which math-verify read them."""
    from math_verify import LatexExtractionConfig, parse

    return parse(f"\\boxed{{{text}}}", [LatexExtractionConfig()], parsing_timeout=None, raise_on_error=True)


def _verify(gold, answer) -> bool:
    from math_verify import verify

    return verify(gold, answer, timeout_seconds=None, raise_on_error=True)


if __name__ == "__main__":
    main()
