"""A local Kili to read from and write to, without account or network."""
