"""Passcodes against a directory: OpenLDAP, Active Directory and their like. Claims in, a verification out.

The protocol is spoken here, over the standard library's sockets and TLS: each wait has a deadline and holds up nobody
but its own thread (docs/adr/0007).
"""
