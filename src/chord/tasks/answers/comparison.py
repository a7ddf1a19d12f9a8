"""Decides whether two answers state the same thing: yes, no, or undecided (None), which is never rewarded.

Both sides are read into kinds (`reading`). Each pair of kinds has a rule, either here or next to its reader. What
neither rules nor formulas settle stays undecided.
"""

import re
from collections.abc import Callable, Sequence

from chord.tasks.answers import evaluation, notations, reading, trees
from chord.tasks.answers.kinds import (
    Answer,
    Approximation,
    Choice,
    Date,
    Items,
    Matrix,
    NamedValue,
    NumberInBase,
    Opaque,
    Range,
    Ratio,
    Reals,
    Relation,
    Residue,
    Time,
    Value,
    Words,
)
from chord.tasks.answers.names import may_be_one
from chord.tasks.answers.quantities import same_trees, same_values
from chord.tasks.answers.real_line import as_reals, same_reals
from chord.tasks.answers.three_valued import Verdict, either, every, in_any_order, in_order
from chord.tasks.answers.words import meaning


def same(gold: str, answer: str) -> Verdict:
    """Whether a normalized answer states what the normalized reference states."""
    if gold == answer:
        return True
    first, second = reading.read(gold), reading.read(answer)
    verdict = compare(first, second)
    if verdict is not True and _is_decimal(first) and _COMMA.fullmatch(answer):
        return compare(first, reading.read(answer.replace(",", ".", 1)))
    return verdict


_COMMA = re.compile(
    r"-?\d+,(?!\d{3}(?!\d))\d+(?:\s*(?:\\text\{.*|\\?%|\\\$|[A-Za-z^].*))?|(?:\\\$|\\text\{[A-Z]{3}\})\s*\d+,(?!\d{3}(?!\d))\d+"
)


def _is_decimal(answer: Answer) -> bool:
    """Whether the reference has a decimal point, which shows that a comma in the answer is one too."""
    return isinstance(answer, Value) and trees.has_decimal(answer.tree)


def compare(gold: Answer, answer: Answer) -> Verdict:
    if gold == answer:
        return True
    if isinstance(gold, Items) and gold.brackets == "or":
        return either(compare(form, answer) for form in gold.items)
    if isinstance(gold, Choice) or isinstance(answer, Choice):
        return _compare_choices(gold, answer)
    if isinstance(answer, Approximation):
        return either((compare(gold, answer.exact), compare(gold, answer.rounding)))
    if isinstance(gold, Approximation):
        return either((compare(gold.exact, answer), compare(gold.rounding, answer)))
    if isinstance(gold, NamedValue) or isinstance(answer, NamedValue):
        return _compare_named(gold, answer)
    if isinstance(gold, Words) != isinstance(answer, Words):
        return _compare_with_words(gold, answer)
    rule = _RULES.get((type(gold), type(answer)))
    if rule:
        return rule(gold, answer)
    if isinstance(gold, Items) and len(gold.items) == 1 and gold.brackets in ("{}", "", "[]"):
        return compare(gold.items[0], answer)
    if isinstance(answer, Items) and len(answer.items) == 1 and answer.brackets in ("{}", ""):
        return compare(gold, answer.items[0])
    if isinstance(answer, Relation) and answer.chain and isinstance(gold, Value):
        return every(compare(gold, side) for side in answer.chain)
    if isinstance(gold, Relation) and gold.chain and isinstance(answer, Value):
        return every(compare(side, answer) for side in gold.chain)
    if isinstance(gold, Opaque) or isinstance(answer, Opaque):
        return _compare_opaque(gold, answer)
    return False


def _compare_with_words(gold: Answer, answer: Answer) -> Verdict:
    """Compare words on one side with something else on the other, which some words stand for."""
    if isinstance(gold, Words):
        value = meaning(gold)
        return False if value is None else compare(value, answer)
    value = meaning(answer)
    if value is None:
        return None if isinstance(gold, Opaque) else False
    return compare(gold, value)


def _compare_words(gold: Words, answer: Words) -> Verdict:
    if gold.text == answer.text:
        return True
    meanings = meaning(gold), meaning(answer)
    if None not in meanings:
        return compare(*meanings)
    return gold.text.replace(" ", "") == answer.text.replace(" ", "")


def _compare_choices(gold: Answer, answer: Answer) -> Verdict:
    if isinstance(gold, Choice) and isinstance(answer, Choice):
        if gold.letter != answer.letter:
            return False
        if gold.content is None or answer.content is None:
            return True
        return compare(gold.content, answer.content)
    choice, other = (gold, answer) if isinstance(gold, Choice) else (answer, gold)
    letter = _letter(other)
    if letter is not None:
        return letter == choice.letter
    if choice.content is None:
        return False
    return compare(choice.content, other) if choice is gold else compare(other, choice.content)


def _letter(answer: Answer) -> str | None:
    """The letter of an answer that consists of one letter and nothing else."""
    if isinstance(answer, Value) and re.fullmatch("[A-Z]", answer.text) and not answer.unit.is_stated:
        return answer.text
    if isinstance(answer, Words) and re.fullmatch("[a-z]", answer.text):
        return answer.text.upper()
    return None


def _compare_named(gold: Answer, answer: Answer) -> Verdict:
    if isinstance(gold, NamedValue) and isinstance(answer, NamedValue):
        if may_be_one(gold.name, answer.name):
            return compare(gold.content, answer.content)
        if gold.equation and answer.equation and trees.names(gold.equation.right) | trees.names(answer.equation.right):
            return _compare_relations(gold.equation, answer.equation)  # y = 2x and x = y/2
        return False
    named_side, other = (gold, answer) if isinstance(gold, NamedValue) else (answer, gold)
    if isinstance(other, Relation) and other.sign == "=" and named_side.equation:
        return (
            _compare_relations(named_side.equation, other)
            if named_side is gold
            else _compare_relations(other, named_side.equation)
        )
    if isinstance(named_side.content, Relation) and named_side.content.chain:
        return every(
            compare(side, other) if named_side is gold else compare(other, side) for side in named_side.content.chain
        )
    if isinstance(gold, Items) and len(gold.items) > 1 and isinstance(named_side.content, Value):
        return False
    return compare(named_side.content, other) if named_side is gold else compare(other, named_side.content)


def _compare_items(gold: Items, answer: Items) -> Verdict:
    if _has_names(gold) or _has_names(answer):
        return _compare_named_items(gold, answer)
    kinds = gold.brackets, answer.brackets
    if set(kinds) <= {"", "{}"}:
        if set(kinds) == {"{}"}:
            return in_any_order(_distinct(gold.items), _distinct(answer.items), compare)
        return in_any_order(gold.items, answer.items, compare)
    if set(kinds) <= {"()", "<>", ""}:
        return in_order(gold.items, answer.items, compare)
    if set(kinds) == {"[]", ""}:
        if len(gold.items) > 2 or len(gold.items) == 1:
            return in_any_order(gold.items, answer.items, compare)
        return in_order(gold.items, answer.items, compare)
    if set(kinds) == {"[]", "()"} and len(gold.items) > 2:  # no intervals
        return in_order(gold.items, answer.items, compare)
    if kinds[0] == kinds[1] or set(kinds) == {"[]", "<>"}:
        return in_order(gold.items, answer.items, compare)
    return False


def _has_names(items: Items) -> bool:
    return bool(items.items) and all(isinstance(item, NamedValue) for item in items.items)


def _compare_named_items(gold: Items, answer: Items) -> Verdict:
    """Named values may come in any order; against values without names, they are taken in the order of their names."""
    if _has_names(gold) and _has_names(answer):
        names = [[item.name for item in side.items] for side in (gold, answer)]
        if len(set(names[0])) == len(names[0]) and sorted(names[0]) == sorted(names[1]):
            by_name = [sorted(side.items, key=lambda item: item.name) for side in (gold, answer)]
            return in_order(*by_name, compare)
        if _are_indexed(names[0]) and _are_indexed(names[1]):
            return in_any_order(_contents(gold), _contents(answer), compare)
        return False if len(names[0]) == len(names[1]) else in_any_order(_contents(gold), _contents(answer), compare)
    named_side, other = (gold, answer) if _has_names(gold) else (answer, gold)
    if _are_indexed([item.name for item in named_side.items]):
        content = Items("", _contents(named_side))
        return _compare_items(content, other) if named_side is gold else _compare_items(other, content)
    contents = [item.content for item in sorted(named_side.items, key=lambda item: item.name)]
    pair = (contents, other.items) if named_side is gold else (other.items, contents)
    return in_order(*pair, compare) if other.brackets in ("()", "<>", "", "[]") else False


def _are_indexed(names: list[str]) -> bool:
    """Whether all names belong to one variable, as in x = 1 or x = 2, and in x_1 and x_2."""
    return len({re.sub(r"_.*|'+$", "", name) for name in names}) == 1


def _contents(items: Items) -> tuple[Answer, ...]:
    return tuple(item.content for item in items.items)


def _distinct(items: Sequence[Answer]) -> list[Answer]:
    distinct: list[Answer] = []
    for item in items:
        if not any(compare(one, item) is True for one in distinct):
            distinct.append(item)
    return distinct


def _without_first_name(items: Items) -> Items:
    """Drop the name before the first value, which applies to all of them: x = 1, 2."""
    first = items.items[0]
    return items._replace(items=(first.content, *items.items[1:]))


def _compare_lists(gold: Items, answer: Items) -> Verdict:
    def plain(items: Items) -> Items:
        if (
            items.brackets == ""
            and len(items.items) > 1
            and isinstance(items.items[0], NamedValue)
            and not any(isinstance(item, NamedValue) for item in items.items[1:])
        ):
            return _without_first_name(items)
        return items

    verdict = _compare_items(plain(gold), plain(answer))
    if verdict is not True and {gold.brackets, answer.brackets} & {"()", "[]", "(]", "[)"}:
        reals = as_reals(gold), as_reals(answer)
        if None not in reals and gold.brackets and answer.brackets:
            return compare(*reals)
    return verdict


def _compare_matrices(gold: Matrix, answer: Matrix) -> Verdict:
    if len(gold.rows) != len(answer.rows):
        return False
    return every(in_order(*rows, compare) for rows in zip(gold.rows, answer.rows, strict=True))


def _compare_relations(gold: Relation, answer: Relation) -> Verdict:
    """Relations are equal if they differ by a constant factor, which must be positive for an inequality."""
    if gold.chain and answer.chain and len(gold.chain) == len(answer.chain) > 2:
        return in_order(gold.chain, answer.chain, compare)
    if gold.sign != answer.sign:
        return False
    differences = [("add", relation.left, ("neg", relation.right)) for relation in (gold, answer)]
    if not trees.names(differences[0]) and not trees.names(differences[1]):
        return every((same_trees(gold.left, answer.left), same_trees(gold.right, answer.right)))
    return evaluation.proportional(*differences, positive=gold.sign in ("<", "<="))


def _compare_opaque(gold: Answer, answer: Answer) -> Verdict:
    texts = [part.text.replace(" ", "") if isinstance(part, Opaque) else None for part in (gold, answer)]
    if texts[0] == texts[1]:
        return True
    if any(text in ("\\infty", "-\\infty") for text in texts) and not any(
        isinstance(part, Opaque) and "\\infty" not in part.text for part in (gold, answer)
    ):
        return False
    return None


_RULES: dict[tuple[type, type], Callable] = {
    (Value, Value): same_values,
    (Words, Words): _compare_words,
    (Items, Items): _compare_lists,
    (Matrix, Matrix): _compare_matrices,
    (Reals, Reals): same_reals,
    (Reals, Items): same_reals,
    (Items, Reals): same_reals,
    (Relation, Relation): _compare_relations,
    (Time, Time): notations.same_times,
    (Ratio, Time): notations.same_ratio_and_time,
    (Ratio, Ratio): notations.same_ratios,
    (Ratio, Value): notations.same_ratio_and_value,
    (Value, Ratio): lambda gold, answer: notations.same_ratio_and_value(answer, gold),
    (NumberInBase, Value): notations.same_based_and_value,
    (Value, NumberInBase): lambda gold, answer: notations.same_based_and_value(answer, gold),
    (Residue, Residue): notations.same_residues,
    (Residue, Value): lambda gold, answer: same_trees(gold.value, answer.tree) if not answer.unit.is_stated else False,
    (Value, Residue): notations.same_value_and_residue,
    (Range, Range): notations.same_ranges,
    (Range, Ratio): notations.same_range_and_ratio,
    (Ratio, Range): lambda gold, answer: notations.same_range_and_ratio(answer, gold),
    (Date, Date): notations.same_dates,
}
