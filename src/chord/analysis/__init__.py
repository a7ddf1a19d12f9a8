"""From scores to cells, tables, figures and the report. Nothing here imports torch: it runs in seconds, with no model."""
