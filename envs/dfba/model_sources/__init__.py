"""Where flux models come from: files, edits, BiGG, and which reactions do not conserve elements."""
