"""The command line: one module a verb; each parses, calls one operation and renders."""
