"""The numbers of frozen encoders without computing the padding that defines them."""
