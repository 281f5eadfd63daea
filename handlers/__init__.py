"""What runs on the device: networks, processing, predictors and the handlers that serve them."""
