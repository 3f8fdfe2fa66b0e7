"""From names to GraphQL and Arrow types, checked before a request."""
