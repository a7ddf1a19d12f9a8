"""Training that cannot learn: which logs show it, which only look like it."""

import pytest

from chord.training.hopeless import STEPS, VALIDATIONS, Facts, diagnoses

FACTS = Facts(max_response_tokens=96, max_validation_tokens=64, ends="<eos>")
HEALTHY = {"truncated": 0.1, "unparsed": 0.2, "right": 0.3, "reward_low": -1.0, "reward_high": 1.0}
TRUNCATED = HEALTHY | {"truncated": 1.0, "unparsed": 1.0, "right": 0.0, "reward_high": -1.0}
UNPARSED = HEALTHY | {"unparsed": 0.995, "right": 0.0, "reward_high": -0.1}
EQUAL = HEALTHY | {"right": 0.0, "reward_low": 0.0, "reward_high": 0.0}
SOLVED = HEALTHY | {"unparsed": 0.0, "truncated": 0.0, "right": 1.0, "reward_low": 1.0}


def history(*steps: dict | None, a_ex: float = 0.0) -> list[dict]:
    """The log of a run; None is a step without rollouts."""
    lines = [{"step": 0, "validation_accuracy": 0.0, "validation_response_tokens": 64.0}]
    for number, values in enumerate(steps, start=1):
        line = {"step": number, "a_ex": a_ex, "expert_rows": 8 if a_ex else None, "expert_tokens": 8 * 300}
        lines.append(line | ({"rollouts": 48} | values if values else {"a_ex": 1.0}))
    return [*lines, {"step": len(steps), "train_runtime": 1.0}]


def shown(*steps: dict | None, a_ex: float = 0.0) -> list[tuple[str, int, int, bool]]:
    return [(one.symptom, one.first, one.last, one.hopeless) for one in diagnoses(history(*steps, a_ex=a_ex), FACTS)]


@pytest.mark.parametrize(
    ("symptom", "values", "words"),
    [
        (
            "truncated",
            TRUNCATED,
            "max_response_tokens = 96 is too little, or the model never writes its end token (<eos>)",
        ),
        ("unparsed", UNPARSED, "99% of the responses have no answer that can be read"),
        ("equal", EQUAL, "all rewards have been 0 for 5 steps with rollouts, so RL has no gradient"),
        ("solved", SOLVED, "every response has been right for 5 steps"),
    ],
)
def test_a_symptom_of_several_steps_in_a_row_is_found_with_its_cause(symptom, values, words):
    (one,) = diagnoses(history(HEALTHY, *[values] * STEPS, HEALTHY), FACTS)
    assert (one.symptom, one.first, one.last) == (symptom, 2, STEPS + 1)
    assert words in one.message
    assert one.hopeless == (symptom != "solved")
    assert shown(*[values] * (STEPS - 1), HEALTHY, *[values] * (STEPS - 1)) == []


def test_flat_groups_of_different_heights_are_not_equal_rewards():
    """Some prompts are solved and some are not: zero_variance_groups is 1, and other prompts may differ."""
    flat = HEALTHY | {"zero_variance_groups": 1.0, "right": 0.5, "reward_low": 0.0}
    assert shown(*[flat] * 20) == []


def test_steps_that_are_equal_each_at_its_own_height_are_not_equal_rewards():
    other = EQUAL | {"reward_low": -0.1, "reward_high": -0.1}
    assert shown(*[EQUAL, other] * 10) == []
    assert shown(*[EQUAL] * STEPS, *[other] * STEPS) == [("equal", 1, 5, True), ("equal", 6, 10, True)]


def test_steps_that_learn_from_experts_count_less_and_steps_without_rollouts_nothing():
    assert shown(*[UNPARSED] * 19, a_ex=0.1) == []
    assert shown(*[UNPARSED] * 20, a_ex=0.1) == [("unparsed", 1, 20, True)]
    assert shown(*[None] * 50) == []
    assert shown(*[EQUAL, None] * STEPS) == [("equal", 1, 2 * STEPS - 1, True)]  # SFT and RL steps by turns


def test_the_length_of_the_experts_responses_is_told_where_the_limit_may_be_too_little():
    (one,) = diagnoses(history(*[TRUNCATED] * 20, a_ex=0.5), FACTS)
    assert "; the expert's have 300 on average" in one.message


def test_equal_rewards_are_not_named_beside_their_cause():
    assert shown(*[TRUNCATED] * STEPS) == [("truncated", 1, STEPS, True)]
    assert shown(EQUAL, *[EQUAL | {"truncated": 1.0}] * STEPS) == [
        ("equal", 1, STEPS + 1, True),
        ("truncated", 2, STEPS + 1, True),
    ]


def validations(*lengths: float) -> list[dict]:
    return [
        {"step": 4 * number, "a_ex": 1.0, "validation_accuracy": 0.0, "validation_response_tokens": length}
        for number, length in enumerate(lengths)
    ]


def test_a_run_without_rollouts_is_judged_by_its_validations():
    found = diagnoses(validations(64.0, *[64.0] * VALIDATIONS, 63.9), FACTS)
    assert [(one.symptom, one.first, one.last) for one in found] == [("truncated", 4, 4 * VALIDATIONS)]
    assert "max_response_tokens = 64 is too little, or the model does not learn its end token" in found[0].message
    assert diagnoses(validations(64.0, *[64.0] * (VALIDATIONS - 1)), FACTS) == []  # the start model's is no sign
    assert diagnoses(validations(*[63.9] * 20), FACTS) == []
    assert diagnoses([], FACTS) == []
