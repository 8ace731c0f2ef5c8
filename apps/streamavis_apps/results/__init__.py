"""Results as text in a terminal: board, tables, summary."""
