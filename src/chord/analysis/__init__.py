"""From scores to cells, tables, figures and the report. Nothing here imports torch: seconds, and no model needed."""
