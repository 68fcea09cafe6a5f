"""From tasks to language models that labkit did not train: strings in, strings out."""
