"""Mathematical answers: what a text states (`reading`), and whether two texts state the same (`comparison`).

Plain Python and mpmath, bounded by construction: no text takes more than milliseconds, so nothing here needs a worker.
`typography` makes texts uniform, `numerals` and `units` read plain numbers and quantities, `expression` reads formulas,
`evaluation` computes them.
"""
