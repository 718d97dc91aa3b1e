"""What several doors over HTTP do alike: messages posted as forms, and stored clips on their way out."""
