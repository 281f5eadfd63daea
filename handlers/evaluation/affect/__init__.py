"""Evaluation of valence and arousal: estimates over labelled clips to the tables of ch. 5 to 7."""
