"""What is known of each port number: IANA's assignments, unofficial uses, and the story of the main ones."""
