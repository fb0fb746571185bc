"""The tests of portbook.linux, which speak to the real kernel wherever they can."""
