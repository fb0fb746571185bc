"""The real servers of a lab: a module for each family, each with its servers in order of preference."""
