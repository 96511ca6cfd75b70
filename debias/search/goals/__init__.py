"""Goals in the forms in which they are given, searched and saved; and what they demand of single classes."""
