"""Networks and their weights; import its modules inside functions: they load torch."""
