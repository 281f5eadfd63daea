"""Pictures and clips of clients, named and bounded by their headers before decoding."""
