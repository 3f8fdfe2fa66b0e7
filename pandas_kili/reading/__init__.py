"""From pages to one exact frame."""
