r"""Reads formulas in LaTeX or plain text into `trees`. A text that is not understood completely is refused."""

import re
from functools import lru_cache

from chord.tasks.answers.numerals import token
from chord.tasks.answers.tokens import FUNCTION_LETTERS, FUNCTIONS, GREEK, MULTI_ARGUMENT, Unreadable, tokens_of
from chord.tasks.answers.trees import Tree, has_decimal, number

MAX_DEPTH = 60


@lru_cache(maxsize=65536)
def read(text: str, loose: bool = False) -> Tree:
    """The tree of a normalized formula; raises Unreadable for other texts. loose: `1/2x` is (1/2)x, not 1/(2x)."""
    reader = _Reader(tokens_of(text), loose)
    tree = reader.sum_()
    if reader.place != len(reader.tokens):
        raise Unreadable(f"{reader.tokens[reader.place][1]!r} is left over")
    return tree


class _Reader:
    """A recursive-descent parser: sum > term > factors side by side > power > atom."""

    def __init__(self, tokens: list[tuple[str, str, bool]], loose: bool):
        self.tokens, self.loose, self.place, self.depth = tokens, loose, 0, 0
        self.bars = 0  # how many |...| are open

    def peek(self, offset: int = 0) -> str | None:
        place = self.place + offset
        return self.tokens[place][1] if place < len(self.tokens) else None

    def kind(self) -> str | None:
        return self.tokens[self.place][0] if self.place < len(self.tokens) else None

    def take(self, *texts: str) -> str | None:
        if self.peek() in texts:
            self.place += 1
            return self.tokens[self.place - 1][1]
        return None

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise Unreadable(f"expected {text!r}, got {self.peek()!r}")

    def sum_(self) -> Tree:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("the formula is nested too deeply")
        terms = [self.term()]
        while sign := self.take("+", "-"):
            term = self.term()
            terms.append(("neg", term) if sign == "-" else term)
        self.depth -= 1
        return terms[0] if len(terms) == 1 else ("add", *terms)

    def term(self) -> Tree:
        sign = 1
        while mark := self.take("+", "-"):
            sign = -sign if mark == "-" else sign
        value = self.factors()
        while True:
            if self.take("*", "\\cdot", "\\times", "\\ast"):
                value = ("mul", value, self.signed_factor())
            elif self.take("/", "\\div"):
                value = ("div", value, self.divisor())
            elif self.loose and self.starts_factor():
                value = ("mul", value, self.factors())
            else:
                return ("neg", value) if sign < 0 else value

    def signed_factor(self) -> Tree:
        """A factor after an operator; it may have a sign: 3 * -2."""
        if self.take("-"):
            return ("neg", self.signed_factor())
        self.take("+")
        return self.factors()

    def divisor(self) -> Tree:
        if self.take("-"):
            return ("neg", self.divisor())
        return self.power(self.atom()) if self.loose else self.factors()

    def factors(self) -> Tree:
        """Factors without an operator between them: 2x(x+1), 3\\sqrt{2}. 2\\frac{1}{2} is a mixed number."""
        was_group = self.group_number()
        value = self.power(self.atom())
        while self.starts_factor():
            before = self.tokens[self.place - 1]
            kind, text, _ = self.tokens[self.place]
            if kind == "number" and before[0] == "number":
                raise Unreadable("two numbers side by side")
            if kind == "number" and before[1] not in (")", "}", "]", "!", "i"):
                raise Unreadable("a number after a letter")
            group = self.group_number()
            if group and was_group:
                raise Unreadable("two numbers side by side")
            was_group = group
            if text == "\\frac" and value[0] == "number" and before[0] == "number":
                value = self.mixed_number(value)
                continue
            value = ("mul", value, self.power(self.atom()))
        return value

    def group_number(self) -> bool:
        """Whether a number alone in braces comes next: {1}{2} is not a product."""
        return self.peek() == "{" and self.peek(2) == "}" and self.tokens[self.place + 1][0] == "number"

    def mixed_number(self, integer: Tree) -> Tree:
        part = self.power(self.atom())
        if part[0] == "div" and part[1][0] == part[2][0] == "number" and not (integer[2] or has_decimal(part)):
            above, below = part[1][1], part[2][1]
            if 0 < above < below:
                return number(integer[1] + above / below)
        if part[0] == "div" and part[1][0] == part[2][0] == "number":
            raise Unreadable("a number before a fraction that does not make a mixed number")
        return ("mul", integer, part)

    def starts_factor(self) -> bool:
        if self.place >= len(self.tokens):
            return False
        kind, text, _ = self.tokens[self.place]
        if kind in ("number", "letter", "name"):
            return True
        if kind == "command":
            return text[1:] in _FACTORS or text[1:] in FUNCTIONS or text[1:] in GREEK
        return text in ("(", "{", "[") or (text == "|" and not self.bars)

    def power(self, base: Tree) -> Tree:
        """The base with its exponents, factorials and degree marks."""
        while True:
            if self.take("!"):
                if self.peek() == "!":
                    raise Unreadable("a double factorial")
                base = ("factorial", base)
            elif self.take("^", "**"):
                if self.is_degree():
                    base = ("degrees", base)
                    continue
                base = ("pow", base, self.exponent())
            elif self.take("\\degree"):
                base = ("degrees", base)
            else:
                return base

    def is_degree(self) -> bool:
        if self.take("\\circ"):
            return True
        if self.peek() == "{" and self.peek(1) == "\\circ" and self.peek(2) == "}":
            self.place += 3
            return True
        return False

    def exponent(self) -> Tree:
        if self.take("-"):
            return ("neg", self.exponent())
        self.take("+")
        # One power after another without braces, 2^3^2, is evaluated from the top.
        return self.power(self.atom())

    def group(self, close: str) -> Tree:
        bars, self.bars = self.bars, 0
        value = self.sum_()
        self.expect(close)
        self.bars = bars
        return value

    def argument(self) -> Tree:
        r"""The argument of \frac or \sqrt: a group, or one digit, letter or command."""
        if self.take("{"):
            return self.group("}")
        kind, text, _ = self.tokens[self.place] if self.place < len(self.tokens) else (None, None, False)
        if kind == "number" and text.isdigit():
            if len(text) == 1:
                self.place += 1
            else:  # \frac12: the first digit
                self.tokens[self.place] = (kind, text[1:], False)
            return number(int(text[0]))
        if kind in ("letter", "command"):
            return self.atom()
        raise Unreadable(f"expected an argument, got {text!r}")

    def atom(self) -> Tree:
        if self.place >= len(self.tokens):
            raise Unreadable("the formula ends early")
        kind, text, _ = self.tokens[self.place]
        self.place += 1
        if kind == "number":
            return ("number", *token(text))
        if text in ("(", "{", "["):
            return self.group({"(": ")", "{": "}", "[": "]"}[text])
        if text == "|":
            self.bars += 1
            value = self.sum_()
            self.expect("|")
            self.bars -= 1
            return ("abs", value)
        if kind == "letter":
            return self.letter(text)
        if kind == "name":
            return ("name", text)
        if kind == "command":
            return self.command(text[1:])
        raise Unreadable(f"expected a value, got {text!r}")

    def letter(self, text: str) -> Tree:
        if text in "CAP" and self.peek() == "(" and (pair := self.pair()):
            return ("call", {"C": "binomial", "P": "permutations", "A": "permutations"}[text], *pair)
        if text in "CA" and self.peek() == "_" and (pair := self.indexed_pair()):
            return ("call", {"C": "binomial", "A": "permutations"}[text], *pair)
        return self.name(text)

    def name(self, text: str) -> Tree:
        """A name with its index and primes; f, g and h before a parenthesis are functions."""
        if self.take("_"):
            text += "_" + self.index()
        while self.take("'"):
            text += "'"
        if self.peek() == "(" and (
            text[0] in FUNCTION_LETTERS or (text not in ("e", "i", "d") and self.is_single_argument())
        ):
            self.place += 1
            arguments = [self.sum_()]
            while self.take(","):
                arguments.append(self.sum_())
            self.expect(")")
            return ("call", text, *arguments)
        return ("name", text)

    def is_single_argument(self) -> bool:
        """Whether (3) or (t) comes next: after a letter, as in I(0) and x(t), it is an argument and not a factor."""
        return self.peek(2) == ")" and self.tokens[self.place + 1][0] in ("number", "letter")

    def index(self) -> str:
        if not self.take("{"):
            kind, text, _ = self.tokens[self.place] if self.place < len(self.tokens) else (None, "", False)
            if kind not in ("number", "letter", "text") and text[1:] not in GREEK:
                raise Unreadable(f"expected an index, got {text!r}")
            self.place += 1
            return _plain(text)
        parts = []
        while not self.take("}"):
            if self.place >= len(self.tokens):
                raise Unreadable("an index without its closing brace")
            parts.append(_plain(self.tokens[self.place][1]))
            self.place += 1
        return "".join(parts)

    def pair(self) -> tuple[Tree, Tree] | None:
        """The pair (a, b) that comes next, or None; then the place does not move."""
        place = self.place
        try:
            self.expect("(")
            first = self.sum_()
            self.expect(",")
            second = self.sum_()
            self.expect(")")
        except Unreadable:
            self.place = place
            return None
        return first, second

    def indexed_pair(self) -> tuple[Tree, Tree] | None:
        """The lower and the upper number of C_9^4, or None."""
        place = self.place
        try:
            self.expect("_")
            first = self.argument()
            self.expect("^")
            second = self.argument()
        except Unreadable:
            self.place = place
            return None
        if first[0] == second[0] == "number":
            return first, second
        self.place = place
        return None

    def command(self, name: str) -> Tree:
        if name == "frac":
            return ("div", self.argument(), self.argument())
        if name in ("binom", "dbinom", "tbinom"):
            return ("call", "binomial", self.argument(), self.argument())
        if name == "sqrt":
            return self.root()
        if name in ("log", "lg"):
            return self.logarithm(name)
        if name in ("sum", "prod"):
            return self.series(name)
        if name in _BRACKETS:
            operation, close = _BRACKETS[name]
            return (operation, self.group(close))
        if name == "pi":
            return ("name", "\\pi")
        if name in ("imath",):
            return ("name", "i")
        if name in FUNCTIONS:
            return self.function(FUNCTIONS[name])
        if name in GREEK:
            return self.name(f"\\{name}")
        raise Unreadable(f"\\{name}")

    def root(self) -> Tree:
        index = number(2)
        if self.take("["):
            index = self.group("]")
        radicand = self.group(")") if self.take("(") else self.argument()
        return ("root", index, radicand)

    def logarithm(self, name: str) -> Tree:
        base: Tree = number(10) if name == "lg" else ("name", "log base")
        if self.take("_"):
            base = self.argument()
        power = self.exponent() if self.take("^", "**") else None
        value = ("log", base, self.operand())
        return value if power is None else ("pow", value, power)

    def function(self, name: str) -> Tree:
        power = None
        if self.take("^", "**"):
            power = self.exponent()
        if name in MULTI_ARGUMENT:
            arguments = self.arguments()
            value: Tree = (name, *arguments)
        elif name == "sqrt":
            value = ("root", number(2), self.operand())
        else:
            value = (name, self.operand())
        if power is None:
            return value
        if power == ("neg", number(1)) and f"arc{name}" in FUNCTIONS.values():
            return (f"arc{name}", *value[1:])
        return ("pow", value, power)

    def arguments(self) -> list[Tree]:
        close = {"(": ")", "\\{": "\\}", "{": "}"}.get(self.take("(", "\\{", "{") or "")
        if close is None:
            raise Unreadable("a function of several arguments without parentheses")
        values = [self.sum_()]
        while self.take(","):
            values.append(self.sum_())
        self.expect(close)
        return values

    def operand(self) -> Tree:
        r"""The argument of a function. Without parentheses, \sin 2x is the sine of 2x and \sin x \cos x a product."""
        if self.take("("):
            value = self.group(")")
            return self.power(value) if self.peek() in ("!",) else value
        if self.take("-"):
            return ("neg", self.operand())
        value = self.power(self.atom())
        while self.starts_factor():
            kind, text, _ = self.tokens[self.place]
            if text in ("(", "[", "|") or (kind == "command" and (text[1:] in FUNCTIONS or text[1:] in ("log", "lg"))):
                break
            value = ("mul", value, self.power(self.atom()))
        if self.peek() == "/" and value[0] in ("number", "name"):  # \cos \pi/3
            self.place += 1
            value = ("div", value, self.power(self.atom()))
        return value

    def series(self, name: str) -> Tree:
        self.expect("_")
        self.expect("{")
        if self.kind() != "letter":
            raise Unreadable("a sum without an index")
        index = self.peek()
        self.place += 1
        self.expect("=")
        first = self.group("}")
        self.expect("^")
        last = self.argument()
        body = self.factors()
        while True:
            if self.take("*", "\\cdot", "\\times"):
                body = ("mul", body, self.factors())
            elif self.take("/"):
                body = ("div", body, self.factors())
            else:
                break
        return ("sum" if name == "sum" else "product", index, first, last, body)


_BRACKETS = {"lfloor": ("floor", "\\rfloor"), "lceil": ("ceil", "\\rceil"), "lvert": ("abs", "\\rvert")}
_FACTORS = {"frac", "binom", "dbinom", "tbinom", "sqrt", "log", "lg", "sum", "prod", "pi", "imath", *_BRACKETS}


def _plain(text: str) -> str:
    match = re.fullmatch(r"\\(?:text|operatorname\*?)\s*\{([^{}]*)\}", text)
    return match[1].strip() if match else text
