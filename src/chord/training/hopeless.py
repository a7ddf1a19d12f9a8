"""Diagnoses of training that cannot learn: what the log shows for several steps in a row, and the likely cause.

All of it comes from the trainer's log, which lies in the checkpoints, so a resumed run gives the same diagnoses.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from transformers import TrainerCallback

log = logging.getLogger(__name__)
# Steps of pure RL in a row. A step without two different rewards has no gradient, so all their rollouts (1,280 at the
# paper's size) come from one policy. A policy that is right once in 300 tries is called hopeless once in 70 times.
STEPS = 5
# The weight of a step that also learns from experts or a teacher, or after which traces wait for an SFT step (router
# buffered): these may yet teach what no rollout shows.
WITH_EXPERTS = 0.25
VALIDATIONS = 5  # in a row, of a run without rollouts; the start model's does not count
NEARLY_ALL = 0.99


class Facts(NamedTuple):
    """What the messages name in addition to the log."""

    max_response_tokens: int  # of rollouts
    max_validation_tokens: int
    ends: str  # the end tokens, as text


@dataclass(frozen=True)
class Diagnosis:
    """A symptom that lasted for several steps in a row."""

    symptom: str
    first: int  # step
    last: int
    message: str
    hopeless: bool  # False: there is nothing left to learn

    def values(self) -> dict:
        """The diagnosis as the manifest records it."""
        return {"symptom": self.symptom, "first_step": self.first, "last_step": self.last, "message": self.message}


Streak = list[dict]  # the log's lines of steps in a row that have rollouts


def diagnoses(history: list[dict], facts: Facts) -> list[Diagnosis]:
    """One diagnosis for every streak of a symptom that is long enough, in the order of the first steps.

    history: the trainer's log. Steps without rollouts (mu = 1) say nothing and break no streak. A streak of equal
    rewards is left out if another diagnosis explains it.
    """
    rollouts = [line for line in history if line.get("rollouts")]
    candidates = [
        Diagnosis(name, streak[0]["step"], streak[-1]["step"], tell(streak, facts), name != "solved")
        for name, (shows, tell) in SYMPTOMS.items()
        for streak in _streaks(rollouts, shows)
        if sum(WITH_EXPERTS if _is_taught(line) else 1.0 for line in streak) >= STEPS
    ]
    if not rollouts:
        candidates += _endless_validations(history, facts)
    explained = {step for one in candidates if one.symptom != "equal" for step in range(one.first, one.last + 1)}
    distinct = [one for one in candidates if one.symptom != "equal" or not {one.first, one.last} <= explained]
    return sorted(distinct, key=lambda one: one.first)


def _is_taught(line: dict) -> bool:
    """Whether the step learns from more than its rewards, or its prompts will be taught later."""
    return bool(line["a_ex"] or "teacher_gap" in line or line.get("waiting"))


def _streaks(lines: list[dict], shows: Callable[[dict, dict], bool]) -> Iterator[Streak]:
    """Maximal runs of lines that show a symptom. shows: takes a line and the first line of its streak."""
    streak: Streak = []
    for line in lines:
        if shows(line, (streak or [line])[0]):
            streak.append(line)
            continue
        if streak:
            yield streak
        streak = [line] if shows(line, line) else []
    if streak:
        yield streak


def _equal(line: dict, first: dict) -> bool:
    """Whether all groups and steps have the same reward, and not each group a reward of its own."""
    return line["reward_low"] == line["reward_high"] == first["reward_low"] and line["right"] < 1.0


def _tell_truncated(streak: Streak, facts: Facts) -> str:
    counts = [(line["expert_tokens"], line["expert_rows"]) for line in streak if line.get("expert_rows")]
    experts = ""
    if counts:
        mean = sum(tokens for tokens, _ in counts) / sum(rows for _, rows in counts)
        experts = f"; the expert's have {mean:.0f} on average"
    return (
        f"no response has ended {_for(streak)}: max_response_tokens = {facts.max_response_tokens} is too little"
        f"{experts}, or the model never writes its end token ({facts.ends})"
    )


def _tell_unparsed(streak: Streak, _: Facts) -> str:
    return (
        f"{_share(streak, 'unparsed')} of the responses have no answer that can be read {_for(streak)}: the model does "
        "not write the format that the prompts ask for (`chord doctor` shows a prompt); SFT on some expert rows first "
        f"teaches it ({_share(streak, 'truncated')} are cut off by max_response_tokens)"
    )


def _tell_equal(streak: Streak, _: Facts) -> str:
    return (
        f"all rewards have been {streak[0]['reward_low']:g} {_for(streak)}, so RL has no gradient: the prompts are too "
        f"hard for the model, or their reference answers are wrong ({_share(streak, 'unparsed')} of the responses have "
        f"no answer that can be read, {_share(streak, 'truncated')} are cut off by max_response_tokens)"
    )


def _tell_solved(streak: Streak, _: Facts) -> str:
    return f"every response has been right {_for(streak)}, so RL has nothing left to learn: the prompts are too easy"


# name -> (whether a line shows it, given the first line of its streak; the message about a streak)
SYMPTOMS: dict[str, tuple[Callable[[dict, dict], bool], Callable[[Streak, Facts], str]]] = {
    "truncated": (lambda line, _: line["truncated"] == 1.0, _tell_truncated),
    "unparsed": (lambda line, _: line["unparsed"] >= NEARLY_ALL and line["truncated"] < 1.0, _tell_unparsed),
    "equal": (_equal, _tell_equal),
    "solved": (lambda line, _: line["right"] == 1.0, _tell_solved),
}


def _endless_validations(history: list[dict], facts: Facts) -> Iterator[Diagnosis]:
    """Diagnoses of a run that samples in validation only."""
    lines = [line for line in history if line.get("validation_response_tokens") is not None and line["step"]]
    for streak in _streaks(lines, lambda line, _: line["validation_response_tokens"] >= facts.max_validation_tokens):
        if len(streak) >= VALIDATIONS:
            message = (
                f"no response has ended in {len(streak)} validations: max_response_tokens = "
                f"{facts.max_validation_tokens} is too little, or the model does not learn its end token ({facts.ends})"
            )
            yield Diagnosis("truncated", streak[0]["step"], streak[-1]["step"], message, True)


def _for(streak: Streak) -> str:
    return f"for {len(streak)} steps with rollouts"


def _share(streak: Streak, name: str) -> str:
    return f"{sum(line[name] for line in streak) / len(streak):.0%}"


class WatchHopeless(TrainerCallback):
    """Warns once about each diagnosis; with `stop` it saves and ends training at the first hopeless one."""

    def __init__(self, facts: Facts, stop: bool):
        self.facts, self.stop = facts, stop
        self.warned: set[tuple[str, int]] = set()
        self.stopped: Diagnosis | None = None  # the reason why training was ended

    def on_log(self, args, state, control, **_):
        if not state.log_history or "train_runtime" in state.log_history[-1]:
            return
        current = _last_step(state.log_history)
        for one in diagnoses(state.log_history, self.facts):
            if one.last != current:
                continue
            if (one.symptom, one.first) not in self.warned and state.is_world_process_zero:
                log.warning("step %d: %s", state.global_step, one.message)
            self.warned.add((one.symptom, one.first))
            if self.stop and one.hopeless and self.stopped is None and state.global_step < state.max_steps:
                self.stopped = one
                control.should_save = control.should_training_stop = True


def _last_step(history: list[dict]) -> int:
    """The last step that could show a symptom. Streaks that ended earlier are not reported again."""
    return max((line["step"] for line in history if line.get("rollouts") or "validation_accuracy" in line), default=0)
