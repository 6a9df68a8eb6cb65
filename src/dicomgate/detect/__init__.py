"""Records in, findings out: what an attack looks like. Pure, one file per detector."""
