"""How the page fares: many visitors at once, and one in a browser."""
