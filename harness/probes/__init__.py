"""Where a probe can be attached: asked of the lab's kernel and of its files, searched here."""
