"""What each command of the command line does: read its options, call one function, print what came back."""
