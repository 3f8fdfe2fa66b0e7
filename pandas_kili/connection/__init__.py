"""The one way to the server."""
