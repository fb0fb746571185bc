"""The servers that give mailboxes out, by IMAP as by POP3, and name themselves alike in both."""

from __future__ import annotations

PRODUCTS = (
    ("dovecot", "Dovecot"),
    ("cyrus", "Cyrus IMAP"),
    ("courier", "Courier"),
    ("microsoft exchange", "Microsoft Exchange"),
    ("gnu mailutils", "GNU Mailutils"),
    ("zimbra", "Zimbra"),
    ("kerio connect", "Kerio Connect"),
    ("mdaemon", "MDaemon"),
    ("mailenable", "MailEnable"),
    ("communigate pro", "CommuniGate Pro"),
    ("domino", "HCL Domino"),
    ("james", "Apache James"),
    ("icewarp", "IceWarp"),
    ("axigen", "Axigen"),
    ("stalwart", "Stalwart"),
    ("greenmail", "GreenMail"),
    ("surgemail", "SurgeMail"),
    ("twisted", "Twisted"),
    ("citadel", "Citadel"),
)
"""What a line says, in lower case, and what people call the product."""
