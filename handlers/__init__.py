"""The device's side: networks, processing, predictors and the handlers that serve them."""
