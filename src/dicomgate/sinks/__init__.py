"""Where records go beside the store: repositories, feeds, files, people, numbers."""
