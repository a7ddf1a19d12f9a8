r"""A right answer written in other ways, by rule: what a model may write and must get its reward for.

Pure functions of the reference. What changes the expression (terms in another order, a fraction as a quotient) is
given out only where `latex_value` finds the same value; typesetting changes none.
"""

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction

from latex_value import equal, split, values
from references import Answer, Number, Shape, bare, choose, exact, number, shape


MATHEMATICAL = 5  # of what is chosen for a reference, where its kind has as many rules; the rest is typesetting


def all_equivalent(reference: str) -> tuple[list[Answer], list[Answer]]:
    """Every way that the rules know, each text once: those of the reference's kind, and those of typesetting."""
    read = shape(reference)
    known = {reference, read.text}
    rules = _RULES[read.kind](read)
    typesetting = _spacing(reference.strip()) if read.kind == "other" else _typesetting(read)
    return _once(rules, known), _once(typesetting, known)


def _once(ways: Iterable[Answer], known: set[str]) -> list[Answer]:
    found = []
    for rule, text in ways:
        if text not in known:
            known.add(text)
            found.append((rule, text))
    return found


def some_equivalent(reference: str, count: int, seed: int) -> list[Answer]:
    rules, typesetting = all_equivalent(reference)
    chosen = choose(rules, min(MATHEMATICAL, count), f"{seed} {reference}")
    return [*chosen, *choose(typesetting, count - len(chosen), f"{seed} {reference}")]


# Typesetting


def _spacing(text: str) -> Iterator[Answer]:
    """What may stand around any text at all."""
    for form in ("~%s", "%s~", "\\,%s\\,", "\\;%s", "%s\\ ", "\\quad %s"):
        yield "space", form % text
    yield "outer braces", f"{{{text}}}"
    yield "full stop", f"{text.removesuffix('.')}."
    yield "comma at the end", f"{text.removesuffix('.')},"


def _typesetting(read: Shape) -> Iterator[Answer]:
    text = read.text
    yield from (way for way in _spacing(text) if read.kind != "list" or way[0] != "comma at the end")
    yield "outer braces", f"{{{{{text}}}}}"
    yield "delimiters", f"${text}$"
    yield "delimiters", f"\\({text}\\)"
    yield "colour", f"\\color{{red}}{{{text}}}"
    yield "colour", f"\\textcolor{{blue}}{{{text}}}"
    yield "size", f"\\displaystyle {text}"
    yield "size", f"\\large {text}"
    yield "underlined", f"\\underline{{{text}}}"
    yield "box in the box", f"\\boxed{{{text}}}"
    if read.kind in ("text", "option"):
        return
    yield "bold", f"\\boldsymbol{{{text}}}"
    if read.kind in ("number", "pair", "interval", "list"):
        yield "bold", f"\\mathbf{{{text}}}"
        yield "bold", f"{{\\bf {text}}}"
    yield from _commands(text)


def _commands(text: str) -> Iterator[Answer]:
    """Another command, or other braces and spaces, for the same signs."""
    words = "\\text" in text or "\\mbox" in text
    if "\\frac" in text:
        yield "form of \\frac", text.replace("\\frac", "\\dfrac")
        yield "form of \\frac", text.replace("\\frac", "\\tfrac")
    if "\\dfrac" in text:
        yield "form of \\frac", text.replace("\\dfrac", "\\frac")
    yield "braces", re.sub(r"\\frac ?(\d) ?(\d)", r"\\frac{\1}{\2}", text)
    yield "braces", re.sub(r"\\frac\{(\d)\}\{(\d)\}(?!\d)", r"\\frac\1\2", text)
    yield "braces", re.sub(r"\^(\w)", r"^{\1}", text)
    yield "braces", re.sub(r"\^\{(\w)\}(?!\d)", r"^\1", text)
    yield "braces", re.sub(r"\\sqrt\{(\d)\}(?!\w)", r"\\sqrt\1", text)
    yield "braces", re.sub(r"\\sqrt(\d)", r"\\sqrt{\1}", text)
    if "\\sqrt[" not in text and "\\begin" not in text:
        for opened, closed in (("\\left", "\\right"), ("\\bigl", "\\bigr")):
            sized = re.sub(r"((?:\\(?=\{))?(?<![\\a-z])[(\[]|\\\{)", lambda found, mark=opened: mark + found[1], text)
            sized = re.sub(r"([)\]]|\\\})", lambda found, mark=closed: mark + found[1], sized)
            if sized.count(opened) == sized.count(closed):
                yield "size of brackets", sized
    if not words:
        yield "spaces", re.sub(r" (?![a-zA-Z])|(?<![a-zA-Z]) ", "", text)
        if not re.search(r"\d,\d{3}(?!\d)", text):
            yield "spaces", re.sub(r" *([,=]) *", r" \1 ", text)
            yield "spaces", text.replace("-", " - ").replace("+", " + ").strip()
        yield "Unicode", _unicode(text)
    yield "Unicode", text.replace("-", "\u2212")


_SIGNS = {
    "\\pi": "π", "\\infty": "∞", "\\cup": "∪", "\\cdot": "·", "\\times": "×", "\\pm": "±", "\\geqslant": "≥",
    "^\\circ": "°", "^{\\circ}": "°", "\\alpha": "α", "\\omega": "ω", "\\lambda": "λ", "\\tau": "τ", "\\sigma": "σ",
    "^{2}": "²", "^2": "²", "^{3}": "³", "^3": "³",
}  # fmt: skip


def _unicode(text: str) -> str:
    text = re.sub(r"\\sqrt(?:\{(\d+)\}|(\d))(?![\d^])", lambda found: f"√{found[1] or found[2]}", text)
    for command, sign in _SIGNS.items():
        text = re.sub(re.escape(command) + (r"(?![a-zA-Z])" if command[-1].isalpha() else r"(?!\d)"), sign, text)
    return text


# Numbers


def _numbers(read: Shape) -> Iterator[Answer]:
    found = read.number
    if found.before:
        yield from _dollars(found)
    elif found.after:
        yield from _units(found)
    else:
        yield "equals sign", f"= {read.text}"
        yield "name", f"x = {read.text}"
        yield "name", f"n={read.text}"
        yield "in words", f"\\text{{The answer is }}{read.text}"
        yield from _plain(found.body, found.value)


def _plain(body: str, value: Fraction) -> Iterator[Answer]:
    sign, size = "-" * (value < 0), abs(value)
    if re.fullmatch(r"[-+]?[\d.]*e[-+]?\d+", body):
        yield from _scientific(body, value)
    elif "." in body and "/" not in body:
        yield from _decimals(body, value)
    elif value.denominator == 1:
        yield from _integers(f"{sign}{size}", value)
    else:
        yield from _fractions(value)
        if "." not in body:
            places = next((n for n in range(1, 5) if (size * 10**n).denominator == 1), None)
            if places:
                yield "decimal", f"{sign}{float(size):.{places}f}"


def _integers(text: str, value: Fraction) -> Iterator[Answer]:
    yield "zero places", f"{text}.0"
    yield "zero places", f"{text}.00"
    yield "in \\text", f"\\text{{{text}}}"
    yield "in \\text", f"\\mathrm{{{text}}}"
    yield "round brackets", f"({text})"
    yield "fraction", f"\\frac{{{2 * int(value)}}}{{2}}"
    yield "fraction", f"{text}/1"
    yield "unit", f"{text}\\text{{ units}}"
    yield "unit", f"{text}~\\mathrm{{cm}}"
    yield "unit", f"{text} apples"
    if value >= 0:
        yield "currency", f"\\${text}"
        yield "currency", f"{text}\\text{{ dollars}}"
        yield "sign", f"+{text}"
    if abs(value) >= 1000:
        grouped = f"{int(value):,}"
        for mark in (",", "{,}", "\\,", " ", "\\ ", ",\\!"):
            yield "thousands", grouped.replace(",", mark)
    digits = str(abs(int(value)))
    if len(digits) > 4 and len(digits.rstrip("0")) < 4:
        yield from _powers_of_ten(value)


def _powers_of_ten(value: Fraction) -> Iterator[Answer]:
    digits, exponent = _mantissa(value)
    yield "power of ten in LaTeX", f"{digits}\\times 10^{{{exponent}}}"
    yield "power of ten in LaTeX", f"{digits} \\cdot 10^{{{exponent}}}"
    yield "plain exponent", f"{digits}e{exponent}"
    yield "plain exponent", f"{digits}E{exponent}"
    yield "power of ten in plain text", f"{digits} \u00d7 10^{exponent}"
    yield "power of ten in plain text", f"{digits} x 10^{exponent}"
    yield "power of ten in plain text", f"{digits}*10^{exponent}"
    if digits == "1":
        yield "power of ten in LaTeX", f"10^{{{exponent}}}"


def _mantissa(value: Fraction) -> tuple[str, int]:
    """The decimal digits of a finite decimal with one of them before the point, and the exponent."""
    exponent, size = 0, abs(value)
    while size >= 10:
        size, exponent = size / 10, exponent + 1
    while size and size < 1:
        size, exponent = size * 10, exponent - 1
    places = next(n for n in range(40) if (size * 10**n).denominator == 1)
    digits = str(int(size * 10**places))
    return "-" * (value < 0) + digits[0] + (f".{digits[1:]}" if places else ""), exponent


def _scientific(body: str, value: Fraction) -> Iterator[Answer]:
    yield from ((rule, text) for rule, text in _powers_of_ten(value) if text != body)
    digits, exponent = _mantissa(value)
    yield "other mantissa", f"{_shifted(digits)}\\times10^{{{exponent - 1}}}"
    yield "unit", f"{digits}\\times 10^{{{exponent}}}\\ \\mathrm{{kg}}"
    yield "unit", f"{digits} \\times 10^{{{exponent}}} \\text{{ m/s}}"
    yield "approximately", f"\\approx {digits} \\times 10^{{{exponent}}}"
    yield "expanded", _expanded(value)


def _shifted(digits: str) -> str:
    """Ten times a mantissa."""
    whole, _, places = digits.partition(".")
    return f"{whole}{places[:1] or '0'}" + (f".{places[1:]}" if places[1:] else "")


def _expanded(value: Fraction) -> str:
    """A finite decimal with all of its digits."""
    places = next(n for n in range(60) if (value * 10**n).denominator == 1)
    digits = str(int(abs(value) * 10**places)).rjust(places + 1, "0")
    return "-" * (value < 0) + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def _decimals(body: str, value: Fraction) -> Iterator[Answer]:
    yield "zero places", f"{body}0"
    yield "approximately", f"\\approx {body}"
    yield "in \\text", f"\\text{{{body}}}"
    yield "in \\text", f"\\mathrm{{{body}}}"
    yield "fraction", _fraction(value)
    yield "unit", f"{body}\\ \\mathrm{{m/s^2}}"
    yield "unit", f"{body} \\text{{ km/h}}"
    yield "unit", f"{body}~\\mathrm{{kg}}"
    yield "zero before the point", body.replace("0.", ".", 1) if re.match(r"-?0\.", body) else body
    yield "zero before the point", re.sub(r"^(-?)\.", r"\g<1>0.", body)
    whole, _, places = body.partition(".")
    if whole and len(places) != 3:
        yield "decimal comma", f"{whole}{{,}}{places}"
    if abs(value) < Fraction(1, 100):
        yield from _powers_of_ten(value)


def _fraction(value: Fraction) -> str:
    return f"{'-' * (value < 0)}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def _fractions(value: Fraction) -> Iterator[Answer]:
    sign, above, below = "-" * (value < 0), abs(value.numerator), value.denominator
    yield "quotient", f"{sign}{above}/{below}"
    yield "form of \\frac", f"{sign}{{{above} \\over {below}}}"
    yield "form of \\frac", _fraction(value)
    yield "form of \\frac", f"{sign}\\dfrac{{{above}}}{{{below}}}"
    yield "form of \\frac", f"{sign}\\frac {{{above}}} {{{below}}}"
    yield "fraction", f"{sign}\\frac{{{3 * above}}}{{{3 * below}}}"
    yield "round brackets", f"({sign}{above}/{below})"
    if sign:
        yield "sign", f"\\frac{{-{above}}}{{{below}}}"
        yield "sign", f"\\frac{{{above}}}{{-{below}}}"
    whole, rest = divmod(above, below)
    if whole:
        yield "mixed number", f"{sign}{whole} {rest}/{below}"
        yield "mixed number", f"{sign}{whole}\\frac{{{rest}}}{{{below}}}"
        yield "mixed number", f"{sign}{whole} \\frac{{{rest}}}{{{below}}}"


def _dollars(found: Number) -> Iterator[Answer]:
    amount = found.body
    yield "currency", amount
    yield "currency", f"\\$ {amount}"
    yield "currency", f"\\text{{\\$}}{amount}"
    yield "currency", f"\\text{{USD }}{amount}"
    yield "currency", f"{amount}\\text{{ dollars}}"
    yield "currency", f"{amount} dollars"
    yield "name", f"x = \\${amount}"
    yield "zero places", f"\\${amount}" + (".00" if "." not in amount else "0")


def _units(found: Number) -> Iterator[Answer]:
    body, after = found.body, found.after
    if "circ" in after or "degrees" in after:
        for form in ("^{\\circ}", "^\\circ", "\u00b0", "\\degree", "\\text{ degrees}", "", "^{\\circ }", " degrees"):
            yield "degrees", f"{body}{form}"
    elif "%" in after:
        for form in ("\\%", "%", " \\%", "\\text{ percent}", "\\text{\\%}", "~\\%"):
            yield "per cent", f"{body}{form}"
    elif "cents" in after:
        for form in ("", " cents", "\\ \\text{cents}", "\\text{ cents}", "~\\mathrm{cents}"):
            yield "unit", f"{body}{form}"
    elif "cm" in after:
        for form in ("", "\\text{ cm}^2", "\\text{ cm}^{2}", "\\ \\mathrm{cm^2}", "\\text{ square centimeters}"):
            yield "unit", f"{body}{form}"
    yield "name", f"x = {body}{after}"
    yield "equals sign", f"={body}{after}"


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
        yield "notation", re.sub(r"(?<![\\a-zA-Z_{])e\^", r"\\mathrm{e}^", text)
        yield "notation", re.sub(r"(?<![\\a-zA-Z_{])e\^\{([^{}]+)\}", r"\\exp(\1)", text)
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
        chains = [_inequality(part._replace(opened=text[0], closed=text[-1])) for part, text in zip(parts, read.parts)]
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
    "number": _numbers,
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
