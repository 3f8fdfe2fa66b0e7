"""How fast, how large, how far: one script a question. `python -m benchmarks` runs those that have a goal."""
