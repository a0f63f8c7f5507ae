"""Tools for testing against this library: servers, a pytest plugin, a contract suite."""
