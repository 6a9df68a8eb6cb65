"""Is this PDU allowed now (PS3.8 9.2), and what did both sides agree on (PS3.8 9.3.3, PS3.7 Annex D)?"""
