"""The commands of `countenance`, one module each; handlers are imported only when one runs."""
