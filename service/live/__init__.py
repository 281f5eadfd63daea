"""Live sessions: frames in, one reply each and in order, for `track` and `affect` alike."""
