"""From curves and cells to figures as png and pdf."""
