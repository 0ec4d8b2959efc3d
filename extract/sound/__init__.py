"""From an audio file to the samples that are heard: decoding, channels, silence, views."""
