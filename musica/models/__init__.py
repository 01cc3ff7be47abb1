"""MuSiCa, MDM, their losses, and their files."""
