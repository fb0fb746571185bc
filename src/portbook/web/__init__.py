"""The page and the API by which a person tests the ports of their own address, and an operator watches a host."""
