"""A simulator of many Docker engines at local sockets, with scripted faults and a log of every request."""
