"""Scripts for those who maintain the model store; nothing at run time imports them."""
