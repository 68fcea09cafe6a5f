"""What a sceptic would try first, without meta-learning."""
