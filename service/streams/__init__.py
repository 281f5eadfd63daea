"""Live sessions: what a socket sends into what it is answered, one reply a frame and in order."""
