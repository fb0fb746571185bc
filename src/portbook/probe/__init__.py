"""Tests of ports from outside: whether they can be reached, and what speaks there."""
