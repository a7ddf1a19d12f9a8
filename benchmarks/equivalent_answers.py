r"""Writes a right answer in other ways, by rule: a model may write any of them and must get its reward.

These are pure functions of the reference. A rule that changes the expression (terms in another order, a fraction as a
quotient) is used only if `latex_value` computes the same value; typesetting does not change the value.
"""

import re
from collections.abc import Iterable, Iterator

from equivalent_numbers import numbers
from latex_value import equal, values
from references import Answer, Shape, choose, number, shape
from typesetting import spacing, typesetting

MATHEMATICAL = 5  # of the answers for a reference, if its kind has that many rules; the others are typesetting


def all_equivalent(reference: str) -> tuple[list[Answer], list[Answer]]:
    """Returns the answers by the rules of the reference's kind, and those by typesetting; each text occurs once."""
    reference_shape = shape(reference)
    seen_texts = {reference, reference_shape.text}
    rules = _RULES[reference_shape.kind](reference_shape)
    typeset_ways = spacing(reference.strip()) if reference_shape.kind == "other" else typesetting(reference_shape)
    return _drop_repeated(rules, seen_texts), _drop_repeated(typeset_ways, seen_texts)


def _drop_repeated(ways: Iterable[Answer], seen_texts: set[str]) -> list[Answer]:
    answers = []
    for rule, text in ways:
        if text not in seen_texts:
            seen_texts.add(text)
            answers.append((rule, text))
    return answers


def some_equivalent(reference: str, count: int, seed: int) -> list[Answer]:
    rules, typeset_ways = all_equivalent(reference)
    selection = choose(rules, min(MATHEMATICAL, count), f"{seed} {reference}")
    return [*selection, *choose(typeset_ways, count - len(selection), f"{seed} {reference}")]


# Expressions


def _expressions(reference: Shape) -> Iterator[Answer]:
    text = reference.text
    letters = re.sub(r"\\[a-zA-Z]+", "", text)
    if not re.search("[a-zA-Z]", letters):
        yield "name", f"x = {text}"
        yield "in words", f"\\text{{The answer is }}{text}"
    elif "A" not in letters:
        yield "name", f"A = {text}"
    yield "equals sign", f"= {text}"
    for rule, other in _rewrite(text):
        try:
            if equal(text, other) and any(values(text)):
                yield rule, other
        except ValueError:
            continue
    yield from _notation(text)


_GROUP = r"\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}"
_FRACTION = re.compile(rf"(-?)\\[dt]?frac ?{_GROUP} ?{_GROUP}")


def _rewrite(text: str) -> Iterator[Answer]:
    terms = _terms(text)
    if len(terms) > 1:
        yield "order of terms", _sum(terms[::-1])
        yield "order of terms", _sum([*terms[1:], terms[0]])
    dotted = re.sub(r"(?<![_^\w])(\d+) ?(?=\\sqrt|\\pi|[a-zA-Z](?![a-zA-Z]))", r"\1 \\cdot ", text)
    yield "times", dotted
    yield "times", dotted.replace("\\cdot", "\\times")
    yield "times", text.replace("\\cdot", "\\times")
    yield "times", re.sub(r" ?\\cdot ?", " * ", text)
    if match := re.fullmatch(
        r"(-?)\\[dt]?frac ?\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\} ?\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}", text
    ):
        sign, above, below = match.groups()
        yield "quotient", f"{sign}({above})/({below})"
        yield "form of \\frac", f"{sign}{{{above} \\over {below}}}"
        if above != "1":
            yield "quotient", f"{sign}\\frac{{1}}{{{below}}}({above})"
    if match := re.fullmatch(r"(.+)/ ?(\w+|\\\w+)", text):
        yield "quotient", f"\\frac{{{match[1].strip()}}}{{{match[2]}}}"
    apart = re.sub(r"(?<=\d) ?(?=\\sqrt)", r" \\cdot ", text)
    yield "root as a power", re.sub(r"\\sqrt\{?(\d+)\}?", r"{\1}^{1/2}", apart)
    yield "root as a power", re.sub(r"\\sqrt\{?(\d+)\}?", r"\1^{\\frac{1}{2}}", apart)
    yield "round brackets", f"({text})"


def _notation(text: str) -> Iterator[Answer]:
    """Another notation for the same function or constant."""
    if "\\hbar" not in text:  # where e is a charge
        yield "notation", re.sub(r"(?<![\\a-zA-Z_])(?<!_\{)e\^", r"\\mathrm{e}^", text)
        yield "notation", re.sub(r"(?<![\\a-zA-Z_])(?<!_\{)e\^\{([^{}]+)\}", r"\\exp(\1)", text)
    if not re.search(r"_\{?i", text):
        yield "notation", re.sub(r"(?<![\\a-zA-Z])i(?![a-zA-Z])", r"\\mathrm{i}", text)
    yield "notation", re.sub(r"\\ln (\d+|\w)", r"\\log_e \1", text)
    yield "notation", re.sub(r"\\ln ?(\d+|\\?\w+)", r"\\ln(\1)", text)
    yield "notation", re.sub(r"\\(sin|cos) ?\((\w) t\)", r"\\\1\\left(\2 t\\right)", text)
    yield "notation", re.sub(r"\\binom\{(\w+)\}\{(\w+)\}", r"C(\1,\2)", text)
    yield "notation", text.replace("\\binom", "\\dbinom")
    yield "notation", re.sub(r"\\exp\{([^{}]+)\}", r"e^{\1}", text)
    yield "times", text.replace("*", " ")


def _terms(text: str) -> list[str]:
    """The terms of a sum outside brackets, each with its sign."""
    with_breaks = re.sub(r"(?<=[\w)}\]!]) *([+-]) *", r"\n\1", text)
    terms, depth = [""], 0
    for piece in re.split(r"(\n)", with_breaks):
        if piece == "\n" and not depth:
            terms.append("")
        elif piece != "\n":
            terms[-1] += piece
            depth += sum(piece.count(mark) for mark in "([{") - sum(piece.count(mark) for mark in ")]}")
    return [term.strip() if term.strip()[:1] in "+-" else f"+{term.strip()}" for term in terms]


def _sum(terms: list[str]) -> str:
    return "".join(terms).removeprefix("+")


def _equations(reference: Shape) -> Iterator[Answer]:
    name, value = reference.parts
    yield "value alone", value
    yield "spaces", f"{name}={value}"
    yield "spaces", f"{name} = {value}"
    if len(name) == 1:
        yield "sides swapped", f"{value} = {name}"
    inner = shape(value)
    for rule, text in _RULES[inner.kind](inner):
        if rule not in ("name", "equals sign", "in words", "approximately", "unit", "currency", "sign"):
            yield rule, f"{name} = {text}"


def _plus_minus(reference: Shape) -> Iterator[Answer]:
    plus, minus = reference.text.replace("\\pm", "+"), reference.text.replace("\\pm", "-")
    yield "both values", f"{plus}, {minus}"
    yield "both values", f"{minus}, {plus}"
    yield "both values", f"{plus} \\text{{ and }} {minus}"
    yield "both values", f"{plus} \\text{{ or }} {minus}"
    yield "both values", f"\\{{{minus}, {plus}\\}}"
    yield "name", f"x = {reference.text}"
    head, _, tail = reference.text.partition("\\pm")
    yield "order of terms", f"\\pm {tail.strip()} + {head.strip()}"


# What has elements


def _pairs(reference: Shape) -> Iterator[Answer]:
    yield "spaces", f"( {' , '.join(reference.parts)} )"
    yield "spaces", f"({',~'.join(reference.parts)})"
    yield "spaces", "(" + ",\\ ".join(reference.parts) + ")"
    yield from (("elements", "(" + ", ".join(parts) + ")") for parts in _other_elements(reference.parts))


def _other_elements(parts: tuple[str, ...]) -> Iterator[list[str]]:
    """Yield the elements with fractions among them in another form."""
    fractions = [number(part) for part in parts]
    if any(fraction and fraction.value.denominator > 1 and not fraction.after for fraction in fractions):
        for form in ("{}/{}", "\\frac{{{}}}{{{}}}", "\\dfrac{{{}}}{{{}}}"):
            yield [
                "-" * (fraction.value < 0) + form.format(abs(fraction.value.numerator), fraction.value.denominator)
                if fraction and fraction.value.denominator > 1 and not fraction.after
                else part
                for part, fraction in zip(parts, fractions, strict=True)
            ]


def _matrices(reference: Shape) -> Iterator[Answer]:
    for parts in (reference.parts, *_other_elements(reference.parts)):
        rows = " \\\\ ".join(parts)
        yield "kind of matrix", f"\\begin{{bmatrix}} {rows} \\end{{bmatrix}}"
        yield "kind of matrix", f"\\left(\\begin{{array}}{{c}} {rows} \\end{{array}}\\right)"
        yield "spaces", f"\\begin{{pmatrix}}{rows.replace(' ', '')}\\end{{pmatrix}}"
        yield "elements", f"\\begin{{pmatrix}} {rows} \\end{{pmatrix}}"
        yield "spaces", f"\\begin{{pmatrix}}\n{rows}\n\\end{{pmatrix}}"


def _lists(reference: Shape) -> Iterator[Answer]:
    parts = reference.parts
    free = len(set(parts)) == len(parts)
    form = "\\{%s\\}" if reference.kind == "set" else "%s"
    yield "spaces", form % ",".join(parts)
    yield "spaces", form % ",\\ ".join(parts)
    yield "spaces", form % ",~".join(parts)
    yield from (("elements", form % ", ".join(other)) for other in _other_elements(parts))
    if reference.kind == "list":
        yield "delimiters", ", ".join(f"${part}$" for part in parts)
        last = f"{parts[-2]} \\text{{ and }} {parts[-1]}"
        yield "and", ", ".join([*parts[:-2], last])
        yield "and", ", ".join([*parts[:-1], f"\\text{{and }}{parts[-1]}"])
    if free:
        yield "order of elements", form % ", ".join(parts[::-1])
        yield "order of elements", form % ", ".join([*parts[1:], parts[0]])
        if reference.kind == "list" and "=" not in reference.text:
            yield "as a set", "\\{" + ", ".join(parts) + "\\}"


def _inequality(part: Shape, name: str = "x") -> str:
    low, high = part.parts
    at_least, above = ("\\geq", "\\leq") if part.opening == "[" else (">", "<")
    at_most = "\\leq" if part.closing == "]" else "<"
    if "infty" in low:
        return f"{name} {at_most} {high}"
    if "infty" in high:
        return f"{name} {at_least} {low}"
    return f"{low} {above} {name} {at_most} {high}"


def _intervals(reference: Shape) -> Iterator[Answer]:
    inner = f"{reference.opening}{reference.parts[0]},{reference.parts[1]}{reference.closing}"
    chain = _inequality(reference)
    yield "spaces", inner
    yield "spaces", f"{reference.opening}{reference.parts[0]},~{reference.parts[1]}{reference.closing}"
    yield "inequality", chain
    yield "inequality", chain.replace("\\leq", "\\leqslant").replace("\\geq", "\\geqslant")
    yield "inequality", chain.replace("\\leq", "\\le").replace("\\geq", "\\ge")
    yield "inequality", chain.replace("\\leq", "≤").replace("\\geq", "≥")
    yield "inequality", _inequality(reference, "t")
    yield "set by condition", f"\\{{x \\mid {chain}\\}}"
    yield "set by condition", f"\\{{x : {chain}\\}}"
    yield "element of", f"x \\in {inner}"
    yield (
        "element of",
        f"x\\in\\left{reference.opening}{reference.parts[0]}, {reference.parts[1]}\\right{reference.closing}",
    )
    if "+" not in inner:
        yield "infinity", inner.replace(",\\infty", ",+\\infty")
    yield from (
        ("elements", f"{reference.opening}{one},{other}{reference.closing}")
        for one, other in _other_elements(reference.parts)
    )


def _unions(reference: Shape) -> Iterator[Answer]:
    parts = [shape(part) for part in reference.parts]
    yield "order of elements", " \\cup ".join(reference.parts[::-1])
    yield "spaces", "\\cup".join(part.replace(" ", "") for part in reference.parts)
    yield "element of", f"x \\in {reference.text}"
    if all(part.kind in ("interval", "pair") for part in parts):
        both = zip(parts, reference.parts, strict=True)
        chains = [_inequality(part._replace(opening=text[0], closing=text[-1])) for part, text in both]
        yield "inequality", " \\text{ or } ".join(chains)
        yield "inequality", " \\text{ or } ".join(chains[::-1])
        yield "set by condition", "\\{x \\mid " + " \\text{ or } ".join(chains) + "\\}"


# What is compared as text


def _bases(reference: Shape) -> Iterator[Answer]:
    digits, base = reference.parts
    yield "base", f"{digits}_{{{base}}}"
    yield "base", f"{digits}_{base}" if len(base) == 1 else reference.text
    yield "base", f"({digits})_{base}"
    yield "base", f"({digits})_{{{base}}}"
    yield "base", f"{{{digits}}}_{base}"
    yield "base", f"{digits}_{{\\text{{{base}}}}}"
    yield "base", digits
    yield "name", f"x = {reference.text}"


def _options(reference: Shape) -> Iterator[Answer]:
    letter = reference.parts[0]
    for form in ("%s", "(%s)", "\\textbf{(%s)}", "\\textbf{%s}", "\\mathrm{%s}", "\\text{%s}", "%s.", "\\mathbf{(%s)}"):
        yield "option", form % letter


def _texts(reference: Shape) -> Iterator[Answer]:
    word = reference.parts[0]
    for form in (word.lower(), word.capitalize(), word.upper()):
        yield "case", form
        yield "case", f"\\text{{{form}}}"
    for command in ("textbf", "mathrm", "textit", "mbox"):
        yield "font", f"\\{command}{{{word}}}"
    yield "full stop", f"\\text{{{word}.}}"


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
    "other": lambda reference: (),
}
