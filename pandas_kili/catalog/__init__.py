"""What exists in Kili, written once, as data."""
