"""Small networks of real hosts, servers and clients on one Linux machine, made of the kernel's namespaces."""
