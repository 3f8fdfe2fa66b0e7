"""From rows to mutations, and a report of every row."""
