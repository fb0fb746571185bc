"""Linux: the kernel's answers, translated once, at the edge."""
