"""Routes for operators and people: health, metrics, models, sessions, tokens, the page."""
