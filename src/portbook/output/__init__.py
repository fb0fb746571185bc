"""From tables to what a person or a program reads."""
