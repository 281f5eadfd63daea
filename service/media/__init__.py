"""What clients send, told and bounded by its header before anything is decoded."""
