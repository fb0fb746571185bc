"""Bytes to values, one format a module, without input or output."""
