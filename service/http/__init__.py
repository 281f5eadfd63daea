"""HTTP itself: middleware, limits, bodies, negotiation, problems and streaming."""
