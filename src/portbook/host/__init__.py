"""Questions about this host: its sockets, its listeners, its conversations, and what it does with a port."""
