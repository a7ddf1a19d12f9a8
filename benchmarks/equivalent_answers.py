r"""A right answer written in other ways, by rule: what a model may write and must get its reward for.

Pure functions of the reference. What changes the expression (terms in another order, a fraction as a quotient) is
given out only where `latex_value` finds the same value; typesetting changes none.
"""

import re
from collections.abc import Iterable, Iterator

from equivalent_numbers import numbers
from latex_value import equal, values
from references import Answer, Shape, choose, number, shape
from typesetting import spacing, typesetting

MATHEMATICAL = 5  # of what is chosen for a reference, where its kind has as many rules; the rest is typesetting


def all_equivalent(reference: str) -> tuple[list[Answer], list[Answer]]:
    """Every way that the rules know, each text once: those of the reference's kind, and those of typesetting."""
    read = shape(reference)
    known = {reference, read.text}
    rules = _RULES[read.kind](read)
    set_otherwise = spacing(reference.strip()) if read.kind == "other" else typesetting(read)
    return _once(rules, known), _once(set_otherwise, known)


def _once(ways: Iterable[Answer], known: set[str]) -> list[Answer]:
    found = []
    for rule, text in ways:
        if text not in known:
            known.add(text)
            found.append((rule, text))
    return found


def some_equivalent(reference: str, count: int, seed: int) -> list[Answer]:
    rules, set_otherwise = all_equivalent(reference)
    chosen = choose(rules, min(MATHEMATICAL, count), f"{seed} {reference}")
    return [*chosen, *choose(set_otherwise, count - len(chosen), f"{seed} {reference}")]


# Expressions


def _expressions(read: Shape) -> Iterator[Answer]:
    text = read.text
    letters = re.sub(r"\\[a-zA-Z]+", "", text)
    if not re.search("[a-zA-Z]", letters):
        yield "name", f"x = {text}"
        yield "in words", f"\\text{{The answer is }}{text}"
    elif "A" not in letters:
        yield "name", f"A = {text}"
    yield "equals sign", f"= {text}"
    for rule, other in _rewritten(text):
        try:
            if equal(text, other) and any(values(text)):
                yield rule, other
        except ValueError:
            continue
    yield from _notation(text)


_GROUP = r"\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}"
_FRACTION = re.compile(rf"(-?)\\[dt]?frac ?{_GROUP} ?{_GROUP}")


def _rewritten(text: str) -> Iterator[Answer]:
    terms = _terms(text)
    if len(terms) > 1:
        yield "order of terms", _sum(terms[::-1])
        yield "order of terms", _sum([*terms[1:], terms[0]])
    dotted = re.sub(r"(?<![_^\w])(\d+) ?(?=\\sqrt|\\pi|[a-zA-Z](?![a-zA-Z]))", r"\1 \\cdot ", text)
    yield "times", dotted
    yield "times", dotted.replace("\\cdot", "\\times")
    yield "times", text.replace("\\cdot", "\\times")
    yield "times", re.sub(r" ?\\cdot ?", " * ", text)
    if found := re.fullmatch(
        r"(-?)\\[dt]?frac ?\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\} ?\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}", text
    ):
        sign, above, below = found.groups()
        yield "quotient", f"{sign}({above})/({below})"
        yield "form of \\frac", f"{sign}{{{above} \\over {below}}}"
        if above != "1":
            yield "quotient", f"{sign}\\frac{{1}}{{{below}}}({above})"
    if found := re.fullmatch(r"(.+)/ ?(\w+|\\\w+)", text):
        yield "quotient", f"\\frac{{{found[1].strip()}}}{{{found[2]}}}"
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
    """Terms of a sum outside brackets, each with its sign."""
    marked = re.sub(r"(?<=[\w)}\]!]) *([+-]) *", r"\n\1", text)
    terms, depth = [""], 0
    for piece in re.split(r"(\n)", marked):
        if piece == "\n" and not depth:
            terms.append("")
        elif piece != "\n":
            terms[-1] += piece
            depth += sum(piece.count(mark) for mark in "([{") - sum(piece.count(mark) for mark in ")]}")
    return [term.strip() if term.strip()[:1] in "+-" else f"+{term.strip()}" for term in terms]


def _sum(terms: list[str]) -> str:
    return "".join(terms).removeprefix("+")


def _named(read: Shape) -> Iterator[Answer]:
    name, value = read.parts
    yield "value alone", value
    yield "spaces", f"{name}={value}"
    yield "spaces", f"{name} = {value}"
    if len(name) == 1:
        yield "sides swapped", f"{value} = {name}"
    inner = shape(value)
    for rule, text in _RULES[inner.kind](inner):
        if rule not in ("name", "equals sign", "in words", "approximately", "unit", "currency", "sign"):
            yield rule, f"{name} = {text}"


def _plus_minus(read: Shape) -> Iterator[Answer]:
    plus, minus = read.text.replace("\\pm", "+"), read.text.replace("\\pm", "-")
    yield "both values", f"{plus}, {minus}"
    yield "both values", f"{minus}, {plus}"
    yield "both values", f"{plus} \\text{{ and }} {minus}"
    yield "both values", f"{plus} \\text{{ or }} {minus}"
    yield "both values", f"\\{{{minus}, {plus}\\}}"
    yield "name", f"x = {read.text}"
    head, _, tail = read.text.partition("\\pm")
    yield "order of terms", f"\\pm {tail.strip()} + {head.strip()}"


# What has elements


def _pairs(read: Shape) -> Iterator[Answer]:
    yield "spaces", f"( {' , '.join(read.parts)} )"
    yield "spaces", f"({',~'.join(read.parts)})"
    yield "spaces", "(" + ",\\ ".join(read.parts) + ")"
    yield from (("elements", "(" + ", ".join(parts) + ")") for parts in _other_elements(read.parts))


def _other_elements(parts: tuple[str, ...]) -> Iterator[list[str]]:
    """The elements with those that are fractions in another form."""
    fractions = [number(part) for part in parts]
    if any(found and found.value.denominator > 1 and not found.after for found in fractions):
        for form in ("{}/{}", "\\frac{{{}}}{{{}}}", "\\dfrac{{{}}}{{{}}}"):
            yield [
                "-" * (found.value < 0) + form.format(abs(found.value.numerator), found.value.denominator)
                if found and found.value.denominator > 1 and not found.after
                else part
                for part, found in zip(parts, fractions, strict=True)
            ]


def _matrices(read: Shape) -> Iterator[Answer]:
    for parts in (read.parts, *_other_elements(read.parts)):
        rows = " \\\\ ".join(parts)
        yield "kind of matrix", f"\\begin{{bmatrix}} {rows} \\end{{bmatrix}}"
        yield "kind of matrix", f"\\left(\\begin{{array}}{{c}} {rows} \\end{{array}}\\right)"
        yield "spaces", f"\\begin{{pmatrix}}{rows.replace(' ', '')}\\end{{pmatrix}}"
        yield "elements", f"\\begin{{pmatrix}} {rows} \\end{{pmatrix}}"
        yield "spaces", f"\\begin{{pmatrix}}\n{rows}\n\\end{{pmatrix}}"


def _lists(read: Shape) -> Iterator[Answer]:
    parts = read.parts
    free = len(set(parts)) == len(parts)
    form = "\\{%s\\}" if read.kind == "set" else "%s"
    yield "spaces", form % ",".join(parts)
    yield "spaces", form % ",\\ ".join(parts)
    yield "spaces", form % ",~".join(parts)
    yield from (("elements", form % ", ".join(other)) for other in _other_elements(parts))
    if read.kind == "list":
        yield "delimiters", ", ".join(f"${part}$" for part in parts)
        last = f"{parts[-2]} \\text{{ and }} {parts[-1]}"
        yield "and", ", ".join([*parts[:-2], last])
        yield "and", ", ".join([*parts[:-1], f"\\text{{and }}{parts[-1]}"])
    if free:
        yield "order of elements", form % ", ".join(parts[::-1])
        yield "order of elements", form % ", ".join([*parts[1:], parts[0]])
        if read.kind == "list" and "=" not in read.text:
            yield "as a set", "\\{" + ", ".join(parts) + "\\}"


def _inequality(part: Shape, name: str = "x") -> str:
    low, high = part.parts
    at_least, above = ("\\geq", "\\leq") if part.opened == "[" else (">", "<")
    at_most = "\\leq" if part.closed == "]" else "<"
    if "infty" in low:
        return f"{name} {at_most} {high}"
    if "infty" in high:
        return f"{name} {at_least} {low}"
    return f"{low} {above} {name} {at_most} {high}"


def _intervals(read: Shape) -> Iterator[Answer]:
    inner = f"{read.opened}{read.parts[0]},{read.parts[1]}{read.closed}"
    chain = _inequality(read)
    yield "spaces", inner
    yield "spaces", f"{read.opened}{read.parts[0]},~{read.parts[1]}{read.closed}"
    yield "inequality", chain
    yield "inequality", chain.replace("\\leq", "\\leqslant").replace("\\geq", "\\geqslant")
    yield "inequality", chain.replace("\\leq", "\\le").replace("\\geq", "\\ge")
    yield "inequality", chain.replace("\\leq", "≤").replace("\\geq", "≥")
    yield "inequality", _inequality(read, "t")
    yield "set by condition", f"\\{{x \\mid {chain}\\}}"
    yield "set by condition", f"\\{{x : {chain}\\}}"
    yield "element of", f"x \\in {inner}"
    yield "element of", f"x\\in\\left{read.opened}{read.parts[0]}, {read.parts[1]}\\right{read.closed}"
    if "+" not in inner:
        yield "infinity", inner.replace(",\\infty", ",+\\infty")
    yield from (("elements", f"{read.opened}{one},{other}{read.closed}") for one, other in _other_elements(read.parts))


def _unions(read: Shape) -> Iterator[Answer]:
    parts = [shape(part) for part in read.parts]
    yield "order of elements", " \\cup ".join(read.parts[::-1])
    yield "spaces", "\\cup".join(part.replace(" ", "") for part in read.parts)
    yield "element of", f"x \\in {read.text}"
    if all(part.kind in ("interval", "pair") for part in parts):
        both = zip(parts, read.parts, strict=True)
        chains = [_inequality(part._replace(opened=text[0], closed=text[-1])) for part, text in both]
        yield "inequality", " \\text{ or } ".join(chains)
        yield "inequality", " \\text{ or } ".join(chains[::-1])
        yield "set by condition", "\\{x \\mid " + " \\text{ or } ".join(chains) + "\\}"


# What is compared as text


def _bases(read: Shape) -> Iterator[Answer]:
    digits, base = read.parts
    yield "base", f"{digits}_{{{base}}}"
    yield "base", f"{digits}_{base}" if len(base) == 1 else read.text
    yield "base", f"({digits})_{base}"
    yield "base", f"({digits})_{{{base}}}"
    yield "base", f"{{{digits}}}_{base}"
    yield "base", f"{digits}_{{\\text{{{base}}}}}"
    yield "base", digits
    yield "name", f"x = {read.text}"


def _options(read: Shape) -> Iterator[Answer]:
    letter = read.parts[0]
    for form in ("%s", "(%s)", "\\textbf{(%s)}", "\\textbf{%s}", "\\mathrm{%s}", "\\text{%s}", "%s.", "\\mathbf{(%s)}"):
        yield "option", form % letter


def _texts(read: Shape) -> Iterator[Answer]:
    word = read.parts[0]
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
    "equation": _named,
    "pm": _plus_minus,
    "expression": _expressions,
    "other": lambda read: (),
}
