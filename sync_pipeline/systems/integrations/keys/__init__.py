"""The unique keys of the menu tables, and their repair."""
