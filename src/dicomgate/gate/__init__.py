"""The only data-path I/O: listeners, sockets, clocks. Every decision is made elsewhere."""
