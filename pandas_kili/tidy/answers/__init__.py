"""Answers of labels, taken apart into rows and put together again."""
