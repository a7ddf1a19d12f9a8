"""Mathematical answers: what a text states (`reading`), and whether two texts state the same (`comparison`).

Plain Python and mpmath, bounded by construction: no text takes more than a fraction of a second, so nothing here needs
a worker. The way of a response: `extraction` finds its answer, `typography` makes it uniform, `reading` makes it one of
the `kinds` with the help of `quantities`, `words`, `notations`, `names` and `real_line`, and `comparison` judges it
beside the reference. Formulas are `trees`, read by `expression`, computed by `rational` and `evaluation`.
"""
