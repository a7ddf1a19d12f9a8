"""Whether two answers state the same: yes, no, or undecided (None), which is never rewarded.

Both sides are read into kinds (`reading`); a pair of kinds has its rule here. What neither rules nor formulas settle is
undecided.
"""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from chord.tasks.answers import evaluation, expression, numerals, reading, units
from chord.tasks.answers.reading import (
    Answer,
    Based,
    Choice,
    Date,
    Items,
    Matrix,
    Named,
    Opaque,
    Piece,
    Range,
    Ratio,
    Reals,
    Relation,
    Residue,
    Time,
    Value,
    Words,
)

Verdict = bool | None


def same(gold: str, answer: str) -> Verdict:
    """Whether a uniform answer states what the uniform reference states."""
    if gold == answer:
        return True
    first, second = reading.read(gold), reading.read(answer)
    verdict = compare(first, second)
    if verdict is not True and _is_decimal(first) and _COMMA.fullmatch(answer):
        return compare(first, reading.read(answer.replace(",", ".", 1)))
    return verdict


_COMMA = re.compile(r"-?\d+,\d+(?:\s*(?:\\text\{.*|\\?%|\\\$|[A-Za-z^].*))?|(?:\\\$|\\text\{[A-Z]{3}\})\s*\d+,\d+")


def _is_decimal(answer: Answer) -> bool:
    """The reference shows that a comma is a decimal point: it has one."""
    return isinstance(answer, Value) and expression.has_decimal(answer.tree)


def is_opaque(answer: Answer) -> bool:
    """Whether a part of the answer was not understood."""
    if isinstance(answer, Items):
        return any(map(is_opaque, answer.items))
    if isinstance(answer, Named):
        return is_opaque(answer.content)
    return isinstance(answer, Opaque)


def compare(gold: Answer, answer: Answer) -> Verdict:
    if gold == answer:
        return True
    if isinstance(gold, Items) and gold.brackets == "or":
        return _any(compare(form, answer) for form in gold.items)
    if isinstance(gold, Choice) or isinstance(answer, Choice):
        return _choices(gold, answer)
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
        return _all(compare(gold, side) for side in answer.chain)
    if isinstance(gold, Relation) and gold.chain and isinstance(answer, Value):
        return _all(compare(side, answer) for side in gold.chain)
    if isinstance(gold, Opaque) or isinstance(answer, Opaque):
        return _opaque(gold, answer)
    return False


def _all(verdicts) -> Verdict:
    found = list(verdicts)
    return False if False in found else None if None in found else True


def _any(verdicts) -> Verdict:
    found = list(verdicts)
    return True if True in found else None if None in found else False


def _in_order(gold: Sequence[Answer], answer: Sequence[Answer]) -> Verdict:
    if len(gold) != len(answer):
        return False
    return _all(compare(*pair) for pair in zip(gold, answer, strict=True))


def _in_any_order(gold: Sequence[Answer], answer: Sequence[Answer]) -> Verdict:
    """Whether each one of the reference has its own partner in the answer."""
    if len(gold) != len(answer):
        return False
    verdicts = [[compare(one, other) for other in answer] for one in gold]
    if _match(verdicts, lambda verdict: verdict is True):
        return True
    return None if _match(verdicts, lambda verdict: verdict is not False) else False


def _match(verdicts: list[list[Verdict]], fits: Callable[[Verdict], bool]) -> bool:
    """Whether rows and columns can be paired (Kuhn's algorithm)."""
    partner: dict[int, int] = {}

    def place(row: int, tried: set[int]) -> bool:
        for column, verdict in enumerate(verdicts[row]):
            if fits(verdict) and column not in tried:
                tried.add(column)
                if column not in partner or place(partner[column], tried):
                    partner[column] = row
                    return True
        return False

    return all(place(row, set()) for row in range(len(verdicts)))


# ---------------------------------------------------------------- values


def _values(gold: Value, answer: Value) -> Verdict:
    if not gold.unit.is_stated or not answer.unit.is_stated:
        # 5 m beside 5: a letter that is a unit, where the other side has no such variable
        loose_gold, loose_answer = gold, answer
        if expression.names(answer.tree) - expression.names(gold.tree):
            loose_answer = reading.loosely(answer) or answer
        if expression.names(gold.tree) - expression.names(answer.tree):
            loose_gold = reading.loosely(gold) or gold
        gold, answer = loose_gold, loose_answer
    factor = units.agree(gold.unit, answer.unit)
    if factor is None:
        return None if _only_gold_is_stated(gold, answer) else False
    verdict = same_trees(gold, answer, factor)
    if verdict is True:
        return True
    stated = [value for value in (gold, answer) if value.unit.is_stated]
    if len(stated) == 1 and stated[0].unit.dimensions == (("share", 1),):
        other = answer if stated[0] is gold else gold
        return _any((verdict, _same(_scaled(stated[0].tree, Fraction(1, 100)), other.tree)))
    if len(stated) == 1 and stated[0].unit.dimensions == (("angle", 1),) and not stated[0].unit.words:
        other = answer if stated[0] is gold else gold
        if "\\pi" in expression.names(other.tree) and stated[0].unit.size == 1:
            return _any((verdict, _same(("degrees", stated[0].tree), other.tree)))
    return verdict


def _only_gold_is_stated(gold: Value, answer: Value) -> bool:
    return gold.unit.is_stated and not answer.unit.is_stated


def same_trees(gold: Value, answer: Value, factor: Fraction) -> Verdict:
    """Equal formulas, also where a slash before a product can be read in two ways."""
    verdicts = [_same(gold.tree, _scaled(answer.tree, factor))]
    if verdicts[0] is not True:
        for one, other in ((gold, answer), (answer, gold)):
            if expression.is_slash_ambiguous(one.text) and (loose := _loose(one.text)):
                verdicts.append(_same(loose, other.tree))
    return _any(verdicts)


def _loose(text: str):
    try:
        return expression.read(text, loose=True)
    except expression.Unreadable:
        return None


def _scaled(tree, factor: Fraction):
    if factor == 1:
        return tree
    if tree[0] == "number":
        return ("number", tree[1] * factor, tree[2] * factor)
    return ("mul", tree, expression.number(factor))


def _same(first, second) -> Verdict:
    if first[0] == second[0] == "number":
        return numerals.same(*(numerals.Numeral(tree[1], bool(tree[2]), tree[2]) for tree in (first, second)))
    return evaluation.same(first, second)


# ---------------------------------------------------------------- words, letters, names


def _words(gold: Answer, answer: Answer) -> Verdict:
    """Words on one side only: some words stand for something else."""
    if isinstance(gold, Words):
        stands_for = reading.meaning(gold)
        return False if stands_for is None else compare(stands_for, answer)
    stands_for = reading.meaning(answer)
    if stands_for is None:
        return None if isinstance(gold, Opaque) else False
    return compare(gold, stands_for)


def _two_words(gold: Words, answer: Words) -> Verdict:
    if gold.text == answer.text:
        return True
    meanings = reading.meaning(gold), reading.meaning(answer)
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
        if _may_be_one(gold.name, answer.name):
            return compare(gold.content, answer.content)
        if (
            gold.equation
            and answer.equation
            and expression.names(gold.equation.right) | expression.names(answer.equation.right)
        ):
            return _relations(gold.equation, answer.equation)  # y = 2x and x = y/2
        return False
    named, other = (gold, answer) if isinstance(gold, Named) else (answer, gold)
    if isinstance(other, Relation) and other.sign == "=" and named.equation:
        return _relations(named.equation, other) if named is gold else _relations(other, named.equation)
    if isinstance(named.content, Relation) and named.content.chain:
        return _all(compare(side, other) if named is gold else compare(other, side) for side in named.content.chain)
    if isinstance(gold, Items) and len(gold.items) > 1 and isinstance(named.content, Value):
        return False
    return compare(named.content, other) if named is gold else compare(other, named.content)


def _may_be_one(first: str, second: str) -> bool:
    """Whether two names may stand for the same: equal, or one in words or with an argument: f(x) and y, Area and A."""
    if first.casefold() == second.casefold() and (first == second or len(first) > 1):
        return True
    symbols = [re.fullmatch(r"\\?[A-Za-z](?:_\w+|_\\?\w+)?'*|\\[a-z]+", name) is not None for name in (first, second)]
    applied = [re.fullmatch(r"(\w+)\(.*\)", name) for name in (first, second)]
    if all(applied):
        return applied[0][1] == applied[1][1] and first == second
    if any(applied):
        return symbols != [False, False]
    return symbols[0] != symbols[1]


# ---------------------------------------------------------------- several values


def _items(gold: Items, answer: Items) -> Verdict:
    if _has_names(gold) or _has_names(answer):
        return _named_items(gold, answer)
    kinds = gold.brackets, answer.brackets
    if set(kinds) <= {"", "{}"}:
        if set(kinds) == {"{}"}:
            return _in_any_order(_distinct(gold.items), _distinct(answer.items))
        return _in_any_order(gold.items, answer.items)
    if set(kinds) <= {"()", "<>", ""}:
        return _in_order(gold.items, answer.items)
    if set(kinds) == {"[]", ""}:
        if len(gold.items) > 2 or len(gold.items) == 1:
            return _in_any_order(gold.items, answer.items)
        return _in_order(gold.items, answer.items)
    if kinds[0] == kinds[1] or set(kinds) == {"[]", "<>"}:
        return _in_order(gold.items, answer.items)
    return False


def _has_names(items: Items) -> bool:
    return bool(items.items) and all(isinstance(item, Named) for item in items.items)


def _named_items(gold: Items, answer: Items) -> Verdict:
    """Named values in any order; beside values without names they stand in the order of their names."""
    if _has_names(gold) and _has_names(answer):
        names = [[item.name for item in side.items] for side in (gold, answer)]
        if len(set(names[0])) == len(names[0]) and sorted(names[0]) == sorted(names[1]):
            return _in_order(*(sorted(side.items, key=lambda item: item.name) for side in (gold, answer)))
        if _are_indexed(names[0]) and _are_indexed(names[1]):
            return _in_any_order(_contents(gold), _contents(answer))
        return False if len(names[0]) == len(names[1]) else _in_any_order(_contents(gold), _contents(answer))
    named, other = (gold, answer) if _has_names(gold) else (answer, gold)
    if _are_indexed([item.name for item in named.items]):
        content = Items("", _contents(named))
        return _items(content, other) if named is gold else _items(other, content)
    contents = [item.content for item in sorted(named.items, key=lambda item: item.name)]
    pair = (contents, other.items) if named is gold else (other.items, contents)
    return _in_order(*pair) if other.brackets in ("()", "<>", "", "[]") else False


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
        reals = _as_reals(gold), _as_reals(answer)
        if None not in reals and gold.brackets and answer.brackets:
            return compare(*reals)
    return verdict


def _matrices(gold: Matrix, answer: Matrix) -> Verdict:
    if len(gold.rows) != len(answer.rows):
        return False
    return _all(_in_order(*rows) for rows in zip(gold.rows, answer.rows, strict=True))


# ---------------------------------------------------------------- the real line


def _as_reals(answer: Answer) -> Reals | None:
    if isinstance(answer, Reals):
        return answer
    if isinstance(answer, Items) and answer.brackets in ("()", "[]", "(]", "[)") and len(answer.items) == 2:
        if all(isinstance(item, Value) and not item.unit.is_stated for item in answer.items):
            low, high = (item.tree for item in answer.items)
            return Reals((Piece(low, high, answer.brackets[0] == "[", answer.brackets[1] == "]"),))
    if isinstance(answer, Items) and answer.brackets == "{}":
        if all(isinstance(item, Value) for item in answer.items):
            return Reals(tuple(Piece(item.tree, item.tree, True, True) for item in answer.items))
    return None


def _reals(gold: Answer, answer: Answer) -> Verdict:
    first, second = _as_reals(gold), _as_reals(answer)
    if first is None or second is None:
        return False
    pieces = _ordered(first), _ordered(second)
    if None in pieces:  # ends with names in them stay where they are
        if first.without or second.without:
            if len(first.without) != len(second.without):
                return False
            points = [[Value(point, units.NONE, "") for point in side.without] for side in (first, second)]
            return _all((_any_piece_order(first.pieces, second.pieces), _in_any_order(*points)))
        return _any_piece_order(first.pieces, second.pieces)
    if len(pieces[0]) != len(pieces[1]):
        return False
    return _all(_pieces(*pair) for pair in zip(*pieces, strict=True))


def _any_piece_order(first: Sequence[Piece], second: Sequence[Piece]) -> Verdict:
    if len(first) != len(second):
        return False
    verdicts = [[_pieces(one, other) for other in second] for one in first]
    if _match(verdicts, lambda verdict: verdict is True):
        return True
    return None if _match(verdicts, lambda verdict: verdict is not False) else False


def _pieces(first: Piece, second: Piece) -> Verdict:
    if (first.with_low, first.with_high) != (second.with_low, second.with_high):
        return False
    return _all(_ends(*ends) for ends in ((first.low, second.low), (first.high, second.high)))


def _ends(first, second) -> Verdict:
    if first is None or second is None:
        return first is second
    return _same(first, second)


def _ordered(reals: Reals) -> list[Piece] | None:
    """Disjoint pieces from left to right, cut at the points left out; None where an end is no number."""
    places = {}
    for piece in reals.pieces:
        for end in (piece.low, piece.high):
            if end is not None and (place := evaluation.real(end)) is None:
                return None
            if end is not None:
                places[end] = place
    for point in reals.without:
        if (place := evaluation.real(point)) is None:
            return None
        places[point] = place

    def low(piece: Piece) -> tuple:
        return (float("-inf") if piece.low is None else places[piece.low], not piece.with_low)

    merged: list[Piece] = []
    for piece in sorted(reals.pieces, key=low):
        last = merged[-1] if merged else None
        if last and _touch(last, piece, places):
            further = piece.high is None or (
                last.high is not None and (places[piece.high], piece.with_high) > (places[last.high], last.with_high)
            )
            if last.high is not None and further:
                merged[-1] = last._replace(high=piece.high, with_high=piece.with_high)
        else:
            merged.append(piece)
    for point in reals.without:
        merged = [part for piece in merged for part in _cut(piece, point, places)]
    return sorted(merged, key=low)


def _touch(left: Piece, right: Piece, places: dict) -> bool:
    if left.high is None or right.low is None:
        return left.high is None or right.low is None
    if places[left.high] == places[right.low]:
        return left.with_high or right.with_low
    return places[left.high] > places[right.low]


def _cut(piece: Piece, point, places: dict) -> list[Piece]:
    inside_low = piece.low is None or places[piece.low] < places[point]
    inside_high = piece.high is None or places[point] < places[piece.high]
    if inside_low and inside_high:
        return [piece._replace(high=point, with_high=False), piece._replace(low=point, with_low=False)]
    if piece.low is not None and places[piece.low] == places[point]:
        return [piece._replace(with_low=False)] if piece.low != piece.high else []
    if piece.high is not None and places[piece.high] == places[point]:
        return [piece._replace(with_high=False)]
    return [piece]


# ---------------------------------------------------------------- the rest


def _relations(gold: Relation, answer: Relation) -> Verdict:
    """Equations and inequalities that differ by a constant factor, which is positive where the order counts."""
    if gold.chain and answer.chain and len(gold.chain) == len(answer.chain) > 2:
        return _in_order(gold.chain, answer.chain)
    if gold.sign != answer.sign:
        return False
    differences = [("add", relation.left, ("neg", relation.right)) for relation in (gold, answer)]
    if not expression.names(differences[0]) and not expression.names(differences[1]):
        return _all((_same(gold.left, answer.left), _same(gold.right, answer.right)))
    return evaluation.proportional(*differences, positive=gold.sign in ("<", "<="))


def _times(gold: Time, answer: Time) -> Verdict:
    hours = [side.parts[0] % 12 + 12 * (side.half == "pm") if side.half else side.parts[0] for side in (gold, answer)]
    rest = gold.parts[1:] == answer.parts[1:]
    if gold.half and not answer.half:
        if rest and answer.parts[0] == hours[0] and answer.parts[0] > 12:
            return True  # 15:05 for 3:05 pm
        return None if gold.parts == answer.parts else False
    if answer.half and not gold.half:
        return gold.parts == answer.parts or (rest and hours[0] == hours[1])
    return rest and hours[0] == hours[1]


def _ratio_of_time(gold: Ratio, answer: Time) -> Verdict:
    if answer.half:
        return False
    return _ratios(gold, Ratio(tuple(Value(expression.number(part), units.NONE, str(part)) for part in answer.parts)))


def _ratios(gold: Ratio, answer: Ratio) -> Verdict:
    if len(gold.parts) != len(answer.parts):
        return False
    verdicts = []
    for first, second in zip(gold.parts[1:], answer.parts[1:], strict=True):
        verdicts.append(_same(("mul", first.tree, answer.parts[0].tree), ("mul", second.tree, gold.parts[0].tree)))
    return _all(verdicts)


def _ratio_and_value(ratio: Ratio, value: Value) -> Verdict:
    if len(ratio.parts) != 2 or value.unit.is_stated:
        return False
    return _same(("div", ratio.parts[0].tree, ratio.parts[1].tree), value.tree)


def _based(gold: Based, answer: Based) -> Verdict:
    return gold == answer


def _based_and_value(based: Based, value: Value) -> Verdict:
    return value.text.replace(" ", "").lstrip("0").upper() == based.digits and not value.unit.is_stated


def _residues(gold: Residue, answer: Residue) -> Verdict:
    if _same(gold.modulus, answer.modulus) is not True:
        return False
    values = [evaluation.exact(tree) for tree in (gold.value, answer.value, gold.modulus)]
    if None in values or not values[2]:
        return _same(gold.value, answer.value)
    return (values[0] - values[1]) % values[2] == 0


def _ranges(gold: Range, answer: Range) -> Verdict:
    factor = units.agree(gold.unit, answer.unit)
    if factor is None:
        return False
    return _all((_same(gold.low, _scaled(answer.low, factor)), _same(gold.high, _scaled(answer.high, factor))))


def _dates(gold: Date, answer: Date) -> Verdict:
    first, second = gold.parts, answer.parts
    if first[0] == second[0] == "word":
        return first[1:3] == second[1:3] and (first[3] == second[3] or not first[3])
    if "word" not in (first[0], second[0]):
        return first[1:] == second[1:]
    numeric, word = (first, second) if second[0] == "word" else (second, first)
    if len(numeric[1]) == 4:  # 2021-05-06
        return (numeric[2], numeric[3], numeric[1]) == word[1:]
    return None  # whose month comes first is not said


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
    (Value, Value): _values,
    (Words, Words): _two_words,
    (Items, Items): _lists,
    (Matrix, Matrix): _matrices,
    (Reals, Reals): _reals,
    (Reals, Items): _reals,
    (Items, Reals): _reals,
    (Relation, Relation): _relations,
    (Time, Time): _times,
    (Ratio, Time): _ratio_of_time,
    (Ratio, Ratio): _ratios,
    (Ratio, Value): _ratio_and_value,
    (Value, Ratio): lambda gold, answer: _ratio_and_value(answer, gold),
    (Based, Based): _based,
    (Based, Value): _based_and_value,
    (Value, Based): lambda gold, answer: _based_and_value(answer, gold),
    (Residue, Residue): _residues,
    (Residue, Value): lambda gold, answer: _same(gold.value, answer.tree) if not answer.unit.is_stated else False,
    (Value, Residue): lambda gold, answer: _same(gold.tree, answer.value) if not gold.unit.is_stated else False,
    (Range, Range): _ranges,
    (Date, Date): _dates,
}
