"""Formulas are trees.

A tree is a tuple: ("number", Fraction, unit of the last decimal place or 0), ("name", text), or (operation, *trees).
The operations are add, mul, pow, neg, div, degrees, factorial, abs, floor, ceil, root (index, radicand), log (base,
argument), call (name, arguments ...), sum and product (index name, first, last, body), and the functions of
`tokens.FUNCTIONS`.
"""

from fractions import Fraction

Tree = tuple


def names(tree: Tree) -> set[str]:
    """The names in a tree, except the index that a sum or product binds."""
    if tree[0] == "name":
        return {tree[1]}
    if tree[0] in ("sum", "product"):
        return names(tree[2]) | names(tree[3]) | (names(tree[4]) - {tree[1]})
    return set().union(*(names(part) for part in tree[1:] if isinstance(part, tuple)))


def has_decimal(tree: Tree) -> bool:
    if tree[0] == "number":
        return bool(tree[2])
    return any(has_decimal(part) for part in tree[1:] if isinstance(part, tuple))


def operations(tree: Tree) -> set[str]:
    """All operations in a tree, with called functions by name; `alternating` is a power of a negative number."""
    operation_names = {tree[1] if tree[0] == "call" else tree[0]}
    if tree[0] == "pow" and tree[1][0] == "neg" and names(tree[2]):
        operation_names.add("alternating")
    return operation_names.union(*(operations(part) for part in tree[1:] if isinstance(part, tuple)))


def number(value: int | Fraction) -> Tree:
    return ("number", Fraction(value), Fraction(0))
