"""Detection of faces: the MTCNN cascade and the geometry around it."""
