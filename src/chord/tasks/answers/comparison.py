"""Whether two answers state the same: yes, no, or undecided (None), which is never rewarded.

Both sides are read into kinds (`reading`); a pair of kinds has its rule, here or beside its reader. What neither
rules nor formulas settle is undecided.
"""

import re
from collections.abc import Callable, Sequence

from chord.tasks.answers import evaluation, notations, reading, trees
from chord.tasks.answers.kinds import (
    Answer,
    Based,
    Choice,
    Date,
    Items,
    Matrix,
    Named,
    Opaque,
    Range,
    Ratio,
    Reals,
    Relation,
    Residue,
    Rounded,
    Time,
    Value,
    Words,
)
from chord.tasks.answers.names import may_be_one
from chord.tasks.answers.quantities import same_trees, same_values
from chord.tasks.answers.real_line import as_reals, same_reals
from chord.tasks.answers.verdicts import Verdict, either, every, in_any_order, in_order
from chord.tasks.answers.words import meaning


def same(gold: str, answer: str) -> Verdict:
    """Whether a uniform answer states what the uniform reference states."""
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
    """The reference shows that a comma is a decimal point: it has one."""
    return isinstance(answer, Value) and trees.has_decimal(answer.tree)


def compare(gold: Answer, answer: Answer) -> Verdict:
    if gold == answer:
        return True
    if isinstance(gold, Items) and gold.brackets == "or":
        return either(compare(form, answer) for form in gold.items)
    if isinstance(gold, Choice) or isinstance(answer, Choice):
        return _choices(gold, answer)
    if isinstance(answer, Rounded):
        return either((compare(gold, answer.exact), compare(gold, answer.shown)))
    if isinstance(gold, Rounded):
        return either((compare(gold.exact, answer), compare(gold.shown, answer)))
    if isinstance(gold, Named) or isinstance(answer, Named):
        return _named(gold, answer)
    if isinstance(gold, Words) != isinstance(answer, Words):
        return _words(gold, answer)
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
        return _opaque(gold, answer)
    return False


def _words(gold: Answer, answer: Answer) -> Verdict:
    """Words on one side only: some words stand for something else."""
    if isinstance(gold, Words):
        stands_for = meaning(gold)
        return False if stands_for is None else compare(stands_for, answer)
    stands_for = meaning(answer)
    if stands_for is None:
        return None if isinstance(gold, Opaque) else False
    return compare(gold, stands_for)


def _two_words(gold: Words, answer: Words) -> Verdict:
    if gold.text == answer.text:
        return True
    meanings = meaning(gold), meaning(answer)
    if None not in meanings:
        return compare(*meanings)
    return gold.text.replace(" ", "") == answer.text.replace(" ", "")


def _choices(gold: Answer, answer: Answer) -> Verdict:
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
    """The letter that an answer is and nothing else."""
    if isinstance(answer, Value) and re.fullmatch("[A-Z]", answer.text) and not answer.unit.is_stated:
        return answer.text
    if isinstance(answer, Words) and re.fullmatch("[a-z]", answer.text):
        return answer.text.upper()
    return None


def _named(gold: Answer, answer: Answer) -> Verdict:
    if isinstance(gold, Named) and isinstance(answer, Named):
        if may_be_one(gold.name, answer.name):
            return compare(gold.content, answer.content)
        if gold.equation and answer.equation and trees.names(gold.equation.right) | trees.names(answer.equation.right):
            return _relations(gold.equation, answer.equation)  # y = 2x and x = y/2
        return False
    named, other = (gold, answer) if isinstance(gold, Named) else (answer, gold)
    if isinstance(other, Relation) and other.sign == "=" and named.equation:
        return _relations(named.equation, other) if named is gold else _relations(other, named.equation)
    if isinstance(named.content, Relation) and named.content.chain:
        return every(compare(side, other) if named is gold else compare(other, side) for side in named.content.chain)
    if isinstance(gold, Items) and len(gold.items) > 1 and isinstance(named.content, Value):
        return False
    return compare(named.content, other) if named is gold else compare(other, named.content)


def _items(gold: Items, answer: Items) -> Verdict:
    if _has_names(gold) or _has_names(answer):
        return _named_items(gold, answer)
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
    return bool(items.items) and all(isinstance(item, Named) for item in items.items)


def _named_items(gold: Items, answer: Items) -> Verdict:
    """Named values in any order; beside values without names they stand in the order of their names."""
    if _has_names(gold) and _has_names(answer):
        names = [[item.name for item in side.items] for side in (gold, answer)]
        if len(set(names[0])) == len(names[0]) and sorted(names[0]) == sorted(names[1]):
            by_name = [sorted(side.items, key=lambda item: item.name) for side in (gold, answer)]
            return in_order(*by_name, compare)
        if _are_indexed(names[0]) and _are_indexed(names[1]):
            return in_any_order(_contents(gold), _contents(answer), compare)
        return False if len(names[0]) == len(names[1]) else in_any_order(_contents(gold), _contents(answer), compare)
    named, other = (gold, answer) if _has_names(gold) else (answer, gold)
    if _are_indexed([item.name for item in named.items]):
        content = Items("", _contents(named))
        return _items(content, other) if named is gold else _items(other, content)
    contents = [item.content for item in sorted(named.items, key=lambda item: item.name)]
    pair = (contents, other.items) if named is gold else (other.items, contents)
    return in_order(*pair, compare) if other.brackets in ("()", "<>", "", "[]") else False


def _are_indexed(names: list[str]) -> bool:
    """x = 1 or x = 2, x_1 and x_2: values of one name."""
    return len({re.sub(r"_.*|'+$", "", name) for name in names}) == 1


def _contents(items: Items) -> tuple[Answer, ...]:
    return tuple(item.content for item in items.items)


def _distinct(items: Sequence[Answer]) -> list[Answer]:
    found: list[Answer] = []
    for item in items:
        if not any(compare(one, item) is True for one in found):
            found.append(item)
    return found


def _first_named(items: Items) -> Items:
    """x = 1, 2: the name before the first value holds for all."""
    first = items.items[0]
    return items._replace(items=(first.content, *items.items[1:]))


def _lists(gold: Items, answer: Items) -> Verdict:
    def plain(items: Items) -> Items:
        if (
            items.brackets == ""
            and len(items.items) > 1
            and isinstance(items.items[0], Named)
            and not any(isinstance(item, Named) for item in items.items[1:])
        ):
            return _first_named(items)
        return items

    verdict = _items(plain(gold), plain(answer))
    if verdict is not True and {gold.brackets, answer.brackets} & {"()", "[]", "(]", "[)"}:
        reals = as_reals(gold), as_reals(answer)
        if None not in reals and gold.brackets and answer.brackets:
            return compare(*reals)
    return verdict


def _matrices(gold: Matrix, answer: Matrix) -> Verdict:
    if len(gold.rows) != len(answer.rows):
        return False
    return every(in_order(*rows, compare) for rows in zip(gold.rows, answer.rows, strict=True))


def _relations(gold: Relation, answer: Relation) -> Verdict:
    """Equations and inequalities that differ by a constant factor, which is positive where the order counts."""
    if gold.chain and answer.chain and len(gold.chain) == len(answer.chain) > 2:
        return in_order(gold.chain, answer.chain, compare)
    if gold.sign != answer.sign:
        return False
    differences = [("add", relation.left, ("neg", relation.right)) for relation in (gold, answer)]
    if not trees.names(differences[0]) and not trees.names(differences[1]):
        return every((same_trees(gold.left, answer.left), same_trees(gold.right, answer.right)))
    return evaluation.proportional(*differences, positive=gold.sign in ("<", "<="))


def _opaque(gold: Answer, answer: Answer) -> Verdict:
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
    (Words, Words): _two_words,
    (Items, Items): _lists,
    (Matrix, Matrix): _matrices,
    (Reals, Reals): same_reals,
    (Reals, Items): same_reals,
    (Items, Reals): same_reals,
    (Relation, Relation): _relations,
    (Time, Time): notations.same_times,
    (Ratio, Time): notations.same_ratio_and_time,
    (Ratio, Ratio): notations.same_ratios,
    (Ratio, Value): notations.same_ratio_and_value,
    (Value, Ratio): lambda gold, answer: notations.same_ratio_and_value(answer, gold),
    (Based, Based): notations.same_based,
    (Based, Value): notations.same_based_and_value,
    (Value, Based): lambda gold, answer: notations.same_based_and_value(answer, gold),
    (Residue, Residue): notations.same_residues,
    (Residue, Value): lambda gold, answer: same_trees(gold.value, answer.tree) if not answer.unit.is_stated else False,
    (Value, Residue): notations.same_value_and_residue,
    (Range, Range): notations.same_ranges,
    (Range, Ratio): notations.same_range_and_ratio,
    (Ratio, Range): lambda gold, answer: notations.same_range_and_ratio(answer, gold),
    (Date, Date): notations.same_dates,
}
