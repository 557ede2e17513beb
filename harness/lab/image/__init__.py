"""What a guest is made of, from the recipe to the files in the cache."""
