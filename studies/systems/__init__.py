"""The systems of the papers: what each is made of, how it was trained, and its tables as plans."""
