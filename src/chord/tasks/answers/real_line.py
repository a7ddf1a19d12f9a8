r"""Reads and compares parts of the real line: intervals, unions, inequalities for one name, excluded points."""

import re
from fractions import Fraction

from chord.tasks.answers import evaluation
from chord.tasks.answers.kinds import ALL_REALS, Answer, Items, Piece, Reals, Value
from chord.tasks.answers.names import is_name
from chord.tasks.answers.quantities import same_trees, tree_of
from chord.tasks.answers.splitting import inside_brackets, split
from chord.tasks.answers.three_valued import Verdict, every, in_any_order
from chord.tasks.answers.trees import Tree


def _read_endpoint(text: str, low: bool) -> tuple[Tree | None] | None:
    """Returns (tree,) for an endpoint, (None,) for the infinity on its side, None for anything else."""
    plain = text.replace(" ", "").removeprefix("+")
    if plain.removeprefix("-") in ("\\infty", "oo", "inf", "infinity"):
        return (None,) if plain.startswith("-") == low else None
    tree = tree_of(text)
    return None if tree is None else (tree,)


def read_interval(text: str) -> Piece | None:
    if len(text) < 5 or text[0] not in "([" or text[-1] not in ")]":
        return None
    parts = [part for _, part in split(text[1:-1], {",", ";"})]
    if len(parts) != 2:
        return None
    low, high = _read_endpoint(parts[0], low=True), _read_endpoint(parts[1], low=False)
    if low is None or high is None:
        return None
    return Piece(low[0], high[0], text[0] == "[" and low[0] is not None, text[-1] == "]" and high[0] is not None)


_LINE = re.compile(r"^(?:\\mathbb\s*\{?\s*R\s*\}?|\\text\{R\})$")
SET_BUILDER = re.compile(r"^(?P<name>[A-Za-z](?:\s*\\in\s*\\mathbb\s*\{?R\}?)?)\s*(?:\||:)\s*(?P<condition>.+)$")
MEMBER = re.compile(r"^(?:[A-Za-z]|\\[a-z]+|[a-z]\([a-z]\)|\([a-z](?:,\s*[a-z])+\))\s*\\in(?![a-z])\s*(?P<rest>.+)$")


def read_reals(text: str) -> Reals | None:
    """Read unions of intervals, the real line, and the real line without an interval or some points."""
    if match := MEMBER.match(text):
        text = match["rest"].strip()
        if piece := read_interval(text):
            return Reals((piece,))
    difference = split(text, {"\\setminus", "-"} if "\\mathbb" in text else {"\\setminus"})
    if len(difference) == 2 and difference[0][1]:
        base = _read_union([difference[0][1]]) or read_reals(difference[0][1])
        content = inside_brackets(difference[1][1], "\\{", "\\}")
        if base is None:
            return None
        if content is None:
            gap = read_interval(difference[1][1])
            return _outside(gap) if gap and base == ALL_REALS else None
        points = tuple(tree_of(part) for _, part in split(content, {","}))
        return None if None in points else Reals(base.pieces, points)
    if _LINE.match(text):
        return ALL_REALS
    parts = [part for _, part in split(text, {"\\cup"})]
    if len(parts) > 1:
        return _read_union(parts)
    piece = read_interval(text)
    return Reals((piece,)) if piece and (piece.low is None or piece.high is None) else None


def _outside(gap: Piece) -> Reals:
    """The real line without an interval."""
    left = [Piece(None, gap.low, False, not gap.with_low)] if gap.low is not None else []
    right = [Piece(gap.high, None, not gap.with_high, False)] if gap.high is not None else []
    return Reals((*left, *right))


def _read_union(parts: list[str]) -> Reals | None:
    """Read a union of intervals, sets of points and unions in parentheses; None if a part is none of these."""
    pieces: list[Piece] = []
    for part in parts:
        if (interval := read_interval(part)) is not None:
            pieces.append(interval)
        elif (content := inside_brackets(part, "\\{", "\\}")) is not None:
            if (builder := SET_BUILDER.match(content)) and (reals := read_inequality(builder["condition"])):
                pieces += reals.pieces
                continue
            points = [tree_of(item) for _, item in split(content, {","})]
            if None in points:
                return None
            pieces += [Piece(point, point, True, True) for point in points]
        elif (inner := inside_brackets(part, "(", ")")) is not None and (nested := read_reals(inner)) is not None:
            pieces += nested.pieces
        else:
            return None
    return Reals(tuple(pieces))


_SIGNS = {"<": "<", ">": ">", "\\le": "<=", "\\ge": ">=", "\\ne": "!=", "=": "=", "\\approx": "~"}
_UNEQUAL = re.compile(r"(?<![\d)}])!=")  # after a number it is a factorial: 3! = 6


def sides_of(text: str) -> tuple[list[str], list[str]] | None:
    """Returns the sides of a chain of relations and the signs between them; None if the text is not one."""
    text = re.sub(r"\\not\s*=", "\\\\ne ", text).replace("<=", "\\le ").replace(">=", "\\ge ")
    text = _UNEQUAL.sub("\\\\ne ", text)
    parts = split(text, set(_SIGNS))
    if len(parts) < 2 or any(not part for _, part in parts):
        return None
    return [part for _, part in parts], [_SIGNS[sign] for sign, _ in parts[1:]]


def read_inequality(text: str) -> Reals | None:
    """Read an inequality for one name: a < x <= b, x < 3, x != 0."""
    chain = sides_of(text)
    if chain is None:
        return None
    sides, signs = chain
    if len(sides) == 2 and (reals := _read_distance(sides, signs[0])):
        return reals
    places = [place for place, side in enumerate(sides) if is_name(side)]
    if len(places) != 1 or "=" in signs or "~" in signs:
        return None
    place = places[0]
    rising = signs[0].startswith("<")
    ends = [
        _read_endpoint(side, low=rising == (number < place)) if number != place else (None,)
        for number, side in enumerate(sides)
    ]
    if any(end is None or (end[0] is not None and evaluation.variables(end[0])) for end in ends):
        return None  # with other names at its ends it is a relation between names
    if len(sides) == 2:
        sign, end = signs[0], ends[1 - place][0]
        if sign == "!=":
            return None if end is None else Reals(ALL_REALS.pieces, (end,))
        below = sign.startswith("<") == (place == 0)
        includes_end = sign.endswith("=") and end is not None
        return Reals((Piece(None, end, False, includes_end) if below else Piece(end, None, includes_end, False),))
    if len(sides) == 3 and place == 1 and "!=" not in signs and signs[0][0] == signs[1][0]:
        low, high = (0, 2) if signs[0][0] == "<" else (2, 0)
        order = signs if low == 0 else signs[::-1]
        return Reals((Piece(ends[low][0], ends[high][0], order[0].endswith("="), order[1].endswith("=")),))
    return None


def _read_distance(sides: list[str], sign: str) -> Reals | None:
    """Read |x - 3| < 2: the points that are nearer to a point than a distance, or farther from it."""
    trees = [tree_of(side) for side in sides]
    if None in trees or sign[0] not in "<>":
        return None
    if trees[1][0] == "abs":
        trees, sign = trees[::-1], sign.translate(str.maketrans("<>", "><"))
    distance, near = trees[1], sign[0] == "<"
    if trees[0][0] != "abs" or evaluation.variables(distance):
        return None
    name, *shift = trees[0][1][1:] if trees[0][1][0] == "add" else (trees[0][1],)
    if name[0] != "name" or len(shift) > 1 or any(evaluation.variables(part) for part in shift):
        return None
    radius = evaluation.real(distance)
    if radius is None or radius <= 0:
        return None
    center = ("neg", shift[0]) if shift else ("number", Fraction(0), Fraction(0))
    low, high = ("add", center, ("neg", distance)), ("add", center, distance)
    includes_ends = sign.endswith("=")
    if near:
        return Reals((Piece(low, high, includes_ends, includes_ends),))
    return Reals((Piece(None, low, False, includes_ends), Piece(high, None, includes_ends, False)))


def join_reals(parts: list[str], conjunctions: set[str]) -> Reals | None:
    sets = [read_reals(part) or read_inequality(part) or ("or" in conjunctions and _read_point(part)) for part in parts]
    if not all(sets):
        return None
    if all(part.without and part.pieces == ALL_REALS.pieces for part in sets):
        return Reals(ALL_REALS.pieces, tuple(point for part in sets for point in part.without))
    if "and" in conjunctions or not conjunctions:
        bounds = [piece for part in sets for piece in part.pieces]
        without = tuple(point for part in sets for point in part.without)
        bounds = [piece for piece in bounds if piece != ALL_REALS.pieces[0]]
        if len(bounds) == 1:
            return Reals(tuple(bounds), without)
        if len(bounds) == 2 and (bounds[0].low is None) != (bounds[1].low is None) and "and" in conjunctions:
            upper, lower = sorted(bounds, key=lambda piece: piece.low is not None)
            return Reals((Piece(lower.low, upper.high, lower.with_low, upper.with_high),), without)
        if conjunctions:
            return None
    return Reals(
        tuple(piece for part in sets for piece in part.pieces),
        tuple(point for part in sets for point in part.without),
    )


def _read_point(text: str) -> Reals | None:
    """Read x = 1, which may be joined to inequalities."""
    parts = [part for _, part in split(text, {"="})]
    tree = tree_of(parts[1]) if len(parts) == 2 and is_name(parts[0]) else None
    return None if tree is None else Reals((Piece(tree, tree, True, True),))


def as_reals(answer: Answer) -> Reals | None:
    if isinstance(answer, Reals):
        return answer
    if not isinstance(answer, Items):
        return None
    if not all(isinstance(item, Value) and not item.unit.is_stated for item in answer.items):
        return None
    trees = [item.tree for item in answer.items]
    if answer.brackets == "{}":
        return Reals(tuple(Piece(tree, tree, True, True) for tree in trees))
    if answer.brackets in ("()", "[]", "(]", "[)") and len(trees) == 2:
        return Reals((Piece(*trees, answer.brackets[0] == "[", answer.brackets[1] == "]"),))
    return None


def same_reals(gold: Answer, answer: Answer) -> Verdict:
    first, second = as_reals(gold), as_reals(answer)
    if first is None or second is None:
        return False
    pieces = _order(first), _order(second)
    if None in pieces:  # pieces whose ends have names cannot be ordered
        if first.without or second.without:
            points = in_any_order(first.without, second.without, same_trees)
            return every((in_any_order(first.pieces, second.pieces, _pieces), points))
        return in_any_order(first.pieces, second.pieces, _pieces)
    if len(pieces[0]) != len(pieces[1]):
        return False
    return every(_pieces(*pair) for pair in zip(*pieces, strict=True))


def _pieces(first: Piece, second: Piece) -> Verdict:
    if (first.with_low, first.with_high) != (second.with_low, second.with_high):
        return False
    return every(_ends(*ends) for ends in ((first.low, second.low), (first.high, second.high)))


def _ends(first, second) -> Verdict:
    if first is None or second is None:
        return first is second
    return same_trees(first, second)


def _order(reals: Reals) -> list[Piece] | None:
    """Returns disjoint pieces from left to right, cut at the excluded points; None if an end is not a number."""
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

    union: list[Piece] = []
    for piece in sorted(reals.pieces, key=low):
        last = union[-1] if union else None
        if last and _touch(last, piece, places):
            further = piece.high is None or (
                last.high is not None and (places[piece.high], piece.with_high) > (places[last.high], last.with_high)
            )
            if last.high is not None and further:
                union[-1] = last._replace(high=piece.high, with_high=piece.with_high)
        else:
            union.append(piece)
    for point in reals.without:
        union = [part for piece in union for part in _cut(piece, point, places)]
    return sorted(union, key=low)


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
