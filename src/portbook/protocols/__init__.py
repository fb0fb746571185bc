"""Application protocols, one a module: what their first bytes prove, and a polite conversation without credentials.

Nothing here opens a socket or reads a clock. Which protocols there are is listed in catalogue.py.
"""
