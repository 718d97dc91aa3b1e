"""A live call: hearing when somebody speaks, answering, and falling silent when interrupted."""
