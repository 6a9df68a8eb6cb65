"""The site's own small authority: names in; keys, certificates, revocation lists and the lines that use them out."""
