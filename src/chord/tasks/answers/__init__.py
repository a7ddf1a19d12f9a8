"""Mathematical answers: what a text states (`reading`), and whether two texts state the same thing (`comparison`).

The package is plain Python and mpmath. It is bounded by construction: no text takes more than a fraction of a second,
so nothing here needs a worker process. A response passes through these steps: `extraction` finds its answer,
`typography` normalizes it, `reading` turns it into one of the `kinds` with the help of `quantities`, `words`,
`notations`, `names` and `real_line`, and `comparison` judges it against the reference. Formulas are `trees`, which
`expression` reads and `rational` and `evaluation` compute.
"""
