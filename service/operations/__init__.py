"""What operators ask: health, models, sessions, metrics, the documents and the page."""
