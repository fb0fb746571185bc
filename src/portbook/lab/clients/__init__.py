"""The clients of a lab: a module for each family of protocols, each of which holds real conversations."""
