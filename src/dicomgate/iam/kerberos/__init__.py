"""Kerberos tickets: claims in, a verification and the reply that proves the gate to the client out.

The system's Kerberos library judges them, with a keytab; no KDC is asked.
"""
