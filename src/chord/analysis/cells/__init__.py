"""From scores of many runs to cells: estimates with intervals, and paired differences."""
