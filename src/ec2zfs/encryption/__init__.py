"""Files and streams encrypted to public keys, in OpenPGP or age; who calls does not know which. See interface.py."""
