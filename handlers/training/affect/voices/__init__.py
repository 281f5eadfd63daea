"""Arousal of voices that holds for other rooms, channels and languages."""
