r"""Makes wrong answers that are close to a right one, by rule: a policy would learn them if the grader accepted them.

These are pure functions of the reference. Every answer is proved wrong before it is used: numbers and expressions by
their value (exactly, or at random points), lists and the like by their elements, and the others by a condition next to
the rule (`3x=4` is wrong for 4 because 4/3 is not 4, so 0 gets no such answer).
"""

import re
from collections.abc import Iterator

from latex_value import equal, values
from references import Answer, Shape, choose, shape
from wrong_numbers import digit_changes, digit_swaps, numbers


def all_wrong(reference: str) -> list[Answer]:
    """All answers that the rules make; each text occurs once."""
    reference_shape = shape(reference)
    rules: dict[str, str] = {}
    for rule, text in _RULES[reference_shape.kind](reference_shape):
        if text != reference_shape.text:
            rules.setdefault(text, rule)
    return [(rule, text) for text, rule in rules.items()]


def some_wrong(reference: str, count: int, seed: int) -> list[Answer]:
    return choose(all_wrong(reference), count, f"{seed} {reference}")


# Expressions


def _expressions(reference: Shape) -> Iterator[Answer]:
    text = reference.text
    for rule, other in _changes(text):
        if _different(text, other):
            yield rule, other
    try:
        values(text)
    except ValueError:
        return
    if not re.search("[a-zA-Z]", re.sub(r"\\[a-zA-Z]+", "", text)):
        yield "side of an equation", f"3x={text}"
        yield "side of an equation", f"1+1={text}"
    yield "negated in words", f"\\text{{not }}{text}"
    yield "another value beside it", f"{text}, {text}+1"


def _different(text: str, other: str) -> bool:
    try:
        return not equal(text, other)
    except ValueError:
        return False  # not proved, so not used


def _changes(text: str) -> Iterator[Answer]:
    yield "sign", f"-({text})"
    yield "one more", f"{text}+1"
    yield "a half of it", f"\\frac{{{text}}}{{2}}"
    yield "twice it", f"2({text})"
    yield "exponent", f"({text})^2"
    yield "fraction swapped", f"\\frac{{1}}{{{text}}}"
    yield "tiny difference", f"{text}+10^{{-20}}"
    for match in re.finditer(r"[+-]", text):
        other = "-" if match.group() == "+" else "+"
        yield "sign", f"{text[: match.start()]}{other}{text[match.end() :]}".removeprefix("+").strip()
    for other in digit_changes(text):
        yield "one digit", other
    for other in digit_swaps(text):
        yield "digits swapped", other
    for match in re.finditer(r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])", text):
        letter, before, after = match.group(), text[: match.start()], text[match.end() :]
        if letter not in "ie":
            yield "case", text.replace(letter, letter.swapcase())
            yield "other letter", f"{before}{'m' if letter != 'm' else 'p'}{after}"
        if letter == "i":
            yield "factor", f"{before}{after}".rstrip("+- ")
    if match := re.search(r"\^(\d)", text):
        yield "exponent", f"{text[: match.start()]}{text[match.end() :]}"
        yield "exponent", f"{text[: match.start()]}^{{-{match[1]}}}{text[match.end() :]}"
    if match := re.search(r"\\sqrt\{?(\d+)\}?", text):
        yield "root", f"{text[: match.start()]}({match[1]}){text[match.end() :]}"
        yield "root", f"{text[: match.start()]}\\sqrt[3]{{{match[1]}}}{text[match.end() :]}"
    if match := re.fullmatch(r"(-?)\\frac\{(.+)\}\{(\d+)\}", text):
        yield "fraction swapped", f"{match[1]}\\frac{{{match[3]}}}{{{match[2]}}}"
    if "\\pi" in text:
        yield "factor", text.replace("\\pi", "\\pi^2")
        yield "factor", text.replace("\\pi", "").strip() or "1"


def _equations(reference: Shape) -> Iterator[Answer]:
    """For name = value: the value changed, and the name with a factor, a sign or a term."""
    name, value = reference.parts
    inner = shape(value)
    for rule, text in _RULES[inner.kind](inner):
        if rule not in ("side of an equation", "inequality", "negated in words", "another value beside it"):
            yield rule, f"{name} = {text}"
    yield "side of an equation", f"2{name} = {value}"
    yield "side of an equation", f"-{name} = {value}"
    yield "side of an equation", f"{name}+1 = {value}"


def _plus_minus(reference: Shape) -> Iterator[Answer]:
    plus, minus = reference.text.replace("\\pm", "+"), reference.text.replace("\\pm", "-")
    yield "missing element", plus
    yield "missing element", minus
    yield "doubled element", f"{plus}, {plus}"
    yield "another value beside it", f"{plus}, {minus}, 0"
    for rule, text in _changes(plus):
        if rule not in ("sign", "twice it") and text.startswith(plus[0]) and text.count("+") == 1:
            first, second = text, text.replace("+", "-")
            if all(_different(one, other) for one in (first, second) for other in (plus, minus)):
                yield rule, f"{first}, {second}"
                yield rule, text.replace("+", "\\pm")
    head, _, tail = reference.text.partition("\\pm")
    yield "sign", f"-{head.strip()} \\pm {tail.strip()}"
    yield "a half of it", f"\\frac{{{head.strip()} \\pm {tail.strip()}}}{{2}}"


# What has elements


def _key(part: str) -> object:
    """A key that is equal for equal elements: the value, or the text of an element without one (infinity)."""
    try:
        return tuple(f"{complex(value):.12g}" for value in values(part))
    except ValueError:
        return part.replace(" ", "")


def _element_changes(parts: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """Yield (rule, elements) in which one element has another value."""
    for place, part in enumerate(parts):
        before, after = parts[:place], parts[place + 1 :]
        opposite = part.removeprefix("-") if part.startswith("-") else f"-{part}"
        changed = [("sign", opposite), *(("one digit", other) for other in digit_changes(part))]
        if "infty" not in part and "pm" not in part:
            changed += [("one more", f"{part}+1"), ("a half of it", f"\\frac{{{part}}}{{2}}")]
        for rule, other in changed:
            if _key(other) != _key(part) and not (rule == "sign" and re.search(r".[+-]|pm", part)):
                yield rule, [*before, other, *after]


def _in_order(parts: tuple[str, ...], join) -> Iterator[Answer]:
    """For elements whose order matters; `join` writes them."""
    keys = [_key(part) for part in parts]
    if keys != keys[::-1]:
        yield "order", join(parts[::-1])
    if len(parts) > 2 and keys[0] != keys[1]:
        yield "order", join((parts[1], parts[0], *parts[2:]))
    yield from ((rule, join(changed)) for rule, changed in _element_changes(parts))
    if len(parts) > 2:
        yield "missing element", join(parts[:-1])
        yield "missing element", join(parts[1:])
    yield "doubled element", join((*parts, parts[-1]))
    yield "another value beside it", join((*parts, "0"))


def _pairs(reference: Shape) -> Iterator[Answer]:
    yield from _in_order(reference.parts, lambda parts: f"({','.join(parts)})")
    if len(reference.parts) == 2:
        yield "bracket", f"({','.join(reference.parts)}]"
        yield "bracket", f"[{','.join(reference.parts)})"
        yield "missing element", reference.parts[0]
        yield "missing element", reference.parts[1]


def _matrices(reference: Shape) -> Iterator[Answer]:
    yield from _in_order(reference.parts, lambda parts: "\\begin{pmatrix} " + " \\\\ ".join(parts) + " \\end{pmatrix}")


def _lists(reference: Shape) -> Iterator[Answer]:
    """For elements whose order does not matter. In a set a repeated element changes nothing."""
    form = "\\{{{}\\}}" if reference.kind == "set" else "{}"
    for rule, changed in _element_changes(reference.parts):
        if sorted(map(str, map(_key, changed))) != sorted(map(str, map(_key, reference.parts))):
            yield rule, form.format(",".join(changed))
    for place, part in enumerate(reference.parts):
        rest = (*reference.parts[:place], *reference.parts[place + 1 :])
        yield "missing element", form.format(",".join(rest))
        if reference.kind == "list":
            yield "doubled element", form.format(",".join((*reference.parts, part)))
    yield "another value beside it", form.format(",".join((*reference.parts, "1000")))
    yield "another value beside it", form.format(",".join(("-\\frac{1}{97}", *reference.parts)))


def _intervals(reference: Shape) -> Iterator[Answer]:
    low, high = reference.parts
    flip = {"(": "[", "[": "(", ")": "]", "]": ")"}
    at_least, at_most = "\\geq" if reference.closing == "]" else ">", "\\leq" if reference.opening == "[" else "<"
    not_low, not_high = "<" if reference.opening == "[" else "\\leq", "<" if reference.closing == "]" else "\\leq"
    from_low, to_high = "infty" not in low, "infty" not in high
    if from_low:
        yield "bracket", f"{flip[reference.opening]}{low},{high}{reference.closing}"
        yield "inequality", f"x {at_most} {low}"
        yield "missing element", low
    if to_high:
        yield "bracket", f"{reference.opening}{low},{high}{flip[reference.closing]}"
        yield "inequality", f"x {at_least} {high}"
        yield "missing element", high
    if from_low and to_high:
        yield "bracket", f"{flip[reference.opening]}{low},{high}{flip[reference.closing]}"
        yield "inequality", f"{low} {not_low} x {not_high} {high}"
        yield "missing element", f"\\{{{low},{high}\\}}"
        yield "one side only", f"{reference.opening}{low},\\infty)"
        yield "one side only", f"(-\\infty,{high}{reference.closing}"
    elif from_low:
        yield "inequality", f"{low} {not_low} x"
        yield "one side only", f"(-\\infty,{low})"
    else:
        yield "inequality", f"x {not_high} {high}"
        yield "one side only", f"({high},\\infty)"
    yield "one side only", "(-\\infty,\\infty)"
    yield "one side only", "\\mathbb{R}"
    yield "inequality", f"x \\neq {low if from_low else high}"
    yield "inequality", f"x = {low if from_low else high}"
    for rule, (one, other) in _element_changes(reference.parts):
        if (
            ("infty" in one) == (not from_low)
            and ("infty" in other) == (not to_high)
            and "\\infty" not in (one, other[1:])
        ):
            yield rule, f"{reference.opening}{one},{other}{reference.closing}"


def _unions(reference: Shape) -> Iterator[Answer]:
    intervals = [shape(part) for part in reference.parts]
    for place, (text, part) in enumerate(zip(reference.parts, intervals, strict=True)):
        yield "missing element", " \\cup ".join(reference.parts[:place] + reference.parts[place + 1 :])
        for rule, changed in _intervals(part._replace(opening=text[0], closing=text[-1])):
            if rule in ("bracket", "one digit", "sign"):
                yield rule, " \\cup ".join((*reference.parts[:place], changed, *reference.parts[place + 1 :]))
    yield "intersection", " \\cap ".join(reference.parts)
    yield (
        "missing element",
        f"{reference.parts[0][0]}{intervals[0].parts[0]},{intervals[-1].parts[1]}{reference.parts[-1][-1]}",
    )


# What is compared as text


def _bases(reference: Shape) -> Iterator[Answer]:
    digits, base = reference.parts
    for other in (int(base) + 1, int(base) + 2, int(base) + 5, 16):
        yield "base", f"{digits}_{{{other}}}"
    changes = [("order", digits[::-1]), ("missing digit", digits[:-1]), ("decimal point", f"{digits}0")]
    changes += [("one digit", other) for other in digit_changes(digits)]
    changes += [("digits swapped", other) for other in digit_swaps(digits)]
    changes += [("sign", f"-{digits}")]
    for rule, other in changes:
        number = other.removeprefix("-")
        if other != digits and number and number[0] != "0" and all(int(digit) < int(base) for digit in number):
            yield rule, f"{other}_{{{base}}}"
    yield "one more", f"{digits}_{{{base}}}+1"


def _options(reference: Shape) -> Iterator[Answer]:
    for letter in "ABCDEF":
        if letter != reference.parts[0]:
            yield "other letter", f"\\text{{({letter})}}"
            yield "other letter", letter
    yield "another value beside it", "\\text{A and B}"
    yield "negated in words", f"\\text{{not ({reference.parts[0]})}}"


OTHER_WORDS = ["odd", "even", "west", "east", "circle", "ellipse", "Debra", "none", "zero"]


def _texts(reference: Shape) -> Iterator[Answer]:
    word = reference.parts[0]
    swapped = [f"{word[:n]}{word[n + 1]}{word[n]}{word[n + 2 :]}" for n in range(len(word) - 1)]
    for rule, other in [
        ("order of letters", word[::-1]),
        ("order of letters", f"{word[1:]}{word[0]}"),
        *(("order of letters", other) for other in swapped),
        ("missing letter", word[1:]),
        ("missing letter", word[:-1]),
        ("negated in words", f"not {word}"),
        *(("other word", other) for other in OTHER_WORDS),
    ]:
        if other.lower() != word.lower():
            yield rule, f"\\text{{{other}}}"
            yield rule, other


def _others(reference: Shape) -> Iterator[Answer]:
    yield from ()


_RULES = {
    "number": numbers,
    "base": _bases,
    "option": _options,
    "text": _texts,
    "matrix": _matrices,
    "interval": _intervals,
    "union": _unions,
    "pair": _pairs,
    "set": _lists,
    "list": _lists,
    "equation": _equations,
    "pm": _plus_minus,
    "expression": _expressions,
    "other": _others,
}
